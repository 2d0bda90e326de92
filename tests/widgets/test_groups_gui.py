"""The dialog *Groups of images*: typing, filling, pasting, rules and files; nothing is written before *Save*."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMessageBox

from napari_cellcls.project.project import Project, create_project, open_project
from napari_cellcls.widgets.groups.dialog import GroupsDialog
from napari_cellcls.widgets.groups.table import FIRST
from tests.learn import smears

pytestmark = pytest.mark.gui
PLACES = ("P1/a.tif", "P1/b.tif", "P2/c.tif", "P2/d.tif", "other.tif")
SLIDE = FIRST + 3


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with create_project(tmp_path / "p.cellcls", classes=["RBC"], annotator="ana") as found:
        for place in PLACES:
            path = tmp_path / place
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(place.encode())
            found.add_image(path)
        yield found


@pytest.fixture(autouse=True)
def never_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left open at the end of a test closes without a question."""
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)


@pytest.fixture
def dialog(project: Project, qtbot: Any) -> GroupsDialog:
    return opened(project, qtbot)


def opened(project: Project, qtbot: Any) -> GroupsDialog:
    found = GroupsDialog(project)
    qtbot.addWidget(found)
    found.show()
    return found


def saved(project: Project) -> dict[str, dict[str, str]]:
    return {one.name: one.groups for one in project.journal.state.images.values() if one.groups}


def column(dialog: GroupsDialog, number: int) -> list[str]:
    return [dialog.model.index(row, number).data() for row in range(dialog.model.rowCount())]


