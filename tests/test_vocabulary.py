"""The words that everything shares: errors that read as sentences and name their file."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from napari_cellcls.vocabulary import CellsError, ImageError, sentence


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The file is empty", "The file is empty."),
        ("The file is empty.", "The file is empty."),
        ("There is no model 'x'", "There is no model 'x'."),
        ("Really?", "Really?"),
        ("", ""),
    ],
)
def test_a_sentence_ends_once(text: str, wanted: str) -> None:
    assert sentence(text) == wanted
    assert sentence(wanted) == wanted


def test_an_error_is_one_paragraph_of_whole_sentences() -> None:
    error = ImageError("It is empty", code="IMG-EMPTY", path="a.tif", why="0 bytes", remedy="Copy.")
    assert error.what == "It is empty."
    assert str(error) == "It is empty. File: a.tif. Why: 0 bytes. What to do: Copy. [IMG-EMPTY]"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_first_path_stays() -> None:
    assert CellsError("No cells.").at(Path("a.tif")).at("b.tif").path == "a.tif"
    assert CellsError("No cells.").at(None).at("").path is None
