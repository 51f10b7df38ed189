"""Images by name: each function returns x (N, C, H, W) float32 in [0, 1], y (N,) int64 and ids (N,) int64."""

import numpy as np


def digits(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The 1,797 handwritten 8×8 digits inside scikit-learn (Alpaydin & Kaynak 1998), grey levels 0 … 16.

    split: every sixth image is a test image, so that every writer appears on both sides. ids: place in the data set.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    ids = np.arange(len(x))
    chosen = ids[ids % 6 == 0] if split == "test" else ids[ids % 6 != 0]
    return x[chosen], labels[chosen].astype(np.int64), chosen


def subset(x: np.ndarray, y: np.ndarray, ids: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first n images, as the papers take them."""
    if not 1 <= n <= len(x):
        raise ValueError(f"images: {n} asked for, the test split has {len(x)}")
    return x[:n], y[:n], ids[:n]


def check_images(x: np.ndarray, y: np.ndarray, ids: np.ndarray, name: str) -> None:
    """Refuse what is no image set: ValueError naming it."""
    if x.ndim != 4 or x.dtype != np.float32:
        raise ValueError(f"dataset '{name}': images must be float32 (N, C, H, W), not {x.dtype} {x.shape}")
    if not (np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1):
        raise ValueError(f"dataset '{name}': images must be finite and lie in [0, 1]")
    if not len(x) == len(y) == len(ids) or len(set(ids.tolist())) != len(ids):
        raise ValueError(f"dataset '{name}': every image needs one label and an id of its own")
