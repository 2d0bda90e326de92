"""Cells per second end to end, beside the plain way and beside the bare engine, in one run.

Run ``python benchmarks/speed.py``. Eight simulated smear fields hold about 5,000 red cells; their
label images are the simulated masks, so that all sides classify the same cells.

- *ours*: label image -> cell table -> crops -> network -> calibrated classes -> table, the engine
  opened once before and the next field prepared while the engine works, as ``cellcls classify``
  does;
- *plain*: what one would write: a loop over ``skimage.measure.regionprops``,
  ``skimage.transform.resize`` of each cell, ``keras.Model.predict`` with batches of 32, the network
  built once before. It runs in a process of its own because of TensorFlow;
- *bare engine*: only the network, on all crops made beforehand.

A model that looks at each cell in several turns does so on all sides.

The sides take turns, so that a busy moment of the computer meets them all. Beside the clock, each
is measured in processor time (all threads), which other programs disturb little.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MODEL = "malaria-thin-smear"
OURS, BARE, PLAIN = "ours, end to end", "bare engine on ready crops", "plain way, end to end"


def make_fields(folder: Path, count: int, cells: int) -> None:
    """Simulate the fields once and keep them as arrays on disk."""
    sys.path.insert(0, str(ROOT))
    from training.simulate.smear import fields

    for number, made in enumerate(fields(count, cells // count)):
        np.save(folder / f"image{number}.npy", made.image)
        np.save(folder / f"labels{number}.npy", made.labels)


def load_fields(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return ``(Y, X, 3)`` images and ``(Y, X)`` labels."""
    numbers = range(len(list(folder.glob("image*.npy"))))
    return [
        (np.load(folder / f"image{n}.npy"), np.load(folder / f"labels{n}.npy")) for n in numbers
    ]


class Ours:
    """Our way, with the engine kept open."""

    def __init__(self, folder: Path) -> None:
        from napari_cellcls.images.channels import match
        from napari_cellcls.images.read import image_from_array
        from napari_cellcls.models import registry, runtime

        self.package = registry.load(MODEL)
        self.engine = runtime.open_engine(self.package)
        self.fields = [
            (
                image_from_array(image, rgb=True, name=f"field {n}", pixel_size_um=(0.12, 0.12)),
                labels,
            )
            for n, (image, labels) in enumerate(load_fields(folder))
        ]
        self.mapping = match(self.fields[0][0], self.package.manifest.planes)

    def end_to_end(self) -> int:
        """Classify all fields from their label images; return the number of cells."""
        return self._all((image, self._given(image, labels)) for image, labels in self.fields)

    def with_segmentation(self) -> int:
        """Find the cells first, then do the same."""
        from napari_cellcls.cells.segment import find_cells
        from napari_cellcls.vocabulary import finish

        return self._all((image, finish(find_cells(image, "smear"))) for image, _ in self.fields)

    def _given(self, image: Any, labels: np.ndarray) -> Any:
        from napari_cellcls.cells.table import cells_from_labels

        return cells_from_labels(
            labels, image.pixel_size_um, method="given", image_shape=image.shape
        )

    def _all(self, prepared: Iterator[tuple[Any, Any]]) -> int:
        from napari_cellcls.models.feed import Ahead

        with Ahead(prepared) as fields:
            return sum(self._predict(image, cells) for image, cells in fields)

    def _predict(self, image: Any, cells: Any) -> int:
        from napari_cellcls.predict import predict
        from napari_cellcls.vocabulary import finish

        task = predict(image, cells, self.package, mapping=self.mapping, engine=self.engine)
        predictions = finish(task)
        return len(predictions.to_table(cells))

    def crops(self) -> np.ndarray:
        """Cut all crops, for the bare engine."""
        from napari_cellcls.cells.crops import cut

        manifest = self.package.manifest
        return np.concatenate(
            [
                cut(
                    image, self._given(image, labels), manifest.crop, manifest.normalization,
                    self.mapping.indices,
                )
                for image, labels in self.fields
            ]
        )  # fmt: skip


def bare(engine: Any, crops: np.ndarray, turns: int, batch: int = 256) -> int:
    """Run only the network, as often per cell as the model wants."""
    from napari_cellcls.models.turns import mean_of_turns

    for start in range(0, len(crops), batch):
        mean_of_turns(engine.embed, crops[start : start + batch], turns)
    return len(crops)


