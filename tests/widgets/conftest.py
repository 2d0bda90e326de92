"""A viewer with the plugin registered, a small model installed, and the dock open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QApplication

import napari_cellcls

from .fakes import install_model, smear_picture

MANIFEST = Path(napari_cellcls.__file__).with_name("napari.yaml")


@pytest.fixture
def small_model(own_home: Path) -> Path:
    """Install a model with two classes and no others; return its path."""
    return install_model(own_home)


@pytest.fixture
def only_small_model(small_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    from napari_cellcls.models import places

    monkeypatch.setattr(places, "BUNDLED", tmp_path / "no-bundled-models")
    return small_model


@pytest.fixture
def viewer(make_napari_viewer_proxy: Callable[..., Any], npe2pm: Any) -> Iterator[Any]:
    """A shown viewer that knows the plugin."""
    with npe2pm.tmp_plugin(manifest=str(MANIFEST)):
        viewer = make_napari_viewer_proxy(show=True)
        viewer.window.resize(1200, 850)
        yield viewer
        make_canvases_current()


@pytest.fixture
def plain_viewer(qtbot: Any, npe2pm: Any) -> Iterator[Any]:
    """A viewer as users have it, with the thread that makes status and tooltip after each move."""
    import napari

    with npe2pm.tmp_plugin(manifest=str(MANIFEST)):
        viewer = napari.Viewer(show=True)
        viewer.window.resize(1200, 850)
        qtbot.waitUntil(lambda: viewer.window._qt_window.status_thread.isRunning(), timeout=10_000)
        yield viewer
        make_canvases_current()
        viewer.close()
        qtbot.wait(20)


def make_canvases_current() -> None:
    """Closing removes all layers: see widgets/canvas.py, whose guard a closed dock took along."""
    for widget in QApplication.allWidgets():
        if isinstance(widget, QOpenGLWidget) and widget.isValid():
            widget.makeCurrent()


def dock_of(viewer: Any, qtbot: Any) -> Any:
    """Open the dock and wait until what it starts has ended."""
    _, widget = viewer.window.add_plugin_dock_widget("napari-cellcls", "Classify cells")
    qtbot.waitUntil(lambda: not widget.controller.busy, timeout=60_000)
    qtbot.wait(20)
    return widget


@pytest.fixture
def open_dock(only_small_model: Path, open_real_dock: Callable[[], Any]) -> Callable[[], Any]:
    """As `open_real_dock`, with one small model of random weights and no others."""
    return open_real_dock


@pytest.fixture
def open_real_dock(viewer: Any, qtbot: Any) -> Callable[[], Any]:
    """Return a function that opens the dock and waits until what it starts has ended."""

    return lambda: dock_of(viewer, qtbot)


@pytest.fixture
def smear_viewer(viewer: Any) -> Any:
    """A viewer with a small drawn smear."""
    viewer.add_image(
        smear_picture(), rgb=True, name="smear", scale=(0.12, 0.12), units=("um", "um")
    )
    return viewer


@pytest.fixture
def constant_image() -> np.ndarray:
    return np.full((120, 160, 3), 200, np.uint8)