def test_typed_filled_down_pasted_and_saved_in_one_step(
    dialog: GroupsDialog, project: Project
) -> None:
    assert not dialog.save_button.isEnabled() and dialog.save_button.toolTip()
    before = len(project.journal.state)
    assert dialog.model.setData(dialog.model.index(0, FIRST), " P 1 ")
    dialog.sheet.select_rows(0, 1, FIRST)
    QTest.keyClick(dialog.sheet, Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    assert column(dialog, FIRST) == ["P 1", "P 1", "", "", ""]
    dialog.sheet.select_rows(2, 2, FIRST)
    QGuiApplication.clipboard().setText("P2\tS1\nP2\tS2\nP3\t\nbeyond\tthe table\n")
    QTest.keyClick(dialog.sheet, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert column(dialog, FIRST) == ["P 1", "P 1", "P2", "P2", "P3"]
    assert column(dialog, SLIDE) == ["", "", "S1", "S2", ""]
    assert column(dialog, 8) == ["patient P 1"] * 2 + ["patient P2"] * 2 + ["patient P3"]
    assert dialog.model.index(0, FIRST).data(Qt.ItemDataRole.FontRole).bold()
    assert "was empty" in dialog.model.index(0, FIRST).data(Qt.ItemDataRole.ToolTipRole)
    assert "5 images in 3 groups. From 5 groups" in dialog.status.text()
    assert "5 images changed, not saved yet." in dialog.status.text()
    assert len(project.journal.state) == before
    dialog.save_button.click()
    assert not dialog.isVisible() and dialog.error.error is None
    assert saved(project)["d.tif"] == {"patient": "P2", "slide": "S2"}
    assert len({event.batch for event in project.journal.state.events if event.batch}) == 1


def test_a_pasted_table_with_titles_finds_its_images(dialog: GroupsDialog) -> None:
    QGuiApplication.clipboard().setText("image\tplate\nother\t7\na.tif\t8\nnot here.tif\t9\n")
    assert dialog.sheet.isColumnHidden(FIRST + 4)
    dialog.paste_button.click()
    assert not dialog.sheet.isColumnHidden(FIRST + 4)
    assert column(dialog, FIRST + 4) == ["8", "", "", "", "7"]
    assert "Not in the project: not here.tif" in dialog.status.text()
    dialog.sheet.select_rows(0, 4, FIRST + 4)
    dialog.sheet.copy()
    assert QGuiApplication.clipboard().text() == "8\n\n\n\n7"
    dialog.clear_button.click()
    assert not dialog.model.wanted


def test_a_rule_is_shown_before_it_fills_and_is_kept_for_later_when_asked(
    dialog: GroupsDialog, project: Project, tmp_path: Path
) -> None:
    assert not dialog.rule.fill_button.isEnabled()
    dialog.rule.edit.setText("P\\d+")
    assert "no part of it has a name" in dialog.rule.preview.text()
    dialog.rule.edit.setText(r"/(?P<patient>Q\d+)/")
    assert "It fits no path" in dialog.rule.preview.text()
    dialog.rule.edit.setText(r"/(?P<patient>P\d+)/")
    assert dialog.rule.preview.text() == "It fits 4 of 5 images: patient P1 (2), patient P2 (2)"
    assert not dialog.model.wanted
    dialog.rule.fill_button.click()
    assert column(dialog, FIRST) == ["P1", "P1", "P2", "P2", ""]
    assert not saved(project)
    dialog.rule.later.setChecked(True)
    dialog.save_button.click()
    assert project.journal.state.grouping == r"/(?P<patient>P\d+)/"
    (tmp_path / "P2" / "e.tif").write_bytes(b"e")
    project.add_image(tmp_path / "P2" / "e.tif")
    assert saved(project)["e.tif"] == {"patient": "P2"}


def test_a_suggestion_is_tried_and_the_rule_forgotten(project: Project, qtbot: Any) -> None:
    first = opened(project, qtbot)
    (button,) = first.rule.suggestions
    button.click()
    assert "It fits 4 of 5 images" in first.rule.preview.text() and not first.model.wanted
    first.rule.later.setChecked(True)
    first.save_button.click()
    assert project.journal.state.grouping and not saved(project)
    second = opened(project, qtbot)
    assert second.rule.later.isChecked() and not second.save_button.isEnabled()
    second.rule.later.setChecked(False)
    second.save_button.click()
    assert project.journal.state.grouping == ""


def test_a_bad_file_changes_nothing_and_says_why(dialog: GroupsDialog, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("image,patient\na.tif,P1\na.tif,P2\n")
    dialog.take_file(str(table))
    assert dialog.error.error.code == "PROJECT-GROUP-TWICE" and not dialog.model.wanted
    table.write_text("image,patient\na.tif," + "x" * 200)
    dialog.take_file(str(table))
    assert dialog.error.error.code == "PROJECT-GROUP-NAME" and not dialog.model.wanted
    table.write_text("image,patient\na.tif,P1\n")
    dialog.take_file(str(table))
    assert dialog.error.error is None and column(dialog, FIRST)[0] == "P1"
    assert "From t.csv: 1 image, 1 changed." in dialog.status.text()


def test_closing_asks_once(
    dialog: GroupsDialog, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    answers = iter((QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes))
    monkeypatch.setattr(
        QMessageBox, "question", lambda *texts: (asked.append(texts), next(answers))[1]
    )
    dialog.model.setData(dialog.model.index(0, FIRST), "P1")
    dialog.reject()
    assert dialog.isVisible() and len(asked) == 1
    dialog.reject()
    assert not dialog.isVisible() and not saved(project)


def test_a_second_window_only_reads(project: Project, qtbot: Any) -> None:
    assert project.journal.flush(60)
    with open_project(project.folder, annotator="ben") as second:
        dialog = opened(second, qtbot)
        index = dialog.model.index(0, FIRST)
        assert not dialog.model.setData(index, "P1")
        assert not index.flags() & Qt.ItemFlag.ItemIsEditable
        for button in (dialog.paste_button, dialog.load_button, dialog.save_button):
            assert not button.isEnabled() and "in use" in button.toolTip().lower()
        QGuiApplication.clipboard().setText("P1")
        QTest.keyClick(dialog.sheet, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClick(dialog.sheet, Qt.Key.Key_Delete)
        assert not dialog.model.wanted
        dialog.reject()
        assert not dialog.isVisible()


def test_both_docks_open_it_and_count_with_it(
    viewer: Any, own_home: Path, tmp_path: Path, qtbot: Any
) -> None:
    project, _ = smears.project_of(tmp_path / "work", images=3, labeled=2)
    folder = project.folder
    assert project.close()
    _, tune = viewer.window.add_plugin_dock_widget("napari-cellcls", "Fine-tune")
    qtbot.waitUntil(lambda: not tune.busy, timeout=60_000)
    assert not tune.teach.groups_button.isEnabled() and tune.teach.groups_button.toolTip()
    _, review = viewer.window.add_plugin_dock_widget("napari-cellcls", "Review cells")
    tune.controller.source.look()
    tune.teach.open_asked.emit(str(folder))
    qtbot.waitUntil(lambda: not tune.busy and not review.busy, timeout=60_000)
    assert "2 more images with labels" in tune.teach.hint.text()
    tune.teach.groups_button.click()
    dialog = tune.groups.dialog
    assert dialog.isVisible() and column(dialog, 1) == ["2", "2", "2"]
    dialog.model.write([(row, FIRST, "P1") for row in (0, 1)])
    order = review.controller.order.tolist()
    dialog.save_button.click()
    qtbot.waitUntil(lambda: not tune.busy, timeout=60_000)
    assert tune.groups.dialog is None and review.controller.order.tolist() == order
    assert "3 more patients, slides or plates with labels" in tune.teach.hint.text()
    review.project_bar.fill_menu()
    (entry,) = [a for a in review.project_bar.menu.actions() if a.text() == "Groups of images …"]
    entry.trigger()
    assert column(review.groups.dialog, FIRST) == ["P1", "P1", ""]
    review.groups.dialog.reject()
    assert review.groups.dialog is None
    for dock in (tune, review):
        viewer.window.remove_dock_widget(dock)
