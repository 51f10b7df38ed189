"""What compressing stored images costs and saves.

    uv run python benchmarks/storing.py [--images 1000] [--shape 3 32 32] [--block 100]

Three kinds of float32 images as stages leave them: clean (eight bits a pixel), moved by ±ε as sign steps do, and with
Gaussian noise of a purification in them. By zarr, in blocks of whole images; medians of rounds in turns.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import zarr
from zarr.codecs import BloscCodec, ZstdCodec

CODECS = {
    "none": None,
    "zstd 0": ZstdCodec(level=0),
    "zstd 5": ZstdCodec(level=5),
    "blosc lz4": BloscCodec(cname="lz4", clevel=5, shuffle="shuffle", typesize=4),
    "blosc zstd": BloscCodec(cname="zstd", clevel=3, shuffle="shuffle", typesize=4),
    "blosc zstd bits": BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=4),
}


def kinds(n: int, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """(n, C, H, W) float32 in [0, 1]: smooth images and what is made of them."""
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((n, *shape))
    for axis in (2, 3):  # neighbours are alike in images
        for _ in range(8):
            noise = (np.roll(noise, 1, axis) + 2 * noise + np.roll(noise, -1, axis)) / 4
    clean = np.round(255 * (0.5 + 0.25 * noise / noise.std()).clip(0, 1)) / 255
    moved = clean + 8 / 255 * generator.uniform(-1, 1, clean.shape)
    for _ in range(3):
        moved = moved + 8 / 255 / 30 * generator.choice([-1, 1], clean.shape)
    purified = clean + 0.05 * generator.standard_normal(clean.shape)
    named = {"clean": clean, "attacked": moved, "purified": purified}
    return {name: images.clip(0, 1).astype(np.float32) for name, images in named.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--shape", type=int, nargs=3, default=[3, 32, 32], metavar=("C", "H", "W"))
    parser.add_argument("--block", type=int, default=100, help="images a chunk (default 100)")
    parser.add_argument("--rounds", type=int, default=5)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for kind, images in kinds(a.images, tuple(a.shape)).items():
            path = Path(folder) / "array.zarr"
            times = {name: ([], []) for name in CODECS}
            sizes = {}
            for _, name in [(i, name) for i in range(a.rounds) for name in CODECS]:
                shutil.rmtree(path, ignore_errors=True)
                started = time.process_time()
                array = zarr.create_array(
                    path, shape=images.shape, chunks=(a.block, *a.shape), dtype="float32", compressors=CODECS[name]
                )
                array[:] = images
                written = time.process_time()
                assert np.array_equal(zarr.open_array(path, mode="r")[:], images)
                times[name][0].append(written - started)
                times[name][1].append(time.process_time() - written)
                sizes[name] = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            print(f"{kind}: {a.images} images, {images.nbytes / 2**20:.1f} MiB")
            for name, (write, read) in times.items():
                print(
                    f"    {name:16}{sizes[name] / images.nbytes:>6.2f} of the size"
                    f"{median(write) * 1e3:>8.1f} ms to write{median(read) * 1e3:>8.1f} ms to read"
                )


if __name__ == "__main__":
    main()
