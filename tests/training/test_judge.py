"""The judge of simulated cells: its arithmetic on features made by hand, its crops, its words."""

from __future__ import annotations

import numpy as np
import pytest
from training.simulate import judge


def features(
    names: list[str], each: int, apart: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centers = apart * rng.standard_normal((len(names), 20))
    points = np.concatenate([c + rng.standard_normal((each, 20)) for c in centers])
    return points, np.repeat(names, each), np.tile(np.arange(each) % 3 == 2, len(names))


def test_classes_far_apart_are_told_apart() -> None:
    found = judge.judge(*features(["a", "b", "c"], 30, 5.0))
    assert found.macro_f1 == 1.0
    assert found.confused == []
    assert found.cells == (60, 30)
    assert found.names == ["a", "b", "c"]


def test_what_cannot_be_told_apart_is_named() -> None:
    points, names, held = features(["a", "b", "c"], 60, 5.0)
    points[names == "b"] = np.random.default_rng(1).permutation(points[names == "a"])
    found = judge.judge(points, names, held)
    assert found.f1["c"] == 1.0
    assert found.macro_f1 < 0.85
    assert {pair[:2] for pair in found.confused} == {("a", "b"), ("b", "a")}


def test_opinions_about_real_cells() -> None:
    points, names, held = features(["a", "b", "c"], 30, 5.0)
    found = judge.judge(points, names, held)
    said = judge.opinions(found, points[names == "b"], ["b"])
    assert said["cells"] == 30
    assert said["first"] == {"b": 30}
    assert said["top 1"] == said["top 3"] == 1.0
    wrong = judge.opinions(found, points[names == "b"], ["a"])
    assert wrong["top 1"] == 0
    assert min(wrong["rank of truth"]) > 1


@pytest.mark.parametrize("channels", [1, 4])
def test_a_lone_cell_is_cut_to_its_frame(channels: int) -> None:
    planes = np.zeros((channels, 120, 90), np.uint8)
    planes[:, 40:80, 20:50] = 200
    crop = judge._whole(planes)
    assert crop.shape == (1, 96, 96, channels)
    assert 0.5 < (crop[0, ..., 0] > 0.5).mean() < 0.9


def test_cells_of_a_pattern_carry_its_name_and_field() -> None:
    crops, names, number = judge.pattern_cells((0, 4))
    assert number == 4
    assert set(names) == {"Nucleoplasm"}
    assert crops.shape == (len(names), 96, 96, 4)


@pytest.mark.real
def test_labels_of_the_real_fields(shared_data) -> None:
    assert judge.real_label(shared_data, "56_F11_1") == ["Plasma membrane"]
    assert judge.real_label(shared_data, "no_such_1") == []
    crops = list(judge.real_cells(shared_data))
    assert len(crops) == 13
    assert crops[0][1].shape == (1, 96, 96, 4)
