"""``cellcls finetune`` and ``cellcls models history|rollback|compare``: what they print and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from napari_cellcls import cli
from tests.learn.corrected import make_project
from tests.models.make import package

VIEW: dict[str, Any] = {
    "crop": {"size": 24, "frame": "square", "margin": 0.1, "mask": True},
    "normalization": {"kind": "background"},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("base") / "base.cellpkg"
    package(path, classes=[], inputs=[], level="backbone", channel_policy="each", **VIEW)
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert cli.main(list(arguments)) == code
    return tuple(capsys.readouterr())


def test_from_labels_to_a_version_and_back(tmp_path: Path, base: str, capsys) -> None:
    with make_project(tmp_path, 7) as project:
        folder = str(project.folder)
    first, _ = run(capsys, "finetune", folder, "--base", base, "--annotator", "bo")
    assert "smears@0.1.0: learned from 60 cells, held out 24" in first
    assert "Better: macro F1 0." in first and "class\tF1 before\tF1 after\theld-out cells" in first
    assert first.rstrip().endswith("smears@0.1.0 is in use now.")
    second, _ = run(capsys, "finetune", folder, "--base", base, "--seed", "7", "--use-anyway")
    assert "asked 2 times" in second and "would not show a small loss" in second
    listed, _ = run(capsys, "models", "history", folder)
    assert listed.startswith(
        "version\tin use\tfrom\tlabels\tmacro F1\tverdict\tsha256\nsmears@0.2.0\t"
    )
    assert "smears@0.1.0\t\tsmall@1.0.0\t60\t" in listed
    assert "UTC, bo: the released model → smears@0.1.0 (better)" in listed
    back, _ = run(capsys, "models", "rollback", folder)
    assert back == "smears@0.1.0 is in use now.\n"
    back, _ = run(capsys, "models", "rollback", folder)
    assert back == "The released model that the project started from is in use now.\n"
    _, error = run(capsys, "models", "rollback", folder, code=4)
    assert "[PROJECT-VERSION]" in error
    again, _ = run(capsys, "models", "rollback", folder, "--to", "0.2.0")
    assert again == "smears@0.2.0 is in use now.\n"
    text, _ = run(capsys, "models", "compare", "0.1.0", "smears@0.2.0", "--data", folder)
    assert text.startswith("smears@0.1.0 → smears@0.2.0\nNot enough data to tell: macro F1 ")
    assert "on 24 held-out cells of 2 groups." in text
    _, error = run(capsys, "models", "compare", base, "0.1.0", "--data", folder, code=4)
    assert "[MODEL-NO-CLASSES]" in error


def test_what_is_not_proven_is_used_only_when_asked(tmp_path: Path, base: str, capsys) -> None:
    with make_project(tmp_path, 1) as project:
        folder = str(project.folder)
    text, _ = run(capsys, "finetune", folder, "--base", base)
    assert "Not enough data to tell. All cells that could judge are of one image" in text
    assert "small@1.0.0 stays in use" in text and "--to 0.1.0" in text
    text, _ = run(capsys, "finetune", folder, "--base", base, "--use-anyway")
    assert text.rstrip().endswith("smears@0.2.0 is in use, because you asked for it.")
    listed, _ = run(capsys, "models", "history", folder)
    assert "(used anyway)" in listed
    _, error = run(capsys, "models", "compare", "0.1.0", "0.2.0", "--data", folder, code=4)
    assert "[LEARN-FEW]" in error and "No labeled cell can judge" in error


def test_a_project_names_the_model_to_classify_with(tmp_path: Path, base: str, capsys) -> None:
    with make_project(tmp_path, 2) as project:
        folder, places = (
            str(project.folder),
            [project.locate(i) for i in project.journal.state.images],
        )
    image, out = str(places[0].path), str(tmp_path / "out")
    ask = ["classify", image, "--project", folder, "--find", "whole", "--out", out]
    text, _ = run(capsys, *ask)
    assert text.startswith("smears has no version in use yet\n")
    run(capsys, "finetune", folder, "--base", base, "--use-anyway")
    text, _ = run(capsys, *ask)
    assert "Model of smears: smears@0.1.0, tuned on 24 labels\n" in text
    written = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    assert "smears@0.1.0" in json.dumps(written)
    _, error = run(capsys, *ask, "--model", base, code=2)
    assert "Give --model or --project" in " ".join(error.split())
    _, error = run(capsys, *ask[:3], str(tmp_path / "none.cellcls"), "--out", out, code=2)
    assert "[PROJECT-MISSING]" in error


def test_a_project_without_labels_says_so(tmp_path: Path, base: str, capsys) -> None:
    with make_project(tmp_path, 0) as project:
        folder = str(project.folder)
    _, error = run(capsys, "finetune", folder, "--base", base, code=4)
    assert "[LEARN-FEW]" in error and "nobody has given a cell a class yet" in error
    text, _ = run(capsys, "models", "history", folder)
    assert text.startswith("No version yet.")
