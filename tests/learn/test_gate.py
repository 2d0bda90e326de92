"""The gate: true gains pass, shuffled labels do not, small samples say so, forgotten classes are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_cellcls.learn.gate import judge_change, judge_first, no_claim, weakened
from napari_cellcls.learn.metrics import Scored, one_hot, scored

CLASSES = ("ring", "trophozoite", "healthy")


def answers(
    right: float | tuple[float, ...], n: int, seed: int, *, groups: int = 40, base: int = 0
) -> Scored:
    """Return answers of which a share is right, the same cells for the same ``n`` and ``base``."""
    labels = np.random.default_rng(base).integers(0, 3, n)
    rng = np.random.default_rng(seed)
    shares = np.broadcast_to(right, 3)[labels]
    said = np.where(rng.random(n) < shares, labels, (labels + rng.integers(1, 3, n)) % 3)
    p = np.full((n, 3), 0.05)
    p[np.arange(n), said] = 0.9
    names = np.array([f"image{k}" for k in np.random.default_rng(base + 1).integers(0, groups, n)])
    return scored(p, one_hot(labels, 3), names)


def beside(right: float, seed: int) -> Scored:
    """Return answers to cells of other images."""
    found = answers(right, 900, seed, base=50)
    return replace(found, groups=np.char.add("other ", found.groups))


def test_a_clear_gain_is_better() -> None:
    found = judge_change(answers(0.8, 900, 1), answers(0.9, 900, 2), CLASSES)
    assert found.word == "better" and found.promote and not found.local
    assert found.difference is not None and found.difference[0] > 0
    text = found.text()
    assert text.startswith("Better: macro F1 0.") and "on 900 held-out cells of 40 groups." in text


def test_a_clear_loss_is_worse() -> None:
    found = judge_change(answers(0.9, 900, 1), answers(0.8, 900, 2), CLASSES)
    assert (found.word, found.promote) == ("worse", False)
    assert "Keep the model before." in found.text()


def test_the_same_answers_are_no_worse() -> None:
    same = answers(0.9, 900, 1)
    found = judge_change(same, same, CLASSES)
    assert (found.word, found.promote, found.difference) == ("no worse", True, (0.0, 0.0))


def test_the_same_answers_on_few_cells_could_hide_a_loss() -> None:
    same = answers(0.9, 100, 1)
    found = judge_change(same, same, CLASSES)
    assert (found.word, found.promote) == ("not enough data to tell", False)
    assert (
        "No difference shows, but 100 held-out cells would not show a small loss: 498 more would."
        in found.text()
    )


def won(groups: int, cells: int = 80, lost: int = 0) -> tuple[Scored, Scored]:
    """Return answers that differ in one cell of some images: won by the second in these, lost in others."""
    labels = np.arange(cells) % 2
    names = np.array([f"image{k // 5}" for k in range(cells)])
    firsts = np.arange(0, cells, 5)
    one, two = labels.copy(), labels.copy()
    one[firsts[:groups]] = 1 - labels[firsts[:groups]]
    two[firsts[-lost:] if lost else []] = 1 - labels[firsts[-lost:] if lost else []]
    pair = [scored(one_hot(s, 3) * 0.97 + 0.01, one_hot(labels, 3), names) for s in (one, two)]
    return pair[0], pair[1]


def test_every_difference_in_favor_is_told_from_no_difference() -> None:
    found = judge_change(*won(3), CLASSES)
    assert (found.word, found.promote) == ("no worse", True)
    assert found.difference is not None and found.difference[0] == 0
    told = "It is right more often in 3 of 16 groups, less often in none"
    assert f"{told}: a loss can be ruled out, though a gain is not proven." in found.text()
    assert judge_change(*won(5), CLASSES).word == "better"


def test_one_or_two_wins_may_be_luck() -> None:
    for wins in (1, 2):
        found = judge_change(*won(wins), CLASSES)
        assert (found.word, found.promote) == ("not enough data to tell", False)
        assert f"right more often in {wins} of 16 groups, less often in none." in found.text()
        assert "That may be luck: 3 against none would not be." in found.text()
    again = judge_change(*won(3), CLASSES, attempts=2)
    assert not again.promote and "4 against none would not be" in again.text()


def test_a_class_that_nothing_judges_does_not_count() -> None:
    """The new model says a class once that no held-out cell has: one wrong cell, not a class with F1 0."""
    before, after = won(2, 200)
    said = after.said.copy()
    said[-1] = [False, False, True]
    found = judge_change(
        before, Scored(after.probabilities, said, after.truth, after.groups), CLASSES
    )
    assert found.after > 0.99 and found.difference is not None and found.difference[0] > -0.05


def test_few_labels_do_not_tell_and_it_says_how_many_would() -> None:
    for seed in range(20):
        found = judge_change(answers(0.8, 40, seed), answers(0.83, 40, seed + 100), CLASSES)
        if found.word == "not enough data to tell":
            assert not found.promote and (
                "more held-out labels" in found.text() or "No gain" in found.text()
            )
            return
    raise AssertionError("forty cells always told")


def test_one_image_claims_nothing() -> None:
    found = judge_change(answers(0.5, 300, 1, groups=1), answers(0.99, 300, 2, groups=1), CLASSES)
    assert (found.word, found.promote, found.difference) == ("not enough data to tell", False, None)
    assert "All held-out cells are of one group" in found.text()


def test_a_class_that_falls_stops_a_gain() -> None:
    before, after = answers((0.95, 0.55, 0.55), 1500, 1), answers((0.55, 0.95, 0.95), 1500, 2)
    found = judge_change(before, after, CLASSES)
    assert found.after > found.before
    assert [fall.name for fall in found.falls] == ["ring"]
    assert (found.word, found.promote) == ("worse", False) and "F1 falls for ring" in found.text()


def test_a_rare_class_does_not_stop_it() -> None:
    before, after = answers(0.8, 600, 1), answers(0.9, 600, 2)
    rows = np.r_[np.flatnonzero(~before.truth[:, 0]), np.flatnonzero(before.truth[:, 0])[:10]]
    assert not judge_change(before.take(rows), after.take(rows), CLASSES).falls


def test_a_forgotten_class_is_named() -> None:
    gain = answers(0.8, 900, 1), answers(0.92, 900, 2)
    old = answers(0.95, 300, 3, base=9), answers((0.6, 0.95, 0.95), 300, 4, base=9)
    found = judge_change(*gain, CLASSES, regression=old)
    assert found.word == "better" and found.promote and found.local
    assert found.forgotten[0].name == "ring" and found.forgotten[0].after < 0.85
    assert "It forgets what the model before knew: ring 9" in found.text()


def test_dishonest_confidence_is_not_promoted() -> None:
    before, after = answers(0.8, 900, 1), answers(0.9, 900, 2)
    sure = np.where(after.said, 0.4, 0.3)
    timid = Scored(sure, after.said, after.truth, after.groups)
    found = judge_change(before, timid, CLASSES)
    assert found.word == "better" and not found.promote and "less honest" in found.text()


def as_sure_as(sure: float, wrong: int, cells: int = 80) -> Scored:
    """Return answers that are all as sure, of which some are wrong, spread over twenty images."""
    labels = np.arange(cells) % 3
    mistaken = np.zeros(cells, bool)
    mistaken[np.linspace(0, cells - 1, wrong).astype(int)] = True
    said = one_hot(np.where(mistaken, (labels + 1) % 3, labels), 3)
    p = np.where(said, sure, (1 - sure) / 2)
    return scored(p, one_hot(labels, 3), np.array([f"image{k // 4}" for k in range(cells)]))


def test_a_calibration_error_that_chance_explains_is_a_remark() -> None:
    """Of 80 cells said with 90 %, 11 are wrong: some more than 8, as happens."""
    before, after = as_sure_as(0.6, 32), as_sure_as(0.9, 11)
    found = judge_change(before, after, CLASSES)
    assert (found.word, found.promote) == ("better", True)
    told = "Perhaps its confidence is less honest, within what chance explains: calibration error"
    assert f"{told} +0.03" in found.text()
    found = judge_change(before, as_sure_as(0.97, 11), CLASSES)
    assert (found.word, found.promote) == ("better", False)
    assert "Its confidence is less honest: calibration error +0.10" in found.text()


def test_cells_learned_from_may_show_a_gain_that_those_held_out_do_not() -> None:
    held = answers(0.80, 120, 1), answers(0.84, 120, 2)
    more = beside(0.80, 3), beside(0.90, 4)
    alone, found = (judge_change(*held, CLASSES, more=m) for m in (None, more))
    assert (alone.word, alone.promote) == ("not enough data to tell", False)
    assert (found.word, found.promote, found.cells) == ("better", True, 120)
    # What is shown first stays that of cells nobody learned from.
    assert (found.before, found.after, found.difference) == (
        alone.before,
        alone.after,
        alone.difference,
    )
    assert "Together with 900 cells of 40 other groups" in found.reasons[0]


def test_cells_learned_from_never_outvote_those_held_out() -> None:
    more = beside(0.5, 3), beside(0.99, 4)
    held = answers(0.84, 120, 2), answers(0.80, 120, 1)
    found = judge_change(*held, CLASSES, more=more)
    assert found.after < found.before and found.word == "not enough data to tell"
    assert not found.promote and "No gain shows" in found.text()
    found = judge_change(answers(0.9, 900, 1), answers(0.8, 900, 2), CLASSES, more=more)
    assert (found.word, found.promote) == ("worse", False)
    few = judge_change(answers(0.8, 12, 1), answers(0.99, 12, 2), CLASSES, more=more)
    assert not few.promote and "Only 12 held-out cells" in few.text()


def test_cells_learned_from_prove_no_gain_where_there_is_none() -> None:
    held = answers(0.80, 120, 1), answers(0.84, 120, 2)
    found = judge_change(*held, CLASSES, more=(beside(0.8, 3), beside(0.78, 4)))
    assert (found.word, found.promote) == ("not enough data to tell", False)


@pytest.mark.parametrize("attempts", [2, 10])
def test_asking_again_makes_it_stricter(attempts: int) -> None:
    pair = answers(0.85, 900, 1), answers(0.9, 900, 2)
    first, later = (judge_change(*pair, CLASSES, attempts=k) for k in (1, attempts))
    assert first.difference and later.difference
    assert later.difference[0] < first.difference[0] < first.difference[1] < later.difference[1]
    assert f"asked {attempts} times" in later.text() and "asked" not in first.text()


def test_chance_alone_is_rarely_promoted() -> None:
    """Two models of the same worth: the new one takes over only when the labels cannot tell them apart closely."""
    better = sum(
        judge_change(
            answers(0.85, 600, k), answers(0.85, 600, k + 500), CLASSES, resamples=400
        ).word
        == "better"
        for k in range(60)
    )
    assert better <= 5


def test_answers_at_random_are_never_promoted() -> None:
    for seed in range(20):
        found = judge_first(answers(1 / 3, 600, seed), CLASSES)
        assert not found.promote and found.after == pytest.approx(1 / 3, abs=0.08)
        same = answers(1 / 3, 600, seed)
        assert not judge_change(same, same, CLASSES).promote
    assert "no better than guessing" in judge_change(same, same, CLASSES).text()


def test_a_first_model_is_compared_with_guessing() -> None:
    found = judge_first(answers(0.8, 300, 1), CLASSES, attempts=3)
    assert (found.word, found.promote, found.attempts) == ("better", True, 3)
    assert found.before == pytest.approx(1 / 3, abs=0.03)
    assert "it was compared with guessing" in found.text()
    assert [one.name for one in found.classes] == list(CLASSES)
    assert all(one.before < 0.45 < one.after for one in found.classes)
    one_image = judge_first(answers(0.8, 300, 1, groups=1), CLASSES)
    assert one_image.word == "not enough data to tell" and not one_image.promote


def test_few_groups_promise_no_more_than_their_cells_do() -> None:
    two = judge_change(answers(0.80, 200, 1, groups=2), answers(0.82, 200, 2, groups=2), CLASSES)
    many = judge_change(answers(0.80, 200, 1), answers(0.82, 200, 2), CLASSES)
    assert two.difference is not None and many.difference is not None
    widths = [high - low for low, high in (two.difference, many.difference)]
    assert widths[0] > 0.8 * widths[1]


def test_a_verdict_without_judges_has_no_numbers() -> None:
    found = no_claim("Nothing judges.", 0, 0)
    assert found.text() == "Not enough data to tell. Nothing judges." and np.isnan(found.after)
    weak = weakened(judge_first(answers(0.8, 300, 1), CLASSES), "Only 3 images.")
    assert (weak.word, weak.promote) == ("not enough data to tell", False)
    assert weak.reasons[0] == "Only 3 images."


def test_a_fall_that_chance_explains_is_a_remark() -> None:
    """Few cells of a class: its F1 falls by more than five points, and nothing is proven by that."""
    labels = np.repeat([0, 1, 2], [400, 400, 24])
    said = labels.copy()
    said[:40], said[400:440], said[-1:] = 1, 0, 0
    other = labels.copy()
    other[-4:] = 0
    groups = np.array([f"image{k % 30}" for k in range(len(labels))])
    pair = [scored(one_hot(s, 3) * 0.9 + 0.03, one_hot(labels, 3), groups) for s in (said, other)]
    found = judge_change(pair[0], pair[1], CLASSES)
    assert found.falls == () and found.word == "better"
    assert "Perhaps weaker, within what chance explains: healthy 98 → 91." in found.text()
