"""The dock *Review cells* in a real window, by real keys and clicks."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_cellcls.project.project import open_project
from napari_cellcls.review import queue
from napari_cellcls.review.order import Ranker, Show, Sort, View
from napari_cellcls.vocabulary import Progress
from napari_cellcls.widgets.review import picture

from .conftest import dock_of
from .fakes import cells_of, predictions_of, smear_picture
from .test_gui import canvas_of, on_canvas

pytestmark = pytest.mark.gui


def give_predictions(classify: Any, qtbot: Any) -> Any:
    """Give the session predictions with known numbers: even cells Parasitized, ever more doubtful."""
    session = classify.session
    count = len(session.cells)
    sure = np.linspace(0.95, 0.55, count)
    chances = np.stack([np.where(np.arange(count) % 2, 1 - sure, sure)] * 2, axis=1)
    chances[:, 1] = 1 - chances[:, 0]
    told = predictions_of(session.cells, chances, session.scheme)
    session.predictions = session._raw = told
    session.predictions_changed.emit()
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=30_000)
    return told


def settle(review: Any, qtbot: Any) -> None:
    qtbot.wait(20)
    qtbot.waitUntil(lambda: not review.busy, timeout=60_000)
    qtbot.wait(20)


@pytest.fixture
def open_review(viewer: Any, qtbot: Any) -> Iterator[Callable[[], Any]]:
    """Return a function that opens the dock; it is taken away at the end, which frees the project."""
    opened: list[Any] = []

    def make() -> Any:
        _, review = viewer.window.add_plugin_dock_widget("napari-cellcls", "Review cells")
        opened.append(review)
        settle(review, qtbot)
        return review

    yield make
    for review in opened:
        if review.parent() is not None:
            viewer.window.remove_dock_widget(review)
            qtbot.wait(20)


@pytest.fixture
def both(
    smear_viewer: Any, open_dock: Callable[[], Any], open_review: Callable[[], Any], qtbot: Any
) -> tuple[Any, Any]:
    """Both docks with twelve classified cells."""
    classify = open_dock()
    give_predictions(classify, qtbot)
    review = open_review()
    assert review.error.error is None
    return classify, review


def drawn_as(review: Any) -> np.ndarray:
    """Return what is in the layer of outlines, with the frame lifted."""
    layers = review.controller.layers
    layers.frame_row(None)
    return np.asarray(layers.outlines.data)


def expected(review: Any) -> np.ndarray:
    subject = review.controller.subject
    return picture.raster(subject.sheet, subject.strokes)


def canvas_key(viewer: Any, review: Any, key: Any, modifier: Any = None, qtbot: Any = None) -> None:
    canvas = canvas_of(viewer, review)
    canvas.setFocus()
    QTest.keyClick(canvas, key, modifier or Qt.KeyboardModifier.NoModifier)
    if qtbot is not None:
        qtbot.wait(20)


def labels_of(review: Any) -> dict[int, str]:
    sheet = review.controller.subject.sheet
    return {
        row: sheet.classes[int(sheet.label[row])].name
        for row in range(len(sheet))
        if sheet.label[row] >= 0
    }


def test_keys_in_the_image_label_and_undo_and_everything_follows(
    smear_viewer: Any, both: tuple[Any, Any], qtbot: Any
) -> None:
    viewer, (classify, review) = smear_viewer, both
    assert review.gallery.tiles.rowCount() == len(classify.session.cells) == 12
    assert review.controller.keeper.project is None  # opening the dock makes nothing
    assert not classify.controller.layers.classes_layer.visible
    first = review.gallery.current_row
    assert first is not None
    canvas_key(viewer, review, Qt.Key.Key_2, qtbot=qtbot)
    project = review.controller.keeper.project
    assert project is not None and "unnamed" in str(project.folder)
    assert labels_of(review) == {first: "Uninfected"}
    assert np.array_equal(drawn_as(review), expected(review))
    assert "12 cells classified, 1 labeled by people" in classify.results.headline.text()
    features = classify.controller.layers.cells_layer.features
    label = int(classify.session.cells.ids[first])
    assert features.loc[features["index"] == label, "class"].iat[0] == "Uninfected"
    second = review.gallery.current_row
    assert second != first  # it went on by itself
    canvas_key(viewer, review, Qt.Key.Key_Return, qtbot=qtbot)
    assert len(labels_of(review)) == 2
    event = project.journal.state.to_undo(project.journal.annotator)[0]
    assert event.source == "accepted" and event.shown_prob is not None
    canvas_key(viewer, review, Qt.Key.Key_B, qtbot=qtbot)
    canvas_key(viewer, review, Qt.Key.Key_S, qtbot=qtbot)
    assert review.controller.subject.sheet.skipped.sum() == 1
    control = Qt.KeyboardModifier.ControlModifier
    for _ in range(3):
        canvas_key(viewer, review, Qt.Key.Key_Z, control, qtbot)
    assert labels_of(review) == {first: "Uninfected"} and review.gallery.current_row == second
    canvas_key(viewer, review, Qt.Key.Key_Z, control | Qt.KeyboardModifier.ShiftModifier, qtbot)
    assert len(labels_of(review)) == 2
    canvas_key(viewer, review, Qt.Key.Key_0, qtbot=qtbot)
    assert np.array_equal(drawn_as(review), expected(review))
    qtbot.waitUntil(lambda: "all saved: " in review.project_bar.saved.text(), timeout=10_000)


def test_a_click_in_the_image_selects_and_the_gallery_flies_there(
    smear_viewer: Any, both: tuple[Any, Any], qtbot: Any
) -> None:
    viewer, (classify, review) = smear_viewer, both
    cell = classify.session.cells.table.iloc[5]
    layer = classify.controller.layers.cells_layer
    canvas = canvas_of(viewer, review)
    viewer.reset_view()
    qtbot.wait(50)
    point = on_canvas(viewer, canvas, layer.data_to_world((cell.y, cell.x)))
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=point)
    qtbot.wait(50)
    assert review.gallery.current_row == 5
    assert f"Cell {int(cell.label)}" in review.decide.words.text()
    index = review.gallery.tiles.index_of(9)
    review.gallery.scrollTo(index)
    place = review.gallery.visualRect(index).center()
    QTest.mouseClick(review.gallery.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.wait(50)
    other = classify.session.cells.table.iloc[9]
    assert review.gallery.current_row == 9
    center = np.asarray(viewer.scene.camera.center)[-2:]
    assert np.allclose(center, layer.data_to_world((other.y, other.x)), atol=0.3)


def test_keys_in_the_dock_work_and_typing_a_name_is_no_decision(
    both: tuple[Any, Any], qtbot: Any
) -> None:
    _, review = both
    review.window().activateWindow()
    review.gallery.setFocus()
    qtbot.waitUntil(review.gallery.hasFocus, timeout=5_000)
    QTest.keyClick(review.gallery, Qt.Key.Key_1)
    assert list(labels_of(review).values()) == ["Parasitized"]
    review.classes_section.set_open(True)
    name = review.classes.rows["uninfected"].name
    name.setFocus()
    qtbot.waitUntil(name.hasFocus, timeout=5_000)
    name.selectAll()
    QTest.keyClicks(name, "Healthy 1")
    assert len(labels_of(review)) == 1
    QTest.keyClick(name, Qt.Key.Key_Return)
    qtbot.wait(30)
    assert [c.name for c in review.controller.class_list()] == ["Parasitized", "Healthy 1"]
    assert review.decide.class_buttons["uninfected"].text().startswith("2  Healthy 1")
    assert len(labels_of(review)) == 1


def test_selection_bulk_sections_and_a_drop_on_a_class(both: tuple[Any, Any], qtbot: Any) -> None:
    _, review = both
    review.view_bar.sections.setChecked(True)
    sections = review.gallery.tiles.sections
    assert [s.length for s in sections] == [6, 6]
    index = review.gallery.tiles.index(0, 0)
    review.gallery.setCurrentIndex(index)
    assert len(review.gallery.selected_rows) == 6
    review.act("accept_all")
    assert "6 of 6 cells accepted" in review.message.text()
    assert set(labels_of(review).values()) == {"Parasitized"}
    assert set(review.controller.subject.sheet.source[review.controller.subject.sheet.mine]) == {2}
    data = review.gallery.tiles.mimeData([review.gallery.tiles.index_of(1)])
    button = review.decide.class_buttons["parasitized"]
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    button.dropEvent(event)
    assert labels_of(review)[1] == "Parasitized"
    review.act("undo")
    review.act("undo")
    assert labels_of(review) == {}


def test_filters_orders_and_size(both: tuple[Any, Any], qtbot: Any) -> None:
    _, review = both
    menu = review.view_bar

    def pick(box: Any, value: Any) -> None:
        box.select(value)
        box.picked.emit(value)

    pick(menu.sort, Sort.DOUBT)
    assert review.controller.order[0] == 11
    pick(menu.sort, Sort.CONFIDENCE)
    assert review.controller.order[0] == 0
    review.act("accept")
    pick(menu.show_menu, Show.OPEN)
    assert len(review.controller.order) == 11 and menu.total.text() == "11 of 12 cells"
    review.act("accept")
    assert len(review.controller.order) == 11  # a decided cell stays until asked
    review.act("renew")
    assert len(review.controller.order) == 10
    pick(menu.show_menu, Show.ACCEPTED)
    assert len(review.controller.order) == 2
    pick(menu.show_menu, Show.ALL)
    pick(menu.classes, "uninfected")
    assert len(review.controller.order) == 6
    menu.slider.setValue(150)
    assert review.gallery.gridSize().width() > 150
    similar = next(o for o in menu.sort.options if o.value == Sort.SIMILAR)
    assert "embeddings" in similar.why_not


def test_new_predictions_are_put_in_order_beside_the_window(
    both: tuple[Any, Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    classify, review = both
    threads: list[Any] = []
    plain = queue.next_cells

    def next_cells(*some: Any, **named: Any) -> Any:
        threads.append(threading.current_thread())
        return plain(*some, **named)

    monkeypatch.setattr(queue, "next_cells", next_cells)
    told = give_predictions(classify, qtbot)
    settle(review, qtbot)
    controller = review.controller
    assert controller.subject.sheet.opinion is told and len(controller.order) == 12
    assert threads and threading.main_thread() not in threads
    # A decision beside the worker: what it has put in order is about something else then.
    give_predictions(classify, qtbot)
    qtbot.waitUntil(lambda: controller._preparing.running, timeout=10_000)
    first = int(controller.order[0])
    review.set_class(review.controller.class_list()[0].id, [first])
    settle(review, qtbot)
    assert review.error.error is None
    assert np.array_equal(controller.order, Ranker(controller.subject.sheet).order(View()))
    assert int(controller.order[-1]) == first == int(review.gallery.tiles.order[-1])


def test_what_is_shown_stays_until_cells_are_classified_again(
    both: tuple[Any, Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    classify, review = both
    controller, session = review.controller, classify.session
    before, plain, go_on = controller.subject, session.classify, threading.Event()
    order = controller.order.copy()

    def classify_slowly(**options: Any) -> Any:
        task = plain(**options)

        def slow() -> Any:
            while not go_on.wait(0.01):
                yield Progress(0, 1, "Waiting")
            return (yield from task)

        return slow()

    monkeypatch.setattr(session, "classify", classify_slowly)
    seen: list[Any] = []
    controller.subject_changed.connect(lambda: seen.append(controller.subject.sheet.opinion))
    classify.controller.adopt(session.model_name)
    assert session.predictions is None
    settle(review, qtbot)
    assert controller.subject is before and np.array_equal(controller.order, order) and not seen
    go_on.set()
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=60_000)
    settle(review, qtbot)
    assert seen == [session.predictions] and session.predictions is not None
    # Given up: the cells are shown without predictions, as they are.
    go_on.clear()
    classify.controller.adopt(session.model_name)
    settle(review, qtbot)
    assert len(seen) == 1
    classify.controller.cancel()
    settle(review, qtbot)
    assert seen[1:] == [None] and controller.subject.sheet.opinion is None
    assert len(controller.order) == 12 and review.error.error is None


def test_blind_mode_hides_what_the_model_says(both: tuple[Any, Any], qtbot: Any) -> None:
    _, review = both
    review.decide.blind.setChecked(True)
    settle(review, qtbot)
    assert "predicted" not in review.decide.words.text()
    assert not review.decide.actions_by_name["accept"].isEnabled()
    assert set(np.unique(drawn_as(review))) <= {0, 4}
    review.act("class:parasitized")
    event = review.controller.keeper.project.journal.state.to_undo(
        review.controller.keeper.project.journal.annotator
    )[0]
    assert event.shown_class is None and event.shown_model is None
    review.decide.blind.setChecked(False)
    settle(review, qtbot)
    assert np.array_equal(drawn_as(review), expected(review))


def test_classes_are_edited_and_merged(both: tuple[Any, Any], qtbot: Any) -> None:
    classify, review = both
    classes = review.classes
    classes.new_name.setText("Platelet")
    classes._on_add()
    settle(review, qtbot)
    assert [c.name for c in review.controller.class_list()][-1] == "Platelet"
    review.gallery.choose(3)
    review.act("class:platelet")
    assert classify.session.corrected.scheme.names[-1] == "Platelet"
    assert "49 more of Platelet" in classes.progress.text()
    classes.recolored.emit("platelet", "#123456")
    settle(review, qtbot)
    assert np.array_equal(drawn_as(review), expected(review))
    classes.rows["platelet"].key.setText("S")
    classes.rows["platelet"]._on_key()
    assert "meaning of its own" in review.message.text()
    classes.rekeyed.emit("platelet", "x")
    settle(review, qtbot)
    assert review.decide.class_buttons["platelet"].text().startswith("X  Platelet")
    classes.merged.emit("platelet", "uninfected")
    settle(review, qtbot)
    assert labels_of(review)[3] == "Uninfected"
    review.act("undo")
    settle(review, qtbot)
    assert labels_of(review)[3] == "Platelet"
    assert np.array_equal(drawn_as(review), expected(review))


def test_everything_is_there_after_a_restart_and_a_second_window_only_reads(
    smear_viewer: Any,
    both: tuple[Any, Any],
    open_review: Callable[[], Any],
    qtbot: Any,
    tmp_path: Path,
) -> None:
    viewer, (classify, review) = smear_viewer, both
    review.new_project(str(tmp_path / "smears.cellcls"))
    assert review.error.error is None
    for _ in range(3):
        review.act("class:uninfected")
    labels = labels_of(review)
    assert len(labels) == 3
    second = open_project(tmp_path / "smears.cellcls")
    assert second.journal.refusal is not None and second.journal.refusal.code == "JOURNAL-INUSE"
    second.close()
    viewer.window.remove_dock_widget(review)
    qtbot.wait(30)
    assert classify.controller.layers.classes_layer.visible
    holder = open_project(tmp_path / "smears.cellcls", annotator="Ana")
    assert holder.journal.refusal is None  # the dock let it go
    review = open_review()
    review.open_project(str(tmp_path / "smears.cellcls"))
    settle(review, qtbot)
    assert labels_of(review) == labels
    assert review.error.error.code == "JOURNAL-INUSE" and "Ana" in review.project_bar.saved.text()
    assert not review.decide.class_buttons["uninfected"].isEnabled()
    review.act("class:parasitized")
    assert labels_of(review) == labels and review.error.error.code == "JOURNAL-INUSE"
    holder.close()
    review.controller.keeper.close()
    review.open_project(str(tmp_path / "smears.cellcls"))
    settle(review, qtbot)
    assert review.error.error is None
    review.act("undo")
    assert len(labels_of(review)) == 2


def test_a_project_is_reviewed_without_predictions(
    viewer: Any, only_small_model: Path, open_review: Callable[[], Any], qtbot: Any, tmp_path: Path
) -> None:
    import tifffile

    path = tmp_path / "smear.tif"
    tifffile.imwrite(path, smear_picture(), photometric="rgb")
    viewer.open(str(path), plugin="napari-cellcls")
    classify = dock_of(viewer, qtbot)
    give_predictions(classify, qtbot)
    review = open_review()
    review.new_project(str(tmp_path / "p.cellcls"))
    for _ in range(4):
        review.act("class:parasitized")
    viewer.window.remove_dock_widget(review)
    viewer.window.remove_dock_widget(classify)
    viewer.layers.clear()
    qtbot.wait(50)
    before = (tmp_path / "p.cellcls" / "journal.db").read_bytes()
    shutil.move(path, tmp_path / "renamed.tif")
    review = open_review()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "p.cellcls"))])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    review.dropEvent(event)
    settle(review, qtbot)
    assert review.error.error is None, review.error.error
    assert labels_of(review) == dict.fromkeys(range(4), "Parasitized")
    assert (tmp_path / "p.cellcls" / "journal.db").read_bytes() == before
    assert np.array_equal(drawn_as(review), expected(review))
    review.gallery.choose(0)
    review.act("class:uninfected")
    assert labels_of(review)[0] == "Uninfected"
    viewer.layers.clear()
    settle(review, qtbot)
    assert review.controller.subject is None and review.gallery.tiles.rowCount() == 0


def test_what_is_deleted_in_the_viewer_does_no_harm(
    smear_viewer: Any, both: tuple[Any, Any], qtbot: Any
) -> None:
    viewer, (classify, review) = smear_viewer, both
    viewer.layers.remove(review.controller.layers.outlines)
    review.act("class:parasitized")
    assert len(labels_of(review)) == 1 and review.error.error is None
    give_predictions(classify, qtbot)  # drawn anew
    settle(review, qtbot)
    assert np.array_equal(drawn_as(review), expected(review))
    viewer.layers.remove(classify.controller.layers.cells_layer)
    review.act("class:uninfected")
    assert len(labels_of(review)) == 2 and review.error.error is None
    viewer.layers.remove(next(layer for layer in viewer.layers if layer.name == "smear"))
    qtbot.waitUntil(lambda: classify.session.image is None, timeout=10_000)
    settle(review, qtbot)
    assert review.gallery.tiles.rowCount() == 0 and review.error.error is None
    review.act("class:uninfected")
    review.act("next")
    assert review.error.error is None
    assert "Nothing to review" in review.decide.words.text()


def test_no_cells_no_model_and_labels_without_predictions(
    smear_viewer: Any, open_dock: Callable[[], Any], open_review: Callable[[], Any], qtbot: Any
) -> None:
    classify = open_dock()
    review = open_review()
    assert review.gallery.tiles.rowCount() == 12 and review.error.error is None
    assert review.decide.class_buttons == {}
    review.classes.added.emit("Ring")
    settle(review, qtbot)
    review.act("class:ring")
    assert len(labels_of(review)) == 1 and review.error.error is None
    classify.session.set_cells(None)
    settle(review, qtbot)
    assert review.gallery.tiles.rowCount() == 0


DAMAGES = {
    "empty": "JOURNAL-DAMAGED", "zeroed": "JOURNAL-DAMAGED", "not a project": "PROJECT-MISSING",
    "gone": "PROJECT-MISSING", "newer": "PROJECT-NEWER",
}  # fmt: skip


def damaged(good: Path, bad: Path, damage: str) -> None:
    """Copy a project and damage the copy; without backups there is nothing to show instead."""
    shutil.copytree(good, bad)
    shutil.rmtree(bad / "backups", ignore_errors=True)
    if damage == "empty":
        (bad / "journal.db").write_bytes(b"")
    elif damage == "zeroed":
        (bad / "journal.db").write_bytes(bytes((bad / "journal.db").stat().st_size))
    elif damage == "not a project":
        (bad / "project.json").unlink()
    elif damage == "newer":
        text = (bad / "project.json").read_text()
        (bad / "project.json").write_text(text.replace('"format": 1', '"format": 99'))
    else:
        shutil.rmtree(bad)


def test_a_damaged_project_is_refused_and_the_open_one_stays(
    both: tuple[Any, Any], qtbot: Any, tmp_path: Path
) -> None:
    _, review = both
    good = tmp_path / "good.cellcls"
    review.new_project(str(good))
    review.act("class:parasitized")
    review.controller.keeper.project.journal.flush()
    for number, (damage, code) in enumerate(DAMAGES.items()):
        bad = tmp_path / f"bad{number}.cellcls"
        damaged(good, bad, damage)
        file = bad / "journal.db"
        content = file.read_bytes() if file.exists() else b""
        review.open_project(str(bad))
        settle(review, qtbot)
        assert review.error.error.code == code, damage
        assert review.controller.keeper.project.folder == good
        assert (file.read_bytes() if file.exists() else b"") == content
        review.act("class:parasitized")
        assert review.error.error is None, damage
    assert len(labels_of(review)) == 1 + len(DAMAGES)


def test_a_folder_that_vanishes_is_told_at_once_and_nothing_is_lost(
    both: tuple[Any, Any], qtbot: Any, tmp_path: Path
) -> None:
    _, review = both
    folder = tmp_path / "p.cellcls"
    review.new_project(str(folder))
    review.act("class:parasitized")
    review.controller.keeper.project.journal.flush()
    os.rename(folder, tmp_path / "elsewhere")
    review.act("class:parasitized")
    qtbot.waitUntil(lambda: "NOT SAVED" in review.project_bar.saved.text(), timeout=10_000)
    assert review.error.error is not None and review.error.error.code in (
        "JOURNAL-GONE",
        "JOURNAL-SAVE",
    )
    assert "rescue" in str(review.error.error)
    assert len(labels_of(review)) == 2
    os.rename(tmp_path / "elsewhere", folder)
    review.controller.keeper.close()
    again = open_project(folder)
    assert sum(sum(n.values()) for n in again.journal.state.counts().values()) == 2
    again.close()


def test_a_read_only_place_is_refused_in_words(both: tuple[Any, Any], tmp_path: Path) -> None:
    _, review = both
    (tmp_path / "file").write_text("x")
    review.new_project(str(tmp_path / "file" / "p.cellcls"))
    assert review.error.error.code == "PROJECT-WRITE"
    assert review.controller.keeper.project is None


def test_several_classes_per_cell(both: tuple[Any, Any], qtbot: Any, tmp_path: Path) -> None:
    from napari_cellcls.vocabulary import ClassScheme

    classify, review = both
    scheme = ClassScheme(classify.session.scheme.classes, multi_label=True)
    cells = classify.session.cells
    told = predictions_of(cells, np.tile([0.9, 0.7], (len(cells), 1)), scheme)
    classify.session.predictions = classify.session._raw = told
    classify.session.predictions_changed.emit()
    settle(review, qtbot)
    row = review.gallery.current_row
    review.act("class:parasitized")
    assert review.gallery.current_row == row  # several are judged before going on
    sheet = review.controller.subject.sheet
    assert sheet.judged[row].tolist() == [1, 0]
    review.act("class:parasitized")
    review.act("class:uninfected")
    assert sheet.judged[row].tolist() == [-1, 1]
    assert review.decide.class_buttons["parasitized"].text().startswith("✗")
    review.act("next")
    other = review.gallery.current_row
    assert other != row
    review.act("accept")
    assert sheet.judged[other].tolist() == [1, 1]


def test_labels_of_another_segmentation_are_taken_over_when_asked(
    both: tuple[Any, Any], qtbot: Any
) -> None:
    classify, review = both
    for _ in range(3):
        review.act("class:uninfected")
    assert not review.carried_panel.button.isVisible()
    from skimage.morphology import erosion

    smaller = erosion(np.asarray(classify.session.cells.labels))
    classify.session.set_cells(cells_of(smaller))
    settle(review, qtbot)
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=20_000)
    settle(review, qtbot)
    assert labels_of(review) == {} and review.carried_panel.button.isVisible()
    assert "3 cells have labels on another segmentation" in review.carried_panel.button.text()
    review.carried_panel.button.click()
    settle(review, qtbot)
    assert review.message.text() == "3 cells keep their labels"
    assert len(labels_of(review)) == 3 and not review.carried_panel.button.isVisible()


def resegmented(classify: Any) -> np.ndarray:
    """Split the first cell, join the second and third, lose the fourth; the others stay as they are."""
    labels = np.asarray(classify.session.cells.labels).copy()
    boxes = classify.session.cells.table.iloc[:4]
    first, second, third, fourth = (int(v) for v in boxes["label"])
    middle = round(float(boxes["x"].iloc[0]))
    half = labels == first
    half[:, :middle] = False
    labels[half] = labels.max() + 1
    labels[:, middle][labels[:, middle] == first] = 0
    y = round(float(boxes["y"].iloc[1]))
    labels[labels == third] = second
    bridge = slice(round(float(boxes["x"].iloc[1])), round(float(boxes["x"].iloc[2])))
    labels[y - 2 : y + 2, bridge] = second
    labels[labels == fourth] = 0
    top = int(classify.session.cells.table["bbox_y0"].iloc[4])
    labels[top, :][labels[top, :] == 5] = 0  # so little that it is the same cell
    return labels


def entries(review: Any) -> list[str]:
    shown = review.carried_panel.list
    return [shown.item(k).text() for k in range(shown.count())]


def click_entry(review: Any, row: int, qtbot: Any) -> None:
    shown = review.carried_panel.list
    place = shown.visualItemRect(shown.item(row)).center()
    QTest.mouseClick(shown.viewport(), Qt.MouseButton.LeftButton, pos=place)
    settle(review, qtbot)


def test_labels_that_no_cell_can_take_are_listed_and_worked_off(
    smear_viewer: Any, both: tuple[Any, Any], qtbot: Any, tmp_path: Path
) -> None:
    viewer, (classify, review) = smear_viewer, both
    folder = str(tmp_path / "p.cellcls")
    review.new_project(folder)
    review.gallery.choose(0)
    for row, name in enumerate(
        ("parasitized", "uninfected", "parasitized", "uninfected", "uninfected")
    ):
        review.set_class(name, [row])
    classify.session.set_cells(cells_of(resegmented(classify)))
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=20_000)
    settle(review, qtbot)
    assert "1 cell has its label on another" in review.carried_panel.button.text()
    review.carried_panel.button.click()
    settle(review, qtbot)
    assert review.message.text() == (
        "1 cell keeps its label; not taken over: 1 lost, 2 merged, 1 split"
    )
    assert not review.carried_panel.button.isVisible()
    cells = classify.session.cells
    last = int(cells.ids[-1])
    assert entries(review) == [
        f"split: cell 1 (Parasitized) → cells {1}, {last}", "merged: cell 2 (Uninfected) → cell 2",
        "merged: cell 3 (Parasitized) → cell 2", "lost: cell 4 (Uninfected)",
    ]  # fmt: skip
    # Filters that leave the cells out give way.
    review.view_bar.show_menu.select(Show.LABELED)
    review.view_bar.show_menu.picked.emit(Show.LABELED)
    click_entry(review, 0, qtbot)
    sheet = review.controller.subject.sheet
    halves = [row for row in range(len(sheet)) if cells.ids[row] in (1, last)]
    assert sorted(review.gallery.selected_rows) == halves
    box = sheet.boxes[review.gallery.current_row]
    layer = review.controller.layers.outlines
    middle = layer.data_to_world(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    assert np.allclose(np.asarray(viewer.scene.camera.center)[-2:], middle, atol=0.3)
    canvas_key(viewer, review, Qt.Key.Key_1, qtbot=qtbot)
    settle(review, qtbot)
    assert [labels_of(review)[row] for row in halves] == ["Parasitized", "Parasitized"]
    assert len(entries(review)) == 3
    # It goes on to the next entry, and one decision about the joined cell ends both of its entries.
    joined = int(np.flatnonzero(cells.ids == 2)[0])
    assert review.gallery.selected_rows == [joined]
    canvas_key(viewer, review, Qt.Key.Key_2, qtbot=qtbot)
    settle(review, qtbot)
    assert entries(review) == ["lost: cell 4 (Uninfected)"]
    # Nothing is selected where nothing is: a key decides about nothing.
    assert review.gallery.current_row is None and review.gallery.selected_rows == []
    before = labels_of(review)
    canvas_key(viewer, review, Qt.Key.Key_1, qtbot=qtbot)
    assert labels_of(review) == before
    review.act("undo")
    settle(review, qtbot)
    assert len(entries(review)) == 3
    review.act("redo")
    settle(review, qtbot)
    click_entry(review, 0, qtbot)
    review.carried_panel.aside.click()
    settle(review, qtbot)
    assert entries(review) == [] and not review.carried_panel.isVisible()
    review.act("undo")
    settle(review, qtbot)
    assert entries(review) == ["lost: cell 4 (Uninfected)"]
    # It is there again after a restart: it follows from the journal.
    review.controller.keeper.close()
    settle(review, qtbot)
    assert not review.carried_panel.isVisible()
    review.open_project(folder)
    settle(review, qtbot)
    assert entries(review) == ["lost: cell 4 (Uninfected)"]
    assert review.error.error is None and np.array_equal(drawn_as(review), expected(review))


def test_the_docks_share_a_tab(both: tuple[Any, Any]) -> None:
    classify, review = both
    assert isinstance(review, QWidget) and review.isVisible()
    assert review.height() > 0.6 * review.window().height()
    assert classify.visibleRegion().isEmpty()


def test_another_threshold_keeps_the_cell_at_hand(
    smear_viewer: Any, both: tuple[Any, Any], qtbot: Any, tmp_path: Path
) -> None:
    classify, review = both
    review.new_project(str(tmp_path / "p.cellcls"))
    review.gallery.choose(7)
    review.act("class:parasitized")
    review.gallery.choose(7)
    classify.session.set_thresholds((0.9, 0.1))
    settle(review, qtbot)
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=20_000)
    settle(review, qtbot)
    assert review.gallery.current_row == 7 and labels_of(review) == {7: "Parasitized"}
    assert review.controller.subject.sheet.predicted.tolist().count(1) > 6
    assert np.array_equal(drawn_as(review), expected(review))


def test_the_map_is_linked_and_its_lasso_filters(both: tuple[Any, Any], qtbot: Any) -> None:
    from dataclasses import replace

    classify, review = both
    review.map_section.set_open(True)
    assert "classify the cells first" in review.map.note.text()
    session = classify.session
    # Two clouds far apart: even rows left, odd rows right.
    points = np.random.default_rng(0).normal(0, 0.1, (12, 8))
    points[1::2, 0] += 10
    session.predictions = session._raw = replace(
        session.predictions, embeddings=points.astype(np.float32)
    )
    session.predictions_changed.emit()
    settle(review, qtbot)
    qtbot.waitUntil(lambda: not review.map.busy and not classify.controller.busy, timeout=20_000)
    settle(review, qtbot)
    scatter = review.map.scatter
    QTest.mouseClick(scatter, Qt.MouseButton.LeftButton, pos=scatter.place_of(5).toPoint())
    assert review.gallery.current_row == 5 == scatter.current
    odd = [scatter.place_of(row) for row in range(1, 12, 2)]
    left = min(p.x() for p in odd) - 5
    corners = [
        QPointF(left, 0), QPointF(scatter.width(), 0), QPointF(scatter.width(), scatter.height()),
        QPointF(left, scatter.height()),
    ]  # fmt: skip
    QTest.mousePress(scatter, Qt.MouseButton.LeftButton, pos=corners[0].toPoint())
    for corner in corners[1:]:
        QTest.mouseMove(scatter, corner.toPoint())
    QTest.mouseRelease(scatter, Qt.MouseButton.LeftButton, pos=corners[-1].toPoint())
    assert sorted(review.controller.order.tolist()) == list(range(1, 12, 2))
    review.view_bar.sections.setChecked(True)
    assert len(review.controller.order) == 6
    review.map.all_button.click()
    assert len(review.controller.order) == 12
    similar = next(o for o in review.view_bar.sort.options if o.value == Sort.SIMILAR)
    assert similar.why_not == ""
    review.gallery.choose(4)
    review.view_bar.sections.setChecked(False)
    review.view_bar.sort.select(Sort.SIMILAR)
    review.view_bar.sort.picked.emit(Sort.SIMILAR)
    assert review.controller.order[0] == 4
    assert set(review.controller.order[:6].tolist()) == set(range(0, 12, 2))


def test_a_remark_is_kept_and_enter_is_no_decision(both: tuple[Any, Any], qtbot: Any) -> None:
    _, review = both
    review.window().activateWindow()
    remark = review.decide.remark
    remark.setFocus()
    qtbot.waitUntil(remark.hasFocus, timeout=5_000)
    QTest.keyClicks(remark, "torn <b>")
    QTest.keyClick(remark, Qt.Key.Key_Return)
    qtbot.wait(20)
    assert "torn &lt;b>" in review.decide.words.text() and remark.text() == ""
    assert labels_of(review) == {}
    assert not review.decide.actions_by_name["settle"].isEnabled()


def test_decisions_while_the_outlines_are_hidden_or_seen_in_3d(
    smear_viewer: Any, both: tuple[Any, Any], qtbot: Any
) -> None:
    viewer, (_, review) = smear_viewer, both
    review.act("outlines")
    assert not review.controller.layers.outlines.visible
    review.act("class:parasitized")
    review.act("class:uninfected")
    review.act("outlines")
    assert review.error.error is None and np.array_equal(drawn_as(review), expected(review))
    viewer.dims.ndisplay = 3
    review.gallery.choose(8)
    review.act("class:parasitized")
    review.act("undo")
    review.act("class:uninfected")
    viewer.dims.ndisplay = 2
    qtbot.wait(50)
    assert review.error.error is None and np.array_equal(drawn_as(review), expected(review))


def test_a_collected_dock_lets_its_project_go(
    smear_viewer: Any, both: tuple[Any, Any], qtbot: Any, tmp_path: Path
) -> None:
    import gc

    from napari_cellcls.widgets.review.projects import ProjectKeeper

    parent = QWidget()
    keeper = ProjectKeeper(parent)
    keeper.create(tmp_path / "p.cellcls", None)
    assert open_project(tmp_path / "p.cellcls").journal.refusal is not None
    del keeper, parent
    gc.collect()
    again = open_project(tmp_path / "p.cellcls")
    assert again.journal.refusal is None
    again.close()


def test_the_name_of_the_preferences_signs_decisions(
    both: tuple[Any, Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cellcls.widgets.review import projects
    from napari_cellcls.widgets.settings import Preferences, preferences

    assert preferences().goal == 50 and preferences().annotator == ""
    monkeypatch.setattr(projects, "preferences", lambda: Preferences(annotator="Ana"))
    _, review = both
    review.act("accept")
    assert review.controller.desk.counts() == {"Ana": {"uninfected": 1}}
    assert review.classes.rows["uninfected"].count.toolTip() == "Ana 1"
    assert "Labels by Ana 1" in review.classes.people.text()


def pick(menu: Any, value: Any) -> None:
    """Choose in a menu as a click does."""
    row = next(k for k, option in enumerate(menu.options) if option.value == value)
    menu.setCurrentIndex(row)
    menu.activated.emit(row)


def many_cells(rows: int = 5, columns: int = 8) -> np.ndarray:
    """Return a label image of 40 disks."""
    labels = np.zeros((rows * 40, columns * 40), np.int32)
    y, x = np.ogrid[: labels.shape[0], : labels.shape[1]]
    for k in range(rows * columns):
        cy, cx = (k // columns + 0.5) * 40, (k % columns + 0.5) * 40
        labels[(y - cy) ** 2 + (x - cx) ** 2 < 14**2] = k + 1
    return labels


@pytest.fixture
def forty(both: tuple[Any, Any], qtbot: Any) -> tuple[Any, Any]:
    """Both docks with 40 cells whose embeddings are two clouds: even rows and odd rows."""
    from dataclasses import replace

    classify, review = both
    classify.session.set_cells(cells_of(many_cells()))
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=20_000)
    told = give_predictions(classify, qtbot)
    points = np.random.default_rng(0).normal(0, 0.2, (40, 8)).astype(np.float32)
    points[1::2, 0] += 5
    classify.session.predictions = classify.session._raw = replace(told, embeddings=points)
    classify.session.predictions_changed.emit()
    settle(review, qtbot)
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=20_000)
    settle(review, qtbot)
    assert len(review.controller.subject.sheet) == 40
    return classify, review


def test_labels_that_may_be_wrong_are_shown_and_worked_off(
    forty: tuple[Any, Any], qtbot: Any
) -> None:
    _, review = forty
    menu = review.view_bar.show_menu
    pick(menu, Show.SUSPECTS)
    settle(review, qtbot)
    assert "needs 20 labeled cells" in review.message.text() and "0 so far" in review.message.text()
    assert len(review.controller.order) == 0 and "do not fit" in menu.toolTip()
    pick(menu, Show.ALL)
    assert review.message.text() == ""
    for row in range(30):
        wrong = row in (4, 9)
        review.set_class(("parasitized", "uninfected")[(row % 2) ^ wrong], [row])
    pick(menu, Show.SUSPECTS)
    settle(review, qtbot)
    assert sorted(review.controller.order.tolist()) == [4, 9]
    assert "2 labels do not fit" in review.message.text()
    first, second = review.controller.order.tolist()
    assert review.gallery.current_row == first
    assert "may be wrong" in review.decide.words.text()
    assert "mostly " + ("Uninfected" if first == 9 else "Parasitized") in review.decide.words.text()
    review.act("accept")  # it was right after all
    assert review.gallery.current_row == second
    project = review.controller.keeper.project
    last = project.journal.state.to_undo(project.journal.annotator)[0]
    assert last.source == "accepted" and last.cell_id == review.controller.subject.sheet.known_id(
        first
    )
    review.act("class:uninfected" if second == 9 else "class:parasitized")
    assert "may be wrong" not in review.decide.words.text()
    review.act("next")
    assert "Every cell shown is decided" in review.message.text()
    assert len(review.controller.order) == 2  # both stay until asked
    review.act("renew")
    settle(review, qtbot)
    assert len(review.controller.order) == 0
    assert "Every label fits" in review.message.text()


def test_a_second_look_is_blind_and_only_at_what_one_other_labeled(
    forty: tuple[Any, Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from napari_cellcls.widgets.review import looks, projects
    from napari_cellcls.widgets.settings import Preferences

    _, review = forty
    menu = review.view_bar.show_menu
    pick(menu, Show.SECOND)
    settle(review, qtbot)
    assert "open such a project" in review.message.text()
    assert review.decide.blind.isChecked() and not review.decide.blind.isEnabled()
    pick(menu, Show.ALL)
    settle(review, qtbot)
    assert not review.decide.blind.isChecked() and review.decide.blind.isEnabled()
    folder = str(tmp_path / "p.cellcls")
    monkeypatch.setattr(projects, "preferences", lambda: Preferences(annotator="Anna"))
    monkeypatch.setattr(looks, "preferences", lambda: Preferences(second_percent=100))
    review.new_project(folder)
    for row in range(6):
        review.set_class("parasitized", [row])
    review.gallery.choose(2)
    review.decider.remark("surely a ring")
    pick(menu, Show.SECOND)
    settle(review, qtbot)
    assert (
        "No cell of this image waits" in review.message.text() and "100 %" in review.message.text()
    )
    review.controller.keeper.close()
    monkeypatch.setattr(projects, "preferences", lambda: Preferences(annotator="Ben"))
    review.open_project(folder)
    settle(review, qtbot)
    assert sorted(review.controller.order.tolist()) == list(range(6))
    review.gallery.choose(2)
    review.look_at(2)
    words = review.decide.words.text()
    assert "Parasitized" not in words and "Anna" not in words and "ring" not in words
    assert labels_of(review) == {} and "Anna" not in review.classes.people.text()
    assert not review.decide.actions_by_name["accept"].isEnabled()
    canvas_row = review.gallery.current_row
    review.act("class:uninfected")
    assert review.gallery.current_row != canvas_row
    event = review.controller.keeper.project.journal.state.to_undo("Ben")[0]
    assert event.shown_class is None and event.shown_model is None
    review.act("renew")
    settle(review, qtbot)
    assert sorted(review.controller.order.tolist()) == [0, 1, 3, 4, 5]
    assert "5 cells wait for your second look" in review.message.text()
    pick(menu, Show.DISAGREED)
    settle(review, qtbot)
    assert not review.decide.blind.isChecked()
    assert review.controller.order.tolist() == [2] and review.error.error is None


def test_what_others_decide_is_taken_up_by_itself_and_moves_nothing(
    forty: tuple[Any, Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from napari_cellcls.project import project as projects
    from napari_cellcls.review.desk import Desk
    from napari_cellcls.review.sheet import Sheet
    from napari_cellcls.widgets.review import news

    assert review_timer(forty[1]) == news.EVERY_MS == 30_000
    _, review = forty
    folder = tmp_path / "shared" / "p.cellcls"
    monkeypatch.setattr(projects.folders, "shared_because", lambda _: "a test says so")
    monkeypatch.setattr(projects, "home", lambda: tmp_path / "mine")
    review.new_project(str(folder))
    for row in range(3):
        review.set_class("parasitized", [row])
    review.controller.keeper.project.journal.flush()
    review.view_bar.show_menu.select(Show.LABELED)
    pick(review.view_bar.show_menu, Show.LABELED)
    assert sorted(review.controller.order.tolist()) == [0, 1, 2]
    review.gallery.choose(1)
    # Anna works on another computer; her window writes files into the shared folder.
    monkeypatch.setattr(projects, "home", lambda: tmp_path / "hers")
    subject = review.controller.subject
    hers = open_project(folder, annotator="Anna")
    desk = Desk(hers.journal, Sheet(subject.sheet.cells, subject.sheet.plane))
    desk.set_class([1], "uninfected")
    desk.set_class([7, 8], "uninfected")
    assert hers.close()
    monkeypatch.setattr(projects, "home", lambda: tmp_path / "mine")
    review.news._acted = 0.0
    review.news.look()
    settle(review, qtbot)
    assert review.project_bar.news.text() == "3 new decisions from Anna"
    assert review.project_bar.news.isVisible() and "F5" in review.project_bar.news.toolTip()
    assert subject.sheet.disagreed[1] and labels_of(review)[8] == "Uninfected"
    assert sorted(review.controller.order.tolist()) == [0, 1, 2]  # nothing moved
    assert review.gallery.current_row == 1
    assert np.array_equal(drawn_as(review), expected(review))
    review.news.look()
    settle(review, qtbot)
    assert review.project_bar.news.text() == "3 new decisions from Anna"
    review.act("renew")
    settle(review, qtbot)
    assert sorted(review.controller.order.tolist()) == [0, 1, 2, 7, 8]
    assert not review.project_bar.news.isVisible() and review.error.error is None


def review_timer(review: Any) -> int:
    assert review.news._timer.isActive()
    return int(review.news._timer.interval())


def test_what_others_decide_waits_while_somebody_is_at_work(
    both: tuple[Any, Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from napari_cellcls.review.events import Author, Draft, Kind, Pen, Value, new_id

    _, review = both
    review.new_project(str(tmp_path / "p.cellcls"))
    review.set_class("parasitized", [0])
    project = review.controller.keeper.project
    cell_id = review.controller.subject.sheet.known_id(0)
    pen = Pen(Author("Anna", new_id(), new_id(), "1"), lamport=50)
    event = pen.write(Draft(Kind.LABEL, cell_id, class_id="uninfected", value=Value.ONLY))
    monkeypatch.setattr(project, "look", lambda: [event])
    review.news.look()  # a decision was made just now
    qtbot.waitUntil(lambda: not review.news.busy, timeout=20_000)
    assert event.event_id not in project.journal.state
    review.act("renew")  # asked for, it comes at once
    settle(review, qtbot)
    assert event.event_id in project.journal.state
    assert review.project_bar.news.text() == "1 new decision from Anna"

    def broken() -> None:
        raise OSError("the folder is away")

    monkeypatch.setattr(project, "look", broken)
    review.news.look()
    settle(review, qtbot)
    assert "cannot be read now" in review.project_bar.news.text()
    assert "the folder is away" in review.project_bar.news.toolTip() and review.error.error is None


def test_the_image_is_hashed_beside_the_work_and_a_change_is_told(
    viewer: Any, only_small_model: Path, open_review: Callable[[], Any], qtbot: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import hashlib

    import tifffile

    from napari_cellcls.project import proof

    path = tmp_path / "smear.tif"
    tifffile.imwrite(path, smear_picture(), photometric="rgb")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    viewer.open(str(path), plugin="napari-cellcls")
    classify = dock_of(viewer, qtbot)
    give_predictions(classify, qtbot)
    review = open_review()
    review.new_project(str(tmp_path / "p.cellcls"))
    review.act("class:parasitized")
    order = review.controller.order.tolist()
    monkeypatch.setattr(proof, "SAMPLED_ABOVE", 0)

    def prove() -> dict[str, Any]:
        review.prover._begun = None
        review.prover.begin()
        qtbot.waitUntil(lambda: not review.prover.busy, timeout=20_000)
        settle(review, qtbot)
        [image] = review.controller.state.images.values()
        return dict(image.hints)

    hints = prove()
    assert hints["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert review.controller.order.tolist() == order and review.error.error is None
    with open(path, "r+b") as stream:
        stream.seek(-5, os.SEEK_END)
        stream.write(b"12345")
    assert prove() == hints
    assert review.error.error.code == "PROJECT-CHANGED"
