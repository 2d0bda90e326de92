"""The summary of a run as JSON: what was counted, with which model, how sure, and what failed."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls import __version__
from napari_cellcls.counting import (
    ClassCounts,
    class_counts,
    parasitaemia_of,
    total_counts,
)
from napari_cellcls.export.errors import writing
from napari_cellcls.models.describe import caution
from napari_cellcls.vocabulary import COLUMNS, RESEARCH_USE_ONLY, CellClsError, Estimate

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.images.image import Image
    from napari_cellcls.models.manifest import Manifest, Metrics
    from napari_cellcls.predict import Predictions

SCHEMA = "cellcls-summary/1"
NO_CELLS = "no cells"
"""Beginning of the note by which a finder says why it found none."""
_LIBRARIES = (
    "numpy",
    "scipy",
    "scikit-image",
    "pandas",
    "bioio",
    "onnxruntime",
    "openvino",
    "keras",
)


@dataclass(frozen=True)
class ImageResult:
    """What one image gave: its row of the summary and the counts that add up over images."""

    row: dict[str, Any]
    counts: ClassCounts
    model: str
    metrics: Metrics


@dataclass(frozen=True)
class Failure:
    """One image that gave nothing, and why."""

    name: str
    path: str
    error: CellClsError

    def row(self) -> dict[str, str]:
        """Return the failure as it stands in the summary."""
        error = self.error
        return {
            "name": self.name,
            "path": self.path,
            "code": error.code,
            "what": error.what,
            "why": error.why,
            "remedy": error.remedy,
        }


@dataclass
class Run:
    """Results of a run as they come in, in the order of the images."""

    settings: dict[str, Any]
    results: list[ImageResult] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


def image_result(
    image: Image,
    cells: Cells,
    predictions: Predictions,
    manifest: Manifest,
    *,
    seconds: dict[str, float],
    notes: Sequence[str] = (),
    files: dict[str, str] | None = None,
) -> ImageResult:
    """Describe one classified image.

    Parameters
    ----------
    image, cells, predictions
        What was classified.
    manifest : Manifest
        Of the model.
    seconds : dict
        Time of each step in seconds.
    notes : sequence of str
        Doubts and choices to report.
    files : dict
        Kind of result -> file name beside the summary.
    """
    counts = class_counts(predictions)
    metrics = manifest.metrics
    row = {
        "name": image.name,
        "path": image.path,
        "scene": image.scene,
        "t": image.t,
        "z": image.z,
        "shape": list(image.shape),
        "channels": [channel.name for channel in image.channels],
        "pixel_size_um": None if image.pixel_size_um is None else list(image.pixel_size_um),
        "model": predictions.model,
        "model_sha256": predictions.model_sha,
        "engine": predictions.engine,
        "device": predictions.device,
        "cells": {
            "found_by": cells.method,
            "count": len(cells),
            "touching_the_edge": int(np.count_nonzero(cells.table[COLUMNS.border])),
            "left_out": {} if cells.rejected is None else cells.rejected.counts(),
        },
        **counts_json(counts, metrics),
        "notes": [*image.notes, *cells.notes, *notes, *caution(manifest)],
        "seconds": {step: round(value, 4) for step, value in seconds.items()},
        "files": files or {},
    }
    return ImageResult(row, counts, predictions.model, metrics)


def counts_json(counts: ClassCounts, metrics: Metrics) -> dict[str, Any]:
    """Return counts, fractions and (for smears) the parasitemia as plain JSON values."""
    return {
        "classes": [
            {
                "id": row.cell_class.id,
                "name": row.cell_class.name,
                "count": row.count,
                "fraction": estimate_json(row.fraction),
            }
            for row in counts.classes
        ],
        "without_class": counts.unassigned,
        "parasitemia": {
            kind: estimate_json(estimate)
            for kind, estimate in parasitaemia_of(counts, metrics).items()
        },
    }


def estimate_json(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as JSON values; "not defined" is ``null``, never NaN."""
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in asdict(estimate).items()
    }


def summary(run: Run) -> dict[str, Any]:
    """Return the whole run as plain JSON values (schema ``cellcls-summary/1``)."""
    return {
        "schema": SCHEMA,
        "notice": RESEARCH_USE_ONLY,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "settings": run.settings,
        "interrupted": run.interrupted,
        "seconds": round(run.seconds, 3),
        "totals": _totals(run),
        "images": [result.row for result in run.results],
        "failures": [failure.row() for failure in run.failures],
        "notes": run.notes,
    }


def write_summary(run: Run, target: str | os.PathLike[str]) -> None:
    """Write :func:`summary` as indented UTF-8 JSON.

    Raises
    ------
    ExportError
        When the file cannot be written.
    """
    text = json.dumps(summary(run), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with writing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def versions() -> dict[str, str]:
    """Return versions of this package, of Python and of the libraries that shape the result."""
    found = {"napari-cellcls": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def headline(row: dict[str, Any]) -> str:
    """Return one line for people from a row of counts: ``Parasitized 31 (2.4 %, 1.7-3.4)``.

    Of an image without cells, the reason.
    """
    if reason := why_empty(row):
        return reason
    parts = []
    for item in row["classes"]:
        if item["count"] or len(row["classes"]) <= 4:
            parts.append(f"{item['name']} {item['count']}")
    text = ", ".join(parts) or "no classes"
    shown = [(kind, row["parasitemia"].get(kind)) for kind in ("apparent", "corrected")]
    numbers = [f"{percent(e)} {kind}" for kind, e in shown if e is not None]
    return f"{text}; parasitemia {', '.join(numbers)}" if numbers else text


def why_empty(row: dict[str, Any]) -> str:
    """Return why an image (or a run) has no cells, in words; "" when it has some."""
    cells = row["cells"]
    if cells if isinstance(cells, int) else cells["count"]:
        return ""
    said = (note for note in row.get("notes", ()) if note.startswith(NO_CELLS))
    return next(said, f"{NO_CELLS} found")


def picture_lines(cells: Cells, predictions: Predictions, manifest: Manifest) -> tuple[str, ...]:
    """Return the lines below an overlay: parasitemia of a smear, and the caution of the model.

    Without cells, the reason.
    """
    if not len(cells):
        return tuple(note for note in cells.notes if note.startswith(NO_CELLS))
    found = parasitaemia_of(class_counts(predictions), manifest.metrics)
    shown = [f"{percent(estimate_json(estimate))} {kind}" for kind, estimate in found.items()]
    parasitemia = (f"parasitemia {', '.join(shown)}",) if shown else ()
    several = np.asarray(predictions.assigned, bool).sum(axis=1).max(initial=0) > 1
    drawn = ("A cell with several classes is drawn in the most probable one.",) if several else ()
    return (*parasitemia, *drawn, *caution(manifest))


def percent(estimate: dict[str, Any]) -> str:
    """Return ``2.4 % (1.7-3.4)`` or ``not defined`` for an estimate in JSON form."""
    if estimate["value"] is None:
        return "not defined"
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f"{value:.1f} % ({low:.1f}–{high:.1f})"


def _totals(run: Run) -> dict[str, Any]:
    by_model: dict[str, list[ImageResult]] = {}
    for result in run.results:
        by_model.setdefault(result.model, []).append(result)
    return {
        "images": len(run.results),
        "failed": len(run.failures),
        "without_cells": [r.row["name"] for r in run.results if not r.counts.total],
        "cells": sum(result.counts.total for result in run.results),
        "by_model": {
            model: {
                "cells": (counts := total_counts([r.counts for r in results])).total,
                **counts_json(counts, results[0].metrics),
            }
            for model, results in by_model.items()
        },
    }