def plain_child(folder: Path) -> None:
    """Answer each line on stdin with one timed pass of the plain way (runs in its own process)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    from skimage.measure import regionprops
    from skimage.transform import resize

    from napari_cellcls.models import networks, plan, registry

    package = registry.load(MODEL)
    architecture = package.manifest.architecture
    backbone = networks.build(architecture.id, architecture.params)
    plan.assign(backbone, package.weights)
    outputs = keras.layers.Dense(len(package.manifest.classes), "softmax")(backbone.output)
    model = keras.Model(backbone.input, outputs)
    model.layers[-1].set_weights(list(package.head))
    fields = load_fields(folder)
    model.predict(np.zeros((32, 50, 50, 3), np.float32), verbose=0)

    def run() -> tuple[int, list[int]]:
        done, classes = 0, []
        for image, labels in fields:
            crops = []
            for cell in regionprops(labels):
                y0, x0, y1, x1 = cell.bbox
                crop = image[y0:y1, x0:x1] * cell.image[..., None]
                crops.append(resize(crop / 255, (50, 50), anti_aliasing=True))
            found = np.mean(
                [
                    model.predict(
                        np.rot90(np.array(crops, np.float32), k, axes=(1, 2)),
                        batch_size=32,
                        verbose=0,
                    )
                    for k in range(package.manifest.turns)
                ],
                axis=0,
            )
            classes += found.argmax(1).tolist()
            done += len(crops)
        return done, classes

    replies = sys.stdout
    replies.write(json.dumps({"ready": True}) + "\n")
    replies.flush()
    for _ in sys.stdin:
        begin, cpu = time.perf_counter(), time.process_time()
        done, _ = run()
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        replies.write(json.dumps({"cells": done, "seconds": seconds, "cpu": cpu}) + "\n")
        replies.flush()


@contextmanager
def plain_way(folder: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """Start the plain way in its own process; give a function that asks for one pass."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--plain-child", str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert child.stdin is not None and child.stdout is not None
    if not child.stdout.readline():
        raise SystemExit("the plain way did not start; run with --plain-child FOLDER to see why")

    def once() -> dict[str, Any]:
        child.stdin.write("go\n")
        child.stdin.flush()
        return json.loads(child.stdout.readline())

    try:
        yield once
    finally:
        child.stdin.close()
        child.wait(timeout=30)


@dataclass
class Rates:
    """Cells per second of one side, pass by pass: by the clock, and of processor time."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def add(self, cells: int, seconds: float, cpu: float) -> None:
        """Keep one pass."""
        self.clock.append(cells / seconds)
        self.processor.append(cells / cpu)


def timed(work: Callable[[], int]) -> tuple[int, float, float]:
    """Return cells, seconds and processor seconds of one pass."""
    begin, cpu = time.perf_counter(), time.process_time()
    cells = work()
    return cells, time.perf_counter() - begin, time.process_time() - cpu


def measure(folder: Path, times: int) -> tuple[dict[str, Rates], int]:
    """Return the rates of every side and the number of cells."""
    ours = Ours(folder)
    crops = ours.crops()
    sides: dict[str, Callable[[], int]] = {
        OURS: ours.end_to_end,
        BARE: lambda: bare(ours.engine, crops, ours.package.manifest.turns),
        "ours, with finding the cells": ours.with_segmentation,
    }
    rates = {name: Rates() for name in (*sides, PLAIN)}
    with plain_way(folder) as plain:
        for side in sides.values():
            side()  # one pass to warm caches; the plain way warmed itself
        for _ in range(times):
            for name, side in sides.items():
                rates[name].add(*timed(side))
            reply = plain()
            rates[PLAIN].add(reply["cells"], reply["seconds"], reply["cpu"])
    ours.engine.close()
    return rates, len(crops)


def report(rates: dict[str, Rates], heading: str) -> None:
    """Print the table."""
    clock = {name: statistics.median(side.clock) for name, side in rates.items()}
    cpu = {name: statistics.median(side.processor) for name, side in rates.items()}
    print(heading)
    print(f"  {'':<30} {'cells/s':>9} {'cells per s of processor time':>32}")
    for name, side in rates.items():
        passes = ", ".join(f"{value:,.0f}" for value in side.clock)
        print(f"  {name:<30} {clock[name]:>9,.0f} {cpu[name]:>32,.0f}   passes {passes}")
    for words, other, goal, unit, factor in (
        ("times the plain way", PLAIN, 5, "x", 1),
        ("share of the bare engine", BARE, 80, "%", 100),
    ):
        by_clock, by_cpu = (factor * by[OURS] / by[other] for by in (clock, cpu))
        print(f"  {words:<30} {by_clock:>7.1f} {unit} {by_cpu:>30.1f} {unit}   goal {goal} {unit}")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--fields", type=int, default=8)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--plain-child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain_child:
        plain_child(options.plain_child)
        return
    with tempfile.TemporaryDirectory() as name:
        make_fields(Path(name), options.fields, options.cells)
        rates, cells = measure(Path(name), options.times)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    waiting = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    report(
        rates,
        f"{cells} cells in {options.fields} fields, median of {options.times} passes; "
        f"{cores} cores{waiting}, Python {platform.python_version()}",
    )


if __name__ == "__main__":
    main()
