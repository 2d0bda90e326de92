"""How long the window is held while a fine-tune learns beside it: quick with its answers for 10,000 cells, and deep.

Run under a display, with two processor cores and little else to do::

    LIBGL_ALWAYS_SOFTWARE=1 xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/stall.py
    ... python benchmarks/stall.py --who stalls.txt    # also what every thread did when a beat was 60 ms late

A project of ten drawn smears: one of 10,000 cells is in the window, classified and described; 500 cells of all ten are
labeled. The three docks are open. A timer of 5 ms beats in the thread of the window; reported is by how much a beat
came late: the longest, and the 99.9th percentile, beside a window in which nothing happens in the same run. Where
other programs keep the computer busy, a beat waits for a free core too: what the window itself computed between two
beats, in processor time, is free of that.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

TICK_MS, LATE_S = 5, 0.06
PITCH, RADIUS = 40, 15
LABELS, FIELDS = 50, 10
BASE = "malaria-thin-smear"


class Heart:
    """A timer that notes how late it is called."""

    def __init__(self, who: TextIO | None) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.late_ms: list[float] = []
        self.own_ms: list[float] = []
        self._who, self._last, self._busy = who, time.perf_counter(), time.thread_time()
        self.timer = QTimer()
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.setInterval(TICK_MS)
        self.timer.timeout.connect(self.beat)
        self.timer.start()

    def beat(self) -> None:
        """Note how late this call is."""
        now = time.perf_counter()
        self.late_ms.append(max((now - self._last) * 1000 - TICK_MS, 0.0))
        busy = time.thread_time()
        self.own_ms.append((busy - self._busy) * 1000)
        self._last, self._busy = now, busy
        if self._who is not None:
            # A thread of its own, which needs no interpreter, writes when no beat comes.
            faulthandler.dump_traceback_later(LATE_S, file=self._who)

    def take(self, name: str) -> Figures:
        """Return how late the beats came since the last time."""
        self.beat()
        found, self.late_ms = np.array(self.late_ms), []
        own, self.own_ms = max(self.own_ms), []
        if self._who is not None:
            print(f"==== end of: {name}", file=self._who, flush=True)
        return Figures(
            name, float(found.max()), float(np.quantile(found, 0.999)), own,
            int((found > 100).sum()), float((found + TICK_MS).sum() / 1000),
        )  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """Lateness in milliseconds, what the window computed between two beats at most, and beats over 100 ms late."""

    name: str
    longest: float
    usual: float
    own: float
    over: int
    seconds: float

    def line(self, idle: Figures) -> str:
        """Return it in words."""
        return (
            f"{self.name:<34} longest {self.longest:6.1f} ms ({self.longest / idle.longest:4.1f} x idle)  "
            f"99.9 % {self.usual:6.1f} ms  processor {self.own:5.1f} ms  over 100 ms: {self.over:3}  in {self.seconds:6.1f} s"
        )


def wait_until(done: Callable[[], bool], seconds: float = 900.0) -> None:
    """Run the event loop as a window does, until ``done``."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, end, look = QEventLoop(), time.monotonic() + seconds, QTimer()

    def see() -> None:
        if done() or time.monotonic() > end:
            loop.quit()

    look.timeout.connect(see)
    look.start(20)
    loop.exec()
    look.stop()
    if time.monotonic() > end:
        raise TimeoutError("the window did not get ready")


def settle(seconds: float = 1.0) -> None:
    """Let what was asked for be drawn."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end)


def smear(seed: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture ``(Y, X, 3)`` uint8, and which of its cells, row by row, have a dark dot."""
    rng = np.random.default_rng(seed)
    dotted = rng.random((rows, columns)) < 0.3
    y, x = np.mgrid[:PITCH, :PITCH] - PITCH / 2 + 0.5
    cell, dot = y**2 + x**2 < RADIUS**2, (y - 5) ** 2 + (x + 4) ** 2 < 20
    tiles = np.empty((2, PITCH, PITCH, 3), np.float32)
    tiles[:] = 232, 228, 222
    tiles[:, cell] = 205, 140, 150
    tiles[1, dot] = 110, 40, 130
    picture = tiles[dotted.astype(int)].transpose(0, 2, 1, 3, 4)
    picture = picture.reshape(rows * PITCH, columns * PITCH, 3)
    noise = rng.normal(0, 3, picture.shape[:2])[..., None]
    return np.clip(picture + noise, 0, 255).astype(np.uint8), dotted.ravel()


