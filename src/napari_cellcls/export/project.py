"""A whole project in one format: which files an export makes, and what an import reads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import pandas as pd

from napari_cellcls.cells.cells import Cells
from napari_cellcls.export import coco, crops, geojson, labels, ome_zarr, tables
from napari_cellcls.export.errors import make_folder
from napari_cellcls.export.field import Field, fields_of_state
from napari_cellcls.export.from_csv import read_csv
from napari_cellcls.export.imported import Found, load_json, missing
from napari_cellcls.export.names import output_stems
from napari_cellcls.files import reason
from napari_cellcls.images.read import stem
from napari_cellcls.review.table import CELL, label_table
from napari_cellcls.vocabulary import COLUMNS, CellClsError, DataError, Progress, Task

if TYPE_CHECKING:
    from napari_cellcls.images.image import Image
    from napari_cellcls.project.project import Project

Format = Literal["csv", "parquet", "geojson", "coco", "tiff", "zarr", "crops"]
FORMATS: tuple[Format, ...] = get_args(Format)
_NEEDS_IMAGES = frozenset({"zarr", "crops"})


@dataclass(frozen=True)
class Exported:
    """Files or folders an export made, and what to tell people."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def export_project(
    project: Project,
    kind: Format,
    out: str | os.PathLike[str] | None = None,
    *,
    predictions: str | os.PathLike[str] | None = None,
) -> Task[Exported]:
    """Write all labels of a project.

    Parameters
    ----------
    project : Project
    kind : {"csv", "parquet", "geojson", "coco", "tiff", "zarr", "crops"}
        ``csv`` and ``parquet``: one table, one row per cell and annotator. ``coco``: one file. ``crops``: one folder.
        The others: one file or folder per image.
    out : path-like, optional
        File (``csv``, ``parquet``, ``coco``) or folder; by default in ``exports`` of the project.
    predictions : path-like, optional
        Folder with the ``<image>.cells.csv`` of ``cellcls classify``: their columns ``p_<class>`` are added
        to cells of the same number and box.

    Returns
    -------
    Task of Exported

    Raises
    ------
    ExportError
        When something cannot be written.
    """
    state = project.journal.state
    if kind in ("csv", "parquet"):
        target = Path(out) if out else project.exports / f"labels.{kind}"
        yield Progress(0, 1, "Writing the table")
        table = label_table(state)
        if predictions is not None:
            table = _joined(table, predictions)
        (tables.write_cells if kind == "csv" else tables.write_parquet)(table, target)
        return Exported((target,), (f"{len(table):,} labels",))
    images, notes = yield from _images(project) if kind in _NEEDS_IMAGES else _nothing()
    fields = fields_of_state(
        state,
        shapes={image_id: image.shape for image_id, image in images.items()},
        predictions=None if predictions is None else _by_image(project, predictions),
        multi_label=project.description.multi_label,
    )
    cells = sum(len(field) for field in fields)
    lost = len(state.cells) - cells
    if lost:
        notes.append(f"{lost:,} cells were left out, because nothing is known of their place")
    notes.insert(0, f"{cells:,} cells of {len(fields):,} images")
    if kind == "coco":
        target = Path(out) if out else project.exports / "labels.coco.json"
        yield Progress(0, 1, "Writing the annotations")
        coco.write_coco(fields, target)
        return Exported((target,), tuple(notes))
    folder = Path(out) if out else project.exports / kind
    if kind == "crops":
        pairs = [(field, images[field.image_id]) for field in fields if field.image_id in images]
        done = yield from crops.write_crops(pairs, folder)
        notes += [f"{n:,} of {name}" for name, n in sorted(done.counts.items())]
        notes += [f"{n:,} left out: {why}" for why, n in sorted(done.left_out.items())]
        return Exported((folder,), tuple(notes))
    paths = yield from _each(fields, images, kind, make_folder(folder))
    return Exported(tuple(paths), tuple(notes))


