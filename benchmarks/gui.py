"""Measure the dock: time to open it, stalls of the event loop while it finds and classifies, time to cancel.

Run under a display::

    LIBGL_ALWAYS_SOFTWARE=1 xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/gui.py
"""

from __future__ import annotations

import functools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TICK_MS = 5
SAMPLES = ("thin-smear", "rgby-field")


class Pulse:
    """A timer that notes how late it is called."""

    def __init__(self) -> None:
        from qtpy.QtCore import QTimer

        self.late_ms: list[float] = []
        self._last = time.perf_counter()
        self.timer = QTimer()
        self.timer.setInterval(TICK_MS)
        self.timer.timeout.connect(self.beat)
        self.timer.start()

    def beat(self) -> None:
        """Note how late this call is."""
        now = time.perf_counter()
        self.late_ms.append((now - self._last) * 1000 - TICK_MS)
        self._last = now

    def take(self) -> str:
        """Return what was noted since the last time, in words."""
        late, self.late_ms = sorted(self.late_ms), []
        over = sum(ms > 100 for ms in late)
        return f"worst stall {late[-1]:6.1f} ms, over 100 ms: {over}, beats {len(late)}"


class OwnTime:
    """Notes the longest that our own code held the window in one turn, without napari's drawing."""

    def __init__(self) -> None:
        from napari_cellcls.widgets.classify import ClassifyWidget
        from napari_cellcls.widgets.controller import Controller

        self.worst_ms = 0.0
        for owner, name in (
            (Controller, "classify"), (Controller, "find_cells"), (Controller, "_on_progress"),
            (Controller, "_on_succeeded"), (ClassifyWidget, "_render_common"),
        ):  # fmt: skip
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                self.worst_ms = max(self.worst_ms, (time.perf_counter() - start) * 1000)

        return timed

    def take(self) -> str:
        """Return the longest turn since the last time, in words."""
        worst, self.worst_ms = self.worst_ms, 0.0
        return f"own code at most {worst:.1f} ms"


def wait_until(done: Callable[[], bool], seconds: float = 180.0) -> None:
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        QApplication.processEvents()


def measure(sample: str, own: OwnTime) -> list[str]:
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(1500, 950)
    viewer.open_sample("napari-cellcls", sample)
    pulse = Pulse()
    wait_until(lambda: len(pulse.late_ms) > 200)
    lines = [f"{sample}: window open, idle      {pulse.take()}"]
    start = time.perf_counter()
    _, widget = viewer.window.add_plugin_dock_widget("napari-cellcls", "Classify cells")
    lines.append(f"{sample}: opening the dock       {time.perf_counter() - start:.3f} s")
    pulse.beat()
    pulse.take()
    lines += stalls(sample, widget, pulse, own)
    viewer.close()
    return lines


def stalls(sample: str, widget: Any, pulse: Pulse, own: OwnTime) -> list[str]:
    runner = widget.controller.runner
    wait_until(lambda: not runner.running and bool(widget.controller.catalog.reports))
    lines = [f"{sample}: finding cells          {pulse.take()}, {own.take()}"]
    start = time.perf_counter()
    widget.run.classify_button.click()
    wait_until(lambda: not runner.running)
    seconds = time.perf_counter() - start
    lines.append(f"{sample}: classifying, {seconds:5.2f} s   {pulse.take()}, {own.take()}")
    widget.run.classify_button.click()
    start = time.perf_counter()
    widget.run.cancel_button.click()
    lines.append(f"{sample}: cancel                 {(time.perf_counter() - start) * 1000:.1f} ms")
    return lines


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder, "settings.yaml"))
        # The first round warms the caches and is not reported.
        own = OwnTime()
        measure(SAMPLES[0], own)
        for sample in SAMPLES:
            print("\n".join(measure(sample, own)))


if __name__ == "__main__":
    main()
