"""The program as people and scripts meet it: files, words, exit codes, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import tifffile

from napari_cellcls import __version__, cli
from napari_cellcls.commands import checkup, console
from napari_cellcls.commands.report import MANY
from napari_cellcls.models import runtime
from tests.models import make

CELLS = {3: (4, 4, 24, 24), 9: (30, 10, 52, 30), 12: (0, 40, 18, 60)}


def smear(path: Path, shape: tuple[int, int] = (64, 72)) -> Path:
    """Write a bright photograph with three darker cells, and its label image beside it."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(215, 225, (*shape, 3)).astype(np.uint8)
    labels = np.zeros(shape, np.uint16)
    for label, (y0, x0, y1, x1) in CELLS.items():
        pixels[y0:y1, x0:x1] = (200, 140, 150)
        labels[y0:y1, x0:x1] = label
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)
    tifffile.imwrite(path.with_name(f"{path.stem}_labels.tif"), labels)
    return path


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "models" / "small.cellpkg"
    path.parent.mkdir()
    make.package(path)
    return str(path)


def classify(out: Path, model: str, *arguments: object) -> int:
    return cli.main(["classify", *map(str, arguments), "--model", model, "--out", str(out)])


def summary(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text("utf-8"))


def test_the_start_is_light() -> None:
    heavy = [
        "numpy",
        "pandas",
        "scipy",
        "skimage",
        "dask",
        "pydantic",
        "PIL",
        "keras",
        "onnxruntime",
        "bioio",
    ]
    program = f"import sys, napari_cellcls.cli; print(*sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"napari-cellcls {__version__}\n"


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "napari_cellcls", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith(__version__)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["classify", "--out", "o"], "Missing argument 'images'"),
        (["classify", "a.png"], "Missing option '--out'"),
        (
            ["classify", "a.png", "--out", "o", "--z", "top"],
            "--z is a number from 0 on, or max; received 'top'",
        ),
        (
            ["classify", "a.png", "--out", "o", "--engine", "mill"],
            "Invalid value for '--engine': 'mill' is not one of 'auto'",
        ),
        (["classify", "a.png", "--out", "o", "--time", "-1"], "'--time'"),
        (["classify", "a.png", "--out", "o", "--batch-size", "0"], "'--batch-size'"),
        (["classify", "a.png", "--out", "o", "--device", "banana"], "There is no device 'banana'."),
        (["classify", "a.png", "--out", "o", "--labels", "no.tif"], "CELLS-NOLABELFILE"),
        (["classify", "a.png", "--out", "o", "--model", "no.cellpkg"], "MODEL-MISSING"),
        (["classify", "a.png", "--out", "o", "--model", "malaria"], "Did you mean 'malaria-thin-"),
        (["classify", "a.png", "--out", __file__], "EXPORT-NAME"),
        (["demo", "--out", __file__], "EXPORT-NAME"),
        (["classify", "", "--out", "o"], "an argument is empty"),
        (["classify", "a.png", "--out", ""], "is a variable of the shell not set?"),
        (["models", "install", "no.cellpkg"], "MODEL-MISSING"),
        (["models", "show", "HPA"], "Did you mean 'hpa-localization'"),
        (["classify", "a.png", "--out", "o", "--labels", "l.tif", "--find", "smear"], "not both"),
        (["classify", "a.png", "--out", "o", "--model", "nobody"], "There is no model 'nobody'"),
        (["classify", "a.png", "--out", "o", "--channels", "nucleus"], "CHANNEL-SYNTAX"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err + said.out


def test_a_device_that_is_not_here_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = runtime.EngineReport("onnxruntime", True, ("cpu",), "1", "")
    for name in runtime.ENGINES:
        monkeypatch.setitem(runtime._SURVEYS, name, lambda: here)
    image, out = smear(tmp_path / "f.png"), tmp_path / "out"
    assert cli.main(["classify", str(image), "--out", str(out), "--device", "cuda"]) == 4
    said = capsys.readouterr().err
    assert "[ENGINE-DEVICE]" in said and "Choose 'auto' or 'cpu'" in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--channels", "nucleus=DAPI", "CHANNEL-UNKNOWN"),
        ("--channels", "rgb_red=99", "CHANNEL-UNKNOWN"),
        ("--scene", "7", "IMG-INDEX"),
        ("--time", "7", "IMG-INDEX"),
        ("--z", "7", "IMG-INDEX"),
    ],
)
def test_what_no_image_has_is_wrong_usage(
    tmp_path: Path,
    model: str,
    option: str,
    value: str,
    code: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = [smear(tmp_path / "in" / f"{name}.png") for name in "ab"]
    assert classify(tmp_path / "out", model, *images, option, value) == 2
    said = capsys.readouterr().err
    assert said.count(f"[{code}]") == 2 and f"file: {images[0]}" in said
    (tmp_path / "text.png").write_text("no image")
    assert classify(tmp_path / "out", model, *images, tmp_path / "text.png", option, value) == 4


def test_one_image_with_labels(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image, out = smear(tmp_path / "in" / "field.png"), tmp_path / "out"
    assert classify(out, model, image, "--labels", tmp_path / "in" / "field_labels.tif") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "field.cells.csv", "field.labels.tif", "field.overlay.png", "summary.json",
    ]  # fmt: skip
    table = pd.read_csv(out / "field.cells.csv", keep_default_na=False)
    assert table["label"].tolist() == [3, 9, 12]
    assert table["border"].tolist() == [False, False, True]
    assert set(table["predicted"]) <= {"Alpha", "Beta"}
    assert (table["p_alpha"] + table["p_beta"]).round(5).eq(1).all()
    assert table["model"].str.startswith("small@1.0.0 ").all()
    assert set(np.unique(tifffile.imread(out / "field.labels.tif"))) == {0, 3, 9, 12}
    row = summary(out)["images"][0]
    assert (row["cells"]["count"], row["cells"]["touching_the_edge"]) == (3, 1)
    assert row["cells"]["found_by"] == "labels from field_labels.tif"
    assert sum(c["count"] for c in row["classes"]) == 3
    assert set(row["seconds"]) == {"read", "find", "predict", "write"}
    said = capsys.readouterr().out
    assert "1 image, 3 cells in" in said
    assert f"Results in {out}" in said


def test_the_same_call_gives_the_same_tables(tmp_path: Path, model: str) -> None:
    image = smear(tmp_path / "in" / "field.png")
    for name in ("one", "two"):
        assert classify(tmp_path / name, model, image, "--labels", tmp_path / "in") == 0
    for name in ("field.cells.csv", "field.labels.tif", "field.overlay.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_bad_file_among_good_ones(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = smear(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "empty.png").touch()
    (tmp_path / "in" / "empty_labels.tif").touch()
    arguments = (tmp_path / "in" / "empty.png", good, tmp_path / "gone.png")
    out = tmp_path / "out"
    assert classify(out, model, *arguments, "--labels", tmp_path / "in") == 3
    got = summary(out)
    assert [row["name"] for row in got["images"]] == ["good"]
    assert {row["name"]: row["code"] for row in got["failures"]} == {
        "empty": "IMG-EMPTY",
        "gone": "IMG-MISSING",
    }
    assert all(row["remedy"] for row in got["failures"])
    said = capsys.readouterr()
    assert "[IMG-EMPTY]" in said.err and "what to do:" in said.err
    assert "2 failed" in said.out
    assert "Traceback" not in said.err


def test_nothing_usable(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert classify(tmp_path / "out", model, tmp_path / "gone.png") == 4
    assert "No image could be used." in capsys.readouterr().err
    (tmp_path / "folder").mkdir()
    assert classify(tmp_path / "out", model, tmp_path / "folder") == 4
    assert "IMG-NOIMAGES" in capsys.readouterr().err


def blank(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.full((64, 72, 3), 230, np.uint8)).save(path)
    return path


def test_no_cells_at_all(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, why = tmp_path / "out", "nothing in the image is darker than its background"
    assert classify(out, model, blank(tmp_path / "f.png"), "--find", "smear") == 4
    said = capsys.readouterr()
    assert f"f\t0\tno cells found: {why}" in said.out.splitlines()
    assert "There are no cells in 'f'. [NO-CELLS]" in said.err and f"why: {why}." in said.err
    assert "what to do: Look at the pictures" in said.err
    table = pd.read_csv(out / "f.cells.csv")
    assert len(table) == 0 and {"label", "predicted", "p_alpha"} <= set(table.columns)
    assert PIL.Image.open(out / "f.overlay.png").size[0] >= 72
    assert not tifffile.imread(out / "f.labels.tif").any()
    assert summary(out)["totals"]["without_cells"] == ["f"]
    assert classify(out, model, blank(tmp_path / "g.png"), tmp_path / "f.png", tmp_path / "no") == 4
    said = capsys.readouterr()
    assert "There are no cells in any of the 2 images." in said.err
    assert "2 images: Channel 0 is constant (230), 1 is constant (230), 2 is" in said.err


def test_images_without_cells_among_others_are_named(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [smear(tmp_path / "in" / f"f{i}.png") for i in range(2)]
    images += [blank(tmp_path / "in" / "empty.png")]
    assert classify(tmp_path / "out", model, *images) == 0
    assert "empty\t0\tno cells found: " in capsys.readouterr().out
    for path in (tmp_path / "in").glob("*_labels.tif"):
        path.unlink()
    many = [smear(tmp_path / "in" / f"m{i}.png") for i in range(MANY)]
    assert classify(tmp_path / "out", model, *images, *many) == 0
    assert "1 image without cells: empty" in capsys.readouterr().err


def test_a_photograph_model_on_the_wrong_kind_of_image(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plane = np.random.default_rng(0).integers(0, 4000, (40, 40)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "gray.tif", plane)
    assert classify(tmp_path / "out", model, tmp_path / "gray.tif") == 4
    said = capsys.readouterr().err
    assert "CHANNEL-MISSING" in said
    assert "Traceback" not in said


def test_images_of_one_name_in_two_folders(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [smear(tmp_path / "in" / folder / "f.png") for folder in ("a", "b")]
    out = tmp_path / "out"
    assert classify(out, model, *images, "--labels", tmp_path / "in" / "a") == 0
    assert (out / "a_f.cells.csv").exists() and (out / "b_f.cells.csv").exists()
    said = capsys.readouterr()
    assert "2 images are called 'f'; their results are named a_f, b_f." in said.err
    assert {line.split("\t")[0] for line in said.out.splitlines()} >= {"a_f", "b_f"}
    assert [row["name"] for row in summary(out)["images"]] == ["a_f", "b_f"]


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        (np.zeros((9, 9), np.uint8), "CELLS-SIZE"),
        (np.full((64, 72), 0.5, np.float32), "CELLS-FLOAT"),
        (np.full((64, 72), -1, np.int16), "CELLS-NEGATIVE"),
        (np.zeros((64, 72), np.uint8), "CELLS-EMPTY"),
    ],
)
def test_labels_that_cannot_be_used_are_named(
    tmp_path: Path, model: str, labels: np.ndarray, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image, path = smear(tmp_path / "in" / "f.png"), tmp_path / "mine.tif"
    tifffile.imwrite(path, labels)
    assert classify(tmp_path / "out", model, image, "--labels", path) == 4
    said = capsys.readouterr().err
    assert f"[{code}]" in said
    assert f"  file: {path}\n" in said


def test_one_label_file_for_many_images_is_wrong_usage(tmp_path: Path, model: str) -> None:
    images = [smear(tmp_path / "in" / f"{name}.png") for name in "ab"]
    assert (
        classify(tmp_path / "out", model, *images, "--labels", tmp_path / "in" / "a_labels.tif")
        == 2
    )


def test_one_file_named_three_ways_is_one_image(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, out = smear(tmp_path / "f.png"), tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    assert classify(out, model, image, "f.png", "./f.png", "--labels", tmp_path) == 0
    assert [row["name"] for row in summary(out)["images"]] == ["f"]


def test_results_of_earlier_runs_are_no_images(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, labels = tmp_path / "in", tmp_path / "labels"
    smear(folder / "f.png")
    labels.mkdir()
    (folder / "f_labels.tif").rename(labels / "f.tif")
    assert classify(folder, model, folder, "--labels", labels) == 0
    assert classify(folder, model, folder, "--labels", labels) == 0
    assert [row["name"] for row in summary(folder)["images"]] == ["f"]
    assert "2 results of earlier runs were skipped." in capsys.readouterr().err


def test_embeddings(tmp_path: Path, model: str) -> None:
    image, out = smear(tmp_path / "in" / "f.png"), tmp_path / "out"
    assert classify(out, model, image, "--labels", tmp_path / "in", "--embeddings") == 0
    table = pd.read_parquet(out / "f.embeddings.parquet")
    assert table.shape == (3, 17) and table["label"].tolist() == [3, 9, 12]


def test_a_backbone_writes_embeddings_and_refuses_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "backbone.cellpkg"
    make.package(path, classes=[], inputs=[], channel_policy="each", level="backbone")
    image, out = smear(tmp_path / "in" / "f.png"), tmp_path / "out"
    assert classify(out, str(path), image, "--labels", tmp_path / "in") == 4
    assert "give --embeddings" in capsys.readouterr().err
    assert classify(out, str(path), image, "--labels", tmp_path / "in", "--embeddings") == 0
    assert pd.read_parquet(out / "f.embeddings.parquet").shape == (3, 1 + 16)
    assert summary(out)["images"][0]["without_class"] == 3


def test_a_fine_tuned_model_works_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tuned.cellpkg"
    sets = {"coverage": 0.9, "limits": [0, 0], "own": [True, True], "cells": 90, "groups": 20}
    make.package(path, descriptor="embedding+cell/1", level="tuned", sets=sets)
    image, out = smear(tmp_path / "in" / "f.png"), tmp_path / "out"
    assert classify(out, str(path), image, "--labels", tmp_path / "in", "--embeddings") == 0
    table = pd.read_csv(out / "f.cells.csv")
    assert table["could_be"].tolist() == ["Alpha|Beta"] * 3 and (table["p_alpha"] > 0).all()
    assert pd.read_parquet(out / "f.embeddings.parquet").shape == (3, 17)
    assert cli.main(["models", "show", str(path)]) == 0
    said = capsys.readouterr().out
    assert "fine-tuned on labels of a project" in said and "shape and intensity" in said
    assert "90% of cells" in said
    assert cli.main(["evaluate", str(path), "--data", str(tmp_path / "in")]) == 4
    assert "cannot judge crops without their image" in capsys.readouterr().err


def test_what_speaks_against_an_image_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    dark = np.column_stack([np.log(15) + rng.normal(0, 0.3, 40), rng.normal(0.1, 0.02, (40, 3))])
    path = tmp_path / "dark.cellpkg"
    make.package(path, reference={"plain": dark.astype(np.float32)})
    image, out = smear(tmp_path / "in" / "f.png", (200, 200)), tmp_path / "out"
    labels = np.zeros((200, 200), np.uint16)
    for k in range(12):
        labels[20 + 40 * (k // 4) :, 10 + 40 * (k % 4) :][:15, :15] = k + 1
    tifffile.imwrite(tmp_path / "in" / "f_labels.tif", labels)
    assert classify(out, str(path), image, "--labels", tmp_path / "in") == 0
    said = "The cells are brighter in red, green, blue than those the model learned from"
    assert said in " ".join(capsys.readouterr().err.split())
    assert any(note.startswith(said) for note in summary(out)["images"][0]["notes"])


@pytest.mark.skipif(os.name == "nt" or not os.getuid(), reason="needs a user without all rights")
def test_a_read_only_output_folder(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = smear(tmp_path / "in" / "f.png")
    (tmp_path / "out").mkdir(mode=0o555)
    assert classify(tmp_path / "out", model, image) == 4
    assert "[EXPORT-PERM]" in capsys.readouterr().err


def test_a_fault_of_ours_is_one_paragraph_and_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(checkup, "computer", broken)
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert "ZeroDivisionError: nobody thought of this. The details are in " in said
    assert "Traceback" not in said
    log = next(console.log_folder().iterdir())
    assert "Traceback" in log.read_text("utf-8")
    assert cli.main(["doctor", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_missing_part_makes_the_doctor_say_no(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("engines", "models", "window"):
        monkeypatch.setattr(checkup, name, lambda: iter(()))
    assert cli.main(["doctor"]) == 0
    assert "Images can be classified." in capsys.readouterr().out
    lost = checkup.Finding(
        "Reads TIFF", "missing", "not installed", "pip install bioio-tifffile", True
    )
    monkeypatch.setattr(checkup, "readers", lambda: iter([lost]))
    assert cli.main(["doctor"]) == 4
    said = capsys.readouterr().out
    assert "-> pip install bioio-tifffile" in said
    assert "Images cannot be classified: Reads TIFF." in said


def test_the_doctor_names_the_engine_it_chose(capsys: pytest.CaptureFixture[str]) -> None:
    found = list(checkup.engines())
    assert [f.part.split()[0] for f in found] == ["Engine"] * 4
    assert found[-1].text.startswith("auto takes onnxruntime")
    assert next(checkup.computer()).text.startswith(sys.version.split()[0])


def test_models_list_show_install(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["models", "install", model]) == 0
    assert cli.main(["models", "list"]) == 0
    assert "small@1.0.0\tuser\tAlpha, Beta\t" in capsys.readouterr().out
    assert cli.main(["models", "show", "small"]) == 0
    said = capsys.readouterr().out
    assert "Small test model" in said and "license:           BSD-3-Clause" in said
    assert cli.main(["models", "show", "nobody"]) == 2
    damaged = tmp_path / "damaged.cellpkg"
    damaged.write_bytes(b"PK nothing")
    assert cli.main(["models", "install", str(damaged)]) == 4
    assert "[MODEL-" in capsys.readouterr().err


def test_evaluate_refuses_what_it_cannot_do(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", model, "--data", str(tmp_path / "gone")]) == 2
    assert "[DATA-MISSING]" in capsys.readouterr().err
    arguments = [
        "evaluate",
        model,
        "--data",
        str(tmp_path),
        "--protocol",
        "patient-5fold",
        "--folds",
        str(tmp_path),
    ]
    assert cli.main(arguments) == 2
    assert "FOLDS-MISSING" in capsys.readouterr().err


def test_evaluate_all(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name in ("Alpha", "Beta"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 255, (24, 24, 3)).astype(np.uint8)
            PIL.Image.fromarray(pixels).save(tmp_path / "set" / name / f"C{i}P1_cell_{i}.png")
    out = tmp_path / "numbers.json"
    assert cli.main(["evaluate", model, "--data", str(tmp_path / "set"), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "it may have been trained on them" in said and "all cells" in said
    assert json.loads(out.read_text())["n"] == 12


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals for a child")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_leaves_whole_files_and_says_so(
    tmp_path: Path, model: str, number: signal.Signals, code: int
) -> None:
    for i in range(60):
        smear(tmp_path / "in" / f"f{i}.png", (600, 600))
    for path in (tmp_path / "in").glob("*_labels.tif"):
        path.rename(tmp_path / path.name)
    out = tmp_path / "out"
    arguments = [
        str(tmp_path / "in"),
        "--labels",
        str(tmp_path),
        "--model",
        model,
        "--out",
        str(out),
    ]
    child = subprocess.Popen(
        [sys.executable, "-m", "napari_cellcls", "classify", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while child.poll() is None and len(list(out.glob("f*.csv"))) < 2:
        time.sleep(0.02)
    child.send_signal(number)
    said = child.communicate(timeout=60)
    assert child.returncode == code, said
    assert "Traceback" not in said[1] and said[1].endswith("Stopped.\n")
    got = summary(out)
    assert got["interrupted"] is True
    assert 0 < len(got["images"]) < 60
    named = {name for row in got["images"] for name in row["files"].values()}
    assert {path.name for path in out.iterdir()} == named | {"summary.json"}
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    for row in got["images"]:
        assert len(pd.read_csv(out / row["files"]["cells"])) == 3
        assert PIL.Image.open(out / row["files"]["overlay"]).size[0] == 600


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals for a child")
def test_ctrl_c_while_the_program_loads_is_one_line() -> None:
    program = (
        "import builtins, sys\n"
        "from napari_cellcls.__main__ import main\n"
        "load = builtins.__import__\n"
        "def interrupted(name, *more):\n"
        "    if name == 'typer': raise KeyboardInterrupt\n"
        "    return load(name, *more)\n"
        "builtins.__import__ = interrupted\n"
        "sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no broken pipes of this kind")
@pytest.mark.parametrize("arguments", [["models", "list"], ["--help"], ["--version"]])
def test_a_reader_who_has_gone_is_no_fault(arguments: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "napari_cellcls", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None and child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 141


def test_plain_output_has_no_colors_and_no_wrapped_lines(tmp_path: Path, model: str) -> None:
    image = smear(tmp_path / ("a-rather-long-folder-name-" * 4) / "f.png")
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "napari_cellcls", "classify", str(image), "--labels", str(image.parent),
         "--model", model, "--out", str(out)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "\x1b" not in done.stdout + done.stderr
    assert "image\tcells\tfound" in done.stdout.splitlines()
    assert any(
        line.startswith(f"Results in {out}: summary.json") for line in done.stdout.splitlines()
    )
