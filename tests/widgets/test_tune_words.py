"""What the dock *Fine-tune* says, without a window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_cellcls.learn.gate import Fall, Verdict
from napari_cellcls.project.versions import Attempt, Change, History, Version
from napari_cellcls.widgets.tune import words
from napari_cellcls.widgets.tune.words import ClassLine, Stock
from tests.learn import smears
from tests.models import make

FOUND = Verdict(
    "better", True, False, 0.71, 0.84, (0.05, 0.2), 0.95, 120, 4, 2, ("It helps.",),
    classes=(Fall("RBC", 0.9, 0.8, 70), Fall("Burr", float("nan"), 0.7, 50)),
)  # fmt: skip


def test_what_is_missing_is_said_by_class_and_by_image() -> None:
    few = Stock((ClassLine("RBC", "#d55e00", 12), ClassLine("Platelets", "#0072b2", 7)), 3, 3)
    assert few.labels == 19 and few.why_not == ""
    assert words.missing_words(few.classes[0], False) == "12 ✓"
    assert words.missing_words(few.classes[1], False) == "7 · 3 more"
    assert words.missing_words(few.classes[1], True) == "7 · 43 more"
    told = words.stock_words(few, False)
    assert (
        "3 more of Platelets." in told and "2 more images with labels would allow a proof" in told
    )
    many = replace(few, images=9, groups=9)
    assert words.stock_words(many, False) == "Would help: 3 more of Platelets."
    assert "1 more patient, slide or plate with labels" in words.stock_words(
        replace(many, groups=4), False
    )
    assert "All images are of one patient" in words.stock_words(replace(many, groups=1), False)
    one = Stock((ClassLine("RBC", "#d55e00", 12), ClassLine("WBC", "#0072b2", 0)), 1, 1)
    assert "one cell of each of two classes" in one.why_not
    assert "nothing can be said about other images" in words.stock_words(one, False)


def test_labels_are_counted_once_per_cell_and_class(tmp_path: Path) -> None:
    project, _ = smears.project_of(tmp_path / "work", images=2, labeled=4)
    with project:
        stock = words.stock_of(project.journal.state)
    assert stock.labels == 8 and stock.images == stock.groups == 2
    assert [one.name for one in stock.classes] == ["Alpha", "Beta"]


def test_the_verdict_in_words() -> None:
    assert words.headline(FOUND) == "Better: macro F1 0.71 → 0.84"
    told = words.evidence(FOUND)
    assert "95% interval +0.050 to +0.200" in told and "120 cells of 4 groups" in told
    assert "Attempt 2" in told and told.endswith("It helps.")
    nothing = replace(
        FOUND, word="not enough data to tell", before=float("nan"), after=float("nan"), difference=None,
        cells=0, attempts=1,
    )  # fmt: skip
    assert words.headline(nothing) == "Not enough data to tell"
    assert words.evidence(nothing) == "It helps."
    assert words.class_row(FOUND.classes[0]) == ("RBC", "0.90", "0.80 ▼", "70")
    assert words.class_row(FOUND.classes[1]) == ("Burr", "–", "0.70", "50")
    assert words.notes_words(("A note.",), {"people disagree": 3}).endswith(
        "Not used: 3 people disagree."
    )


@pytest.mark.parametrize("in_use", [True, False])
def test_versions_in_lines(in_use: bool) -> None:
    manifest = make.manifest(
        level="tuned", provenance={"created": "2026-11-21T20:00:00", "n_labels": 1200}
    )
    one = Version("p@0.1.0", "a" * 64, Path("p.cellpkg"), manifest, None, in_use, 3_000_000)
    found = History(
        (one,), (Change("2026-11-21T20:01:02", "ana", "", "p@0.1.0", "better"),),
        (Attempt("2026-11-21T20:01:02", "p@0.1.0", "t", (), "better", True),),
    )  # fmt: skip
    (line, tip), (last, _) = words.version_lines(found)
    assert "p@0.1.0 · 2026-11-21 · 1,200 labels · better" in line
    assert line.startswith("●") is in_use and last.startswith("●") is not in_use
    assert "3.0 MB" in tip and "the released model → p@0.1.0 by ana (better)" in tip
