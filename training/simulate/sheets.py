"""Contact sheets: every kind of simulated cell on one page, beside the real ones that are at hand.

``compare.py`` writes them; this module only draws.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage as ndi

from . import fluorescence, hela, smear
from .smear_forms import FORMS

TILE = 150
GAP = 4
LINE = 15
CHULA = {
    0: "normal", 1: "macrocyte", 2: "microcyte", 3: "spherocyte", 4: "target", 5: "stomatocyte",
    6: "ovalocyte", 7: "teardrop", 8: "burr", 9: "schistocyte", 11: "hypochromia", 12: "elliptocyte",
}  # fmt: skip
"""Class numbers of Chula RBC-12."""


def hpa_sheet(data: Path | None = None) -> np.ndarray:
    """Draw one cell per pattern; with real cells at hand, also those beside simulated ones."""
    tiles = [(name, _pattern_tile(k, name)) for k, name in enumerate(fluorescence.PATTERNS)]
    rows = [_row(tiles[i : i + 7]) for i in range(0, 28, 7)]
    if data is None:
        return _stack(rows)
    names = ("microtubules", "protein", "nucleus", "ER")
    ours = [_planes(_membrane_cell(seed)) for seed in (4, 5, 8)]
    real = [
        _planes(np.load(data / f"hpa/cells/56_F11_1_{k}.npy", allow_pickle=False) / 255.0)
        for k in (5, 6, 7)
    ]
    for title, cells in (("simulated", ours), ("real (HPA)", real)):
        flat = [
            (title if k == 0 else n, plane)
            for cell in cells
            for k, (n, plane) in enumerate(zip(names, cell))
        ]
        # Twelve small tiles fill the width of seven.
        rows.append(_row([(t, _fit(p, 84)) for t, p in flat], 84))
    return _stack(rows)


def hela_sheet() -> np.ndarray:
    """Draw five cells of each of the ten classes; the real images are not at hand."""
    rows = []
    for name in hela.STAINS:
        cells = [_fit(hela.simulate(seed, name, 8), 130) for seed in range(5)]
        rows.append(_row([(name if k == 0 else "", c) for k, c in enumerate(cells)], 130))
    return np.concatenate([_stack(rows[:5]), _stack(rows[5:])], 1)


def smear_sheet(data: Path) -> np.ndarray:
    """Draw fields of several laboratories, then each form of red cell, simulated above real."""
    ours = [
        smear.simulate(seed, (300, 300), 22, 0.2, seed % 2, 3, varied=True).image
        for seed in (0, 2, 5, 8)
    ]
    real = [
        _open(data / "bccd/images" / f"BloodImage_{k:05d}.jpg")[90:390, 150:450] for k in (5, 42)
    ]
    real += [
        _scaled(_open(data / f"chula_rbc12/images/{k}.jpg"), 1.7)[200:500, 300:600]
        for k in (322, 94)
    ]
    titles = ["simulated"] * 4, ["real: BCCD (MIT)"] * 2 + ["real: Chula RBC-12 (MIT)"] * 2
    rows = [_row(list(zip(t, i)), 300) for t, i in zip(titles, (ours, real))]
    found, examples = _forms(), _chula(data)
    for k, title in enumerate(
        ("simulated", "simulated", "real: Chula RBC-12", "real: Chula RBC-12")
    ):
        source = (found, examples)[k // 2]
        tiles = [(f if k % 2 == 0 else "", _fit(source[f][k % 2], 96)) for f in FORMS]
        rows.append(_row([(f"{tiles[0][0]} ({title})", tiles[0][1]), *tiles[1:]], 97))
    return _stack(rows)


def _pattern_tile(number: int, name: str) -> np.ndarray:
    for seed in range(400 + 40 * number, 440 + 40 * number):
        field = fluorescence.simulate(
            seed, (320, 320), 7, 0.18, 8, labels=[(name,)], one_protein=True, varied=True
        )
        rows = field.table[field.table["class"] == name]
        far = np.hypot(rows["y"] - 160, rows["x"] - 160)
        if len(rows) and far.min() < 60:
            y, x = (int(rows.loc[far.idxmin(), c]) for c in ("y", "x"))
            y, x = (min(max(v, 100), 220) for v in (y, x))
            part = field.image[:, y - 100 : y + 100, x - 100 : x + 100].astype(float) / 255
            red, green, blue, _ = part
            return _fit(np.stack([0.45 * red, 1.25 * green, 0.6 * blue], 2), TILE)
    raise RuntimeError(f"No cell with {name} in the middle of 40 fields")


def _membrane_cell(seed: int) -> np.ndarray:
    """Return ``(Y, X, 4)`` of one cell with plasma membrane, black outside of it."""
    field = fluorescence.simulate(
        seed, (512, 512), 8, 0.16, 8, labels=[("Plasma membrane",)], one_protein=True, varied=True
    )
    sizes = np.bincount(field.cells.ravel())[1:]
    boxes = ndi.find_objects(field.cells)
    inner = [
        b[0].start > 0 and b[1].start > 0 and b[0].stop < 512 and b[1].stop < 512 for b in boxes
    ]
    label = int(np.argmax(sizes * inner)) + 1
    where = boxes[label - 1]
    return (
        np.moveaxis(field.image[(slice(None), *where)] * (field.cells[where] == label), 0, 2)
        / 255.0
    )


def _planes(cell: np.ndarray) -> list[np.ndarray]:
    y, x = np.nonzero(cell.sum(2))
    cell = cell[y.min() : y.max() + 1, x.min() : x.max() + 1]
    edge = max(cell.shape[:2])
    room = np.zeros((edge, edge, 4))
    top, left = (edge - cell.shape[0]) // 2, (edge - cell.shape[1]) // 2
    room[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return [(room[..., k] / max(np.percentile(room[..., k], 99.7), 1e-3)) ** 0.7 for k in range(4)]


def _forms() -> dict[str, list[np.ndarray]]:
    """Return two simulated cells of each form."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in FORMS}
    for seed in range(60, 100):
        field, taken = smear.simulate(seed, (400, 400), 24, 0.0, 0, 0, varied=True), 0
        for row in field.table.itertuples():
            y, x = int(row.y), int(row.x)
            # A few from each slide, so that the stains differ.
            if len(found[row.form]) < 2 and taken < 3 and 50 < y < 350 and 50 < x < 350:
                taken += 1
                found[row.form].append(field.image[y - 42 : y + 42, x - 42 : x + 42])
        if min(map(len, found.values())) == 2:
            break
    return found


