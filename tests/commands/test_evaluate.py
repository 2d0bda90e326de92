"""``cellcls evaluate`` on what people have: own folders, other files, wrong options."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from napari_cellcls import cli
from napari_cellcls.learn import evaluate as learned
from napari_cellcls.learn.datasets import CellSet, open_dataset
from napari_cellcls.vocabulary import finish
from tests.learn import judged, sets, toy
from tests.models import make

MODEL = "malaria-thin-smear"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Class folders of someone's own: the model's classes, but no NIH names."""
    rng = np.random.default_rng(0)
    for label in ("Parasitized", "Uninfected"):
        (tmp_path / "own" / label).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 255, (24, 24, 3)).astype(np.uint8)
            PIL.Image.fromarray(pixels).save(tmp_path / "own" / label / f"{label}{i}.png")
    return tmp_path / "own"


def evaluate(*arguments: object) -> int:
    return cli.main(["evaluate", MODEL, "--data", *map(str, arguments)])


def test_own_folders_need_no_patients(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(own) == 0
    said = capsys.readouterr()
    assert "n                  12" in said.out
    assert "No patients are known" in said.err
    assert "patient-5fold needs them" in said.err and "groups.csv" in said.err


def test_groups_csv_tells_the_patients(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{path.name},p{i % 3}" for i, path in enumerate(sorted(own.glob("*/*.png")))]
    (own / "groups.csv").write_text("\n".join(lines))
    assert evaluate(own) == 0
    assert "No patients are known" not in capsys.readouterr().err


def test_the_protocol_by_patient_says_what_it_needs(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    about = {"size": 50, "classes": ["Parasitized", "Uninfected"]}
    monkeypatch.setattr(learned, "read_folds", lambda folder: about)
    assert evaluate(own, "--protocol", "patient-5fold") == 4
    said = capsys.readouterr().err
    assert "[DATA-GROUPS]" in said and f"file: {own}" in said
    assert "groups.csv" in said and "--protocol all" in said


def test_missing_folds_are_said_in_words(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(own, "--protocol", "patient-5fold", "--folds", tmp_path / "gone") == 2
    said = capsys.readouterr().err
    assert "[FOLDS-MISSING]" in said and "why: there is no such file or folder." in said
    assert "Errno" not in said and "Error:" not in said


def test_a_model_alone_has_held_nothing_out(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(own, "--protocol", "random") == 4
    said = capsys.readouterr().err
    assert "[RUN-PROTOCOL]" in said and "Give the folder of the run instead" in said


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--engine", "zzz", "'zzz' is not one of 'auto'"),
        ("--device", "banana", "[ENGINE-UNKNOWN]"),
        ("--protocol", "zzz", "'zzz' is not one of"),
        ("--out", __file__, "[EXPORT-NAME]"),
    ],
)
def test_wrong_options(
    own: Path, option: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(own, option, value) == 2
    assert words in capsys.readouterr().err


def test_what_is_no_set_of_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame({f"c{i}": [i] for i in range(40)}).to_parquet(tmp_path / "wide.parquet")
    assert evaluate(tmp_path / "wide.parquet") == 4
    said = capsys.readouterr().err
    assert "[DATA-LAYOUT]" in said and "c9 and 30 more" in said and "c10" not in said
    (tmp_path / "notes.txt").write_text("name,label\n")
    assert evaluate(tmp_path / "notes.txt") == 4
    said = capsys.readouterr().err
    assert "[DATA-LAYOUT]" in said and "Copy" not in said and "sub-folder of images" in said
    assert evaluate(tmp_path / "gone") == 2
    assert "[DATA-MISSING]" in capsys.readouterr().err


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return judged.write_data(tmp_path / "cell_images")


@pytest.fixture
def cells(data: Path) -> CellSet:
    return finish(open_dataset(data, size=toy.SIZE, classes=toy.CLASSES))


def run_of(folder: Path, cells: CellSet, seed: int = 0) -> Path:
    protocol = {"kind": "grouped", "folds": 2, "val": 0.2}
    for fold in range(2):
        sides = judged.by_patient(cells, fold)
        judged.write_run(folder, cells, sides, fold=fold, seed=seed + fold, protocol=protocol)
    return folder


def random_run(folder: Path, cells: CellSet) -> Path:
    order = np.random.default_rng(0).permutation(len(cells))
    sides = {"training": order[:24], "validation": order[24:32], "test": order[32:]}
    return judged.write_run(folder, cells, sides, seed=5, protocol={"kind": "random", "val": 0.2})


def test_a_run_is_judged_compared_and_written(
    tmp_path: Path, data: Path, cells: CellSet, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = run_of(tmp_path / "one", cells), run_of(tmp_path / "two", cells, seed=7)
    shared, out = random_run(tmp_path / "random", cells), tmp_path / "out"
    arguments = ["evaluate", one, "--data", data, "--compare", two, "--random-run", shared]
    assert cli.main([*map(str, arguments), "--protocol", "grouped", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "Protocol: patient-disjoint 2-fold, 8 groups (patient)" in said
    assert "Compared with Toy on the 48 images" in said and "a gap of" in said
    assert "Without looking at the cells:" in said and "intensity histogram" in said
    numbers = json.loads((out / "metrics.json").read_text())
    assert numbers["n"] == 48 and numbers["comparison"]["n"] == 48
    assert numbers["gap"]["random_n"] == 16 and numbers["groups_apart"] is True
    assert numbers["accuracy_low"] <= numbers["accuracy"] <= numbers["accuracy_high"]
    page = (out / "report.html").read_text()
    assert page.startswith("<!doctype html>") and "Two models on the same images" in page
    assert sorted(p.name for p in out.iterdir()) == ["metrics.json", "report.html"]


def test_a_run_is_only_judged_by_its_own_protocol(
    tmp_path: Path, data: Path, cells: CellSet, capsys: pytest.CaptureFixture[str]
) -> None:
    run, shared = run_of(tmp_path / "run", cells), random_run(tmp_path / "random", cells)
    for folder, protocol in ((run, "random"), (run, "patient-5fold"), (shared, "grouped")):
        arguments = ["evaluate", str(folder), "--data", str(data), "--protocol", protocol]
        assert cli.main(arguments) == 4
        said = capsys.readouterr().err
        assert "[RUN-PROTOCOL]" in said and f"asked for {protocol}" in said
    assert cli.main(["evaluate", str(shared), "--data", str(data), "--random-run", str(run)]) == 4
    assert "[RUN-PROTOCOL]" in capsys.readouterr().err


def test_a_folder_that_is_no_run(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert cli.main(["evaluate", str(tmp_path / "empty"), "--data", str(data)]) == 4
    assert "[RUN-MISSING]" in capsys.readouterr().err


def test_a_model_of_three_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k, label in enumerate(("Alpha", "Beta", "Gamma")):
        (tmp_path / "own" / label).mkdir(parents=True)
        for i in range(4):
            pixels = PIL.Image.fromarray(judged.texture(10 * k + i, 30))
            pixels.save(tmp_path / "own" / label / f"{label}{i}.png")
    classes = [
        {"id": name.lower(), "name": name, "color": "#d55e00"}
        for name in ("Alpha", "Beta", "Gamma")
    ]
    make.package(tmp_path / "three.cellpkg", classes=classes)
    out = tmp_path / "numbers.json"
    arguments = ["evaluate", str(tmp_path / "three.cellpkg"), "--data", str(tmp_path / "own")]
    assert cli.main([*arguments, "--out", str(out)]) == 0
    numbers = json.loads(out.read_text())
    assert list(numbers["classes"]) == ["Alpha", "Beta", "Gamma"] and numbers["n"] == 12
    assert np.array(numbers["confusion"]).sum() == 12 and not (tmp_path / "report.html").exists()


def test_one_model_of_a_run_on_all_images(
    tmp_path: Path, data: Path, cells: CellSet, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(tmp_path / "run", cells)
    arguments = ["--data", str(data), "--protocol", "all"]
    (run / "fold0" / "model.cellpkg").touch()
    assert cli.main(["evaluate", str(run), *arguments]) == 4
    said = capsys.readouterr().err
    assert "[RUN-PROTOCOL]" in said and str(run / "fold0" / "model.cellpkg") in said
    classes = [{"id": name.lower(), "name": name, "color": "#d55e00"} for name in toy.CLASSES]
    make.package(run / "fold0" / "model.cellpkg", classes=classes)
    assert cli.main(["evaluate", str(run / "fold0"), *arguments]) == 0
    assert "as shipped on all 48 images given" in capsys.readouterr().out


def test_several_labels_for_a_model_of_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets.write_hpa(tmp_path / "hpa", {"1_a_A1_1": "0 1", "2_a_A1_1": "1", "3_a_A1_1": "0"})
    names = ("Nucleoplasm", "Nuclear membrane")
    classes = [{"id": f"c{k}", "name": name, "color": "#d55e00"} for k, name in enumerate(names)]
    make.package(tmp_path / "one.cellpkg", classes=classes)
    assert (
        cli.main(["evaluate", str(tmp_path / "one.cellpkg"), "--data", str(tmp_path / "hpa")]) == 4
    )
    said = capsys.readouterr().err
    assert "[DATA-LABEL]" in said and "the model gives one" in said


def test_one_file_or_the_other(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(own, "--out", tmp_path / "page.html") == 0
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert not list(tmp_path.glob("*.json"))
    (tmp_path / "folder.json").mkdir()
    capsys.readouterr()
    assert evaluate(own, "--out", tmp_path / "folder.json") == 2
    assert "[EXPORT-NAME]" in capsys.readouterr().err


def test_photographs_are_no_patients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = sets.write_boxes(tmp_path / "bccd")
    about = {"size": 48, "classes": ["RBC", "WBC", "Platelets"], "frame": "square", "margin": 0.25}
    seen: list[CellSet] = []

    def of_folds(cells: CellSet, folder: Path) -> object:
        seen.append(cells)
        raise learned.DataError("Stopped here.", code="DATA-GROUPS", why="seen")

    monkeypatch.setattr(learned, "read_folds", lambda folder: about)
    monkeypatch.setattr(learned, "of_folds", of_folds)
    arguments = ["evaluate", "blood-cells", "--data", str(data), "--protocol"]
    assert cli.main([*arguments, "patient-5fold"]) == 4 and not seen
    said = capsys.readouterr().err
    assert "[RUN-PROTOCOL]" in said and "Use --protocol image-5fold." in said
    assert cli.main([*arguments, "image-5fold"]) == 4
    assert seen[0].group_kind == "image" and seen[0].images.shape[1:] == (48, 48, 3)
    tight = finish(open_dataset(data, size=48, classes=tuple(about["classes"]), frame="square"))
    assert not np.array_equal(seen[0].images, tight.images)
