"""Measure how long the window is held: by our own code, and by napari and OpenGL, for each thing a user does.

Run under a display::

    LIBGL_ALWAYS_SOFTWARE=1 xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/gui.py
    ... python benchmarks/gui.py --image field.jpg --image a_red.png,a_green.png,a_blue.png,a_yellow.png
    ... python benchmarks/gui.py --slow 40      # also lists every turn above 40 ms

A *turn* is one entry of the event loop into the code of the dock. What napari does for us in it
(adding a layer, taking new data) is told apart: those calls go through napari's proxy.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import inspect
import os
import pkgutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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

    def take(self) -> float:
        """Return the worst delay since the last time, in milliseconds."""
        self.beat()
        worst, self.late_ms = max(self.late_ms), []
        return worst


@dataclass(frozen=True)
class Turn:
    """One entry of the event loop into our code: seconds by the clock and of the processor."""

    total_s: float = 0.0
    busy_s: float = 0.0
    napari_s: float = 0.0
    napari_busy_s: float = 0.0
    name: str = ""

    @property
    def own_ms(self) -> float:
        """What was not napari's, by the clock; waiting for a busy computer included."""
        return (self.total_s - self.napari_s) * 1000

    @property
    def own_cpu_ms(self) -> float:
        """The same in processor time of this thread, which other programs hardly disturb."""
        return (self.busy_s - self.napari_busy_s) * 1000


class Turns:
    """Notes every turn of our code in the thread of the window, and napari's share of it."""

    def __init__(self, slow_ms: float) -> None:
        from napari.utils import _proxies

        import napari_cellcls.widgets

        self.slow_ms = slow_ms
        self.turns: list[Turn] = []
        self._depth, self._napari_depth = 0, 0
        self._napari_s, self._napari_cpu_s = 0.0, 0.0
        for owner in _classes(napari_cellcls.widgets):
            for name, function in list(vars(owner).items()):
                if inspect.isfunction(function):
                    setattr(owner, name, self._our_turn(function, f"{owner.__name__}.{name}"))
        for owner, name in (
            (_proxies.CallablePublicOnlyProxy, "__call__"),
            (_proxies.PublicOnlyProxy, "__setattr__"),
        ):
            setattr(owner, name, self._napari_call(getattr(owner, name)))

    def _our_turn(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        kinds = [p.kind for p in inspect.signature(function).parameters.values()]
        takes = None if inspect.Parameter.VAR_POSITIONAL in kinds else len(kinds)

        @functools.wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            args = args[:takes]  # Qt offers a slot more arguments than it takes
            if self._depth or threading.current_thread() is not threading.main_thread():
                return function(*args, **options)
            self._depth, self._napari_s, self._napari_cpu_s = 1, 0.0, 0.0
            start, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **options)
            finally:
                self._depth = 0
                total, busy = time.perf_counter() - start, time.thread_time() - cpu
                self.turns.append(Turn(total, busy, self._napari_s, self._napari_cpu_s, name))

        return timed

    def _napari_call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            if (
                not self._depth
                or self._napari_depth
                or threading.current_thread() is not threading.main_thread()
            ):
                return function(*args, **options)
            self._napari_depth = 1
            start, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **options)
            finally:
                self._napari_depth = 0
                self._napari_s += time.perf_counter() - start
                self._napari_cpu_s += time.thread_time() - cpu

        return timed

    def take(self) -> str:
        """Return the longest own part of a turn since the last time, and napari's longest, in words."""
        turns, self.turns = self.turns or [Turn()], []
        for turn in turns:
            if turn.total_s * 1000 >= self.slow_ms:
                print(
                    f"    {turn.name}: {turn.total_s * 1000:.0f} ms, napari's part "
                    f"{turn.napari_s * 1000:.0f} ms, own processor time {turn.own_cpu_ms:.0f} ms"
                )
        napari_ms = 1000 * max(turn.napari_s for turn in turns)
        return (
            f"own {max(t.own_ms for t in turns):6.1f} ms, processor {max(t.own_cpu_ms for t in turns):6.1f} ms"
            f" | napari for us {napari_ms:6.1f} ms"
        )


