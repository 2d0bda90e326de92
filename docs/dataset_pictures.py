"""Make the pictures of docs/datasets.md: two audit pages, and pairs of malaria crops.

Needs the malaria parquet (``CELLCLS_SHARED_DATA`` or ``../shared/data``) and, for the pages, Chromium::

    python docs/dataset_pictures.py
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from napari_cellcls.learn.audit import audit
from napari_cellcls.learn.audit_page import html
from napari_cellcls.learn.datasets import CellSet, open_dataset
from napari_cellcls.learn.duplicates import near_pairs
from napari_cellcls.learn.page import mosaic
from napari_cellcls.vocabulary import finish

ROOT = Path(__file__).resolve().parents[1]
IMAGES = Path(__file__).with_name("images")
DATA = Path(os.environ.get("CELLCLS_SHARED_DATA") or ROOT.parent / "shared" / "data")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT, TALLEST = 1160, 4000, 2400

# Found by comparing texture at shifts of up to 2 pixels within each patient; seen by eye.
SEEN_TWICE = (
    ("C59P20thinF_IMG_20150803_112858_cell_173", "C59P20thinF_IMG_20150803_113051_cell_190"),
    ("C176P137NThinF_IMG_20151201_121303_cell_112", "C176P137NThinF_IMG_20151201_122708_cell_146"),
    ("C59P20thinF_IMG_20150803_112858_cell_159", "C59P20thinF_IMG_20150803_113051_cell_155"),
    ("C59P20thinF_IMG_20150803_112858_cell_177", "C59P20thinF_IMG_20150803_113051_cell_192"),
    ("C59P20thinF_IMG_20150803_112858_cell_178", "C59P20thinF_IMG_20150803_113051_cell_182"),
    ("C59P20thinF_IMG_20150803_112858_cell_182", "C59P20thinF_IMG_20150803_113051_cell_168"),
    ("C187P148NThinF_IMG_20151203_152841_cell_161", "C187P148NThinF_IMG_20151203_153410_cell_148"),
    ("C59P20thinF_IMG_20150803_112858_cell_163", "C59P20thinF_IMG_20150803_113051_cell_177"),
    ("C39P4thinF_original_IMG_20150622_111723_cell_81", "C39P4thinF_original_IMG_20150622_111942_cell_16"),
)  # fmt: skip


def shoot(page: Path, picture: Path) -> None:
    """Save a page as a picture, without the empty end of the window."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"none of {', '.join(BROWSERS)} is installed")
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "page.png")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command = [browser, *flags, f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={raw}", page.as_uri()]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        image = Image.open(raw).convert("RGB")
    ground = Image.new("RGB", image.size, image.getpixel((0, image.height - 1)))
    box = ImageChops.difference(image, ground).getbbox() or (0, 0, *image.size)
    bottom = min(box[3] + 30, TALLEST)
    save(image.crop((0, 0, image.width, bottom)), picture)


def save(image: Image.Image, path: Path) -> None:
    """Save a picture and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)
    sys.stdout.write(f"{path}\n")


def pairs(data: CellSet, rows: np.ndarray, path: Path, columns: int = 6) -> None:
    """Save pairs of crops side by side."""
    tiles = [mosaic(np.asarray(data.images[list(pair)]), 2, 72, 2) for pair in rows]
    height, width = tiles[0].shape[:2]
    lines = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (width + 16) - 16, lines * (height + 12) - 12), "white")
    for i, tile in enumerate(tiles):
        at = (i % columns * (width + 16), i // columns * (height + 12))
        sheet.paste(Image.fromarray(tile), at)
    save(sheet, path)


def spoiled(folder: Path) -> Path:
    """Write a small malaria set in which three things are wrong."""
    import pandas as pd

    columns = ["name", "label", "patient", "image"]
    table = pd.read_parquet(DATA / "malaria_nih_50px.parquet", columns=columns)
    chosen = table[table["patient"].isin([f"C{i}" for i in (39, 48, 59, 68, 99, 101, 116, 118)])]
    chosen = chosen.groupby("label").sample(150, random_state=0)
    root = folder / "cell_images"
    for label, rows in chosen.groupby("label"):
        (root / str(label)).mkdir(parents=True)
        for name, image in zip(rows["name"], rows["image"]):
            Image.open(io.BytesIO(image)).convert("RGB").save(root / str(label) / name)
    infected, healthy = (sorted((root / c).iterdir()) for c in ("Parasitized", "Uninfected"))
    torn = healthy[3]
    torn.write_bytes(torn.read_bytes()[:200])
    copy = next(p for p in reversed(infected) if p.name[:4] != infected[0].name[:4])
    Image.open(infected[0]).transpose(Image.Transpose.ROTATE_90).save(copy)
    shutil.copyfile(infected[5], healthy[9])
    return root


def main() -> None:
    """Save all pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = DATA / "malaria_nih_50px.parquet"
        for place, picture in ((source, "audit_malaria"), (spoiled(folder), "audit_findings")):
            found = finish(audit(place, cache=folder / "cache"))
            page = folder / "audit.html"
            page.write_text(html(found), encoding="utf-8")
            shoot(page, IMAGES / f"{picture}.png")
        data = finish(open_dataset(source, size=50, cache=folder / "cache"))
        closest = finish(near_pairs(data.images, 0.11)).pairs[:24]
        pairs(data, closest, IMAGES / "malaria_closest_pairs.png")
        row = {name.rsplit(".", 1)[0]: i for i, name in enumerate(data.names.tolist())}
        twice = np.array([[row[a], row[b]] for a, b in SEEN_TWICE])
        pairs(data, twice, IMAGES / "malaria_seen_twice.png", columns=5)


if __name__ == "__main__":
    main()
