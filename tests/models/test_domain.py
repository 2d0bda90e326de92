"""Strangeness: usual cells are usual, foreign ones are not, and too little says nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellcls.models.domain import domain_from, domain_of
from napari_cellcls.models.registry import load


def seen(n: int, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    """Return embeddings of two kinds of cells, in 6 of 40 directions."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(1).normal(size=(6, 40))
    kind = rng.integers(0, 2, (n, 1)) * np.array([[4, 0, 0, 0, 0, 0.0]])
    inner = rng.normal(size=(n, 6)) + kind
    inner[:, 5] += shift
    return (inner @ mixing + 0.01 * rng.normal(size=(n, 40))).astype(np.float32)


def test_five_in_a_hundred_usual_cells_are_above_one() -> None:
    domain = domain_from(seen(400))
    assert domain is not None
    assert (domain.strangeness(seen(2000, seed=5)) > 1).mean() == pytest.approx(0.05, abs=0.03)


def test_foreign_cells_are_far() -> None:
    domain = domain_from(seen(400))
    assert domain is not None
    foreign = domain.strangeness(seen(500, seed=6, shift=8))
    assert (foreign > 1).mean() > 0.98
    assert foreign.mean() > 2 * domain.strangeness(seen(500, seed=7)).mean()


@pytest.mark.parametrize("n", [0, 1, 10])
def test_too_few_exemplars_say_nothing(n: int) -> None:
    assert domain_from(seen(max(n, 1))[:n]) is None


def test_equal_exemplars_say_nothing() -> None:
    assert domain_from(np.ones((50, 8))) is None


def test_measured_numbers_count_as_much_as_the_embedding() -> None:
    rng = np.random.default_rng(0)
    measured = rng.normal(size=(400, 5)) * [1, 10, 100, 0, 1]
    whole = np.hstack([seen(400), measured])
    domain, plain = domain_from(whole, (40, 5)), domain_from(seen(400))
    assert domain is not None and plain is not None and len(domain.parts) == 2
    like = np.hstack([seen(500, seed=5), rng.normal(size=(500, 5)) * [1, 10, 100, 0, 1]])
    assert (domain.strangeness(like) > 1).mean() == pytest.approx(0.05, abs=0.03)
    larger = like + np.array([0.0] * 42 + [800, 0, 0])
    assert (domain.strangeness(larger) > 1.5).all()
    assert plain.strangeness(larger[:, :40]) == pytest.approx(plain.strangeness(like[:, :40]))


def test_no_cells_no_answers() -> None:
    domain = domain_from(seen(100))
    assert domain is not None and domain.strangeness(np.zeros((0, 40))).shape == (0,)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 100), st.integers(0, 1000))
def test_unit_and_place_of_the_embedding_do_not_matter(factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(40, 40)))
    offset = rng.normal(size=40)
    one, two = domain_from(seen(200)), domain_from((seen(200) @ turn) * factor + offset)
    assert one is not None and two is not None
    probe = seen(50, seed=9, shift=3)
    assert two.strangeness((probe @ turn) * factor + offset) == pytest.approx(
        one.strangeness(probe), rel=0.02
    )


def test_every_bundled_model_with_exemplars_has_a_domain() -> None:
    package = load("malaria-thin-smear")
    domain = domain_of(package)
    assert domain is not None and package.reference is not None
    own = domain.strangeness(package.reference["embeddings"])
    assert (own > 1).mean() < 0.05  # each is its own neighbor here
    assert domain_of(load("blank")) is None
