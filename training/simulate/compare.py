"""Put simulated images beside real ones, so that a person can judge the likeness.

Run from the repository root: ``python training/simulate/compare.py [--data ../shared/data]``. Pictures with
pieces of Human Protein Atlas images go to a folder of their own: their terms allow looking at them
here, not passing them on.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage as ndi

ROOT = Path(__file__).resolve().parents[2]
if __package__ in (None, ""):
    sys.path.insert(0, str(ROOT))

from training.simulate import fluorescence, sheets, smear  # noqa: E402
from training.simulate.make_samples import FIELD_LABELS, FIELD_SEED, SMEAR_SEED  # noqa: E402

TILE = 430
GAP = 6


def smear_figure(data: Path, out: Path) -> None:
    """Write the smear figure: fields above, single cells cut to tight boxes below."""
    field = smear.simulate(SMEAR_SEED)
    bccd = _open(data / "bccd/images/BloodImage_00005.jpg")
    chula = _open(data / "chula_rbc12/images/322.jpg")
    tiles = [
        ("simulated", field.image[300:730, 440:870]),
        ("simulated, another seed", smear.simulate(3).image[300:730, 300:730]),
        ("real: BCCD (MIT)", _scaled(bccd, 0.9)[:TILE, :TILE]),
        ("real: Chula RBC-12 (MIT)", _scaled(chula, 1.9)[60 : 60 + TILE, 200 : 200 + TILE]),
    ]
    rows = [_row(tiles)]
    rows.append(_strip("simulated cells, tight boxes", _simulated_cells(field)))
    rows.append(
        _strip("real cells, tight boxes: NIH / U.S. National Library of Medicine", _nih(data))
    )
    _save(rows, out / "sample_smear_beside_real.png")


def fluorescence_figure(data: Path, out: Path) -> None:
    """Write the fluorescence figure: composites, then the planes one by one."""
    field = fluorescence.simulate(FIELD_SEED, labels=FIELD_LABELS)
    ours = np.moveaxis(field.image, 0, 2) / 65535 * 1.15
    folder = data / "hpa/field"
    real = np.stack(
        [_plane(folder / f"57_F11_1_{c}.png") for c in ("red", "green", "blue", "yellow")], 2
    )
    real = ndi.zoom(real, (0.6, 0.6, 1), order=1) / 255
    a, b = ours[330:760, 80:510], ours[:TILE, 560:990]
    c, d = real[:TILE, :TILE], real[160:590, 330:760]
    red, green, yellow = ("microtubules", 0), ("protein", 1), ("ER", 3)
    rows = [
        _row([("simulated", a[..., :3]), ("simulated", b[..., :3]),
              ("real: Human Protein Atlas", c[..., :3]), ("real", d[..., :3])]),
        _row([(f"simulated: {n}", a[..., [k] * 3]) for n, k in (red, green)]
             + [(f"real: {n}", c[..., [k] * 3]) for n, k in (red, green)]),
        _row([("simulated: nucleus", a[..., [2] * 3]), (f"simulated: {yellow[0]}", a[..., [3] * 3]),
              ("real: nucleus", c[..., [2] * 3]), ("real: ER (another field)", real[500:930, 560:990, [3] * 3])]),
    ]  # fmt: skip
    _save(rows, out / "sample_fluorescence_beside_real.png")


def _open(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def _plane(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"), np.float32)


def _scaled(image: np.ndarray, factor: float) -> np.ndarray:
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def _simulated_cells(field: smear.SmearField) -> list[np.ndarray]:
    red = field.table[field.table["kind"] == "red cell"]
    infected = red[red["class"] == "Parasitized"]["label"].tolist()[:9]
    plain = red[red["class"] == "Uninfected"]["label"].tolist()[20:25]
    boxes = ndi.find_objects(field.labels)
    cells = []
    for label in infected + plain:
        where = boxes[label - 1]
        mask = ndi.binary_opening(field.labels[where] == label)
        cells.append(field.image[where] * mask[..., None])
    return cells


def _nih(data: Path) -> list[np.ndarray]:
    folder = data / "malaria_nih_original_size"
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    infected = [r["name"] for r in rows if r["label"] == "Parasitized"][3:66:7]
    plain = [r["name"] for r in rows if r["label"] == "Uninfected"][2:40:8]
    return [_open(folder / name) for name in infected + plain]


def _row(tiles: list[tuple[str, np.ndarray]]) -> np.ndarray:
    parts = []
    for title, tile in tiles:
        if tile.dtype != np.uint8:
            tile = (np.clip(tile, 0, 1) ** 0.8 * 255).astype(np.uint8)
        frame = np.full((TILE + 18, TILE + GAP, 3), 255, np.uint8)
        frame[18 : 18 + tile.shape[0], : tile.shape[1]] = tile
        parts.append(_title(frame, title))
    return np.concatenate(parts, 1)


def _strip(title: str, cells: list[np.ndarray], edge: int = 116) -> np.ndarray:
    strip = np.full((edge + 18 + GAP, 4 * (TILE + GAP), 3), 255, np.uint8)
    for k, cell in enumerate(cells):
        tile = Image.fromarray(cell).resize((edge, edge), Image.Resampling.LANCZOS)
        x = k * (edge + GAP)
        strip[18 : 18 + edge, x : x + edge] = np.asarray(tile)
    return _title(strip, title)


def _title(frame: np.ndarray, title: str) -> np.ndarray:
    picture = Image.fromarray(frame)
    ImageDraw.Draw(picture).text((3, 2), title, fill=(0, 0, 0))
    return np.asarray(picture)


def _save(rows: list[np.ndarray], path: Path, limit: int = 1_500_000) -> None:
    whole = Image.fromarray(np.concatenate(rows, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    for share in (1.0, 0.85, 0.75, 0.65, 0.55):
        size = (int(whole.width * share), int(whole.height * share))
        whole.resize(size, Image.Resampling.LANCZOS).save(path, optimize=True)
        if path.stat().st_size < limit:
            return


def main() -> None:
    """Write the two figures of the samples and the sheets of all kinds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images")
    parser.add_argument("--private", type=Path, default=ROOT / "runs/compare")
    options = parser.parse_args()
    options.private.mkdir(parents=True, exist_ok=True)
    smear_figure(options.data, options.out)
    fluorescence_figure(options.data, options.private)
    _save([sheets.hpa_sheet(options.data)], options.private / "simulated_hpa_beside_real.png")
    _save([sheets.hpa_sheet()], options.out / "simulated_hpa.png")
    _save([sheets.hela_sheet()], options.out / "simulated_hela.png")
    _save([sheets.smear_sheet(options.data)], options.out / "simulated_smears.png")


if __name__ == "__main__":
    main()
