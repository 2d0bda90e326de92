"""``cellcls finetune --recipe`` and ``--export``: the same training here, and from the folder alone elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from napari_cellcls import cli
from napari_cellcls.learn import deep
from napari_cellcls.learn.deep_begin import begin
from napari_cellcls.learn.recipe import read_recipe
from napari_cellcls.models.package import read_package
from napari_cellcls.project import versions
from napari_cellcls.project.project import open_project
from napari_cellcls.vocabulary import finish
from tests.learn import smears


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A project with six labeled images."""
    project, _ = smears.project_of(tmp_path / "work")
    with project:
        return str(project.folder)


@pytest.fixture
def base(tmp_path: Path) -> str:
    return str(smears.base_model(tmp_path / "base.cellpkg").path)


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "short.yaml"
    path.write_text(
        "epochs: 1\nsteps_per_epoch: 2\nlearning_rate: 0.001\naugmentation: none\nseed: 7\n"
    )
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert cli.main(list(arguments)) == code
    found = capsys.readouterr()
    return found.out, found.err


def test_an_export_holds_all_and_trains_nothing(
    tmp_path: Path, folder: str, base: str, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "elsewhere"
    told, _ = run(
        capsys, "finetune", folder, "--base", base, "--recipe", recipe, "--export", str(out)
    )
    assert "Labeled cells: 24 training, 8 validation, 16 test" in told
    assert "cellcls train recipe.yaml --data data --out run" in told and str(out) in told
    assert sorted(p.name for p in out.iterdir()) == ["base.cellpkg", "data", "recipe.yaml"]
    found = read_recipe(out / "recipe.yaml")
    assert found.phases[-1].epochs == 1 and found.seed == 7 and not found.augmentation.active
    with open_project(folder, read_only=True) as project:
        assert deep.unfinished(project) is None and versions.history(project).attempts == ()
    _, error = run(capsys, "finetune", folder, "--base", base, "--export", str(out), code=4)
    assert "[DEEP-EXISTS]" in error


def test_a_recipe_means_deep_and_mistakes_come_first(
    tmp_path: Path, folder: str, base: str, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("epoch: 3\n")
    _, error = run(capsys, "finetune", folder, "--base", base, "--recipe", str(wrong), code=4)
    assert "[RECIPE-KEY]" in error and "Did you mean 'epochs'?" in error
    with open_project(folder) as project:
        left = finish(begin(project, read_package(base)))
    _, error = run(capsys, "finetune", folder, "--base", base, "--recipe", recipe, code=4)
    assert "[DEEP-UNFINISHED]" in error and "--anew" in error and left.is_dir()


@pytest.mark.tensorflow
def test_the_same_training_runs_from_another_folder(
    tmp_path: Path,
    folder: str,
    base: str,
    recipe: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told, _ = run(capsys, "finetune", folder, "--base", base, "--recipe", recipe, "--anew")
    assert "the whole network" in told and "learned from 32 cells, held out 16" in told
    with open_project(folder, read_only=True) as project:
        here = next(deep.runs_folder(project).iterdir())
    run(
        capsys, "finetune", folder, "--base", base, "--recipe", recipe,
        "--export", str(tmp_path / "out"),
    )  # fmt: skip
    there = tmp_path / "another computer"
    shutil.move(tmp_path / "out", there)
    Path(base).unlink()  # nothing of here is needed there
    monkeypatch.chdir(there)
    told, _ = run(capsys, "train", "recipe.yaml", "--data", "data", "--out", "run")
    assert "Model in run/model.cellpkg" in told
    one, two = (read_package(at / "run" / "model.cellpkg") for at in (here, there))
    assert one.weights_sha256 == two.weights_sha256  # to the bit, on the same computer
    assert two.manifest.provenance.n_labels > 0 and two.manifest.metrics.n == 16
