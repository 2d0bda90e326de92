from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_cellcls.session import Session
from napari_cellcls.widgets.notices import notices
from napari_cellcls.workflow import Outcome

from .fakes import cells_of, manifest, predictions_of, rgb_image, squares

PICTURE = np.zeros((40, 80, 3), np.uint8)


def texts(session: Session) -> str:
    return "\n".join(text for _, text in notices(session))


def session_of(pixel_um: float | None = 0.12, **model: object) -> Session:
    session = Session()
    session.set_image(rgb_image(PICTURE, pixel_um))
    session.set_model(manifest(**model))
    session.set_method("smear")
    return session


def test_a_released_smear_model_at_its_own_scale_says_only_where_its_error_rates_hold() -> None:
    found = notices(session_of(pixel_size_um=[0.1, 0.15]))
    assert [level for level, _ in found] == ["warning"]
    assert "known-negative slide" in found[0][1]


def test_a_starter_model_says_so() -> None:
    assert (
        "warning",
        "Starter model: trained on simulated images, no accuracy claim on real ones.",
    ) in notices(session_of(level="starter"))


@pytest.mark.parametrize(
    ("pixel_um", "words"),
    [(0.5, "Scale far off: 0.5 µm"), (0.02, "Scale far off: 0.02 µm"), (None, "no pixel size")],
)
def test_the_scale_is_checked(pixel_um: float | None, words: str) -> None:
    assert words in texts(session_of(pixel_um, pixel_size_um=[0.1, 0.15]))


def test_a_model_for_other_images_says_so() -> None:
    session = session_of()
    session.set_method("fluorescence")
    assert "made for blood smears" in texts(session)


def test_red_cells_alone_and_all_blood_cells_are_told_apart() -> None:
    session = session_of()
    session.set_method("blood")
    assert "this model knows only red cells" in texts(session)
    manifest = session.manifest
    assert manifest is not None
    session.set_model(manifest.model_copy(update={"cells": "blood"}))
    assert "only red cells" not in texts(session)
    session.set_method("smear")
    assert "choose “Find: all blood cells”" in texts(session)


def test_no_cells_found_says_why() -> None:
    session = session_of()
    empty = cells_of(squares((1,)))
    session.set_cells(replace(empty, table=empty.table.iloc[:0], notes=("The image is constant.",)))
    assert notices(session)[0] == ("warning", "The image is constant.")


def test_many_doubtful_cells_are_noticed() -> None:
    session = session_of()
    cells = cells_of(squares((1, 2)))
    session.set_cells(cells)
    p = np.array([[0.55, 0.45], [0.9, 0.1]])
    assert session.scheme is not None
    session.accept(Outcome(cells, predictions_of(cells, p, session.scheme), package=None))  # type: ignore[arg-type]
    assert "50% of the cells have a confidence below 0.6" in texts(session)


def test_what_speaks_against_the_image_is_a_warning() -> None:
    session = session_of()
    cells = cells_of(squares((1, 2)))
    session.set_cells(cells)
    assert session.scheme is not None
    made = predictions_of(cells, np.array([[0.9, 0.1], [0.9, 0.1]]), session.scheme)
    foreign = replace(made, notes=("60% of the cells are unlike all that the model learned from.",))
    session.accept(Outcome(cells, foreign, package=None))  # type: ignore[arg-type]
    assert ("warning", foreign.notes[0]) in notices(session)