def _chula(data: Path) -> dict[str, list[np.ndarray]]:
    """Return two real cells of each form, from different fields."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in FORMS}
    for path in sorted((data / "chula_rbc12/labels").glob("*.txt")):
        taken: set[str] = set()
        image: np.ndarray | None = None
        for line in path.read_text().splitlines():
            x, y, kind = (int(float(v)) for v in line.split()[:3])
            name = CHULA.get(kind, "")
            if not name or name in taken or len(found[name]) == 2:
                continue
            if not (48 < y < 430 and 48 < x < 590):
                continue
            if image is None:
                image = _open(data / "chula_rbc12/images" / f"{path.stem}.jpg")
            taken.add(name)
            found[name].append(image[y - 42 : y + 42, x - 42 : x + 42])
    return found


def _open(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def _scaled(image: np.ndarray, factor: float) -> np.ndarray:
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def _fit(picture: np.ndarray, edge: int) -> np.ndarray:
    if picture.dtype != np.uint8:
        picture = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(picture).convert("RGB")
    return np.asarray(image.resize((edge, edge), Image.Resampling.LANCZOS))


def _row(tiles: list[tuple[str, np.ndarray]], edge: int = TILE) -> np.ndarray:
    parts = []
    for title, tile in tiles:
        frame = np.full((edge + LINE, edge + GAP, 3), 255, np.uint8)
        frame[LINE : LINE + tile.shape[0], : tile.shape[1]] = tile
        picture = Image.fromarray(frame)
        ImageDraw.Draw(picture).text((2, 1), title, fill=(0, 0, 0))
        parts.append(np.asarray(picture))
    return np.concatenate(parts, 1)


def _stack(rows: list[np.ndarray]) -> np.ndarray:
    width = max(r.shape[1] for r in rows)
    padded = [
        np.pad(r, ((0, GAP), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows
    ]
    return np.concatenate(padded, 0)
