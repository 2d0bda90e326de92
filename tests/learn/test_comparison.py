"""Two models on the same images: matched by name, paired, with the images they disagree on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_cellcls.learn import comparison
from napari_cellcls.learn.heldout import HeldOut
from napari_cellcls.learn.verdict import judge
from napari_cellcls.vocabulary import DataError
from tests.learn.judged import held_out


def other(held: HeldOut, turned: np.ndarray, **changes: object) -> HeldOut:
    """Return the same answers with some turned round."""
    logits = held.logits.copy()
    logits[turned] = logits[turned][:, ::-1]
    return replace(held, logits=logits, model="other", **changes)


def test_by_hand() -> None:
    held = held_out(2)
    right = np.flatnonzero(held.logits.argmax(1) == held.data.labels)
    wrong = np.setdiff1d(np.arange(96), right)
    turned = np.concatenate([right[:6], wrong[:1]])
    found = comparison.compare(judge(held, resamples=20), judge(other(held, turned), resamples=20))
    assert found.counts == {
        "both": len(right) - 6, "only first": 6, "only second": 1, "neither": len(wrong) - 1
    }  # fmt: skip
    value, (low, high) = found.differences["accuracy"]
    assert value == pytest.approx(5 / 96) and low <= value <= high
    assert sorted(found.disagree.tolist()) == sorted(turned.tolist())
    summary = found.summary()
    assert summary["n"] == 96 and summary["disagree"] == 7
    assert summary["difference"]["accuracy"] == round(5 / 96, 5)
    json.dumps(summary, allow_nan=False)
    text = found.text()
    assert "Compared with other on the 96 images" in text and "toy minus other" in text
    assert "different answers for 7" in text and "+0.0521" in text


def test_only_common_images_count_in_any_order() -> None:
    held = held_out(2)
    order = np.random.default_rng(0).permutation(96)[:40]
    part = replace(held, rows=held.rows[order], logits=held.logits[order], fold=held.fold[order])
    found = comparison.compare(judge(held, resamples=5), judge(part, resamples=5))
    assert len(found.rows[0]) == 40 and len(found.disagree) == 0
    assert np.array_equal(held.names[found.rows[0]], part.names[found.rows[1]])
    assert found.differences["accuracy"][0] == 0
    assert found.counts["only first"] == found.counts["only second"] == 0


def test_images_of_one_name_are_told_apart() -> None:
    held = held_out(2)
    data = replace(held.data, names=np.tile(held.data.names[:48], 2))
    held = replace(held, data=data)
    found = comparison.compare(judge(held, resamples=5), judge(held, resamples=5))
    assert found.rows[0].tolist() == found.rows[1].tolist() == list(range(96))


def test_other_classes_other_images_other_labels() -> None:
    held = held_out(2)
    reports = [
        judge(h, resamples=5)
        for h in (
            held,
            held_out(3),
            replace(held, data=replace(held.data, names=np.char.add("x", held.data.names))),
            replace(held, data=replace(held.data, labels=1 - held.data.labels)),
        )
    ]
    for second, code, words in zip(
        reports[1:],
        ("COMPARE-CLASSES", "COMPARE-IMAGES", "COMPARE-IMAGES"),
        (
            "toy: a, b; toy: a, b, c",
            "96 images by toy",
            "96 of 96 common images, such as cell0.png",
        ),
    ):
        with pytest.raises(DataError) as error:
            comparison.compare(reports[0], second)
        assert error.value.code == code and words in error.value.why


def test_gap_between_protocols() -> None:
    grouped = {
        "protocol": "g",
        "n": 10,
        "accuracy": 0.9,
        "accuracy_low": 0.85,
        "accuracy_high": 0.94,
        "auc": None,
    }
    random = {"protocol": "r", "n": 12, "accuracy": 0.96, "auc": 0.99}  # fmt: skip
    found = comparison.gap(grouped, random)
    assert found["accuracy_gap"] == pytest.approx(0.06) and found["accuracy_random"] == 0.96
    assert found["auc_gap"] is None and found["random_protocol"] == "r"
    said = comparison.gap_in_words({**grouped, "gap": found}, several=False)
    assert (
        said
        == "With a random split the accuracy is 0.9600, with groups apart 0.9000: a gap of +0.0600."
    )
    near = {**grouped, "accuracy_high": 0.97, "gap": found}
    assert comparison.gap_in_words(near, several=False).endswith(
        "within the interval of the latter."
    )
    assert "not defined" in comparison.gap_in_words({**grouped, "gap": found}, several=True)


def test_a_gap_needs_one_of_each() -> None:
    held = held_out(2)
    comparison.check_gap(held, replace(held, groups="shared"))
    with pytest.raises(DataError) as error:
        comparison.check_gap(held, held)
    assert error.value.code == "RUN-PROTOCOL" and "patient-disjoint" in error.value.why
