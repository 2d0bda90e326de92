"""Make the pictures of docs/evaluation.md: reports of small trainings on real crops and simulated cells.

Needs the malaria parquet (``CELLCLS_SHARED_DATA`` or ``../shared/data``), TensorFlow and Chromium; takes some five
minutes on two cores, less when WORK still holds the runs::

    python docs/report_screenshot.py [WORK]
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from dataset_pictures import DATA, IMAGES, ROOT, shoot

from napari_cellcls.learn.datasets.known import HPA_CLASSES, HPA_PLANES
from napari_cellcls.models import registry

STARTER = "hpa-localization"

GROUPED = (
    "--set",
    "protocol.kind=grouped",
    "--set",
    "protocol.folds=3",
    "--set",
    "protocol.val=0.2",
)
SHORT = ("--set", "phases.0.epochs=6")
SHOTS = {
    "report_numbers": ("malaria", ("What to make of it", "Numbers beside trivial answers", "Beside what was published", "Training")),
    "report_mistakes": ("malaria", ("Confusion matrix", "Thresholds", "Are the probabilities true?", "Worst mistakes", "Groups")),
    "report_comparison": ("malaria", ("Two models on the same images", "Where they disagree")),
    "report_labels": ("hpa", ("What to make of it", "Numbers beside trivial answers", "Worst mistakes")),
}  # fmt: skip


def crops(path: Path) -> None:
    """Write some crops of every third patient."""
    table = pd.read_parquet(DATA / "malaria_nih_50px.parquet")
    chosen = sorted(table.patient.unique())[::3]
    some = table[table.patient.isin(chosen)].sample(frac=1, random_state=0)
    some.groupby(["patient", "label"]).head(14).reset_index(drop=True).to_parquet(path)


def cellcls(*arguments: object) -> None:
    """Run a command of the program."""
    subprocess.run([sys.executable, "-m", "napari_cellcls", *map(str, arguments)], check=True)


def train(recipe: str, data: Path, out: Path, *options: str, fold: int | None = None) -> None:
    """Train unless it was done."""
    done = out if fold is None else out / f"fold{fold}"
    if not (done / "run.json").is_file():
        folds = [] if fold is None else ["--fold", fold]
        cellcls("train", recipe, "--data", data, "--out", out, *folds, *options)


def known_only(cells: Path, target: Path) -> Path:
    """Link the cells whose labels the starter model knows; return the folder."""
    names = [c.name for c in registry.load(STARTER).manifest.classes]
    table = pd.read_csv(cells / "train.csv", dtype=str).dropna()
    fits = [all(HPA_CLASSES[int(k)] in names for k in target.split()) for target in table.Target]
    target.mkdir(exist_ok=True)
    shutil.copy(cells / "SIMULATED.md", target)
    table[fits].to_csv(target / "train.csv", index=False)
    for name in [f"{cell}_{plane}.png" for cell in table[fits].Id for plane in HPA_PLANES]:
        if not (target / name).exists():
            (target / name).symlink_to((cells / name).resolve())
    return target


def reports(work: Path) -> dict[str, Path]:
    """Train, judge, and return the pages."""
    few, cells = work / "few.parquet", work / "hpa"
    if not few.is_file():
        crops(few)
    for fold in range(3):
        train("malaria_cnn", few, work / "grouped", *GROUPED, *SHORT, fold=fold)
    train("malaria_cnn", few, work / "shared", *SHORT)
    if not cells.is_dir():
        simulate = [
            sys.executable,
            "-m",
            "training.simulate",
            "hpa",
            str(cells),
            "--cells",
            "500",
            "--edge",
            "128",
        ]
        subprocess.run(simulate, check=True, cwd=ROOT)  # fmt: skip
    pages = {"malaria": work / "malaria", "hpa": work / "labels"}
    cellcls(
        "evaluate", work / "grouped", "--data", few, "--compare", "malaria-thin-smear",
        "--random-run", work / "shared", "--out", pages["malaria"],
    )  # fmt: skip
    cellcls("evaluate", STARTER, "--data", known_only(cells, work / "known"), "--out", pages["hpa"])
    return {name: folder / "report.html" for name, folder in pages.items()}


def only(page: Path, titles: tuple[str, ...], target: Path) -> Path:
    """Write a page with some of the sections, in their order."""
    text = page.read_text("utf-8")
    parts = re.findall(r"<section><h2>(.*?)</h2>(.*?)</section>", text, flags=re.DOTALL)
    kept = "".join(f"<section><h2>{t}</h2>{body}</section>" for t, body in parts if t in titles)
    start, end = text.index("<section>"), text.rindex("</section>") + len("</section>")
    target.write_text(text[:start] + kept + text[end:], "utf-8")
    return target


def main() -> None:
    """Save all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(sys.argv[1] if len(sys.argv) > 1 else folder).resolve()
        work.mkdir(parents=True, exist_ok=True)
        pages = reports(work)
        for name, (page, titles) in SHOTS.items():
            shoot(only(pages[page], titles, work / f"{name}.html"), IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
