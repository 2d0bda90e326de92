"""A small field with four cells and ready predictions, so that export is tested on its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from napari_cellcls.cells.cells import Cells, Rejected
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.models.manifest import Metrics, MetricValue
from napari_cellcls.vocabulary import COLUMNS, ChannelRole, ClassScheme

SCHEME = ClassScheme.from_names(("Parasitized", "Uninfected"))
METRICS = Metrics(
    values={
        "sensitivity": MetricValue(value=0.94, low=0.92, high=0.955),
        "specificity": MetricValue(value=0.97, low=0.96, high=0.978),
    }
)
BOXES = {3: (10, 10, 40, 40), 5: (0, 50, 30, 80), 7: (60, 15, 90, 45), 300: (55, 60, 85, 95)}


def manifest(metrics: Metrics = METRICS) -> Any:
    return SimpleNamespace(metrics=metrics, level="released", cells="fluorescence")


def rgb_image(shape: tuple[int, int] = (100, 120), name: str = "field") -> Image:
    data = np.full((3, *shape), 230, np.uint8)
    roles = (ChannelRole.RGB_RED, ChannelRole.RGB_GREEN, ChannelRole.RGB_BLUE)
    channels = tuple(Channel(role.value, role) for role in roles)
    return Image(
        data, channels, name, True, (0.1, 0.2), path=f"/data/{name}.png", notes=("a note",)
    )


def cells(shape: tuple[int, int] = (100, 120), rejected: bool = True) -> Cells:
    labels = np.zeros(shape, np.int32)
    rows = []
    for label, (y0, x0, y1, x1) in BOXES.items():
        labels[y0:y1, x0:x1] = label
        middle = ((y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2)
        area = (y1 - y0) * (x1 - x0)
        rows.append((label, *middle, area, area * 0.02, y0, x0, y1, x1, y0 == 0, ""))
    names = (COLUMNS.label, COLUMNS.y, COLUMNS.x, COLUMNS.area_px, COLUMNS.area_um2)
    table = pd.DataFrame(rows, columns=[*names, *COLUMNS.bbox, COLUMNS.border, COLUMNS.flags])
    left_out = None
    if rejected:
        other = np.zeros(shape, np.int32)
        other[10:30, 95:115] = 1
        row = {"label": [1], "y": [19.5], "x": [104.5], "area_px": [400], "reason": ["white cell"]}
        left_out = Rejected(other, pd.DataFrame(row))
    return Cells(labels, table, "smear", left_out, ("a doubt",))


class FakePredictions(SimpleNamespace):
    """The fields and the table of ``predict.Predictions``."""

    def to_table(self, found: Cells) -> pd.DataFrame:
        table = found.table.copy()
        names = np.array([*self.scheme.names, ""])
        best = np.where(self.assigned.any(1), self.probabilities.argmax(1), -1)
        table[COLUMNS.predicted] = names[best]
        table[COLUMNS.confidence] = self.probabilities.max(1)
        return table


def predictions(infected: tuple[bool, ...] = (True, False, False, False), **more: Any) -> Any:
    assigned = np.array([[hit, not hit] for hit in infected], bool).reshape(-1, 2)
    fields: dict[str, Any] = {
        "ids": np.array([3, 5, 7, 300])[: len(assigned)],
        "scheme": SCHEME,
        "assigned": assigned,
        "probabilities": np.where(assigned, 0.9, 0.1).astype(np.float32),
        "confidence": np.full(len(assigned), 0.9),
        "embeddings": None,
        "model": "malaria-thin-smear@1.0.0",
        "model_sha": "ab" * 32,
        "engine": "onnxruntime",
        "device": "CPU",
        "seconds": 0.1,
    }
    return FakePredictions(**(fields | more))
