"""Fills the console blocks of docs/command-line.md with what the commands really print.

Run ``python docs/command_outputs.py`` in the repository (``--slow`` also for commands that take minutes;
``--only WORD`` for blocks whose command contains the word). Blocks keep their old output when a command needs data
that are not here (real images: ``CELLCLS_SHARED_DATA`` or ``../shared/data``).
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "command-line.md"
BLOCK = re.compile(r"```console\n\$ (?P<command>cellcls .*)\n(?P<output>(?:.*\n)*?)```\n")
SLOW = ("evaluate", "train")


def prepare(folder: Path) -> None:
    """Put the files that the examples name into a folder."""
    data = Path(os.environ.get("CELLCLS_SHARED_DATA") or ROOT.parent / "shared" / "data")
    shutil.copy(ROOT / "sample_data" / "thin_smear.ome.tif", folder)
    os.symlink(ROOT / "training", folder / "training")
    Image.new("RGB", (640, 480), (230, 226, 228)).save(folder / "empty.png")
    if not data.is_dir():
        return
    (folder / "smears").mkdir()
    fields = sorted((data / "bccd" / "images").iterdir())[:3]
    for path in fields:
        shutil.copy(path, folder / "smears")
    shutil.copy(fields[0], folder / "good.jpg")
    (folder / "half.tif").write_bytes((folder / "thin_smear.ome.tif").read_bytes()[:100_000])
    for path in (data / "hpa" / "field").iterdir():
        shutil.copy(path, folder)
    os.symlink(data / "malaria_nih_50px.parquet", folder / "malaria_nih_50px.parquet")


def label_blood(folder: Path, data: Path) -> None:
    """Make a project of twelve photographs of blood in which a few cells of each class are labeled, as the set says."""
    sys.path.insert(0, str(ROOT))
    from training.found_blood import WELL_CUT, annotated, matched

    from napari_cellcls.cells.identity import anchors
    from napari_cellcls.cells.segment import find_cells
    from napari_cellcls.images.read import open_image
    from napari_cellcls.learn.datasets import BLOOD_CLASSES
    from napari_cellcls.project.project import create_project
    from napari_cellcls.review.masks import place
    from napari_cellcls.vocabulary import finish

    boxes, files = annotated(data / "bccd", list(BLOOD_CLASSES))
    with create_project(folder / "blood", classes=BLOOD_CLASSES, annotator="ada") as project:
        for name, path in files.items():
            copy = Path(shutil.copy(path, folder))
            image = open_image(copy)
            cells = finish(find_cells(image, "blood"))
            truth, overlap = matched(cells.table, boxes[name])
            truth[overlap <= WELL_CUT] = -1
            if not {0, 1, 2} <= set(truth.tolist()):
                continue
            found = project.add_image(copy)
            for k, class_id in enumerate(project.journal.state.classes):
                some = cells.ids[truth == k][:8].tolist()
                for one in place(project.journal, anchors(cells, found, some)):
                    project.journal.label(one, class_id)
            if len(project.journal.state.images) == 12:
                return


def output_of(command: str, folder: Path) -> str:
    """Run a command in the folder; return what a terminal of 100 columns shows."""
    words = [sys.executable, "-m", "napari_cellcls", *shlex.split(command)[1:]]
    done = subprocess.run(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env=os.environ | {"LOGNAME": "ada"},
    )  # fmt: skip
    text = (
        done.stdout.replace(str(folder), "/home/ada")
        .replace(sys.executable, "python")
        .replace(str(ROOT), "...")
    )
    text = text.replace(str(Path.home()), "/home/ada").expandtabs(4)
    text = re.sub(r"System: (\w+)-\S+", r"System: \1", text)  # no reader's kernel is this one
    lines = [
        line.rstrip()
        for line in text.splitlines()
        if not line.startswith(("Classifying:", "Evaluating:", "Fine-tuning:"))
    ]
    return "\n".join(lines) + "\n" + (f"[exit code {done.returncode}]\n" if done.returncode else "")


def main() -> None:
    """Rewrite the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        prepare(folder)
        data = Path(os.environ.get("CELLCLS_SHARED_DATA") or ROOT.parent / "shared" / "data")
        if data.is_dir() and options.only in ("", "blood.cellcls"):
            label_blood(folder, data)

        def fill(block: re.Match[str]) -> str:
            command = block["command"]
            if options.only not in command or (command.split()[1] in SLOW and not options.slow):
                return block[0]
            files = [w for w in command.split()[2:] if "." in w and not w.startswith("-")]
            if any(not (folder / word).exists() for word in files):
                return block[0]
            return f"```console\n$ {command}\n{output_of(command, folder)}```\n"

        PAGE.write_text(BLOCK.sub(fill, PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
