"""The space that labeled cells span: which numbers share a scale, and what that does to rare ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.learn.span import Span

E, F = 40, 6


def described(n: int = 12, seed: int = 0) -> np.ndarray:
    """Return descriptors ``(n, 46)``: an embedding, then measured numbers."""
    return np.random.default_rng(seed).normal(size=(n, E + F)).astype(np.float32)


@given(st.lists(st.floats(-4, 4), min_size=F, max_size=F), st.integers(0, 1000))
def test_the_unit_of_a_measured_number_does_not_matter(powers: list[float], seed: int) -> None:
    x, probe = described(seed=seed), described(5, seed + 1)
    units = np.concatenate([np.ones(E), 10.0 ** np.array(powers)]).astype(np.float32)
    one, two = Span.of(x, (E, F)), Span.of(x * units, (E, F))
    alike = [space.into(y)[:, :-1] for space, y in ((one, probe), (two, probe * units))]
    assert alike[1] @ alike[1].T == pytest.approx(alike[0] @ alike[0].T, abs=1e-3)


def test_a_number_that_is_rarely_there_does_not_outweigh_the_others() -> None:
    x, probe = described(), described(1, seed=1)
    x[:, 0], x[0, 0], probe[0, 0] = 0, 0.01, 1
    reach = np.abs((probe - x.mean(0)) / Span.of(x, (E, F)).scale)[0]
    assert reach[0] < 2 * reach[1:E].max()
    own = np.abs((probe - x.mean(0)) / x.std(0))[0]
    assert own[0] > 50 * own[1:E].max()


def test_both_blocks_weigh_the_same() -> None:
    x = described(200)
    z = (x - x.mean(0)) / Span.of(x, (E, F)).scale
    assert (z[:, :E] ** 2).sum(1).mean() == pytest.approx(0.5, rel=1e-4)
    assert (z[:, E:] ** 2).sum(1).mean() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("place", [3, E + 2])
def test_a_number_that_never_differs_is_left_out(place: int) -> None:
    x = described()
    x[:, place] = 7
    space = Span.of(x, (E, F))
    assert np.isinf(space.scale[place]) and np.isfinite(space.scale).sum() == E + F - 1
    kernel, _ = space.out(np.ones((space.basis.shape[1] + 1, 2)))
    assert (kernel[place] == 0).all() and np.isfinite(kernel).all()
