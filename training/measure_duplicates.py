"""Measure the search for nearly identical images on the real malaria crops, as in docs/datasets.md.

Prints the time, the closest pairs of the set, and how far usual changes move a crop::

    python training/measure_duplicates.py ../shared/data/malaria_nih_50px.parquet
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from napari_cellcls.learn.datasets import open_dataset
from napari_cellcls.learn.duplicates import NEAR, near_pairs, thumbnails
from napari_cellcls.vocabulary import finish

SAMPLE = 500


def jpeg(crop: np.ndarray, quality: int) -> np.ndarray:
    """Return a crop as JPEG of a quality gives it back."""
    stream = io.BytesIO()
    Image.fromarray(crop).save(stream, "JPEG", quality=quality)
    return np.array(Image.open(stream))


def coarser(crop: np.ndarray, edge: int) -> np.ndarray:
    """Return a crop resized to an edge and back."""
    image = Image.fromarray(crop)
    return np.array(image.resize((edge, edge)).resize(image.size))


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "JPEG, quality 75": lambda crop: jpeg(crop, 75),
    "JPEG, quality 40": lambda crop: jpeg(crop, 40),
    "10 % darker": lambda crop: (crop * 0.9).astype(np.uint8),
    "gamma 1.2": lambda crop: (255 * (crop / 255) ** 1.2).astype(np.uint8),
    "to 32 pixels and back": lambda crop: coarser(crop, 32),
    "to 25 pixels and back": lambda crop: coarser(crop, 25),
    "shifted by 1 pixel": lambda crop: np.roll(crop, 1, axis=0),
    "1 pixel cut off all around": lambda crop: coarser(crop[1:-1, 1:-1], len(crop)),
}


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = finish(open_dataset(parser.parse_args().data, size=50))
    begin, wall = time.process_time(), time.perf_counter()
    found = finish(near_pairs(data.images))
    cpu, elapsed = time.process_time() - begin, time.perf_counter() - wall
    print(
        f"{len(data):,} crops: {len(found)} pairs within {NEAR}; {cpu:.1f} s of one core, {elapsed:.1f} s"
    )
    print(f"identical: {len(data) - len(np.unique(data.hashes()))}")
    wider = finish(near_pairs(data.images, 0.11))
    same = data.groups[wider.pairs[:, 0]] == data.groups[wider.pairs[:, 1]]
    print(
        f"closest {wider.distance[:3].round(4).tolist()}; within 0.11: {len(wider)}, {same.sum()} of one patient"
    )
    rows = np.random.default_rng(0).choice(len(data), SAMPLE, replace=False)
    crops = np.asarray(data.images[np.sort(rows)])
    before = thumbnails(crops).reshape(SAMPLE, -1)
    print(f"{'change of ' + str(SAMPLE) + ' crops':<28}{'median':>8}{'95 %':>8}{'99 %':>8}")
    for name, change in CHANGES.items():
        after = thumbnails(np.stack([change(crop) for crop in crops])).reshape(SAMPLE, -1)
        moved = np.percentile(np.linalg.norm(before - after, axis=1), [50, 95, 99])
        print(f"{name:<28}" + "".join(f"{value:8.3f}" for value in moved))


if __name__ == "__main__":
    main()
