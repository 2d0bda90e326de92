"""``cellcls classify``: images in; tables, label images, pictures and a summary out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_cellcls.commands import console, failures, signals
from napari_cellcls.commands.options import EngineName, Options, no_label_file

if TYPE_CHECKING:
    from napari_cellcls.export.summary import Run
    from napari_cellcls.images.collections import ImageRef

RESULTS = (".overlay.png", ".labels.tif")


ProjectFolder = Annotated[
    Path | None,
    typer.Option(
        "--project",
        "-p",
        help="Classify with the model in use in this project (*.cellcls).",
        show_default=False,
    ),
]


class FinderName(StrEnum):
    """Ways to find cells."""

    smear = "smear"
    blood = "blood"
    fluorescence = "fluorescence"
    whole = "whole"


def classify(
    images: Annotated[
        list[Path], typer.Argument(help="Image files, or folders of images.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the results.", show_default=False)
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Model name or .cellpkg file.", show_default="by the image"
        ),
    ] = None,
    project: ProjectFolder = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Label image (0 = background), or a folder of them with matching names."),
    ] = None,
    find: Annotated[
        FinderName | None,
        typer.Option(help="How to find the cells.", show_default="as the model suggests"),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            help="Which channel plays which role: nucleus=DAPI,protein=1",
            show_default="by their names",
        ),
    ] = None,
    scene: Annotated[
        str | None, typer.Option(help="Scene, by name or number.", show_default="first")
    ] = None,
    time: Annotated[int, typer.Option(min=0, help="Time point.")] = 0,
    z: Annotated[
        str | None, typer.Option("--z", help="Depth: a number, or max.", show_default="middle")
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="What computes the network.")
    ] = EngineName.auto,
    device: Annotated[
        str, typer.Option(help="auto, cpu, or a device of `cellcls doctor`.")
    ] = "auto",
    batch_size: Annotated[
        int, typer.Option(min=1, max=65536, help="Cells per network call.")
    ] = 256,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Also write <stem>.embeddings.parquet.")
    ] = False,
) -> None:
    """Find the cells of images, classify each, and write tables, label images and pictures.

    Exit codes: 0 all done, 2 wrong usage, 3 some images failed, 4 no cells in any image.
    """
    from napari_cellcls.images.channels import parse_overrides

    if labels is not None and find is not None:
        raise typer.BadParameter("Give --labels or --find, not both: labels are the cells.")
    if project is not None and model is not None:
        raise typer.BadParameter("Give --model or --project, not both: a project names its model.")
    chosen = Options(
        out=out,
        model=model if project is None else model_of(project),
        labels=labels,
        find=None if find is None else find.value,
        channels=parse_overrides(channels) if channels else {},
        scene=scene,
        time=time,
        z=_depth(z),
        engine=engine.value,
        device=device,
        batch_size=batch_size,
        embeddings=embeddings,
    )
    raise typer.Exit(run(list(images), chosen))


def model_of(folder: Path) -> str | None:
    """Return the model of a project: its version in use, else the released one it works with, None for neither.

    Raises
    ------
    ProjectError
        When there is no such project, or its version in use is gone.
    """
    from napari_cellcls.commands.project_checks import opened
    from napari_cellcls.learn.finetune import DEFAULT, default_base
    from napari_cellcls.project import versions

    with opened(folder) as project:
        name, version = project.description.name, versions.in_use(project)
        if version is not None and version.manifest is not None:
            labels = version.manifest.provenance.n_labels
            console.say(f"Model of {name}: {version.label}, tuned on {labels:,} labels")
            return str(version.path)
        base = default_base(project).partition("@")[0]
    console.say(
        f"{name} has no version in use yet" + ("" if base == DEFAULT else f": {base} is taken")
    )
    return None if base == DEFAULT else base


def run(paths: list[Path], options: Options) -> int:
    """Classify, report, and return the exit code."""
    from napari_cellcls.commands.pipeline import classify_images
    from napari_cellcls.commands.report import report
    from napari_cellcls.commands.steps import Job
    from napari_cellcls.export.errors import make_folder
    from napari_cellcls.export.names import output_stems
    from napari_cellcls.export.summary import Run, write_summary

    check(options)
    refs, notes = collect(paths)
    if len(refs) > 1 and options.labels is not None and options.labels.is_file():
        raise typer.BadParameter(
            f"--labels is one file, but there are {len(refs)} images: give a folder of label images."
        )
    make_folder(options.out)
    stems, clashes = output_stems([(ref.name, ref.paths[0]) for ref in refs])
    done = Run(
        {**options.to_json(), "images": [str(path) for path in paths]}, notes=notes + clashes
    )
    jobs = [Job(ref, stem) for ref, stem in zip(refs, stems, strict=True)]
    try:
        console.follow(classify_images(jobs, options, done), "Classifying")
    except (KeyboardInterrupt, BrokenPipeError):
        done.interrupted = True
        raise
    finally:
        if done.results or done.failures:
            with signals.put_off():
                write_summary(done, options.out / "summary.json")
            report(done, options.out)
    return exit_code(done)


def check(options: Options) -> None:
    """Refuse at once what no image could be classified with: one error instead of one per image.

    Raises
    ------
    CellClsError
        ``MODEL-UNKNOWN``, ``MODEL-MISSING``, ``CELLS-NOLABELFILE``, ``ENGINE-UNKNOWN``,
        ``ENGINE-MISSING``, ``ENGINE-DEVICE``.
    """
    from napari_cellcls.models import registry, runtime

    if options.model is not None:
        registry.find(options.model)
    if options.labels is not None and not options.labels.exists():
        raise no_label_file(options.labels)
    if (options.engine, options.device) != ("auto", "auto"):
        runtime.choose(options.engine, options.device)


def exit_code(done: Run) -> int:
    """Return 0 all done, 2 an option fits no image, 3 some failed, 4 no cells in any image."""
    if any(result.counts.total for result in done.results):
        return 3 if done.failures else 0
    codes = {failure.error.code for failure in done.failures}
    wrong_usage = not done.results and codes and codes <= failures.USAGE_CODES
    return 2 if wrong_usage else 4


def collect(paths: list[Path]) -> tuple[list[ImageRef], list[str]]:
    """Return the images that paths stand for, and what was skipped, in words.

    Results of earlier runs (``*.overlay.png``, ``*.labels.tif``) in a folder are no images.

    Raises
    ------
    ImageError
        ``IMG-NOIMAGES`` when there is none.
    """
    from napari_cellcls.images.collections import find_images, scan

    found = scan(paths)
    named = {str(path) for path in paths}
    refs = [
        ref
        for ref in found.refs
        if str(ref.paths[0]) in named or not ref.paths[0].name.endswith(RESULTS)
    ]
    if not refs:
        return find_images(paths), []
    notes = [found.summary()] if found.skipped else []
    own = len(found.refs) - len(refs)
    return refs, notes + ([f"{own} results of earlier runs were skipped."] if own else [])


def _depth(z: str | None) -> int | Literal["max"] | None:
    if z is None:
        return None
    if z == "max":
        return "max"
    if not z.isdigit():
        raise typer.BadParameter(f"--z is a number from 0 on, or max; received {z!r}.")
    return int(z)
