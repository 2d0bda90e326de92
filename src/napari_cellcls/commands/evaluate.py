"""``cellcls evaluate``: how good is a model on labelled cells, by a protocol that is named."""

from __future__ import annotations

import errno
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cellcls.commands import console
from napari_cellcls.commands.options import EngineName
from napari_cellcls.files import reason
from napari_cellcls.vocabulary import DataError, Progress, Task

if TYPE_CHECKING:
    from napari_cellcls.learn.datasets import CellSet
    from napari_cellcls.learn.evaluate import Report
    from napari_cellcls.models.package import ModelPackage

BATCH = 1024
GIVE_GROUPS = (
    "To give them, put a file groups.csv beside the class folders: file name, patient on each line; "
    "or begin the file names with the patient as the NIH set does (C33...), or use a parquet file "
    "with a column patient."
)


class Protocol(StrEnum):
    """Ways to evaluate."""

    patient_5fold = "patient-5fold"
    random = "random"
    all = "all"


def evaluate(
    model: Annotated[str, typer.Argument(help="Model name or .cellpkg file.", show_default=False)],
    data: Annotated[
        Path,
        typer.Option(
            help="Labelled cells: a folder of class folders, or a parquet file.", show_default=False
        ),
    ],
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="all: this very model on all cells given. "
            "patient-5fold: every cell by the fold model that never saw its patient (needs patients). "
            "random: the held-out cells of a `cellcls train` run that split at random, as often published."
        ),
    ] = Protocol.all,
    folds: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the fold models, or of the run.", show_default="training/folds/<model>"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write the numbers as JSON.")
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="What computes the network (protocol all).")
    ] = EngineName.auto,
    device: Annotated[
        str, typer.Option(help="auto, cpu, or a device of `cellcls doctor` (protocol all).")
    ] = "auto",
) -> None:
    """Measure accuracy, sensitivity, specificity and AUC with 95 % intervals by patient.

    Exit codes: 0 done, 2 wrong usage, 4 the model or the cells cannot be used.
    """
    from napari_cellcls.models import registry, runtime

    if (engine.value, device) != ("auto", "auto"):
        runtime.choose(engine.value, device)
    if out is not None:
        _check_writable(out)
    package = registry.load(model)
    if len(package.manifest.classes) != 2 or package.manifest.multi_label:
        raise DataError(
            "Only models of two classes can be evaluated in this version.",
            code="DATA-CLASSES",
            why=f"{package.manifest.label} has {len(package.manifest.classes)} classes"
            f"{' and several labels per cell' if package.manifest.multi_label else ''}.",
            remedy="Choose a model of two classes, such as malaria-thin-smear.",
        )
    folder = folds or Path("training/folds") / package.manifest.name.replace("-", "_")
    if protocol is Protocol.all:
        task = whole(package, data, engine.value, device)
    elif protocol is Protocol.random:
        task = by_run(package, folder, data)
    else:
        task = by_folds(folder, data)
    report = console.follow(task, "Evaluating")
    console.say(f"{package.manifest.label}  {package.sha256[:8]}", "bold")
    console.say(report.text())
    if out is not None:
        from napari_cellcls.export.errors import writing

        with writing(out) as temporary:
            temporary.write_text(json.dumps(report.metrics, indent=2) + "\n", encoding="utf-8")
        console.say(f"Numbers in {out}")


def _check_writable(out: Path) -> None:
    """Refuse before the long work what could not be written after it."""
    from napari_cellcls.export.errors import make_folder, write_error

    if out.is_dir():
        raise write_error(out, IsADirectoryError(errno.EISDIR, "it is a folder"))
    make_folder(out.parent)


def groups_known(cells: CellSet) -> bool:
    """Whether something says which cells belong together (to one patient)."""
    return len(set(cells.groups.tolist())) < len(cells.groups)


def by_folds(folder: Path, data: Path) -> Task[Report]:
    """Evaluate the fold models of a folder on the cells each did not see."""
    from napari_cellcls.learn.datasets import open_dataset
    from napari_cellcls.learn.evaluate import evaluate_folds, read_folds

    about = read_folds(folder)
    cells = yield from open_dataset(data, size=about["size"], classes=tuple(about["classes"]))
    if not groups_known(cells):
        raise DataError(
            "This protocol needs to know which patient each cell is of.",
            code="DATA-GROUPS",
            path=data,
            why="neither the file names nor a table beside them tell the patients",
            remedy=f"{GIVE_GROUPS} Or measure this very model on all cells: --protocol all.",
        )
    return (yield from evaluate_folds(cells, folder))


def by_run(package: ModelPackage, folder: Path, data: Path) -> Task[Report]:
    """Evaluate what a training run with a random split said about its held-out cells.

    Raises
    ------
    DataError
        ``FOLDS-MISSING`` when the folder holds no such run.
    """
    import numpy as np

    from napari_cellcls.learn.datasets import open_dataset
    from napari_cellcls.learn.evaluate import summarize

    try:
        with np.load(folder / "scores.npz", allow_pickle=False) as stored:
            rows, logits = stored["rows"], stored["logits"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            "The folder does not hold a run with a random split.",
            code="FOLDS-MISSING",
            path=folder,
            why=reason(error),
            remedy="Make one with `cellcls train training/recipes/malaria_cnn.yaml`, then give its "
            "folder with --folds.",
        ) from None
    manifest = package.manifest
    names = tuple(c.name for c in manifest.classes)
    cells = yield from open_dataset(data, size=manifest.crop.size, classes=names)
    return summarize(
        logits,
        cells.labels[rows],
        cells.groups[rows],
        np.zeros(len(rows), int),
        protocol="random split: cells of one patient on both sides, so this flatters the model",
        positive=infected(package),
    )


def infected(package: ModelPackage) -> int:
    """Return the index of the class counted as positive."""
    from napari_cellcls.counting import infected_class

    return infected_class(package.manifest.scheme) or 0


def whole(package: ModelPackage, data: Path, engine: str, device: str) -> Task[Report]:
    """Evaluate one model on all cells given (which it may have been trained on)."""
    import numpy as np

    from napari_cellcls.learn.datasets import open_dataset
    from napari_cellcls.learn.evaluate import summarize
    from napari_cellcls.models import runtime
    from napari_cellcls.predict import predict_crops

    manifest = package.manifest
    names = tuple(c.name for c in manifest.classes)
    cells = yield from open_dataset(data, size=manifest.crop.size, classes=names)
    if not groups_known(cells):
        console.warn(
            "No patients are known: every image counts on its own, and the intervals are too narrow "
            f"where several are of one patient. The protocol patient-5fold needs them. {GIVE_GROUPS}"
        )
    parts = []
    with runtime.open_engine(package, engine=engine, device=device) as opened:
        for start in range(0, len(cells.images), BATCH):
            crops = np.asarray(cells.images[start : start + BATCH], np.float32) / 255
            parts.append(np.asarray(predict_crops(crops, package, opened).logits))
            yield Progress(start + len(crops), len(cells.images), "scoring cells")
    return summarize(
        np.concatenate(parts),
        cells.labels,
        cells.groups,
        np.zeros(len(cells.labels), int),
        protocol=f"{manifest.label} as shipped on all {len(cells.labels):,} cells given; it may have "
        "been trained on them, so this is no estimate for new patients",
        positive=infected(package),
    )
