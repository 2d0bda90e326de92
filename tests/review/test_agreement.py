"""Agreement: published and hand-computed values, and words where nothing is defined."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cellcls.review.agreement import (
    Ratings,
    adjudicate,
    cohen,
    disagreements,
    fleiss,
    krippendorff,
    ratings,
)
from napari_cellcls.review.events import Draft, Kind, Source, Value
from napari_cellcls.review.fold import fold
from napari_cellcls.review.table import label_table
from tests.review.make import Member, label, new_journal


def rated(values, images=None) -> Ratings:
    values = np.array(values)
    size = int(values.max(initial=0)) + 1
    return Ratings(
        tuple(f"c{i}" for i in range(len(values))),
        tuple("abcdefghijklmnopqrstuvwxyz"[: values.shape[1]]),
        tuple(f"k{i}" for i in range(size)),
        values,
        images or ("",) * len(values),
    )


PAIR = [(0, 0)] * 20 + [(0, 1)] * 5 + [(1, 0)] * 10 + [(1, 1)] * 15

# Fleiss 1971, as in every textbook: 10 subjects, 14 raters, 5 categories.
COUNTS = [
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
]  # fmt: skip

# Krippendorff 2004: three coders, 15 units, many of them not coded by all.
CODERS = (
    np.array(
        [
            [0, 0, 0, 0, 0, 3, 4, 1, 2, 1, 1, 3, 3, 0, 3],
            [1, 0, 2, 1, 3, 3, 4, 3, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 2, 1, 3, 4, 4, 0, 2, 1, 1, 3, 3, 0, 4],
        ]
    ).T
    - 1
)


def test_cohen_by_hand():
    # Agreed 35 of 50; by chance 25/50 * 30/50 + 25/50 * 20/50 = 0.5; kappa (0.7 - 0.5) / 0.5.
    found = cohen(rated(PAIR), "a", "b")
    assert found.value == pytest.approx(0.4)
    assert found.cells == 50
    assert 0.1 < found.low < 0.25 and 0.55 < found.high < 0.68
    assert found.text == f"0.40 ({found.low:.2f} to {found.high:.2f}), 50 cells"
    assert cohen(rated(PAIR), "a", "b") == found
    assert rated(PAIR).confusion("a", "b").tolist() == [[20, 5], [10, 15]]
    assert rated(PAIR).confusion("b", "a").tolist() == [[20, 10], [5, 15]]


def test_fleiss_as_published():
    values = [[k for k, n in enumerate(row) for _ in range(n)] for row in COUNTS]
    found = fleiss(rated(values))
    assert found.value == pytest.approx(0.2099, abs=5e-5)
    assert found.low < found.value < found.high


def test_krippendorff_as_published():
    found = krippendorff(rated(CODERS))
    assert found.value == pytest.approx(0.691, abs=5e-4)
    assert found.cells == 12
    # Two people, nothing missing, by hand: 30 pairs observed apart of 100, 2 * 55 * 45 / 99 expected.
    assert krippendorff(rated(PAIR)).value == pytest.approx(1 - 30 * 99 / (2 * 55 * 45))


def test_two_raters_of_whole_data_agree_between_the_coefficients():
    share = 55 / 100
    scott = (0.7 - share**2 - (1 - share) ** 2) / (1 - share**2 - (1 - share) ** 2)
    assert fleiss(rated(PAIR)).value == pytest.approx(scott)


@pytest.mark.parametrize(
    ("measure", "nobody", "same"),
    [
        (lambda r: cohen(r, "a", "b"), "judged by both", "both gave every cell the same one class"),
        (fleiss, "judged by all", "all gave every cell the same one class"),
        (krippendorff, "judged by two", "every cell has the same one class"),
    ],
)
def test_what_is_not_defined_says_why(measure, nobody, same):
    empty = measure(rated([(0, -1), (-1, 1)]))
    assert empty.value is None and empty.low is None
    assert empty.text == f"not defined: no cell was {nobody}"
    alike = measure(rated([(0, 0)] * 9))
    assert alike.value is None
    assert alike.text == f"not defined: {same}"
    one = measure(rated([(0, 1)]))
    assert one.low is None and "(no interval: too few cells), 1 cell" in one.text
    assert measure(rated([(0, 0), (1, 1)] * 20)).value == 1


def test_images_are_drawn_whole():
    # Within an image people agree on all or on nothing: by cell the interval is far too narrow.
    values = [(i % 2, (i + (i // 20) % 2) % 2) for i in range(160)]
    images = tuple(f"image {i // 20}" for i in range(160))
    by_cell = cohen(rated(values, images), "a", "b")
    by_image = cohen(rated(values, images), "a", "b", by_image=True)
    assert by_image.value == by_cell.value == 0
    assert by_image.high - by_image.low > 2 * (by_cell.high - by_cell.low)
    alone = cohen(rated(values, ("one",) * 160), "a", "b", by_image=True)
    assert alone.low is None and "all cells are of one image" in alone.text


def test_two_annotators_of_200_cells_from_their_events():
    ana, ben = Member("ana"), Member("ben")
    wanted = PAIR * 4
    for i, (one, other) in enumerate(wanted):
        ana.write(Draft(Kind.LABEL, f"{i:03}", class_id="rw"[one], value=Value.ONLY))
        ben.write(Draft(Kind.LABEL, f"{i:03}", class_id="rw"[other], value=Value.ONLY))
    state = fold([*ben.state.events, *ana.state.events])
    found = ratings(state)
    assert (found.annotators, found.classes) == (("ana", "ben"), ("r", "w"))
    assert cohen(found, "ana", "ben").value == pytest.approx(0.4)
    assert krippendorff(found).value == pytest.approx(1 - 120 * 399 / (2 * 220 * 180))
    apart = disagreements(state)
    assert len(apart) == 60
    assert apart[0].classes == {"ana": ("r",), "ben": ("w",)} and apart[0].final is None


def test_one_class_of_several_is_yes_or_no():
    ana, ben = Member("ana"), Member("ben")
    for member, words in ((ana, "yyn"), (ben, "yn-")):
        for i, word in enumerate(words):
            if word != "-":
                value = Value.YES if word == "y" else Value.NO
                member.write(Draft(Kind.LABEL, f"{i}", class_id="golgi", value=value))
    found = ratings(fold([*ana.state.events, *ben.state.events]), "golgi")
    assert found.classes == ("no", "yes")
    assert found.values.tolist() == [[1, 1], [1, 0], [0, -1]]


def test_the_last_word_leaves_both_opinions_as_they_are(tmp_path):
    journal = new_journal(tmp_path / "j")
    for name in ("RBC", "WBC"):
        journal.add_class(name)
    journal.label("c", "rbc")
    other = Member("ben")
    journal.merge([label(other.pen, "c", "wbc")])
    cell = journal.state.cell("c")
    assert cell.disagreed and cell.settled is None
    event = adjudicate(journal, "c", "wbc")
    assert event.source == Source.ADJUDICATED
    cell = journal.state.cell("c")
    assert {name: d.classes for name, d in cell.decisions.items()} == {
        "ana": ("rbc",),
        "ben": ("wbc",),
    }
    assert cell.settled.classes == ("wbc",) and cell.settled.annotator == "ana"
    assert disagreements(journal.state)[0].final == ("wbc",)
    assert ratings(journal.state).values.tolist() == [[0, 1]]
    assert label_table(journal.state)["source"].tolist() == ["human", "adjudicated", "human"]
    journal.undo()
    assert journal.state.cell("c").settled is None
    assert journal.close()


def test_a_cell_only_an_adjudication_knows(tmp_path):
    journal = new_journal(tmp_path / "j")
    journal.add_class("RBC")
    adjudicate(journal, "c", "rbc")
    cell = journal.state.cell("c")
    assert cell.decisions == {} and cell.settled.classes == ("rbc",)
    assert ratings(journal.state).cell_ids == ()
    assert journal.close()
