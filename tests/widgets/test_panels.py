from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QWidget

from napari_cellcls.counting import wilson
from napari_cellcls.marks import class_marks
from napari_cellcls.vocabulary import ChannelRole, ClassScheme, ImageError, InputPlane, Progress
from napari_cellcls.widgets.panels.channels import AUTOMATIC, ChannelsPanel
from napari_cellcls.widgets.panels.inputs import Menu, Option
from napari_cellcls.widgets.panels.look import Section, ink_on
from napari_cellcls.widgets.panels.messages import ErrorPanel, NoticesPanel, details
from napari_cellcls.widgets.panels.results import parasitemia_words, percent
from napari_cellcls.widgets.panels.run import RunPanel, time_left
from napari_cellcls.widgets.panels.thresholds import ThresholdsPanel

SCHEME = ClassScheme.from_names(("Parasitized", "Uninfected"))
ERROR = ImageError(
    "The file is cut off.",
    code="IMG-TRUNC",
    path="a.tif",
    why="3 of 4 bytes",
    remedy="Copy it again.",
)


@pytest.fixture
def parent(qtbot: Any) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    return widget


def test_marks_are_unique_and_short() -> None:
    names = ("Nucleoplasm", "Nuclear membrane", "Nucleoli", "Cytosol", "N", "N 2", "—")
    marks = class_marks(names)
    assert marks[0] == "N"
    assert marks[1] == "Nm"
    assert len(set(marks)) == len(names)
    assert all(1 <= len(mark) <= 2 for mark in marks)


def test_ink_is_readable_on_light_and_dark() -> None:
    assert ink_on("#f0e442") == "#000000"
    assert ink_on("#0072b2") == "#ffffff"


def test_a_disabled_entry_says_why(parent: QWidget, qtbot: Any) -> None:
    menu = Menu(parent)
    menu.fill([Option("auto", 0), Option("OpenVINO", 1, why_not="pip install openvino")], 0)
    assert not menu.model().item(1).isEnabled()
    assert menu.itemData(1, 3) == "pip install openvino"
    assert menu.value == 0


def test_filling_a_menu_emits_nothing_but_picking_does(parent: QWidget, qtbot: Any) -> None:
    menu = Menu(parent)
    with qtbot.assertNotEmitted(menu.picked):
        menu.fill([Option("a", "A"), Option("b", "B")], "B")
    with qtbot.waitSignal(menu.picked) as caught:
        menu.activated.emit(0)
    assert caught.args == ["A"]


def test_an_empty_menu_says_what_to_do(parent: QWidget) -> None:
    menu = Menu(parent)
    menu.fill([], None, empty="open an image first")
    assert menu.currentText() == "open an image first"
    assert not menu.isEnabled()
    assert menu.value is None


def test_choosing_a_channel_by_hand_and_taking_it_back(parent: QWidget, qtbot: Any) -> None:
    panel = ChannelsPanel(parent)
    inputs = (
        InputPlane(ChannelRole.NUCLEUS, "Nucleus"),
        InputPlane(ChannelRole.ER, "ER", optional=True),
    )
    panel.show_mapping(inputs, ("DAPI", "GFP"), (0, None), ("name contains 'DAPI'", ""), {})
    assert panel.menus["nucleus"].currentText() == "DAPI"
    assert panel.menus["er"].value == AUTOMATIC
    with qtbot.waitSignal(panel.changed) as caught:
        panel.menus["nucleus"].activated.emit(2)
    assert caught.args == [{"nucleus": 1}]
    panel.show_mapping(inputs, ("DAPI", "GFP"), (1, None), ("chosen by hand", ""), {"nucleus": 1})
    with qtbot.waitSignal(panel.changed) as caught:
        panel.menus["nucleus"].activated.emit(0)
    assert caught.args == [{}]


def test_thresholds_emit_all_values(parent: QWidget, qtbot: Any) -> None:
    panel = ThresholdsPanel(parent)
    panel.show_scheme(SCHEME, (0.5, 0.5))
    with qtbot.assertNotEmitted(panel.changed):
        panel.set_values((0.6, 0.5))
    with qtbot.waitSignal(panel.changed) as caught:
        panel.boxes[1].setValue(0.7)
    assert caught.args == [(0.6, 0.7)]


def test_an_error_shows_every_part_and_copies_it(parent: QWidget, qtbot: Any) -> None:
    panel = ErrorPanel(parent)
    panel.show_error(ERROR)
    assert panel.what.text() == "The file is cut off."
    assert "3 of 4 bytes" in panel.why.text()
    assert "a.tif" in panel.why.text()
    assert panel.remedy.text() == "What to do: Copy it again."
    assert panel.code.text() == "IMG-TRUNC"
    panel.copy_button.click()
    assert QGuiApplication.clipboard().text() == details(ERROR)
    panel.close_button.click()
    assert panel.isHidden() and panel.error is None


def test_notices_have_a_sign_that_is_no_color(parent: QWidget) -> None:
    panel = NoticesPanel(parent)
    panel.show_notices((("warning", "Starter model."), ("info", "12 bit.")))
    assert panel.texts == ("Starter model.", "12 bit.")
    panel.show_notices(())
    assert panel.isHidden()


def test_the_buttons_say_why_they_are_dead(parent: QWidget) -> None:
    panel = RunPanel(parent)
    panel.set_ready("There is no image.")
    assert not panel.classify_button.isEnabled()
    assert panel.classify_button.toolTip() == "There is no image."
    assert panel.cancel_button.toolTip() == "Nothing is running."
    panel.set_ready("")
    panel.set_running("Finding cells")
    assert not panel.classify_button.isEnabled() and panel.cancel_button.isEnabled()
    panel.show_progress(Progress(3, 10, "Classifying"))
    assert (panel.bar.value(), panel.bar.maximum()) == (3, 10)
    panel.set_idle("Canceled.")
    assert panel.classify_button.isEnabled() and panel.status.text() == "Canceled."


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ((0, 10, 5), ""),
        ((5, 10, 0.5), ""),
        ((5, 10, 20), "about 20 s left"),
        ((1, 10, 60), "about 9 min left"),
    ],
)
def test_time_left(step: tuple[int, int, float], expected: str) -> None:
    assert time_left(*step) == expected


def test_a_section_opens_by_its_button(parent: QWidget) -> None:
    content = QWidget()
    section = Section("Channels", content, parent)
    assert content.isHidden()
    section.button.click()
    assert not content.isHidden()


def test_fractions_carry_their_interval() -> None:
    assert percent(wilson(31, 1284)) == "2.4 % (1.7–3.4)"
    assert percent(wilson(0, 1000)) == "0.00 % (0.00–0.38)"


def test_parasitemia_says_why_it_is_not_corrected() -> None:
    from napari_cellcls.counting import undefined

    words = parasitemia_words(
        {"apparent": wilson(31, 1284), "corrected": undefined("no specificity")}
    )
    assert "Parasitemia 2.4 % (1.7–3.4)" in words
    assert "Not corrected for the model's errors: no specificity." in words
    assert "Research use only" in words
    assert parasitemia_words({}) == ""
