"""Write simulated images in the layouts in which people have the real ones, with a note that says so.

Image loaders find the same files in the same places; masks and truth of every cell lie beside them.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image as PillowImage

from . import fluorescence, hela, smear
from .crops import field_crops
from .fluor_labels import draw_labels

NOTE = "SIMULATED.md"
ANTIBODY = 900_000
"""Numbers above this are antibodies of no catalog: the ids of simulated images begin with them."""
FIELDS_PER_ANTIBODY = 2
COLORS = ("red", "green", "blue", "yellow")


def drawn(work: Callable[[int], Any], seeds: Iterable[int], processes: int = 1) -> Iterator[Any]:
    """Yield ``work(seed)`` for every seed in order, from several processes."""
    if processes <= 1:
        yield from map(work, seeds)
        return
    # One thread per process: numerical libraries would otherwise fight for the cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(work, seeds, chunksize=2)


def write_hela(out: Path, per_class: int, seed: int, bits: int = 16, processes: int = 1) -> int:
    """Write ten class folders of TIFF files; return the number of images.

    Parameters
    ----------
    out : pathlib.Path
        New folder.
    per_class : int
        Images in each folder.
    seed : int
        First seed; the images of a class take the following ones.
    bits : {8, 12, 16}
    processes : int
    """
    for name in hela.STAINS:
        folder = out / name
        folder.mkdir(parents=True)
        images = drawn(
            partial(hela.simulate, name=name, bits=bits), range(seed, seed + per_class), processes
        )
        for k, image in enumerate(images):
            tifffile.imwrite(folder / f"sim{seed + k:06d}.tif", image, compression="zlib")
    _note(out, f"hela --per-class {per_class} --seed {seed} --bits {bits}")
    return per_class * len(hela.STAINS)


def hpa_field(seed: int, edge: int, bits: int) -> fluorescence.FluorescenceField:
    """Simulate the field of one seed; the fields of an antibody share their labels."""
    antibody = seed // FIELDS_PER_ANTIBODY
    names = draw_labels(np.random.default_rng((antibody, 28)))
    rng = np.random.default_rng((seed, 29))
    size_um = float(rng.uniform(0.12, 0.3))
    room = (edge * size_um) ** 2 / 1100.0
    return fluorescence.simulate(
        seed,
        (edge, edge),
        max(3, round(room * rng.uniform(0.6, 1.1))),
        size_um,
        bits=bits,
        labels=[names],
        one_protein=True,
        optics=fluorescence.Optics.random(rng),
        varied=True,
        mitosis=0.02,
    )


def write_hpa(
    out: Path, fields: int, seed: int, edge: int = 512, bits: int = 8, processes: int = 1
) -> int:
    """Write ``train.csv``, four PNG files per field, masks and ``cells.csv``; return the number of fields.

    Parameters
    ----------
    out : pathlib.Path
        New folder.
    fields : int
    seed : int
        First seed.
    edge : int
        Height and width of a field in pixels.
    bits : {8, 12, 16}
    processes : int
    """
    (out / "masks").mkdir(parents=True)
    rows, cells = [], []
    seeds = range(seed, seed + fields)
    for k, field in zip(seeds, drawn(partial(hpa_field, edge=edge, bits=bits), seeds, processes)):
        name = _hpa_id(k // FIELDS_PER_ANTIBODY, k % FIELDS_PER_ANTIBODY + 1)
        _write_planes(out, name, field.image)
        for kind, mask in (("cells", field.cells), ("nuclei", field.nuclei)):
            path = out / "masks" / f"{name}_{kind}.tif"
            tifffile.imwrite(path, mask.astype(np.uint16), compression="zlib")
        names = {n for text in field.table["class"] for n in text.split("|") if n}
        rows.append((name, _target(names)))
        cells += [(name, *row) for row in field.table.itertuples(index=False, name=None)]
    _write_csv(out / "train.csv", ("Id", "Target"), rows)
    _write_csv(out / "cells.csv", ("Id", "label", "y", "x", "class", "phase"), cells)
    _note(out, f"hpa --fields {fields} --seed {seed} --edge {edge} --bits {bits}")
    return fields


def write_hpa_cells(out: Path, cells: int, seed: int, edge: int = 128, processes: int = 1) -> int:
    """Write single cells in the same layout, one quartet of PNG files and one row per cell.

    The cells of one field share the antibody number in their id, so that no split parts them.
    """
    out.mkdir(parents=True)
    rows: list[tuple[str, str]] = []
    # A field has two cells at the very least.
    for part in drawn(partial(field_crops, size=edge), range(seed, seed + cells), processes):
        for k, (crop, label) in enumerate(zip(part.crops, part.labels), start=1):
            name = _hpa_id(int(part.fields[0]), k)
            _write_planes(out, name, np.moveaxis(crop, 2, 0))
            rows.append((name, " ".join(str(c) for c in np.flatnonzero(label))))
            if len(rows) == cells:
                break
        if len(rows) == cells:
            break
    _write_csv(out / "train.csv", ("Id", "Target"), rows)
    _note(out, f"hpa --cells {cells} --seed {seed} --edge {edge}")
    return len(rows)


def write_smears(
    out: Path, fields: int, seed: int, edge: int = 640, plain: bool = False, processes: int = 1
) -> int:
    """Write smear fields as PNG files with masks and ``objects.csv``; return the number of fields."""
    (out / "masks").mkdir(parents=True)
    rows: list[tuple] = []
    seeds = range(seed, seed + fields)
    work = partial(smear_field, edge=edge, plain=plain)
    header: Sequence[str] = ()
    for k, field in zip(seeds, drawn(work, seeds, processes)):
        name = f"smear{k:06d}.png"
        PillowImage.fromarray(field.image).save(out / name)
        mask = out / "masks" / f"smear{k:06d}_cells.tif"
        tifffile.imwrite(mask, field.labels.astype(np.uint16), compression="zlib")
        header = ("image", *field.table.columns)
        rows += [(name, *row) for row in field.table.itertuples(index=False, name=None)]
    _write_csv(out / "objects.csv", header, rows)
    _note(out, f"smear --fields {fields} --seed {seed} --edge {edge}" + " --plain" * plain)
    return fields


def smear_field(seed: int, edge: int, plain: bool) -> smear.SmearField:
    """Simulate the smear of one seed: its own crowd, infection and laboratory."""
    rng = np.random.default_rng((seed, 31))
    cells = round((edge / 82) ** 2 * rng.uniform(0.5, 1.4))
    infected = float(rng.choice([0.0, 10 ** rng.uniform(-2.3, -0.5)], p=[0.2, 0.8]))
    return smear.simulate(
        seed,
        (edge, edge),
        cells,
        infected,
        white_cells=int(rng.poisson(0.6 * (edge / 640) ** 2)),
        platelets=int(rng.poisson(5 * (edge / 640) ** 2)),
        varied=not plain,
    )


def _hpa_id(antibody: int, number: int) -> str:
    return f"{ANTIBODY + antibody}_sim_A1_{number}"


def _target(names: Iterable[str]) -> str:
    return " ".join(str(i) for i in sorted(fluorescence.PATTERNS.index(n) for n in names))


def _write_planes(out: Path, name: str, image: np.ndarray) -> None:
    for color, plane in zip(COLORS, image):
        PillowImage.fromarray(plane).save(out / f"{name}_{color}.png")


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _note(out: Path, command: str) -> None:
    text = f"""# Simulated images

Nobody looked at these cells through a microscope: a program drew them. What a model scores here says
how well it learned the drawing, and nothing about real cells.

Made by `python -m training.simulate {command}` of napari-cellcls. The same command gives the same
files. License of the images: CC0-1.0.
"""
    (out / NOTE).write_text(text, encoding="utf-8")
