"""``cellcls project``: what it prints and its exit codes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from napari_cellcls import cli
from napari_cellcls.project.project import open_project


@pytest.fixture
def folder(tmp_path: Path, capsys) -> Path:
    image = tmp_path / "day1.tif"
    image.write_bytes(b"pixels")
    folder = tmp_path / "p.cellcls"
    arguments = ["--class", "RBC", "--class", "WBC", "--image", str(image), "--annotator", "ana"]
    assert cli.main(["project", "create", str(folder), *arguments]) == 0
    with open_project(folder, annotator="ana") as project:
        project.journal.label("a", "rbc")
        project.journal.label("b", "wbc")
        project.journal.comment("b", "dark")
    capsys.readouterr()
    return folder


def test_info_counts_per_class_and_annotator(folder: Path, capsys):
    assert cli.main(["project", "info", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "p: 2 cells, 6 events" in text
    assert "day1.tif\tfound\t" in text
    assert "class\tkey\tcolor\tana" in text
    assert "RBC\t\t#d55e00\t1" in text


def test_export_writes_the_table(folder: Path, tmp_path: Path, capsys):
    assert cli.main(["project", "export", str(folder), "--out", str(tmp_path / "l.csv")]) == 0
    table = pd.read_csv(tmp_path / "l.csv")
    assert table["class"].tolist() == ["RBC", "WBC"]
    assert table["comments"].fillna("").tolist() == ["", "dark"]
    assert cli.main(["project", "export", str(folder)]) == 0
    assert (folder / "exports" / "labels.csv").is_file()


def test_check_finds_changed_rows_and_restores(folder: Path, capsys):
    assert cli.main(["project", "check", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "Journal: 6 events, whole and in order." in text
    assert "is whole" in text
    with sqlite3.connect(folder / "journal.db") as connection:
        connection.execute("DROP TRIGGER event_no_delete")
        connection.execute("DELETE FROM event WHERE cell_id = 'a'")
    connection.close()
    assert cli.main(["project", "check", str(folder)]) == 3
    assert "is missing" in capsys.readouterr().out
    assert cli.main(["project", "check", str(folder), "--restore"]) == 0
    text = capsys.readouterr().out
    assert "made anew from 6 events" in text
    assert "journal.damaged-" in text


def test_a_damaged_journal_is_told_with_exit_code_3(folder: Path, capsys):
    (folder / "journal.db").write_bytes(b"")
    assert cli.main(["project", "check", str(folder)]) == 3
    assert "JOURNAL-DAMAGED" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["info", "check", "export"])
def test_a_wrong_folder_is_wrong_usage(tmp_path: Path, capsys, command: str):
    assert cli.main(["project", command, str(tmp_path / "nowhere")]) == 2
    assert "PROJECT-MISSING" in capsys.readouterr().err


def test_a_wrong_image_leaves_nothing_behind(tmp_path: Path, capsys):
    arguments = ["project", "create", str(tmp_path / "p"), "--image", str(tmp_path / "x.tif")]
    assert cli.main(arguments) == 4
    assert "IMG-MISSING" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
