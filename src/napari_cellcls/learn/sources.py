"""Where held-out answers come from: the folder of a training run, or a model on images given.

Fold models listed in ``folds.json`` are scored by :mod:`napari_cellcls.learn.evaluate`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from napari_cellcls.files import reason
from napari_cellcls.learn.datasets import CellSet, Channels, open_dataset
from napari_cellcls.learn.datasets.cellset import listed
from napari_cellcls.learn.heldout import APART, SHARED, UNKNOWN, HeldOut
from napari_cellcls.learn.reading import for_a_model, open_cells
from napari_cellcls.learn.recipe import Recipe, read_recipe
from napari_cellcls.learn.splits import check_leaks
from napari_cellcls.models.manifest import Manifest
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.vocabulary import RGB_ROLES, DataError, ModelError, Progress, Task

SCORES, RUN, RECIPE, SPLIT, HISTORY, PACKAGE = (
    "scores.npz", "run.json", "recipe.yaml", "split.json", "history.jsonl", "model.cellpkg",
)  # fmt: skip
SIDES = ("training", "validation", "test")
_SCORES = ("rows", "logits", "val_rows", "val_logits")
_BATCH = 1024


@dataclass(frozen=True)
class RunPart:
    """One finished training: its folder, what it says of itself, its sides by name, its scores."""

    folder: Path
    about: dict[str, Any]
    recipe: Recipe
    sides: dict[str, list[str]]
    scores: dict[str, np.ndarray]
    history: list[dict[str, Any]]

    @property
    def fold(self) -> int:
        """Return the fold held out, 0 without one."""
        return int(self.about.get("fold") or 0)


def is_run(folder: Path) -> bool:
    """Return whether a folder holds a run of ``cellcls train``, finished or not."""
    return folder.is_dir() and bool(_part_folders(folder))


def _part_folders(folder: Path) -> list[Path]:
    folds = sorted(p.parent for p in folder.glob(f"fold*/{RECIPE}"))
    return folds or ([folder] if (folder / RECIPE).is_file() else [])


def read_run(folder: Path) -> list[RunPart]:
    """Read the parts of a run: its folds, or the run itself.

    Raises
    ------
    DataError
        ``RUN-MISSING`` (no run, not finished, or a damaged file), ``RUN-ALL`` (nothing was held
        out), ``RUN-MIXED`` (folds of different recipes).
    """
    folders = _part_folders(folder)
    if not folders:
        raise _no_run(folder, "it holds no recipe.yaml of a training")
    parts = [_read_part(part) for part in folders]
    parts = [p for p in parts if len(p.scores["rows"])]
    if not parts:
        raise DataError(
            "Nothing was held out in this run.",
            code="RUN-ALL",
            path=folder,
            why="it was trained on all data, so no number can come from them",
            remedy="Train with --fold 0, --fold 1 ... into the same folder, or judge the model on other "
            "images: give its model.cellpkg instead of the folder.",
        )
    different = [p.folder.name for p in parts if p.recipe != parts[0].recipe]
    if different:
        raise DataError(
            "The folds of this run were trained by different recipes.",
            code="RUN-MIXED",
            path=folder,
            why=f"{', '.join(different)} differ from {parts[0].folder.name}",
            remedy="Train all folds by one recipe, into one folder.",
        )
    return parts


def _read_part(folder: Path) -> RunPart:
    recipe = read_recipe(folder / RECIPE)
    try:
        about, sides = (json.loads((folder / name).read_text("utf-8")) for name in (RUN, SPLIT))
        with np.load(folder / SCORES, allow_pickle=False) as stored:
            scores = {key: np.asarray(stored[key]) for key in _SCORES}
        lines = (folder / HISTORY).read_text("utf-8") if (folder / HISTORY).is_file() else ""
        history = [json.loads(line) for line in lines.splitlines()]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise _no_run(folder, reason(error)) from None
    if not (isinstance(about, dict) and isinstance(sides, dict) and set(SIDES) <= set(sides)):
        raise _no_run(folder, f"{RUN} and {SPLIT} do not say what was trained on")
    for side, rows, logits in (
        ("test", "rows", "logits"),
        ("validation", "val_rows", "val_logits"),
    ):
        named, shape = len(sides[side]), (len(sides[side]), len(recipe.classes))
        if scores[rows].shape != (named,) or scores[logits].shape != shape:
            why = (
                f"{SPLIT} names {named} {side} images, {SCORES} has answers {scores[logits].shape}"
            )
            raise _no_run(folder, why)
        if not np.isfinite(scores[logits]).all():
            raise _no_run(folder, f"{SCORES} holds answers that are not numbers")
    return RunPart(folder, about, recipe, sides, scores, history)


def of_run(folder: Path, path: Path) -> Task[HeldOut]:
    """Return what the models of a run said about the images each held out.

    Parameters
    ----------
    folder : Path
        ``--out`` of ``cellcls train``.
    path : Path
        The data it was trained on; images added since do not matter.

    Raises
    ------
    DataError
        As :func:`read_run`; ``RUN-DATA`` when the data are not those of the run, ``DATA-LEAK``
        when an image or, with a grouped protocol, a group was trained on and judged.
    """
    parts = read_run(folder)
    recipe = parts[0].recipe
    data = yield from open_cells(recipe, path)
    grouped = recipe.protocol.kind not in ("random", "kfold")
    rows, train, val, notes = [], {}, {}, list(data.notes)
    for part in parts:
        places, stored = _Places(data, path), part.scores
        sides = {
            "test": places.rows(part.sides["test"], stored["rows"]),
            "validation": places.rows(part.sides["validation"], stored["val_rows"]),
            "training": places.rows(part.sides["training"]),
        }
        check_leaks(sides, groups=data.groups if grouped else None, names=data.names)
        rows.append(sides["test"])
        train[part.fold] = sides["training"]
        val[part.fold] = (sides["validation"], stored["val_logits"])
        notes += [n for n in part.about.get("notes", ()) if n not in notes]
    every = np.arange(len(data)).astype(str)
    held = {f"held-out ({p.folder.name})": r for p, r in zip(parts, rows)}
    check_leaks(held, hashes=every, names=data.names)
    yield Progress(0, 1, "reading the answers of the run")
    return HeldOut(
        data=data,
        rows=np.concatenate(rows),
        logits=np.concatenate([p.scores["logits"] for p in parts]),
        fold=np.concatenate([np.full(len(r), p.fold) for p, r in zip(parts, rows)]),
        protocol=_protocol(recipe, data, parts),
        groups=APART if grouped else SHARED,
        model=recipe.title,
        sha256=str(parts[0].about.get("weights_sha256", "")) if len(parts) == 1 else "",
        positive=recipe.positive_index,
        train=train,
        val=val,
        rule=recipe.threshold,
        history={p.fold: p.history for p in parts},
        published=tuple(p.model_dump() for p in recipe.published),
        notes=tuple(notes),
        clean=_clean(data, np.concatenate(rows)),
    )


def _protocol(recipe: Recipe, data: CellSet, parts: list[RunPart]) -> str:
    """Return how a run was split, in a sentence."""
    plan, group = recipe.protocol, data.group_kind or "group"
    held = [p.fold for p in parts]
    folds = f"{plan.folds}-fold" if len(held) == plan.folds else f"fold {listed([str(f) for f in held])} of {plan.folds}"  # fmt: skip
    known = len(np.unique(data.groups)) < len(data)
    if plan.kind in ("random", "kfold"):
        shares = f"random split, {plan.test:.0%} held out" if plan.kind == "random" else f"random {folds}"  # fmt: skip
        if not known:
            return f"{shares}; nothing says which images belong together"
        return f"{shares}: images of one {group} on both sides, so this flatters the model"
    how = {
        "grouped": folds,
        "stratified": "stratified split",
        "hashed": "split by hash",
        "listed": "split by given lists",
    }
    if not known:
        return f"{how.get(plan.kind, 'split')} of single images: nothing says which belong together"
    return f"{group}-disjoint {how.get(plan.kind, 'split')}, {len(np.unique(data.groups)):,} groups ({group})"


def of_model(package: ModelPackage, path: Path, *, engine: str, device: str) -> Task[HeldOut]:
    """Return what one model says about all images given (which it may have been trained on).

    Raises
    ------
    ModelError
        ``MODEL-NO-CLASSES`` for a backbone, ``MODEL-INPUTS`` for planes that no labeled set has,
        ``MODEL-NEEDS-IMAGE`` for one that needs more than a crop.
    """
    from napari_cellcls.models import runtime
    from napari_cellcls.models.head import need_classes, need_no_image
    from napari_cellcls.predict import predict_crops

    need_classes(package)
    need_no_image(package)
    manifest = package.manifest
    given = open_dataset(
        path, size=manifest.crop.size, channels=_channels(manifest), classes=tuple(c.name for c in manifest.classes),
        normalization=manifest.normalization, frame="square" if manifest.crop.frame == "square" else "box",
        margin=manifest.crop.margin,
    )  # fmt: skip
    data = yield from for_a_model(given, manifest.label)
    data = data.judged()
    if data.multi_label and not manifest.multi_label:
        raise DataError(
            "The images have several labels each, but the model gives one.",
            code="DATA-LABEL",
            path=path,
            why=f"{manifest.label}; layout: {data.layout}",
            remedy="Evaluate a model of several labels, or images with one label each.",
        )
    parts = []
    with runtime.open_engine(package, engine=engine, device=device) as opened:
        for start in range(0, len(data), _BATCH):
            crops = np.asarray(data.images[start : start + _BATCH], np.float32) / 255
            parts.append(np.asarray(predict_crops(crops, package, opened).logits))
            yield Progress(start + len(crops), len(data), "scoring images")
    rows = np.arange(len(data))
    return HeldOut(
        data=_as_matrix(data) if manifest.multi_label else data,
        rows=rows,
        logits=np.concatenate(parts),
        fold=np.zeros(len(data), int),
        protocol=f"{manifest.label} as shipped on all {len(data):,} images given; it may have been trained "
        "on them, so this is no estimate for new ones",
        groups=UNKNOWN,
        model=manifest.label,
        sha256=package.sha256,
        positive=infected(manifest),
        temperature=manifest.temperature,
        thresholds=None if manifest.thresholds is None else np.array(manifest.thresholds),
        notes=data.notes,
        clean=_clean(data, rows),
    )


def _as_matrix(data: CellSet) -> CellSet:
    return data if data.multi_label else replace(data, labels=data.matrix.astype(np.uint8))


def infected(manifest: Manifest) -> int:
    """Return the index of the class counted as positive."""
    from napari_cellcls.counting import infected_class

    return infected_class(manifest.scheme) or 0


def _channels(manifest: Manifest) -> Channels:
    roles = tuple(plane.role for plane in manifest.inputs)
    known: dict[Any, Channels] = {RGB_ROLES: "rgb"}
    if roles in known:
        return known[roles]
    if len(roles) == 1:
        return "gray"
    if len(roles) == 4:
        return "rgby"
    raise ModelError(
        "No labeled set has the planes of this model.",
        code="MODEL-INPUTS",
        why=f"{manifest.label} takes {listed([r.value for r in roles])}",
        remedy="Evaluate a model of color pictures, one plane, or the four planes of the Human Protein Atlas.",
    )


def _clean(data: CellSet, rows: np.ndarray) -> np.ndarray | None:
    """Return which labels a second reading confirmed, where the data say so."""
    column = data.extra.get("fuhad2020")
    if column is None or not (column == "confirmed").any():
        return None
    found: np.ndarray = column[rows] == "confirmed"
    return found


class _Places:
    """Finds the rows of one training's images by name, each row once."""

    def __init__(self, data: CellSet, path: Path) -> None:
        self.path, self.names = path, data.names
        self.free: dict[str, list[int]] = {}
        for row, name in enumerate(data.names.tolist()):
            self.free.setdefault(name, []).append(row)

    def rows(self, names: Sequence[str], stored: np.ndarray | None = None) -> np.ndarray:
        """Return the rows of names; those stored with the run are right while the data are the same."""
        if stored is not None and self._fit(stored, names):
            for row, name in zip(stored.tolist(), names):
                self.free[name].remove(row)
            return stored.astype(np.int64)
        missing = [name for name in names if not self.free.get(name)]
        if missing:
            raise DataError(
                "The data are not those of the run.",
                code="RUN-DATA",
                path=self.path,
                why=f"{len(missing)} of {len(names)} images of the run are not there: {listed(missing)}",
                remedy="Give the data the run was trained with, unchanged or with images added.",
            )
        return np.array([self.free[name].pop(0) for name in names], dtype=np.int64)

    def _fit(self, rows: np.ndarray, names: Sequence[str]) -> bool:
        inside = len(rows) == len(names) and rows.max(initial=-1) < len(self.names)
        return bool(inside and np.array_equal(self.names[rows], np.asarray(names, dtype=str)))


def _no_run(folder: Path, why: str) -> DataError:
    return DataError(
        "The folder does not hold a finished run.",
        code="RUN-MISSING",
        path=folder,
        why=why,
        remedy="Make one with `cellcls train RECIPE --data DATA --out FOLDER`, or go on with --resume.",
    )
