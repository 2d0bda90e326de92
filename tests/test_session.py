from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from napari_cellcls.session import Corrected, Session
from napari_cellcls.vocabulary import CellClsError, ClassScheme
from napari_cellcls.workflow import Outcome, default_thresholds

from .widgets.fakes import cells_of, manifest, predictions_of, rgb_image, squares

HEAVY = ("keras", "tensorflow", "bioio", "onnxruntime", "sklearn", "matplotlib", "qtpy", "napari")
MULTI = {
    "multi_label": True,
    "classes": [{"id": c, "name": c.upper(), "color": "#d55e00"} for c in "abc"],
}


class Log:
    def __init__(self, session: Session) -> None:
        self.names: list[str] = []
        for name in ("image", "cells", "model", "mapping", "predictions", "thresholds", "engine"):
            signal = getattr(session, f"{name}_changed")
            signal.connect(self._writer(name))

    def _writer(self, name: str) -> Any:
        def write() -> None:
            self.names.append(name)

        return write


@pytest.fixture
def session() -> Session:
    session = Session()
    session.set_image(rgb_image(np.zeros((40, 80, 3), np.uint8)))
    session.set_model(manifest())
    return session


@pytest.fixture
def classified(session: Session) -> Session:
    cells = cells_of(squares((1, 2, 5)))
    session.set_cells(cells)
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    session.accept(Outcome(cells, predictions_of(cells, p, session.scheme), package=None))  # type: ignore[arg-type]
    return session


def test_importing_the_session_loads_nothing_heavy() -> None:
    code = f"import sys, napari_cellcls.session; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_obstacles_come_in_the_order_of_the_choices() -> None:
    session = Session()
    assert session.obstacle is not None and session.obstacle.code == "NO-IMAGE"
    session.set_image(rgb_image(np.zeros((9, 9, 3), np.uint8)))
    assert session.obstacle is not None and session.obstacle.code == "NO-CELLS-CHOSEN"
    session.set_method("smear")
    assert session.obstacle is not None and session.obstacle.code == "NO-MODEL"
    session.set_model(manifest())
    assert session.obstacle is None


def test_a_backbone_cannot_classify_and_says_what_to_do(session: Session) -> None:
    session.set_method("smear")
    session.set_model(manifest(classes=[], level="backbone", title="Blank"))
    with pytest.raises(CellClsError, match=r"Blank.*has no classes yet") as caught:
        session.classify()
    assert caught.value.code == "MODEL-NO-CLASSES"
    assert caught.value.remedy


def test_no_cells_is_an_error_that_passes_on_why(session: Session) -> None:
    from dataclasses import replace

    empty = cells_of(squares((1,)))
    empty = replace(empty, table=empty.table.iloc[:0], notes=("The image is constant.",))
    session.set_cells(empty)
    with pytest.raises(CellClsError, match=r"The image is constant\.") as caught:
        session.classify()
    assert caught.value.code == "NO-CELLS"


def test_finding_without_an_image_names_the_sample_menu() -> None:
    with pytest.raises(CellClsError, match="Open Sample") as caught:
        Session().find_cells()
    assert caught.value.code == "NO-IMAGE"


def test_an_unknown_method_is_refused(session: Session) -> None:
    with pytest.raises(ValueError, match="guess"):
        session.set_method("guess")  # type: ignore[arg-type]


def test_a_missing_channel_is_kept_as_the_obstacle(session: Session) -> None:
    session.set_method("fluorescence")
    inputs = [{"role": r, "name": r} for r in ("nucleus", "protein", "er")]
    session.set_model(manifest(inputs=inputs))
    assert session.mapping is None
    assert session.obstacle is not None and session.obstacle.code == "CHANNEL-MISSING"


def test_a_new_image_drops_cells_and_predictions_before_it_says_so(classified: Session) -> None:
    log = Log(classified)
    classified.set_image(rgb_image(np.ones((30, 30, 3), np.uint8)))
    assert classified.cells is None and classified.predictions is None
    assert log.names == ["predictions", "cells", "mapping", "image"]


def test_a_new_model_drops_predictions_and_returns_to_its_thresholds(classified: Session) -> None:
    classified.set_thresholds((0.8, 0.5))
    classified.set_model(manifest(thresholds=[0.3, 0.6]))
    assert classified.predictions is None
    assert classified.thresholds == (0.3, 0.6)
    assert classified.cells is not None


