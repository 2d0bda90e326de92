"""Counting: hand-computed values, invariants, and the answers for "not defined"."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.counting import (
    class_counts,
    count_names,
    infected_class,
    is_defined,
    parasitaemia,
    parasitaemia_of,
    rogan_gladen,
    total_counts,
    wilson,
)
from napari_cellcls.models.manifest import Metrics, MetricValue
from napari_cellcls.vocabulary import ClassScheme, Estimate

MALARIA = ClassScheme.from_names(("Parasitized", "Uninfected"))
METRICS = Metrics(
    values={
        "sensitivity": MetricValue(value=0.94, low=0.92, high=0.955),
        "specificity": MetricValue(value=0.97, low=0.96, high=0.978),
    }
)


def exact(value: float) -> Estimate:
    return Estimate(value, value, value)


def predictions(assigned: list[list[int]], scheme: ClassScheme = MALARIA) -> Any:
    return SimpleNamespace(
        assigned=np.array(assigned, bool).reshape(-1, len(scheme)), scheme=scheme
    )


def package(metrics: Metrics) -> Any:
    return SimpleNamespace(manifest=SimpleNamespace(metrics=metrics))


def test_wilson_of_eight_in_ten() -> None:
    # Brown, Cai & DasGupta 2001 and any textbook: 8/10 -> 0.490 .. 0.943.
    got = wilson(8, 10)
    assert (got.value, got.n, got.method) == (0.8, 10, "Wilson")
    assert got.low == pytest.approx(0.4901625, abs=1e-6)
    assert got.high == pytest.approx(0.9433178, abs=1e-6)


def test_wilson_at_the_ends_is_exact() -> None:
    z2 = 1.959963984540054**2
    assert (wilson(0, 50).low, wilson(50, 50).high) == (0.0, 1.0)
    assert wilson(0, 50).high == pytest.approx(z2 / (50 + z2))
    assert wilson(50, 50).low == pytest.approx(50 / (50 + z2))


def test_no_cells_is_not_defined() -> None:
    got = wilson(0, 0)
    assert not is_defined(got) and math.isnan(got.low) and math.isnan(got.high)
    assert got.method == "not defined: no cells"
    assert rogan_gladen(0, 0, exact(0.9), exact(0.9)).method == "not defined: no cells"


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"received k={k}, n={n}"):
        wilson(k, n)


def test_rogan_gladen_value_by_hand() -> None:
    # (0.10 + 0.97 - 1) / (0.94 + 0.97 - 1) = 0.07 / 0.91
    assert rogan_gladen(100, 1000, exact(0.94), exact(0.97)).value == pytest.approx(0.07 / 0.91)


def test_a_perfect_test_changes_nothing_but_the_shape_of_the_interval() -> None:
    raw, corrected = wilson(30, 200), rogan_gladen(30, 200, exact(1.0), exact(1.0))
    assert corrected.value == pytest.approx(raw.value)
    # Agresti-Coull and Wilson share their center and differ by little at this size.
    assert corrected.low == pytest.approx(raw.low, abs=0.001)
    assert corrected.high == pytest.approx(raw.high, abs=0.001)


def test_lang_reiczigel_interval_by_hand() -> None:
    # Equations of Lang & Reiczigel 2014 worked out for 60 of 300, Se 90/100, Sp 190/200.
    z = 1.959963984540054
    pa, na = (60 + z * z / 2) / (300 + z * z), 300 + z * z
    se, sp = 91 / 102, 191 / 202
    vse, vsp = se * (1 - se) / 102, sp * (1 - sp) / 202
    prev = (pa + sp - 1) / (se + sp - 1)
    shift = 2 * z * z * (prev * vse - (1 - prev) * vsp)
    half = z * math.sqrt(pa * (1 - pa) / na + prev**2 * vse + (1 - prev) ** 2 * vsp) / (se + sp - 1)
    got = rogan_gladen(60, 300, wilson(90, 100), wilson(190, 200))
    assert got.value == pytest.approx(0.15 / 0.85)
    assert got.low == pytest.approx(prev + shift - half, abs=1e-9)
    assert got.high == pytest.approx(prev + shift + half, abs=1e-9)


def test_fewer_positives_than_false_ones_clip_to_zero_and_say_so() -> None:
    got = rogan_gladen(5, 1000, exact(0.94), exact(0.97))
    assert (got.value, got.low) == (0.0, 0.0)
    assert "clipped from -0.02747" in got.method
    assert got.high < 0.01


def test_an_uninformative_test_is_not_defined() -> None:
    got = rogan_gladen(5, 10, exact(0.4), exact(0.6))
    assert not is_defined(got)
    assert got.method.startswith(
        "not defined: the test is uninformative (sensitivity 0.4 + specificity 0.6"
    )


def test_a_model_without_metrics_gives_no_correction() -> None:
    got = parasitaemia(predictions([[1, 0], [0, 1]]), package(Metrics()))
    assert got["apparent"].value == 0.5
    assert (
        got["corrected"].method
        == "not defined: sensitivity or specificity of the model is not known"
    )


def test_metrics_without_an_interval_are_not_used() -> None:
    bare = Metrics(values=METRICS.values | {"specificity": MetricValue(value=0.97)})
    assert not is_defined(parasitaemia_of(count_names(["Parasitized"], MALARIA), bare)["corrected"])


def test_parasitaemia_of_a_smear() -> None:
    rows = [[1, 0]] * 40 + [[0, 1]] * 160
    got = parasitaemia(predictions(rows), package(METRICS))
    assert got["apparent"].value == 0.2
    assert got["corrected"].value == pytest.approx((0.2 + 0.97 - 1) / 0.91)
    assert got["corrected"].low < got["corrected"].value < got["corrected"].high


def test_parasitaemia_needs_a_class_that_means_infected() -> None:
    scheme = ClassScheme.from_names(("RBC", "WBC"))
    assert infected_class(scheme) is None
    assert parasitaemia(predictions([[1, 0]], scheme), package(METRICS)) == {}


def test_no_cells_in_a_smear() -> None:
    got = parasitaemia(predictions([]), package(METRICS))
    assert [is_defined(e) for e in got.values()] == [False, False]


def test_class_counts_with_several_labels_and_none() -> None:
    scheme = ClassScheme.from_names(("a", "b", "c"), multi_label=True)
    got = class_counts(predictions([[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 1, 0]], scheme))
    assert (got.total, got.unassigned) == (4, 1)
    assert [row.count for row in got.classes] == [1, 3, 0]
    assert got.classes[1].fraction == wilson(3, 4)


def test_counting_names_agrees_with_counting_predictions() -> None:
    scheme = ClassScheme.from_names(("a", "b", "c"), multi_label=True)
    by_name = count_names(["a|b", "", "b", "b"], scheme)
    assert by_name == class_counts(
        predictions([[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 1, 0]], scheme)
    )
    assert count_names(["elsewhere"], scheme).unassigned == 1


def test_totals_add_up() -> None:
    parts = [
        count_names(["Parasitized", "Uninfected"], MALARIA),
        count_names(["Uninfected"], MALARIA),
    ]
    got = total_counts(parts)
    assert got.total == 3
    assert [(row.count, row.fraction) for row in got.classes] == [
        (1, wilson(1, 3)),
        (2, wilson(2, 3)),
    ]
    assert total_counts([]).total == 0


counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_wilson_holds_its_estimate_within_bounds(kn: tuple[int, int]) -> None:
    got = wilson(*kn)
    assert 0 <= got.low <= got.value <= got.high <= 1


@given(counts)
def test_wilson_grows_with_hits_and_is_symmetric(kn: tuple[int, int]) -> None:
    k, n = kn
    here, mirrored = wilson(k, n), wilson(n - k, n)
    assert here.low == pytest.approx(1 - mirrored.high, abs=1e-12)
    if k < n:
        more = wilson(k + 1, n)
        assert more.low > here.low and more.high > here.high


tests_of_a_test = st.tuples(
    st.integers(20, 2000), st.floats(0.55, 1), st.integers(20, 2000), st.floats(0.55, 1)
)


@given(counts, tests_of_a_test)
def test_rogan_gladen_holds_its_estimate_within_bounds(
    kn: tuple[int, int], quality: tuple[int, float, int, float]
) -> None:
    n_se, se, n_sp, sp = quality
    got = rogan_gladen(*kn, wilson(round(n_se * se), n_se), wilson(round(n_sp * sp), n_sp))
    assert 0 <= got.low <= got.value <= got.high <= 1


@given(st.integers(2, 2000), st.floats(0.8, 0.99), st.floats(0.8, 0.99))
def test_rogan_gladen_never_falls_when_hits_grow(n: int, se: float, sp: float) -> None:
    quality = wilson(round(400 * se), 400), wilson(round(400 * sp), 400)
    values = [rogan_gladen(k, n, *quality).value for k in range(0, n + 1, max(n // 20, 1))]
    assert values == sorted(values)


@given(st.floats(0.01, 0.1))
def test_less_certain_metrics_give_a_wider_interval(half: float) -> None:
    def of(width: float) -> Estimate:
        return rogan_gladen(300, 1000, exact(0.9), Estimate(0.88, 0.88 - width, 0.88 + width))

    assert of(half).high - of(half).low > of(half / 2).high - of(half / 2).low