def _classes(package: Any) -> Iterator[type]:
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        module = importlib.import_module(found.name)
        for value in vars(module).values():
            if inspect.isclass(value) and value.__module__ == module.__name__:
                yield value


def wait_until(done: Callable[[], bool], seconds: float = 180.0) -> None:
    """Run the event loop until ``done``."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("the window did not get ready")
        QApplication.processEvents()


def settle(seconds: float = 0.7) -> None:
    """Let what was asked for be drawn."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end)


class Session:
    """One window with one image, and a line of figures for each thing done in it."""

    def __init__(self, image: str, turns: Turns) -> None:
        import napari

        self.name, self.turns = Path(image.split(",")[0]).stem, turns
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1500, 950)
        if image in SAMPLES:
            self.viewer.open_sample("napari-cellcls", image)
        else:
            self.viewer.open(image.split(","), plugin="napari-cellcls")
        settle(2)
        self.pulse = Pulse()
        settle(1)
        self.lines = [f"{self.name}: nothing done     stall {self.pulse.take():6.1f} ms"]
        self.widget: Any = None
        self.turns.take()

    def do(self, what: str, action: Callable[[], Any]) -> None:
        """Do something, wait for its end, and note what it took."""
        start = time.perf_counter()
        action()
        if self.widget is not None:
            wait_until(lambda: not self.widget.controller.busy)
        seconds = time.perf_counter() - start
        settle()
        line = f"{self.name}: {what:<16} stall {self.pulse.take():6.1f} ms | {self.turns.take()} | {seconds:.2f} s"
        self.lines.append(line)

    def run(self) -> list[str]:
        """Do what a user does."""
        self.do("open the dock", self.open_dock)
        wait_until(lambda: bool(self.widget.controller.catalog.reports))
        self.do("engines, finding", lambda: None)
        self.do("classify", self.widget.run.classify_button.click)
        self.do("classify again", self.widget.run.classify_button.click)
        self.do("find again", self.widget.inputs.find_button.click)
        self.do("classify", self.widget.run.classify_button.click)
        self.do("hover", self.hover)
        if self.widget.thresholds.boxes:
            self.do("threshold", lambda: self.widget.thresholds.boxes[0].setValue(0.9))
        self.do("another model", self.another_model)
        self.do("cancel", self.cancel)
        self.viewer.close()
        return self.lines

    def open_dock(self) -> None:
        """Add the dock to the window."""
        _, self.widget = self.viewer.window.add_plugin_dock_widget(
            "napari-cellcls", "Classify cells"
        )

    def hover(self) -> None:
        """Rest on a dozen cells."""
        cells, layer = self.widget.session.cells, self.widget.controller.layers.cells_layer
        for row in range(0, len(cells), max(1, len(cells) // 12)):
            cell = cells.table.iloc[row]
            self.viewer.cursor.position = tuple(layer.data_to_world((cell.y, cell.x)))
            settle(0.12)

    def another_model(self) -> None:
        """Choose another model."""
        menu = self.widget.inputs.model
        values = [o.value for o in menu.options if o.value != menu.value]
        self.widget.inputs.model_picked.emit(values[-1])

    def cancel(self) -> None:
        """Start a run and give it up."""
        self.widget.run.classify_button.click()
        self.widget.run.cancel_button.click()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--image", action="append", help="a sample, a file, or files,of,one,image")
    options.add_argument("--slow", type=float, default=1e9, help="list turns above this, in ms")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder, "settings.yaml"))
        turns = Turns(given.slow)
        images = given.image or list(SAMPLES)
        # The first round warms the caches; its figures are those of the first use after a start.
        for round_name, image in [("first use", images[0]), *(("warm", i) for i in images)]:
            lines = Session(image, turns).run()
            sys.stdout.write(f"-- {round_name}\n" + "\n".join(lines) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
