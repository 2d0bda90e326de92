"""Many images as one task: order, failures that stay rows, stopping, bounded memory."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from napari_cellcls.commands import pipeline, steps
from napari_cellcls.commands.options import Options
from napari_cellcls.commands.pipeline import AHEAD, classify_images
from napari_cellcls.commands.steps import Job
from napari_cellcls.export.errors import ExportError
from napari_cellcls.export.summary import Run
from napari_cellcls.images.collections import ImageRef
from napari_cellcls.vocabulary import CellsError, EngineError, ImageError, Progress, finish


class Rooms:
    """Stands in for the steps of one image and remembers what was asked of it."""

    def __init__(self) -> None:
        self.prepared: list[str] = []
        self.written: list[str] = []
        self.fail: dict[str, Exception] = {}
        self.most_waiting = 0
        self.hold: threading.Event | None = None

    def prepare(self, job: Job, options: Options, models: Any, report: Any) -> Any:
        self.prepared.append(job.stem)
        self.most_waiting = max(self.most_waiting, len(self.prepared) - len(self.written))
        report(Progress(1, 2, "Finding cells"))
        while self.hold is not None and not self.hold.wait(0.01):
            report(Progress(1, 2, "Finding cells"))
        if job.stem in self.fail:
            raise self.fail[job.stem]
        return SimpleNamespace(job=job)

    def predict(self, ready: Any, options: Options, models: Any) -> Any:
        yield Progress(1, 1, "Predicting")
        return "predictions"

    def write(self, ready: Any, predictions: str, options: Options) -> str:
        stem = ready.job.stem
        self.written.append(stem)
        if f"{stem}/write" in self.fail:
            raise self.fail[f"{stem}/write"]
        return f"{stem} {predictions}"


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> Rooms:
    made = Rooms()
    for name in ("prepare", "predict", "write"):
        monkeypatch.setattr(steps, name, getattr(made, name))
    return made


def jobs(count: int) -> list[Job]:
    return [Job(ImageRef(f"i{n}", (Path(f"i{n}.png"),)), f"i{n}") for n in range(count)]


def test_results_come_in_the_order_of_the_images(rooms: Rooms, tmp_path: Path) -> None:
    run = finish(classify_images(jobs(5), Options(tmp_path), Run({})))
    assert run.results == [f"i{n} predictions" for n in range(5)]
    assert run.seconds > 0


def test_progress_rises_to_its_total(rooms: Rooms, tmp_path: Path) -> None:
    seen: list[Progress] = []
    finish(classify_images(jobs(3), Options(tmp_path), Run({})), seen.append)
    done = [step.done for step in seen]
    assert done == sorted(done)
    assert (done[-1], seen[-1].total) == (300, 300)
    assert "i1: Writing" in [step.message for step in seen]


def test_a_bad_image_is_a_row_and_the_rest_go_on(rooms: Rooms, tmp_path: Path) -> None:
    rooms.fail = {
        "i1": ImageError("The file is cut off.", code="IMG-TRUNC", remedy="Copy it again.")
    }
    run = finish(classify_images(jobs(3), Options(tmp_path), Run({})))
    assert run.results == ["i0 predictions", "i2 predictions"]
    assert [(f.name, f.path, f.error.code) for f in run.failures] == [("i1", "i1.png", "IMG-TRUNC")]


def test_an_error_about_cells_names_the_image(rooms: Rooms, tmp_path: Path) -> None:
    rooms.fail = {
        "i0": CellsError("No color planes.", code="CELLS-METHOD"),
        "i1": CellsError("No such labels.", code="CELLS-SIZE", path="l.tif"),
        "i2": EngineError("No such card.", code="ENGINE-DEVICE"),
    }
    run = finish(classify_images(jobs(3), Options(tmp_path), Run({})))
    assert [f.error.path for f in run.failures] == ["i0.png", "l.tif", None]
    assert "File: i0.png." in str(run.failures[0].error)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ZeroDivisionError("by zero"), "TASK-UNEXPECTED", "ZeroDivisionError: by zero"),
        (MemoryError(), "TASK-MEMORY", "refused to give more"),
    ],
)
def test_a_fault_of_ours_costs_one_image_only(
    rooms: Rooms, tmp_path: Path, error: Exception, code: str, words: str
) -> None:
    rooms.fail = {"i0": error}
    run = finish(classify_images(jobs(2), Options(tmp_path), Run({})))
    assert run.results == ["i1 predictions"]
    assert run.failures[0].error.code == code
    assert words in run.failures[0].error.why


def test_a_full_disk_ends_the_run(rooms: Rooms, tmp_path: Path) -> None:
    rooms.fail = {"i1/write": ExportError("There is no room left.", code="EXPORT-SPACE")}
    run = Run({})
    with pytest.raises(ExportError, match="EXPORT-SPACE"):
        finish(classify_images(jobs(9), Options(tmp_path), run))
    assert run.results == ["i0 predictions"]
    assert rooms.written == ["i0", "i1"]


def test_a_name_that_cannot_be_written_does_not(rooms: Rooms, tmp_path: Path) -> None:
    rooms.fail = {"i1/write": ExportError("No such name.", code="EXPORT-NAME")}
    run = finish(classify_images(jobs(3), Options(tmp_path), Run({})))
    assert len(run.results) == 2
    assert run.failures[0].error.code == "EXPORT-NAME"


def test_stopping_ends_the_worker_and_keeps_what_is_done(rooms: Rooms, tmp_path: Path) -> None:
    rooms.hold = threading.Event()
    run = Run({})
    task = classify_images(jobs(50), Options(tmp_path), run)
    assert next(task).message == "i0: Finding cells"
    task.close()
    assert run.results == [] and run.failures == []
    assert len(rooms.prepared) <= AHEAD
    assert not [t for t in threading.enumerate() if t.name.startswith("cellcls-prepare")]


def test_few_images_are_in_memory_at_once(rooms: Rooms, tmp_path: Path) -> None:
    finish(classify_images(jobs(30), Options(tmp_path), Run({})))
    assert rooms.most_waiting <= AHEAD + 1


def test_no_more_workers_than_prepared_images() -> None:
    assert pipeline.WORKERS <= pipeline.AHEAD
