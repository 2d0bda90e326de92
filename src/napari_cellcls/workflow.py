"""From an image to predictions as one task, and what can be missing on the way.

It owns the order of the steps (find cells, load the model, open the engine, predict) and the
messages for a step that cannot start. It holds no state; :mod:`napari_cellcls.session` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_cellcls.vocabulary import (
    CellsError,
    ClassScheme,
    ImageError,
    ModelError,
    Progress,
    Task,
)

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.images.channels import ChannelMapping
    from napari_cellcls.images.image import Image
    from napari_cellcls.models.manifest import Manifest
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.predict import Predictions

_MOST_EMBEDDING_BYTES = 1 << 28

Method = Literal["smear", "blood", "fluorescence", "whole"]
METHODS: tuple[Method, ...] = ("smear", "blood", "fluorescence", "whole")


@dataclass(frozen=True)
class Outcome:
    """What a classification gives: the cells it looked at, what it says about them, and who."""

    cells: Cells
    predictions: Predictions
    package: ModelPackage


@dataclass(frozen=True)
class Setup:
    """Everything a classification needs, frozen at its start.

    Attributes
    ----------
    cells : Cells or None
        None: found first, with ``method``.
    package : ModelPackage or None
        None: loaded from the registry by ``model_name``.
    """

    image: Image
    cells: Cells | None
    method: Method | None
    package: ModelPackage | None
    model_name: str
    mapping: ChannelMapping
    engine: str = "auto"
    device: str = "auto"
    batch_size: int = 256


def find(image: Image, method: Method) -> Task[Cells]:
    """Find the cells of an image."""
    from napari_cellcls.cells.segment import find_cells

    yield Progress(0, 0, "Finding cells")
    return (yield from find_cells(image, method))


def classify(setup: Setup) -> Task[Outcome]:
    """Find the cells if need be, load the model, open the engine and predict."""
    from napari_cellcls.models import registry, runtime
    from napari_cellcls.predict import predict

    cells = setup.cells
    if cells is None:
        if setup.method is None:
            raise no_method()
        cells = yield from find(setup.image, setup.method)
    yield Progress(0, 0, "Loading the model")
    package = setup.package or registry.load(setup.model_name)
    yield Progress(0, 0, "Starting the engine")
    # Reviewing sorts cells by likeness and learns from them; millions of cells go without.
    keep = 4 * len(cells) * package.described_size <= _MOST_EMBEDDING_BYTES
    # A fine-tuned model meets cells that were described to teach it.
    cache = keep and package.manifest.level == "tuned"
    with runtime.open_engine(package, engine=setup.engine, device=setup.device) as engine:
        predictions = yield from predict(
            setup.image, cells, package, mapping=setup.mapping, engine=engine,
            batch_size=setup.batch_size, keep_embeddings=keep, cache=cache,
        )  # fmt: skip
    return Outcome(cells, predictions, package)


def class_scheme(manifest: Manifest) -> ClassScheme | None:
    """Return the classes of a model, None when it has none (a backbone)."""
    return manifest.scheme if manifest.classes else None


def default_thresholds(manifest: Manifest | None) -> tuple[float, ...] | None:
    """Return the model's own thresholds; 0.5 for every class of a multi-label model without any.

    None (one label per cell, no thresholds): the most probable class is assigned.
    """
    if manifest is None or not manifest.classes:
        return None
    if manifest.thresholds is not None:
        return tuple(float(t) for t in manifest.thresholds)
    return (0.5,) * len(manifest.classes) if manifest.multi_label else None


def no_image() -> ImageError:
    """Say that there is nothing to work on."""
    return ImageError(
        "There is no image to work on.",
        code="NO-IMAGE",
        remedy="Open an image, or a sample from File > Open Sample > Cell Classifier.",
    )


def no_method() -> CellsError:
    """Say that nobody chose what the cells are."""
    return CellsError(
        "It is not chosen how to find the cells.",
        code="NO-CELLS-CHOSEN",
        remedy="Choose a method or a Labels layer under Cells.",
    )


def no_cells(cells: Cells) -> CellsError:
    """Say that the cells were looked for and there are none."""
    return CellsError(
        "There are no cells to classify.",
        code="NO-CELLS",
        why=" ".join(cells.notes) or f"0 cells in {cells.method}",
        remedy="Choose another way to find cells, or a Labels layer of your own, under Cells.",
    )


def no_model() -> ModelError:
    """Say that there is nothing to classify with."""
    return ModelError("No model is chosen.", code="NO-MODEL", remedy="Choose one under Model.")


def no_classes(manifest: Manifest) -> ModelError:
    """Say that the model is a backbone."""
    return ModelError(
        f"The model “{manifest.title}” has no classes yet.",
        code="MODEL-NO-CLASSES",
        why="it is a backbone: it describes cells but was not taught any classes",
        remedy="Choose another model, or teach this one with your own labels.",
    )
