"""``cellcls evaluate``: how good is a model on labelled images, by a protocol that is named."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cellcls.commands import console
from napari_cellcls.commands.options import EngineName
from napari_cellcls.vocabulary import DataError, ModelError, Task

if TYPE_CHECKING:
    from napari_cellcls.learn.comparison import Comparison
    from napari_cellcls.learn.datasets import CellSet
    from napari_cellcls.learn.evaluate import Report
    from napari_cellcls.learn.heldout import HeldOut

GIVE_GROUPS = (
    "To give them, put a file groups.csv beside the class folders: file name, patient on each line; "
    "or begin the file names with the patient as the NIH set does (C33...), or use a parquet file "
    "with a column patient."
)
NUMBERS, PAGE = "metrics.json", "report.html"
_ALONE = (".json", ".html")


class Protocol(StrEnum):
    """Ways to evaluate."""

    patient_5fold = "patient-5fold"
    image_5fold = "image-5fold"
    grouped = "grouped"
    random = "random"
    all = "all"


_APART = {Protocol.patient_5fold: "patient", Protocol.image_5fold: "image"}
"""What fold models keep apart, by protocol."""


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|RUN",
            help="Model name, .cellpkg file, or the folder of a `cellcls train` run.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="Labelled images: class folders, a folder with train.csv and HPA images, or a parquet file.",
            show_default=False,
        ),
    ],
    protocol: Annotated[
        Protocol | None,
        typer.Option(
            help="all: this very model on all images given. "
            "patient-5fold, image-5fold: every cell by the fold model that never saw its patient, or its "
            "photograph (needs patients, or photographs with boxes). "
            "grouped, random: what a run held out; the run must have been split so.",
            show_default="all for a model, its own for a run",
        ),
    ] = None,
    folds: Annotated[
        Path | None,
        typer.Option(help="Folder of the fold models.", show_default="training/folds/<model>"),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(metavar="MODEL|RUN", help="Compare with this model on the same images."),
    ] = None,
    random_run: Annotated[
        Path | None,
        typer.Option(help="Run of the same recipe with a random split: tells what that promises."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for metrics.json and report.html; a name in .json or .html: one of them.",
        ),
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="What computes the network (protocol all).")
    ] = EngineName.auto,
    device: Annotated[
        str, typer.Option(help="auto, cpu, or a device of `cellcls doctor` (protocol all).")
    ] = "auto",
) -> None:
    """Measure how good a model is, with intervals by patient, beside trivial answers.

    Exit codes: 0 done, 2 wrong usage, 4 the model or the images cannot be used.
    """
    from napari_cellcls.models import runtime

    if (engine.value, device) != ("auto", "auto"):
        runtime.choose(engine.value, device)
    if out is not None:
        _check_writable(out)

    def judged(name: str, asked: Protocol | None) -> Report:
        task = _judged(name, data, asked, folds, engine.value, device)
        return console.follow(task, "Evaluating")

    report = judged(model, protocol)
    console.say(f"{report.held.model}  {report.held.sha256[:8]}".rstrip(), "bold")
    console.say(report.text())
    compared = None if compare is None else _compared(report, judged(compare, protocol))
    if random_run is not None:
        _add_gap(report, judged(str(random_run), None))
    if out is not None:
        write(out, report, compared)


def _compared(report: Report, other: Report) -> Comparison:
    from napari_cellcls.learn.comparison import compare

    found = compare(report, other)
    report.metrics["comparison"] = found.summary()
    console.say(f"\n{found.text()}")
    return found


def _add_gap(report: Report, other: Report) -> None:
    from napari_cellcls.learn.comparison import check_gap, gap, gap_in_words

    check_gap(report.held, other.held)
    report.metrics["gap"] = gap(report.metrics, other.metrics)
    console.say(gap_in_words(report.metrics, report.held.data.multi_label))


def write(out: Path, report: Report, compared: Comparison | None = None) -> None:
    """Write numbers and page into a folder, or one of them where ``out`` is named like it."""
    from napari_cellcls.export.errors import writing
    from napari_cellcls.learn.report import html

    alone = out.suffix in _ALONE
    if out.suffix != ".html":
        numbers = out if alone else out / NUMBERS
        with writing(numbers) as temporary:
            content = json.dumps(report.metrics, indent=2, allow_nan=False)
            temporary.write_text(content + "\n", encoding="utf-8")
        console.say(f"Numbers in {numbers}")
    if out.suffix != ".json":
        page = out if alone else out / PAGE
        with writing(page) as temporary:
            temporary.write_text(html(report, compared), encoding="utf-8")
        console.say(f"Page in {page}")


def _check_writable(out: Path) -> None:
    """Refuse before the long work what could not be written after it."""
    from napari_cellcls.export.errors import make_folder, write_error

    if out.suffix in _ALONE and out.is_dir():
        raise write_error(out, IsADirectoryError(errno.EISDIR, "it is a folder"))
    make_folder(out.parent if out.suffix in _ALONE else out)


def _judged(
    name: str, data: Path, protocol: Protocol | None, folds: Path | None, engine: str, device: str
) -> Task[Report]:
    from napari_cellcls.learn.evaluate import evaluate as judge

    held = yield from held_out(name, data, protocol, folds, engine, device)
    return (yield from judge(held))


def held_out(
    name: str,
    data: Path,
    protocol: Protocol | None,
    folds: Path | None = None,
    engine: str = "auto",
    device: str = "auto",
) -> Task[HeldOut]:
    """Return the answers of a model or run on the images it is to be judged by.

    Raises
    ------
    DataError
        ``RUN-PROTOCOL`` when a run was not split as asked; as the readers of each source.
    """
    from napari_cellcls.learn import sources
    from napari_cellcls.models import registry

    folder = Path(name)
    if folder.is_dir() and sources.is_run(folder) and protocol is not Protocol.all:
        held = yield from sources.of_run(folder, data)
        _check_protocol(held, protocol, folder)
        return held
    if protocol is Protocol.all and sources.is_run(folder):
        name = str(_package_of(folder))
    try:
        package = registry.load(name)
    except ModelError:
        if folder.is_dir():
            sources.read_run(folder)
        raise
    if protocol in _APART:
        where = folds or Path("training/folds") / package.manifest.name.replace("-", "_")
        held = yield from by_folds(where, data, _APART[protocol])
        return replace(held, model=package.manifest.label, sha256=package.sha256)
    if protocol in (Protocol.random, Protocol.grouped):
        raise DataError(
            "A model alone does not know what it was trained on.",
            code="RUN-PROTOCOL",
            path=package.path,
            why=f"--protocol {protocol} judges what a training held out",
            remedy="Give the folder of the run instead (`cellcls train ... --out RUN`), or --protocol all.",
        )
    held = yield from sources.of_model(package, data, engine=engine, device=device)
    if not held.group_words:
        console.warn(
            "No patients are known: every image counts on its own, and the intervals are too narrow "
            f"where several are of one patient. The protocol patient-5fold needs them. {GIVE_GROUPS}"
        )
    return held


def _package_of(run: Path) -> Path:
    """Return the package of a run, refused where only its folds have one each."""
    from napari_cellcls.learn.sources import PACKAGE

    found = sorted(run.glob(f"fold*/{PACKAGE}"))
    if (run / PACKAGE).is_file() or not found:
        return run / PACKAGE
    raise DataError(
        "This run has no model of its own, only one for each fold.",
        code="RUN-PROTOCOL",
        path=run,
        why=f"--protocol all judges one model on all images; there are {len(found)}",
        remedy=f"Give one of them, such as {found[0]}, or leave --protocol out to join the folds.",
    )


def _check_protocol(held: HeldOut, protocol: Protocol | None, folder: Path) -> None:
    from napari_cellcls.learn.heldout import APART, SHARED

    five = held.groups == APART and len(held.folds) == 5
    fits = {
        Protocol.grouped: held.groups == APART,
        Protocol.random: held.groups == SHARED,
        **{key: five and held.data.group_kind == kind for key, kind in _APART.items()},
    }
    if protocol is None or fits[protocol]:
        return
    raise DataError(
        "The run was split by another protocol.",
        code="RUN-PROTOCOL",
        path=folder,
        why=f"asked for {protocol}; the run: {held.protocol}",
        remedy="Leave --protocol out to judge the run as it was split, or train again with another one.",
    )


def groups_known(cells: CellSet) -> bool:
    """Whether something says which cells belong together (to one patient)."""
    return len(set(cells.groups.tolist())) < len(cells.groups)


def by_folds(folder: Path, data: Path, kind: str = "patient") -> Task[HeldOut]:
    """Return what the fold models of a folder say of the cells each did not see."""
    from napari_cellcls.learn.evaluate import of_folds, open_judged, read_folds
    from napari_cellcls.learn.reading import for_a_model

    about = read_folds(folder)
    cells = yield from for_a_model(open_judged(about, data), str(about.get("recipe", folder.name)))
    if cells.group_kind in _APART.values() and cells.group_kind != kind:
        raise DataError(
            "The cells are grouped by something else than the protocol.",
            code="RUN-PROTOCOL",
            path=data,
            why=f"--protocol {kind}-5fold; of each cell its {cells.group_kind} is known",
            remedy=f"Use --protocol {cells.group_kind}-5fold.",
        )
    if not groups_known(cells):
        raise DataError(
            f"This protocol needs to know which {kind} each cell is of.",
            code="DATA-GROUPS",
            path=data,
            why=f"neither the file names nor a table beside them tell the {kind}s",
            remedy=f"{GIVE_GROUPS} Or measure this very model on all cells: --protocol all.",
        )
    return (yield from of_folds(cells, folder))
