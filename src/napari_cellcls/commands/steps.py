"""The steps for one image: open it, find its cells, predict, write. No terminal here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.commands import failures
from napari_cellcls.commands import options as choices
from napari_cellcls.commands.options import Options
from napari_cellcls.vocabulary import CellsError, Progress, Task

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.export.summary import ImageResult
    from napari_cellcls.images.channels import ChannelMapping
    from napari_cellcls.images.collections import ImageRef
    from napari_cellcls.images.image import Image
    from napari_cellcls.models.engines.base import Engine
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.predict import Predictions

KEEP_IN_MEMORY = 512 * 2**20
"""Images up to this many bytes are decoded once; larger ones are read region by region."""


class Stopped(Exception):
    """The run was stopped; nobody needs the rest of this step."""


@dataclass(frozen=True)
class Job:
    """One image to do: where it is and under which stem its results go."""

    ref: ImageRef
    stem: str

    @property
    def path(self) -> str:
        """First file of the image."""
        return str(self.ref.paths[0])


@dataclass(frozen=True)
class Prepared:
    """An image with its cells, ready for the network."""

    job: Job
    image: Image
    cells: Cells
    package: ModelPackage
    mapping: ChannelMapping
    notes: tuple[str, ...]
    seconds: dict[str, float]


@dataclass
class Watch:
    """Seconds spent per step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


