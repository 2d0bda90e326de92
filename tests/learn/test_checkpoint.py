"""Checkpoints: what is damaged gives way to the one before, and is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls import files
from napari_cellcls.learn.checkpoint import Checkpoints
from napari_cellcls.vocabulary import DataError, TaskError


def groups(value: float) -> dict:
    return {"model": {"a": np.full((3, 2), value, np.float32), "b": np.asarray(int(value))}}


def two(folder: Path) -> Checkpoints:
    """Write the checkpoints of epochs 1 and 2."""
    made = Checkpoints(folder, "mine")
    for epoch in (1, 2):
        best = made.save_best({"w": np.full(2, float(epoch))}, epoch)
        made.save(groups(epoch), {"epoch": epoch, "best_file": best}, epoch, 0)
    return made


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    found = two(tmp_path).load()
    assert found is not None and found.state["epoch"] == 2 and found.notes == ()
    assert found.groups["model"]["a"].dtype == np.float32 and found.groups["model"]["b"].shape == ()
    np.testing.assert_array_equal(found.groups["model"]["a"], np.full((3, 2), 2.0))
    np.testing.assert_array_equal(found.best["w"], [2.0, 2.0])
    assert Checkpoints(tmp_path / "none", "mine").load() is None


def test_two_are_kept_with_the_best_they_name(tmp_path: Path) -> None:
    made = two(tmp_path)
    for epoch in (3, 4):
        state = {"epoch": epoch, "best_file": made.load().state["best_file"]}
        made.save(groups(epoch), state, epoch, 0)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == [
        "00003-0000000.json", "00003-0000000.safetensors", "00004-0000000.json",
        "00004-0000000.safetensors", "best-00002.safetensors",
    ]  # fmt: skip
    np.testing.assert_array_equal(made.load().best["w"], [2.0, 2.0])


@pytest.mark.parametrize(
    "name", ["00002-0000000.json", "00002-0000000.safetensors", "best-00002.safetensors"]
)
@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "gone"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, name: str, harm: str
) -> None:
    made, path = two(tmp_path), tmp_path / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    harmed = {"cut": bytes(data[:-5]), "flip": bytes(data), "empty": b""}
    path.write_bytes(harmed[harm]) if harm in harmed else path.unlink()
    found = made.load()
    assert found.state["epoch"] == 1
    np.testing.assert_array_equal(found.groups["model"]["a"], np.full((3, 2), 1.0))
    if not (harm == "gone" and name.endswith("json")):
        assert found.notes[0].startswith("The checkpoint 00002-0000000 is damaged: ")
        assert found.notes[0].endswith("An older one is used.")


def test_nothing_whole_is_said_and_begun_anew(tmp_path: Path) -> None:
    made = two(tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(b"")
    found = made.load()
    assert found.groups == {} and found.notes[-1].endswith("the training begins anew.")


def test_another_run_is_refused(tmp_path: Path) -> None:
    two(tmp_path)
    with pytest.raises(DataError) as error:
        Checkpoints(tmp_path, "other").load()
    assert error.value.code == "RUN-CHANGED"


@given(position=st.integers(0, 10**6), value=st.integers(1, 255))
def test_no_changed_byte_is_believed(tmp_path_factory, position: int, value: int) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    made = two(folder)
    path = sorted(folder.iterdir())[position % 6]
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= value
    path.write_bytes(bytes(data))
    found = made.load()
    touched = path.name.startswith(("00002", "best-00002"))
    assert found.state["epoch"] == (1 if touched else 2)
    np.testing.assert_array_equal(found.groups["model"]["a"][0, 0], found.state["epoch"])


def test_a_full_disk_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = two(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_replace", full)
    with pytest.raises(TaskError, match="the system says 'No space left on device'") as error:
        made.save(groups(3), {"epoch": 3}, 3, 0)
    assert error.value.code == "RUN-WRITE"
    monkeypatch.undo()
    assert made.load().state["epoch"] == 2
