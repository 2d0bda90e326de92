"""Write the sample images of ``sample_data/``; the same command gives the same bytes.

Run from the repository root: ``python training/simulate/make_samples.py [--out sample_data]``.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

ROOT = Path(__file__).resolve().parents[2]
if __package__ in (None, ""):
    sys.path.insert(0, str(ROOT))

from training.simulate import fluorescence, smear  # noqa: E402

SMEAR_SEED = 11
FIELD_SEED = 5
FIELD_LABELS: tuple[tuple[str, ...], ...] = (
    ("Mitochondria",),
    ("Nucleoplasm",),
    ("Actin filaments",),
    ("Plasma membrane",),
    ("Nucleoli",),
    ("Endoplasmic reticulum",),
    ("Nuclear membrane", "Endoplasmic reticulum"),
    ("Golgi apparatus",),
    ("Nuclear speckles",),
    ("Microtubules",),
    ("Nucleoplasm", "Cytosol"),
    ("Nuclear bodies",),
    ("Nuclear membrane",),
    ("Plasma membrane", "Cytosol"),
    ("Nucleoli", "Mitochondria"),
    ("Cytosol",),
    ("Golgi apparatus", "Nucleoplasm"),
)


def make_smear(
    out: Path, seed: int = SMEAR_SEED, shape: tuple[int, int] = (1024, 1024), red_cells: int = 175
) -> None:
    """Write ``thin_smear.ome.tif``, its labels and its truth table into ``out``."""
    field = smear.simulate(seed, shape, red_cells)
    ome = {"axes": "YXS", **_physical(field.pixel_size_um), "Name": "Thin blood smear (simulated)"}
    _write(out / "thin_smear.ome.tif", field.image, ome, photometric="rgb")
    _write_labels(out / "thin_smear_labels.tif", field.labels, field.pixel_size_um)
    _write_table(out / "thin_smear_truth.csv", field.table.drop(columns="form"))


def make_field(
    out: Path, seed: int = FIELD_SEED, shape: tuple[int, int] = (1024, 1024), cells: int = 25
) -> None:
    """Write ``rgby_field.ome.tif``, its labels and its truth table into ``out``."""
    field = fluorescence.simulate(seed, shape, cells, labels=FIELD_LABELS)
    ome = {
        "axes": "CYX",
        **_physical(field.pixel_size_um),
        "Name": "Four-channel fluorescence field (simulated)",
        "Channel": {
            "Name": list(fluorescence.CHANNELS),
            "Color": [_ome_color(c) for c in fluorescence.CHANNEL_COLORS],
        },
    }
    # The lowest five bits lie far below the noise: keeping them would double the file for nothing.
    counts = field.image & np.uint16(0xFFE0)
    _write(out / "rgby_field.ome.tif", counts, ome, photometric="minisblack")
    _write_labels(out / "rgby_field_labels.tif", field.cells, field.pixel_size_um)
    _write_table(out / "rgby_field_truth.csv", field.table.drop(columns="phase"))


def _physical(size_um: float) -> dict[str, Any]:
    return {
        "PhysicalSizeX": size_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": size_um,
        "PhysicalSizeYUnit": "µm",
    }


def _ome_color(color: str) -> int:
    """Return ``#rrggbb`` as the signed 32-bit RGBA number of OME-XML."""
    rgba = (int(color[1:], 16) << 8) | 0xFF
    return rgba - (1 << 32) if rgba >= 1 << 31 else rgba


def _write(path: Path, image: np.ndarray, ome: dict[str, Any], photometric: str) -> None:
    # A name-based UUID: tifffile would otherwise put the time of writing into the file.
    ome["UUID"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, path.name)}"
    tifffile.imwrite(
        path,
        image,
        ome=True,
        metadata=ome,
        photometric=photometric,
        compression="zlib",
        compressionargs={"level": 9},
        predictor=True,
        tile=(256, 256),
        software="napari-cellcls training/simulate",
    )


def _write_labels(path: Path, labels: np.ndarray, size_um: float) -> None:
    tifffile.imwrite(
        path,
        labels.astype(np.uint16),
        compression="zlib",
        compressionargs={"level": 9},
        resolution=(1e4 / size_um, 1e4 / size_um),
        resolutionunit="CENTIMETER",
        metadata=None,
        software="napari-cellcls training/simulate",
    )


def _write_table(path: Path, table: pd.DataFrame) -> None:
    path.write_bytes(table.to_csv(index=False, lineterminator="\n").encode())


def main() -> None:
    """Write both samples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "sample_data")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    make_smear(out)
    make_field(out)
    for path in sorted(out.iterdir()):
        print(f"{path.stat().st_size:>10,}  {path.name}")


if __name__ == "__main__":
    main()
