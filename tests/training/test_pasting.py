"""Pasting in optical density: what is added comes out again, and only inside the cell."""

from __future__ import annotations

import numpy as np
import pytest

from training import pasting


def cell(value: float = 0.7, radius: float = 20) -> np.ndarray:
    """Return a round cell of one color in a black square of 50 x 50."""
    y, x = np.mgrid[:50, :50] - 24.5
    inside = (np.hypot(y, x) < radius)[..., None]
    return np.where(inside, np.float32([value, value - 0.1, value]), 0).astype(np.float32)


def infected() -> np.ndarray:
    """Return a cell with a dark square of 5 x 5 pixels, twice as dense in green."""
    found = cell()
    found[20:25, 22:27] *= np.float32([0.8, 0.5, 0.7])
    return found


def test_a_parasite_is_what_is_denser_than_its_cell() -> None:
    added = pasting.parasite(infected())
    assert added is not None
    assert added[22, 24] == pytest.approx(-np.log([0.8, 0.5, 0.7]), abs=0.03)
    assert added[40, 24].max() == 0


def test_a_plain_cell_has_none() -> None:
    assert pasting.parasite(cell()) is None


def test_pasted_into_its_own_color_the_cell_is_as_before() -> None:
    added = pasting.parasite(infected())
    assert added is not None
    made = pasting.paste(cell()[None], added[None])[0]
    assert made[21:24, 23:26] == pytest.approx(infected()[21:24, 23:26], abs=0.02)


def test_nothing_is_added_outside_the_cell() -> None:
    made = pasting.paste(cell(radius=8)[None], np.ones((1, 50, 50, 3), np.float32))[0]
    assert made[cell(radius=8).max(-1) == 0].max() == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_fitted_parasite_lies_in_the_cell(seed: int) -> None:
    added = pasting.parasite(infected())
    assert added is not None
    target = cell(radius=12)
    found = pasting.fitted(target, added, np.random.default_rng(seed))
    assert found is not None
    assert found[target.max(-1) == 0].sum() <= 0.2 * found.sum()
    assert 0.75 * added.sum() < found.sum() < 1.3 * added.sum()


def test_a_parasite_too_large_for_the_cell_is_refused() -> None:
    everywhere = np.ones((50, 50, 3), np.float32)
    assert pasting.fitted(cell(radius=5), everywhere, np.random.default_rng(0)) is None


def test_the_control_has_the_texture_of_its_own_cell() -> None:
    spot = np.zeros((50, 50), bool)
    spot[20:25, 22:27] = True
    assert pasting.control(cell(), spot).max() == pytest.approx(0, abs=1e-6)
    rough = cell() * np.random.default_rng(0).uniform(0.9, 1, (50, 50, 1)).astype(np.float32)
    assert 0 < pasting.control(rough, spot).max() < 0.11