def read_labels(path: str | os.PathLike[str]) -> list[Found]:
    """Read labeled cells from CSV, GeoJSON or COCO, told apart by their content.

    Raises
    ------
    DataError
        ``IMPORT-FORMAT`` or ``IMPORT-MISSING``.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            head = stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError as error:
        raise missing(path, error) from error
    if head[:1] not in (b"{", b"["):
        return read_csv(path)
    if geojson.is_geojson(path, load_json(path)):
        return geojson.read_geojson(path)
    return coco.read_coco(path)


def of_images(found: Sequence[Found], names: Mapping[str, str]) -> dict[str, list[Found]]:
    """Sort rows by image of a project.

    Parameters
    ----------
    found : sequence of Found
    names : mapping of str to str
        Image id -> name. A row belongs to the image whose name it says, with or without folder and
        suffix; rows that name none belong to the only image.

    Raises
    ------
    DataError
        ``IMPORT-IMAGE`` when rows name an image that is not there, or none while there are several.
    """
    by_name: dict[str, str] = {}
    for known, name in names.items():
        for key in (known, name, stem(name)):
            by_name.setdefault(key, known)
    result: dict[str, list[Found]] = {}
    unknown: dict[str, int] = {}
    for one in found:
        image_id: str | None
        named = one.image.replace("\\", "/").rsplit("/", 1)[-1]
        image_id = by_name.get(named) or by_name.get(stem(named) if named else "")
        if image_id is None and not named and len(names) == 1:
            image_id = next(iter(names))
        if image_id is None:
            unknown[one.image or "(no name)"] = unknown.get(one.image or "(no name)", 0) + 1
        else:
            result.setdefault(image_id, []).append(one)
    if unknown:
        said = ", ".join(f"{name} ({n:,} rows)" for name, n in list(unknown.items())[:5])
        raise DataError(
            "The file is about images that the project does not have.",
            code="IMPORT-IMAGE",
            why=f"it names {said}; the project has {', '.join(names.values()) or 'none'}.",
            remedy="Add the images first (cellcls project add), or say which one is meant: --image NAME.",
        )
    return result


def _each(
    fields: Sequence[Field], images: Mapping[str, Image], kind: Format, folder: Path
) -> Task[list[Path]]:
    stems = output_stems([(stem(field.name), field.name) for field in fields])[0]
    paths = []
    for done, (field, name) in enumerate(zip(fields, stems)):
        yield Progress(done, len(fields), f"Writing {field.name}")
        if kind == "geojson":
            paths.append(folder / f"{name}.geojson")
            geojson.write_geojson(field, paths[-1])
        elif kind == "zarr":
            paths.append(folder / f"{name}.ome.zarr")
            ome_zarr.write_ome_zarr(field, paths[-1], images.get(field.image_id))
        else:
            paths += [folder / f"{name}.labels.tif", folder / f"{name}.classes.tif"]
            whole = Cells(field.label_image(), field.table, "project")
            labels.write_labels(whole, paths[-2], field.pixel_size_um)
            labels.write_classes(field, paths[-1])
    return paths


def _images(project: Project) -> Task[tuple[dict[str, Image], list[str]]]:
    from napari_cellcls.images.read import open_image

    found: dict[str, Image] = {}
    notes = []
    known = list(project.journal.state.images)
    for done, image_id in enumerate(known):
        located = project.locate(image_id)
        yield Progress(done, len(known), f"Opening {located.image.name}")
        if located.status in ("found", "moved") and located.path is not None:
            try:
                found[image_id] = open_image(located.path)
            except CellClsError as error:
                notes.append(f"{located.image.name} without its pixels: {reason(error)}")
        else:
            notes.append(f"{located.text}; its pixels are not in the export")
    return found, notes


def _nothing() -> Task[tuple[dict[str, Image], list[str]]]:
    yield Progress(0, 1, "Collecting the cells")
    return {}, []


def _tables(folder: str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    """Return the tables of a run by image stem, with the columns that name a cell and ``p_<class>``."""
    found = {}
    keys = [COLUMNS.label, *COLUMNS.bbox]
    for path in sorted(Path(folder).glob("*.cells.csv")):
        table = pd.read_csv(path)
        if set(keys) <= set(table.columns):
            wanted = [c for c in table.columns if c.startswith(COLUMNS.probability_prefix)]
            found[path.name.removesuffix(".cells.csv")] = table[keys + wanted]
    if not found:
        raise DataError(
            "There are no predictions in this folder.",
            code="IMPORT-NOPREDICTIONS",
            path=folder,
            why="it holds no file <image>.cells.csv with the columns label and bbox_*.",
            remedy="Give the folder that cellcls classify --out wrote.",
        )
    return found


def _joined(table: pd.DataFrame, folder: str | os.PathLike[str]) -> pd.DataFrame:
    keys = ["_stem", COLUMNS.label, *COLUMNS.bbox]
    parts = [part.assign(_stem=name) for name, part in _tables(folder).items()]
    known = pd.concat(parts, ignore_index=True).drop_duplicates(keys)
    known = known.astype(dict.fromkeys(keys[1:], "Int64"))
    named = table.assign(_stem=[stem(str(name)) for name in table["image"]])
    return named.merge(known, how="left", on=keys).drop(columns="_stem")


def _by_image(project: Project, folder: str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    joined = _joined(label_table(project.journal.state), folder).drop_duplicates(CELL)
    wanted = [c for c in joined.columns if c.startswith(COLUMNS.probability_prefix)]
    indexed = joined.set_index(CELL)[wanted]
    return dict.fromkeys(project.journal.state.images, indexed)
