"""The process around a training: its events, its death for memory, its end by Ctrl+C."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from napari_cellcls.files import sha256
from napari_cellcls.learn.process import TrainingRequest, training
from napari_cellcls.vocabulary import DataError, TaskError, finish
from tests.learn import toy


def fake(tmp_path: Path, body: str) -> list[str]:
    """Return the command of a stand-in for the training process; ``say`` writes an event."""
    start = """
        import json, os, signal, sys, time
        arguments = sys.argv[1:]
        def say(**event):
            print(json.dumps(event), flush=True)
        micro = int(arguments[arguments.index("--micro-batch") + 1]) if "--micro-batch" in arguments else 32
    """
    path = tmp_path / "fake.py"
    path.write_text(textwrap.dedent(start) + textwrap.dedent(body))
    return [sys.executable, str(path)]


def request(tmp_path: Path, **more: object) -> TrainingRequest:
    return TrainingRequest("toy", tmp_path / "data", tmp_path / "run", **more)


def test_arguments_and_events(tmp_path: Path) -> None:
    command = fake(
        tmp_path,
        """
        say(event="data", notes=["a doubt"])
        say(event="progress", done=1, total=2, message="epoch 1")
        say(event="done", arguments=arguments)
        """,
    )
    notes, steps = [], []
    asked = request(tmp_path, fold=2, resume=True, changes=("a=1", "b=-2"))
    done = finish(training(asked, notes.append, command), steps.append)
    assert notes == ["a doubt"] and steps[0].message == "epoch 1"
    out = str(tmp_path / "run")
    assert done["arguments"] == ["toy", "--data", str(tmp_path / "data"), "--out", out,
                                 "--fold", "2", "--set=a=1", "--set=b=-2", "--resume"]  # fmt: skip


def test_memory_halves_the_batch_until_it_fits(tmp_path: Path) -> None:
    command = fake(
        tmp_path,
        """
        say(event="start", micro_batch=micro, batch=32)
        if micro == 32:
            say(event="memory", micro_batch=micro, why="no room for 32")
            sys.exit(5)
        if micro == 16:
            os.kill(os.getpid(), signal.SIGKILL)
        say(event="done", micro=micro, resumed="--resume" in arguments)
        """,
    )
    notes: list[str] = []
    done = finish(training(request(tmp_path), notes.append, command))
    assert done["micro"] == 8 and done["resumed"]
    assert notes[0].startswith("The memory did not suffice with 32 cells at once: going on with 16")
    assert notes[1].startswith("The process was killed, probably for memory with 16 cells")
    assert "Batch normalization" in notes[0]


def test_one_cell_at_once_is_the_end(tmp_path: Path) -> None:
    command = fake(
        tmp_path,
        """
        say(event="start", micro_batch=micro, batch=32)
        say(event="memory", micro_batch=micro, why=f"no room for {micro}")
        sys.exit(5)
        """,
    )
    with pytest.raises(TaskError, match="no room for 1") as error:
        finish(training(request(tmp_path), None, command))
    assert error.value.code == "TRAIN-MEMORY" and "--resume" in error.value.remedy


def test_refusals_and_crashes_come_back_as_errors(tmp_path: Path) -> None:
    refusing = fake(
        tmp_path, 'say(event="error", code="DATA-X", what="No.", path="p", why="w", remedy="r")'
    )
    with pytest.raises(DataError, match="No") as error:
        finish(training(request(tmp_path), None, refusing))
    assert (error.value.code, error.value.path, error.value.why) == ("DATA-X", "p", "w")
    crashing = fake(tmp_path, 'sys.stderr.write("the driver failed"); sys.exit(3)')
    with pytest.raises(TaskError, match="ended with 3: the driver failed") as crash:
        finish(training(request(tmp_path), None, crashing))
    assert crash.value.code == "TASK-CHILD"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_closing_the_task_asks_the_process_to_stop(tmp_path: Path) -> None:
    mark = tmp_path / "kept"
    command = fake(
        tmp_path,
        f"""
        def stop(*_):
            open({str(mark)!r}, "w").close()
            sys.exit(130)
        signal.signal(signal.SIGTERM, stop)
        say(event="start", micro_batch=4)
        for i in range(2000):
            say(event="progress", done=i, total=2000, message="")
            time.sleep(0.01)
        """,
    )
    task = training(request(tmp_path), None, command)
    next(task)
    task.close()
    assert mark.exists()


@pytest.mark.tensorflow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork and no SIGKILL")
def test_killed_at_five_moments_it_ends_in_the_same_weights(tmp_path: Path) -> None:
    data = toy.write_malaria(tmp_path / "cell_images", cells=6)
    toy.write_recipe(
        tmp_path / "toy.yaml",
        phases=[{"epochs": 5, "learning_rate": 0.002}, {"epochs": 4, "learning_rate": 0.001}],
        checkpoint={"monitor": "val_loss"},
        average=0.9,
        augmentation="mild",
        protocol={"kind": "grouped", "folds": 2, "val": 0.25, "seed": 1},
    )
    seed = str(random.randrange(10**6))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed.py")), str(tmp_path / "toy.yaml"),
         str(data), str(tmp_path / "runs"), seed, "5"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout)
    assert [events[-1]["code"] for events in seen["killed"]] == [-9] * 5, f"seed {seed}"
    assert any("Goes on after" in n for e in seen["last"] for n in e.get("notes", ()))
    wanted, got = (seen[key][-2]["sha256"] for key in ("whole", "last"))
    assert got == wanted, f"seed {seed}"
    assert wanted == sha256(tmp_path / "runs" / "cut" / "fold0" / "weights.safetensors")
