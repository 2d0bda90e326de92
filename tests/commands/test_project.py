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


def test_groups_are_told_set_by_table_rule_and_hand(folder: Path, tmp_path: Path, capsys):
    for name in ("P1_a.tif", "P1_b.tif", "P2_c.tif", "P2_d.tif"):
        (tmp_path / name).write_bytes(name.encode())
        assert cli.main(["project", "add", str(folder), str(tmp_path / name)]) == 0
    group = ["project", "group", str(folder)]
    capsys.readouterr()
    assert cli.main(group) == 0
    text = capsys.readouterr().out
    assert "5 images, each a group of its own." in text
    assert "Suggestion: 4 images of 2 patients, told by their paths." in text

    rule = ["--from-path", r"/(?P<patient>P\d+)_"]
    assert cli.main([*group, *rule, "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "P1_a.tif\t-\tpatient P1" in text and "4 of 5 images would be changed." in text
    assert "5 images in 3 groups; one stands for itself." in text
    assert cli.main(group) == 0
    assert "each a group of its own" in capsys.readouterr().out  # nothing was changed

    assert cli.main([*group, *rule, "--later"]) == 0
    assert "Images added later follow" in capsys.readouterr().out
    (tmp_path / "P1_e.tif").write_bytes(b"e")
    assert cli.main(["project", "add", str(folder), str(tmp_path / "P1_e.tif")]) == 0
    table = tmp_path / "t.csv"
    table.write_text("image,slide\nday1,S1\nother.tif,S2\n")
    assert cli.main([*group, str(table)]) == 2
    assert "PROJECT-GROUP-IMAGE" in capsys.readouterr().err
    assert cli.main([*group, str(table), "--skip-unknown"]) == 0
    assert "1 images are not in the project" in capsys.readouterr().err
    hand = ["--image", "day1.tif", "--set", "slide=", "--set", "Patient=P 7"]
    assert cli.main([*group, *hand]) == 0
    with open_project(folder, read_only=True) as project:
        found = {one.name: one.groups for one in project.journal.state.images.values()}
    assert found["day1.tif"] == {"patient": "P 7"}
    assert found["P1_e.tif"] == found["P1_a.tif"] == {"patient": "P1"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from-path", "x", "--image", "a", "--set", "slide=1"], "Give one of"),
        (["--set", "slide=1"], "go together"),
        (["--later"], "--later goes with --from-path"),
        (["--image", "day1.tif", "--set", "slide"], "write patient=P12"),
        (["--image", "day9.tif", "--set", "slide=1"], "PROJECT-IMAGE"),
        (["--image", "day1.tif", "--set", "color=red"], "PROJECT-GROUP-NAME"),
        (["--from-path", r"P\d+"], "PROJECT-GROUP-RULE"),
        (["nowhere.csv"], "PROJECT-GROUP-TABLE"),
    ],
)
def test_wrong_groups_are_wrong_usage(folder: Path, capsys, arguments: list[str], said: str):
    assert cli.main(["project", "group", str(folder), *arguments]) == 2
    text = " ".join(capsys.readouterr().err.split())
    assert said in text
