"""Small cells, manifests and predictions with known contents for the tests of session and widgets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_cellcls.cells.cells import Cells
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.models.manifest import Manifest, validate
from napari_cellcls.vocabulary import ChannelRole, ClassScheme

RGB = (("rgb_red", "red"), ("rgb_green", "green"), ("rgb_blue", "blue"))


def manifest(**changes: Any) -> Manifest:
    """Return the manifest of a two-class model for smears."""
    raw: dict[str, Any] = {
        "schema": "cellpkg/1",
        "name": "two-classes",
        "version": "1.0.0",
        "title": "Two classes",
        "package_id": "11111111-1111-4111-8111-111111111111",
        "architecture": {"id": "malaria_cnn", "params": {}},
        "classes": [
            {"id": "parasitized", "name": "Parasitized", "color": "#d55e00"},
            {"id": "uninfected", "name": "Uninfected", "color": "#0072b2"},
        ],
        "inputs": [{"role": role, "name": name} for role, name in RGB],
        "crop": {"size": 50, "frame": "box", "mask": True},
        "cells": "smear",
        "license": "CC0-1.0",
    }
    return validate(raw | changes)


def rgb_image(array: np.ndarray, pixel_um: float | None = 0.12) -> Image:
    """Return an RGB image of a ``(Y, X, 3)`` uint8 array."""
    roles = (ChannelRole.RGB_RED, ChannelRole.RGB_GREEN, ChannelRole.RGB_BLUE)
    channels = tuple(
        Channel(r.value[4:], r, c) for r, c in zip(roles, ("#ff0000", "#00ff00", "#0000ff"))
    )
    size = None if pixel_um is None else (pixel_um, pixel_um)
    return Image(np.moveaxis(array, -1, 0), channels, "field", is_rgb=True, pixel_size_um=size)


def squares(ids: tuple[int, ...] = (1, 2, 3, 4), edge: int = 12, gap: int = 4) -> np.ndarray:
    """Return a row of square cells with the given ids, ``(edge + 2 gap, ...)`` int32."""
    pitch = edge + gap
    labels = np.zeros((edge + 2 * gap, len(ids) * pitch + gap), np.int32)
    for k, label in enumerate(ids):
        x = gap + k * pitch
        labels[gap : gap + edge, x : x + edge] = label
    return labels


def cells_of(labels: np.ndarray) -> Cells:
    """Return cells with the columns that the widget reads."""
    rows = []
    for label in np.unique(labels[labels > 0]):
        y, x = np.nonzero(labels == label)
        rows.append(
            {
                "label": int(label), "y": y.mean(), "x": x.mean(), "area_px": len(y), "area_um2": np.nan,
                "bbox_y0": y.min(), "bbox_x0": x.min(), "bbox_y1": y.max() + 1, "bbox_x1": x.max() + 1,
                "border": False, "flags": "",
            }
        )  # fmt: skip
    return Cells(labels, pd.DataFrame(rows), "test")


def predictions_of(cells: Cells, probabilities: np.ndarray, scheme: ClassScheme) -> Any:
    """Return predictions with these ``(N, K)`` probabilities."""
    from napari_cellcls.predict import Predictions

    p = np.asarray(probabilities, np.float32)
    if scheme.multi_label:
        assigned = p >= 0.5
    else:
        assigned = np.arange(p.shape[1]) == p.argmax(axis=1)[:, None]
    return Predictions(
        ids=cells.ids, scheme=scheme, logits=np.log(np.clip(p, 1e-6, 1)), probabilities=p, assigned=assigned,
        confidence=p.max(axis=1), embeddings=None, model="two-classes@1.0.0", model_sha="0" * 64,
        engine="test", device="cpu", seconds=0.0,
    )  # fmt: skip


def counting_to(steps: int, pause: Callable[[], None] = lambda: None) -> Any:
    """Return a task of ``steps`` steps that returns their number."""
    from napari_cellcls.vocabulary import Progress

    for k in range(steps):
        pause()
        yield Progress(k, steps, "counting")
    return steps


def install_model(home: Path, **changes: Any) -> Path:
    """Write a small working model with random weights into the user's folder, return its path."""
    from napari_cellcls.models.package import write_package
    from tests.models.make import parts

    made = manifest(**changes)
    path = home / "models" / f"{made.name}-{made.version}.cellpkg"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_package(path, made, **parts(made))
    return path


def smear_picture(rows: int = 3, columns: int = 4, pitch: int = 90) -> np.ndarray:
    """Return a drawn smear ``(Y, X, 3)`` uint8: round pink cells, every third one with a dark dot."""
    height, width = rows * pitch, columns * pitch
    picture = np.full((height, width, 3), (232, 228, 222), np.float32)
    y, x = np.ogrid[:height, :width]
    for k in range(rows * columns):
        cy, cx = (k // columns + 0.5) * pitch, (k % columns + 0.5) * pitch
        picture[(y - cy) ** 2 + (x - cx) ** 2 < 30**2] = (205, 140, 150)
        if k % 3 == 0:
            picture[(y - cy - 8) ** 2 + (x - cx + 6) ** 2 < 7**2] = (110, 40, 130)
    noise = np.random.default_rng(3).normal(0, 2, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)
