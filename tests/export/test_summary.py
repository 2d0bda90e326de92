"""The summary says what was counted, how sure, with what, and what failed, as valid JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from napari_cellcls.counting import wilson
from napari_cellcls.export import summary
from napari_cellcls.models.manifest import Metrics
from napari_cellcls.vocabulary import ImageError
from tests.export import fakes


def result(infected: tuple[bool, ...] = (True, False, False, False), **more) -> summary.ImageResult:
    guess = fakes.predictions(infected)
    return summary.image_result(
        fakes.rgb_image(), fakes.cells(), guess, fakes.manifest(**more), seconds={"find": 0.123456}
    )


def read(run: summary.Run, folder: Path) -> dict:
    summary.write_summary(run, folder / "summary.json")
    return json.loads((folder / "summary.json").read_text("utf-8"))


def test_one_image(tmp_path: Path) -> None:
    got = read(summary.Run({"model": "auto"}, [result()]), tmp_path)
    assert (got["schema"], got["settings"]) == ("cellcls-summary/1", {"model": "auto"})
    assert got["versions"]["napari-cellcls"]
    row = got["images"][0]
    assert row["cells"] == {
        "found_by": "smear", "count": 4, "touching_the_edge": 1, "left_out": {"white cell": 1},
    }  # fmt: skip
    assert row["classes"][0] == {
        "id": "parasitized", "name": "Parasitized", "count": 1,
        "fraction": summary.estimate_json(wilson(1, 4)),
    }  # fmt: skip
    assert row["parasitemia"]["apparent"]["value"] == 0.25
    assert row["parasitemia"]["corrected"]["value"] == pytest.approx(0.22 / 0.91)
    assert row["notes"] == ["a note", "a doubt"]
    assert row["seconds"] == {"find": 0.1235}
    assert row["model_sha256"] == "ab" * 32


def test_totals_are_pooled_cells_not_means_of_images(tmp_path: Path) -> None:
    got = read(summary.Run({}, [result(), result((True, True))]), tmp_path)
    total = got["totals"]["by_model"]["malaria-thin-smear@1.0.0"]
    assert (got["totals"]["images"], got["totals"]["cells"], total["cells"]) == (2, 6, 6)
    assert total["parasitemia"]["apparent"]["value"] == 0.5


def test_not_defined_is_null_never_nan(tmp_path: Path) -> None:
    got = read(summary.Run({}, [result((), metrics=Metrics())]), tmp_path)
    apparent = got["images"][0]["parasitemia"]["apparent"]
    assert (apparent["value"], apparent["method"]) == (None, "not defined: no cells")
    assert summary.percent(apparent) == "not defined"


def test_failures_carry_code_and_remedy(tmp_path: Path) -> None:
    error = ImageError(
        "The file is empty.", code="IMG-EMPTY", path="a.tif", why="0 bytes", remedy="Copy it."
    )
    got = read(summary.Run({}, failures=[summary.Failure("a", "a.tif", error)]), tmp_path)
    assert got["failures"] == [
        {"name": "a", "path": "a.tif", "code": "IMG-EMPTY", "what": "The file is empty.",
         "why": "0 bytes", "remedy": "Copy it."}
    ]  # fmt: skip
    assert got["totals"] == {
        "images": 0,
        "failed": 1,
        "without_cells": [],
        "cells": 0,
        "by_model": {},
    }


def test_why_an_image_is_empty() -> None:
    row = {**result(()).row, "notes": ["a doubt", "no cells found: it is blank"]}
    row["cells"] = {**row["cells"], "count": 0}
    assert summary.why_empty(row) == summary.headline(row) == "no cells found: it is blank"
    assert summary.why_empty({**row, "notes": []}) == "no cells found"
    assert summary.why_empty(result().row) == ""


def test_lines_below_a_picture() -> None:
    cells, manifest = fakes.cells(), fakes.manifest()
    lines = summary.picture_lines(cells, fakes.predictions(), manifest)
    assert lines[0].startswith("parasitemia 25.0 %")
    both = fakes.predictions()
    both.assigned[0] = True
    assert (
        "A cell with several classes is drawn in the most probable one."
        in summary.picture_lines(cells, both, manifest)
    )
    none = replace(cells, table=cells.table[:0], notes=("a doubt", "no cells found: it is blank"))
    assert summary.picture_lines(none, fakes.predictions(()), manifest) == (
        "no cells found: it is blank",
    )


def test_headline() -> None:
    text = summary.headline(result().row)
    assert text.startswith(
        "Parasitized 1, Uninfected 3; parasitemia 25.0 % (4.6–69.9) apparent, 24.2 % ("
    )