def make_project(folder: Path, edge: int) -> None:
    """Draw and label ten smears, the first of ``edge`` by ``edge`` cells."""
    from PIL import Image

    from napari_cellcls.cells.identity import anchors
    from napari_cellcls.cells.segment import find_cells
    from napari_cellcls.images.read import open_image
    from napari_cellcls.models import registry
    from napari_cellcls.project.project import create_project
    from napari_cellcls.review.masks import place
    from napari_cellcls.vocabulary import finish

    scheme = registry.load(BASE).manifest.scheme
    project = create_project(folder / "p", classes=scheme.classes, annotator="ana")
    with project:
        for k in range(FIELDS):
            side = edge if k == 0 else 12
            picture, dotted = smear(k, side, side)
            path = folder / f"field{k}.tif"
            Image.fromarray(picture).save(path)
            cells = finish(find_cells(open_image(path), "smear"))
            found = anchors(cells, project.add_image(path))[:LABELS]
            place(project.journal, found)
            for one in found:
                at = int(one.y // PITCH) * side + int(one.x // PITCH)
                project.journal.label(one.cell_id, scheme.classes[0 if dotted[at] else 1].id)


class Session:
    """One window with the three docks, and figures for each thing that runs beside it."""

    def __init__(self, project: Path, image: Path, who: TextIO | None) -> None:
        import napari

        self.viewer = napari.Viewer()
        self.viewer.window.resize(1500, 950)
        self.viewer.open(str(image), plugin="napari-cellcls")
        self.classify = self._dock("Classify cells")
        settle(3)
        self._choose_model()
        self.classify.run.classify_button.click()
        wait_until(lambda: not self.classify.controller.busy)
        self.review = self._dock("Review cells")
        wait_until(lambda: not self.review.busy)
        self.tune = self._dock("Fine-tune")
        wait_until(lambda: not self.tune.busy)
        self.tune.teach.open_asked.emit(str(project))
        wait_until(lambda: not self.tune.busy and not self.review.busy)
        settle(3)
        print(f"{len(self.classify.session.cells):,} cells in the window", flush=True)
        self.heart = Heart(who)

    def _dock(self, name: str) -> Any:
        return self.viewer.window.add_plugin_dock_widget("napari-cellcls", name)[1]

    def _choose_model(self) -> None:
        menu = self.classify.inputs.model
        value = next(one.value for one in menu.options if BASE in str(one.value))
        self.classify.inputs.model_picked.emit(value)
        wait_until(lambda: not self.classify.controller.busy)

    def idle(self, seconds: float) -> Figures:
        """Do nothing."""
        self.heart.take("before")
        settle(seconds)
        return self.heart.take("idle")

    def quick(self, name: str) -> list[Figures]:
        """Fine-tune quickly, then use the new version for all cells of the window."""
        from napari_cellcls.models import registry

        tune = self.tune
        tune.teach.base_picked.emit(str(registry.find(BASE).path))
        tune.run.quick.setChecked(True)
        settle(1)
        self.heart.take("before")
        tune.run.start_button.click()
        wait_until(lambda: not tune.busy)
        self._no_error()
        settle(0.5)
        found = [self.heart.take(f"{name}: learn and judge")]
        print(
            f"  {tune.controller.result.seconds:.2f} s: {tune.verdict.headline.text()}", flush=True
        )
        tune.verdict.use_button.click()
        wait_until(lambda: not self.classify.controller.busy and not self.review.busy)
        settle(1)
        return [*found, self.heart.take(f"{name}: use it, new answers")]

    def deep(self) -> list[Figures]:
        """Fine-tune deeply: the beginning, the training in its child, the verdict."""
        tune, seen = self.tune, [""]

        def see(step: Any) -> None:
            seen[0] = step.message

        tune.controller.runner.progressed.connect(see)
        tune.run.deep.setChecked(True)
        settle(1)
        self.heart.take("before")
        tune.run.start_button.click()
        wait_until(lambda: seen[0] == "Starting the training" or not tune.busy)
        found = [self.heart.take("deep: cut the cells")]
        wait_until(lambda: "epoch" in seen[0] or not tune.busy)
        found.append(self.heart.take("deep: the child starts"))
        wait_until(lambda: seen[0] == "Judging" or not tune.busy)
        found.append(self.heart.take("deep: it trains"))
        wait_until(lambda: not tune.busy)
        self._no_error()
        settle(0.5)
        print(
            f"  {tune.controller.result.seconds:.0f} s: {tune.verdict.headline.text()}", flush=True
        )
        return [*found, self.heart.take("deep: judge")]

    def _no_error(self) -> None:
        if self.tune.error.error is not None:
            raise self.tune.error.error


def shorten(epochs: int, steps: int) -> None:
    """Let a deep training last minutes: what holds the window does not depend on its length."""
    from napari_cellcls.learn import deep

    plain, changes = deep.begin, {"epochs": epochs, "steps_per_epoch": steps}
    deep.begin = lambda project, base, **more: plain(  # type: ignore[assignment]
        project, base, **{**more, "changes": changes}
    )


def main() -> None:
    """Make the project, open the window, and print the figures."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--who",
        type=Path,
        help="file for what the threads did in every stall (read without a lock: may crash)",
    )
    options.add_argument(
        "--keep", type=Path, help="folder where project and descriptors stay for the next run"
    )
    options.add_argument("--edge", type=int, default=100, help="rows of cells in the window")
    options.add_argument("--quick", action="store_true", help="without the deep fine-tune")
    options.add_argument("--epochs", type=int, default=2)
    options.add_argument("--steps", type=int, default=30)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(given.keep or name)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["NAPARI_CONFIG"] = str(Path(name, "settings.yaml"))
        os.environ["CELLCLS_HOME"] = str(folder / "home")
        if not (folder / "made").exists():
            make_project(folder, given.edge)
            (folder / "made").touch()
        project = Path(shutil.copytree(folder / "p.cellcls", Path(name, "p.cellcls")))
        for field in folder.glob("field*.tif"):
            Path(name, field.name).symlink_to(field.resolve())
        image = Path(name, "field0.tif")
        shorten(given.epochs, given.steps)
        who = given.who.open("w") if given.who is not None else None
        session = Session(project, image, who)
        idle = session.idle(20)
        found = session.quick("quick, first")
        found += session.quick("quick, again")
        found += [] if given.quick else session.deep()
        again = session.idle(20)
        for one in (idle, *found, again):
            print(one.line(idle))
        print(f"load of the computer: {os.getloadavg()[0]:.1f}", flush=True)
        faulthandler.cancel_dump_traceback_later()
        session.viewer.close()
        os._exit(0)


if __name__ == "__main__":
    main()
