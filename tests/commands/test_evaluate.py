"""``cellcls evaluate`` on what people have: own folders, other files, wrong options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from napari_cellcls import cli
from napari_cellcls.learn import evaluate as learned

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