class Models:
    """Packages and engines of a run: each is opened once and kept open across images."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._packages: dict[str, ModelPackage] = {}
        self._engines: dict[str, Engine] = {}
        self._stack = ExitStack()

    def package(self, name: str) -> ModelPackage:
        """Return the package of that name or path, read once."""
        from napari_cellcls.models import registry

        with self._lock:
            if name not in self._packages:
                self._packages[name] = registry.load(name)
            return self._packages[name]

    def engine(self, package: ModelPackage) -> Engine:
        """Return the open engine of a package."""
        from napari_cellcls.models import runtime

        with self._lock:
            if package.sha256 not in self._engines:
                opened = runtime.open_engine(
                    package, engine=self._options.engine, device=self._options.device
                )
                self._engines[package.sha256] = self._stack.enter_context(opened)
            return self._engines[package.sha256]

    def close(self) -> None:
        """Close all engines."""
        self._stack.close()


def prepare(
    job: Job, options: Options, models: Models, report: Callable[[Progress], None]
) -> Prepared:
    """Open an image, choose its model and find its cells.

    Parameters
    ----------
    report : callable
        Gets each :class:`Progress`; may raise to stop.

    Raises
    ------
    CellClsError
        Whatever makes this image unusable.
    """
    from napari_cellcls.images.channels import match
    from napari_cellcls.images.collections import open_ref

    watch = Watch()
    with watch.step("read"):
        report(Progress(0, 0, "Reading"))
        image = open_ref(job.ref, scene=_scene(options.scene), t=options.time, z=options.z)
        if image.data.size * image.data.dtype.itemsize <= KEEP_IN_MEMORY:
            image = replace(image, data=np.asarray(image.data))
    name, reason = choices.choose_model(image, options.model)
    package = models.package(name)
    if not package.manifest.classes and not options.embeddings:
        raise failures.no_classes(package)
    # Before the slow search for cells: a model on the wrong kind of image is refused at once.
    mapping = match(image, package.manifest.planes, options.channels)
    with watch.step("find"):
        report(Progress(0, 0, "Finding cells"))
        task = _cells(job, image, package, options)
        cells = _run(task, report)
    # That the red plane of a photograph is red needs no saying.
    reasons = () if image.is_rgb else mapping.reasons
    notes = tuple(note for note in (reason, *reasons) if note)
    return Prepared(job, image, cells, package, mapping, notes, watch.seconds)


def predict(ready: Prepared, options: Options, models: Models) -> Task[Predictions]:
    """Predict the classes of the cells of a prepared image; of a backbone, embeddings only."""
    from napari_cellcls.predict import predict as predict_cells
    from napari_cellcls.predict import predict_embeddings

    engine = models.engine(ready.package)
    if ready.package.manifest.classes:
        return (
            yield from predict_cells(
                ready.image,
                ready.cells,
                ready.package,
                mapping=ready.mapping,
                engine=engine,
                batch_size=options.batch_size,
                keep_embeddings=options.embeddings,
            )
        )
    begin = time.perf_counter()
    embeddings = yield from predict_embeddings(
        ready.image,
        ready.cells,
        ready.package,
        mapping=ready.mapping,
        engine=engine,
        batch_size=options.batch_size,
    )
    return _without_classes(ready, embeddings, engine, time.perf_counter() - begin)


def write(ready: Prepared, predictions: Predictions, options: Options) -> ImageResult:
    """Write table, label image, picture (and embeddings) of one image; return its summary row."""
    from napari_cellcls.export import labels, overlay, summary, tables

    watch, stem, out = Watch(dict(ready.seconds)), ready.job.stem, options.out
    watch.seconds["predict"] = predictions.seconds
    # Under the name of its files, which tells images of one name in two folders apart.
    image, cells = replace(ready.image, name=stem), ready.cells
    files = {
        "cells": f"{stem}.cells.csv",
        "labels": f"{stem}.labels.tif",
        "overlay": f"{stem}.overlay.png",
    }
    manifest = ready.package.manifest
    lines = (
        f"{image.name} · {predictions.model}",
        *summary.picture_lines(cells, predictions, manifest),
    )
    with watch.step("write"):
        tables.write_cells(predictions.to_table(cells), out / files["cells"])
        labels.write_labels(cells, out / files["labels"], image.pixel_size_um)
        overlay.write_overlay(image, cells, predictions, out / files["overlay"], lines)
        if options.embeddings:
            files["embeddings"] = f"{stem}.embeddings.parquet"
            tables.write_embeddings(predictions, out / files["embeddings"])
    return summary.image_result(
        image, cells, predictions, manifest, seconds=watch.seconds,
        notes=(*ready.notes, *predictions.notes), files=files,
    )  # fmt: skip


def _without_classes(
    ready: Prepared, embeddings: np.ndarray, engine: Engine, seconds: float
) -> Predictions:
    from napari_cellcls.predict import Predictions
    from napari_cellcls.vocabulary import ClassScheme

    none = np.zeros((len(ready.cells), 0), np.float32)
    return Predictions(
        ids=ready.cells.ids,
        scheme=ClassScheme(()),
        logits=none,
        probabilities=none,
        assigned=none.astype(bool),
        confidence=np.full(len(ready.cells), np.nan, np.float32),
        embeddings=embeddings,
        model=ready.package.manifest.label,
        model_sha=ready.package.sha256,
        engine=engine.name,
        device=engine.device,
        seconds=seconds,
    )


def _run(task: Task[Cells], report: Callable[[Progress], None]) -> Cells:
    try:
        while True:
            report(next(task))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        task.close()


def _cells(job: Job, image: Image, package: ModelPackage, options: Options) -> Task[Cells]:
    if options.labels is not None:
        path = choices.labels_for(options.labels, image.name)
        yield Progress(0, 0, f"Reading {path.name}")
        return _from_labels(path, image)
    from napari_cellcls.cells.segment import find_cells

    return (yield from find_cells(image, options.find or package.manifest.cells))


def _from_labels(path: Path, image: Image) -> Cells:
    from napari_cellcls.cells.table import cells_from_labels
    from napari_cellcls.images.read import open_image

    plane = choices.plane_of_labels(open_image(path))
    try:
        return cells_from_labels(
            plane, image.pixel_size_um, method=f"labels from {path.name}", image_shape=image.shape
        )
    except CellsError as error:
        raise error.at(path) from None


def _scene(scene: str | None) -> int | str | None:
    return int(scene) if scene is not None and scene.isdigit() else scene