def test_codes_number_the_classes_and_the_cells_without_one(classified: Session) -> None:
    assert classified.codes.tolist() == [1, 2, 2]
    classified.set_thresholds((0.5, 0.65))
    assert classified.codes.tolist() == [1, 3, 2]
    assert classified.predictions is not None
    assert classified.predictions.confidence.tolist() == pytest.approx([0.9, 0.4, 0.7])


def test_codes_without_cells_or_predictions(session: Session) -> None:
    assert session.codes.tolist() == []
    session.set_cells(cells_of(squares((1, 2))))
    assert session.codes.tolist() == [0, 0]


def test_thresholds_change_the_counts_and_can_go_back(classified: Session) -> None:
    log = Log(classified)
    classified.set_thresholds((0.95, 0.5))
    counts = classified.counts()
    assert counts is not None
    assert [row.count for row in counts.classes] == [0, 2]
    assert counts.unassigned == 1
    classified.set_thresholds(None)
    counts = classified.counts()
    assert counts is not None and [row.count for row in counts.classes] == [1, 2]
    assert log.names == ["thresholds", "predictions", "thresholds", "predictions"]


def test_a_wanted_precision_sets_the_thresholds(classified: Session) -> None:
    log = Log(classified)
    classified.set_precision(0.66)
    assert classified.thresholds == (pytest.approx(0.65), pytest.approx(0.65))
    assert log.names == ["thresholds", "predictions"]
    assert [c.count for c in classified.counts().classes] == [1, 1]
    classified.set_precision(0.8)
    assert classified.thresholds == (pytest.approx(0.65), 1.0)
    Session().set_precision(0.9)  # nothing to set yet


def test_thresholds_must_match_the_classes(session: Session) -> None:
    with pytest.raises(ValueError, match="one threshold per class"):
        session.set_thresholds((0.5,))


def test_rows_are_found_by_label(classified: Session) -> None:
    assert [classified.row_of(label) for label in (1, 2, 5)] == [0, 1, 2]
    assert [classified.row_of(label) for label in (0, 3, 6, -1)] == [None] * 4


def test_parasitemia_is_empty_before_a_classification(session: Session) -> None:
    assert session.parasitaemia() == {}


def test_engine_changes_are_told_once(session: Session) -> None:
    log = Log(session)
    session.set_engine("openvino", "cpu")
    session.set_engine("openvino", "cpu")
    assert log.names == ["engine"]


def test_default_thresholds() -> None:
    assert default_thresholds(None) is None
    assert default_thresholds(manifest()) is None
    assert default_thresholds(manifest(**MULTI)) == (0.5, 0.5, 0.5)
    assert default_thresholds(manifest(**MULTI, thresholds=[0.1, 0.2, 0.3])) == (0.1, 0.2, 0.3)


def test_a_cell_with_several_classes_shows_the_most_probable() -> None:
    session = Session()
    session.set_model(manifest(**MULTI))
    cells = cells_of(squares((1, 2)))
    session.set_cells(cells)
    scheme = ClassScheme.from_names(("A", "B", "C"), multi_label=True)
    p = np.array([[0.6, 0.9, 0.1], [0.1, 0.2, 0.3]])
    session.accept(Outcome(cells, predictions_of(cells, p, scheme), package=None))  # type: ignore[arg-type]
    assert session.codes.tolist() == [2, 4]


def test_peoples_word_counts_before_the_models(classified: Session) -> None:
    before = classified.counts()
    assert before is not None
    scheme = ClassScheme.from_names(("Parasitized", "Uninfected", "Platelet"))
    assigned = np.zeros((before.total, 3), bool)
    assigned[:, 2] = True
    heard: list[bool] = []
    classified.corrections_changed.connect(lambda: heard.append(True))
    classified.set_corrected(Corrected(scheme, assigned, before.total))
    counts = classified.counts()
    assert counts is not None and [row.count for row in counts.classes] == [0, 0, before.total]
    classified.set_corrected(None)
    assert classified.counts() == before and heard == [True, True]
    classified.set_corrected(Corrected(scheme, assigned, before.total))
    classified.set_model(None)
    assert classified.corrected is None and classified.counts() is None
