"""``cellcls train``: its options reach the training, its end and its stop are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_cellcls import cli
from napari_cellcls.learn import process
from napari_cellcls.vocabulary import Progress

DONE = {
    "metrics": {"accuracy": 0.91234, "n": 12},
    "weights": "run/weights.safetensors",
    "sha256": "0123456789abcdef",
    "model": "run/model.cellpkg",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[process.TrainingRequest]:
    """Stand in for the training: it notes what was asked, and stops at the recipe ``hela_cnn_l2``."""
    seen: list[process.TrainingRequest] = []

    def training(request, on_note):
        seen.append(request)
        on_note("Starts from random weights.")
        yield Progress(1, 4, "epoch 1: loss 0.5")
        if request.recipe == "hela_cnn_l2":
            raise KeyboardInterrupt
        yield Progress(2, 4, "epoch 1/2: loss 0.4, val 0.3, accuracy 0.9000, 1.0 s")
        return DONE

    monkeypatch.setattr(process, "training", training)
    return seen


def test_options_reach_the_training(asked, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(
        ["train", "hela_cnn", "--data", "d", "--out", "run", "--fold", "1", "--resume",
         "--set", "phases.*.epochs=2", "--set", "seed=7"]
    )  # fmt: skip
    assert code == 0
    assert asked == [
        process.TrainingRequest(
            "hela_cnn", Path("d"), Path("run"), 1, True, ("phases.*.epochs=2", "seed=7")
        )
    ]
    told = capsys.readouterr()
    assert "accuracy          0.9123" in told.out and "n                 12" in told.out
    assert "Weights in run/weights.safetensors (sha256 01234567)" in told.out
    assert "Model in run/model.cellpkg" in told.out
    assert "Starts from random weights." in told.err
    assert told.err.count("epoch 1/2: loss 0.4, val 0.3") == 1


def test_stopping_says_how_to_go_on(asked, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(
        ["train", "hela_cnn_l2", "--data", "my data", "--out", "run", "--set", "seed=7"]
    )
    assert code == 130
    told = capsys.readouterr().err
    assert (
        "Go on with: cellcls train hela_cnn_l2 --data 'my data' --out run --set=seed=7 --resume"
        in told
    )


def test_mistakes_are_told_before_tensorflow_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["train", "hela_cn", "--data", str(tmp_path), "--out", str(tmp_path / "run")])
    told = capsys.readouterr().err
    assert code == 2 and "RECIPE-MISSING" in told and "Did you mean 'hela_cnn'" in told
    options = ["--data", str(tmp_path), "--out", str(tmp_path / "run")]
    code = cli.main(["train", "hela_cnn", *options, "--set", "phases.0.epoch=2"])
    told = capsys.readouterr().err
    assert code == 4 and "RECIPE-KEY" in told and "'epochs'" in told
