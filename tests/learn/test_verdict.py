"""Held-out answers judged: exact numbers, honest choices, trivial answers, and what is not defined."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_cellcls.learn import baselines, heldout, metrics
from napari_cellcls.learn.evaluate import evaluate
from napari_cellcls.learn.verdict import Report, judge
from napari_cellcls.learn.wording import interval_words, measured_as, statement, value_in_words
from napari_cellcls.vocabulary import finish
from tests.learn.judged import answers, held_out


def judged(held: heldout.HeldOut, resamples: int = 30) -> Report:
    return finish(evaluate(held, resamples=resamples))


def no_nan(value: object) -> None:
    json.dumps(value, allow_nan=False)


@pytest.mark.parametrize(("classes", "several"), [(2, False), (4, False), (5, True)])
def test_every_promised_key_is_there(classes: int, several: bool) -> None:
    report = judged(held_out(classes, several=several))
    found = report.metrics
    for name in ("accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity", "macro_f1",
                 "micro_f1", "sample_f1", "average_precision", "ece"):  # fmt: skip
        assert found[f"{name}_low"] <= found[name] + 1e-9, name
        assert found[name] <= found[f"{name}_high"] + 1e-9, name
    assert found["n"] == 96 and found["protocol"] == "patient-disjoint 2-fold"
    assert found["groups"] == 8 and found["intervals"] == "95 %, bootstrap over 8 groups (patient)"
    assert set(found["classes"]) == set("abcdefgh"[:classes])
    assert sum(row["n"] for row in found["classes"].values()) == report.held.truth.sum()
    assert set(found["baselines"]) >= {"most frequent class", "intensity histogram"}
    no_nan(found)
    assert sum(row["n"] for row in found["folds"].values()) == 96
    assert "patient" in report.text() and "nan" not in report.text().replace("Nanny", "")


def test_two_classes_have_the_numbers_of_scikit_learn() -> None:
    from sklearn import metrics as reference

    held = held_out(2)
    report = judged(held)
    labels, p = held.truth.argmax(1), report.answers.scored.probabilities
    found = report.metrics
    assert found["auc"] == pytest.approx(reference.roc_auc_score(labels == 0, p[:, 0]), abs=1e-5)
    assert found["confusion"] == reference.confusion_matrix(labels, p.argmax(1)).tolist()
    table = reference.precision_recall_fscore_support(labels, p.argmax(1))
    for k, name in enumerate("ab"):
        row = found["classes"][name]
        expected = [column[k] for column in table]
        got = [row["precision"], row["sensitivity"], row["f1"], row["n"]]
        assert got == pytest.approx(expected, abs=1e-5)


def test_more_than_two_classes_are_told_apart_in_the_text() -> None:
    report = judged(held_out(4))
    row = report.metrics["classes"]["c"]
    line = next(x for x in report.text().splitlines() if x.split()[:1] == ["c"])
    assert f"{row['sensitivity']:.4f} [{row['sensitivity_low']:.4f}," in line
    assert line.split()[-1] == f"{row['n']}"
    assert not any(x.split()[:1] == ["a"] for x in judged(held_out(2)).text().splitlines())


def test_all_zeros_stand_beside_several_labels() -> None:
    held = held_out(5, several=True)
    found = judged(held).metrics
    zeros = found["baselines"]["all zeros"]
    assert found["accuracy_all_zeros"] == zeros["accuracy"] == round(float((~held.truth).mean()), 5)
    assert zeros["macro_f1"] == zeros["sample_f1"] == 0 and zeros["auc"] == 0.5
    assert f"gets {zeros['accuracy']:.4f}" in statement(held)
    assert "confusion" not in found


def test_the_most_frequent_class_by_hand() -> None:
    held = held_out(2)
    labels = np.array([0, 0, 1] * 32)
    held = replace(held, data=replace(held.data, labels=labels))
    row = judged(held).metrics["baselines"]["most frequent class"]
    assert row["accuracy"] == pytest.approx(2 / 3, abs=1e-5)
    assert row["balanced_accuracy"] == row["auc"] == 0.5
    assert row["macro_f1"] == pytest.approx((2 * 2 / (2 * 2 + 1)) / 2, abs=1e-5)


def test_brightness_alone_finds_what_is_bright() -> None:
    held = held_out(2)
    images = (held.data.images // 4).copy()
    images[held.data.labels == 1] += 120
    row = judged(replace(held, data=replace(held.data, images=images))).metrics["baselines"]
    assert row["intensity histogram"]["accuracy"] == 1
    noise = judged(held).metrics["baselines"]["intensity histogram"]
    assert noise["accuracy"] < 0.8


def test_histograms_by_hand() -> None:
    image = np.zeros((2, 2, 2), np.uint8)
    image[0, 0] = (255, 16)
    found = baselines.histograms(image[None]).reshape(2, 18)
    assert found[0, [0, 15]].tolist() == [0.75, 0.25] and found[1, [0, 1]].tolist() == [0.75, 0.25]
    assert found[0, 16] == pytest.approx(0.25) and found[:, :16].sum(1).tolist() == [1, 1]
    assert baselines.histograms(np.zeros((1100, 2, 2, 1), np.uint8)).shape == (1100, 18)


def test_trivial_answers_see_the_training_side_only() -> None:
    held = held_out(2)
    other = held.data.labels.copy()
    other[held.fold == 0] = 1 - other[held.fold == 0]
    changed = replace(held, data=replace(held.data, labels=other))
    one, two = (finish(baselines.trivial(h))[-1].scored.probabilities for h in (held, changed))
    assert np.allclose(one[held.fold == 0], two[held.fold == 0])
    assert not np.allclose(one[held.fold == 1], two[held.fold == 1])


def test_a_model_as_shipped_is_compared_with_the_other_groups() -> None:
    held = held_out(2, train={}, fold=np.zeros(96, int), groups="unknown", temperature=2.0)
    found = {b.name: b for b in finish(baselines.trivial(held))}
    assert set(found) == {"most frequent class", "intensity histogram"}
    alone = replace(held, data=replace(held.data, groups=np.full(96, "one")))
    assert [b.name for b in finish(baselines.trivial(alone))] == ["most frequent class"]


def test_choices_never_see_the_judged_rows() -> None:
    rng = np.random.default_rng(0)
    rows = np.arange(24)
    val = {f: (rows, answers(held_out(3).data.matrix[rows], seed=f)) for f in (0, 1)}
    held = held_out(5, several=True)
    held = replace(held, val={f: (r, rng.normal(0, 2, (24, 5))) for f, (r, _) in val.items()}, rule="per_class")  # fmt: skip
    before = heldout.calibrated(held)
    limits = heldout.thresholds_of(held, "per_class")
    assert held.tuned_on == "the validation side"
    wild = replace(held, logits=held.logits * 3 + 1)
    assert heldout.calibrated(wild).temperatures == before.temperatures
    assert np.array_equal(heldout.thresholds_of(wild, "per_class"), limits)


def test_without_a_validation_side_the_other_folds_choose() -> None:
    held = held_out(2)
    found = heldout.calibrated(held)
    assert held.tuned_on == "the held-out images of the other folds" and set(found.temperatures) == {0, 1}  # fmt: skip
    turned = held.logits.copy()
    turned[held.fold == 0] *= 5
    again = heldout.calibrated(replace(held, logits=turned))
    assert again.temperatures[0] == found.temperatures[0]
    assert again.temperatures[1] != found.temperatures[1]


def test_with_nothing_to_choose_on_nothing_is_chosen() -> None:
    held = held_out(5, several=True, fold=np.zeros(96, int), rule="matched")
    report = judged(held)
    assert report.metrics["temperature"] is None and report.metrics["tuned_on"] is None
    assert report.metrics["ece"] == report.metrics["ece_before"]
    rules = {row["rule"]: row for row in report.metrics["thresholds"]}
    assert rules["best F1 of each class"]["thresholds"] is None
    assert rules["fixed at 0.5"]["macro_f1"] == report.metrics["macro_f1"]


def test_a_shipped_model_keeps_its_temperature_and_thresholds() -> None:
    held = held_out(5, several=True, fold=np.zeros(96, int), temperature=2.0, thresholds=np.full(5, 0.7))  # fmt: skip
    report = judged(held)
    p = metrics.sigmoid(held.logits, 2.0)
    assert report.metrics["temperature"] == 2.0
    assert np.array_equal(report.answers.scored.said, p >= 0.7)
    assert report.answers.scored.probabilities == pytest.approx(p)


def test_threshold_rules_by_hand() -> None:
    held = held_out(2)
    table = {row.rule: row for row in heldout.threshold_table(held)}
    p, truth = metrics.softmax(held.logits)[:, 0], held.truth[:, 0]
    assert table[0.2].numbers["sensitivity"] == pytest.approx((p >= 0.2)[truth].mean())
    assert table[0.2].numbers["specificity"] == pytest.approx((p < 0.2)[~truth].mean())
    assert len(table["matched"].thresholds) == 1 and 0 < table["matched"].thresholds[0] < 1
    assert heldout.threshold_table(held_out(4)) == ()


def test_a_class_that_is_never_there_is_not_defined() -> None:
    held = held_out(3)
    data = replace(held.data, classes=("a", "b", "c", "never"))
    logits = np.concatenate([held.logits, np.full((96, 1), -9.0)], 1)
    found = judged(replace(held, data=data, logits=logits)).metrics
    row = found["classes"]["never"]
    assert row["n"] == row["said"] == 0
    assert row["sensitivity"] is row["auc"] is row["f1"] is row["precision_low"] is None
    assert row["specificity"] == 1 and found["macro_f1"] is not None
    no_nan(found)


def test_one_class_only() -> None:
    held = held_out(2)
    held = replace(held, data=replace(held.data, labels=np.zeros(96, int)))
    report = judged(held)
    assert report.metrics["auc"] is None and report.metrics["specificity"] is None
    assert report.metrics["specificity_at_93"] is None
    assert "auc                not defined" in report.text()
    no_nan(report.metrics)


def test_one_image_and_one_group_have_no_interval() -> None:
    held = held_out(2)
    few = replace(
        held, rows=held.rows[:1], logits=held.logits[:1], fold=held.fold[:1], train={0: np.arange(1, 96)}
    )  # fmt: skip
    report = judge(few, resamples=20)
    assert report.metrics["n"] == 1 and report.metrics["accuracy_low"] is None
    assert interval_words(few) is None and report.metrics["intervals"] is None
    assert report.text().splitlines()[1] == "There are no intervals: all images are of one group."
    no_nan(report.metrics)


def test_patients_are_named_only_where_there_are_some() -> None:
    held = held_out(2)
    assert statement(held) == "In brackets: 95 %, bootstrap over 8 groups (patient)."
    names = replace(held, data=replace(held.data, groups=held.data.names, group_kind=""))
    said = statement(names)
    assert "96 single images, as no groups are known" in said and "too narrow" in said
    assert judge(names, resamples=5).metrics["group_kind"] is None
    shared = statement(replace(held, groups="shared"))
    assert "Images of one patient are on both sides" in shared


def test_worst_groups_of_several_labels_are_by_sample_f1() -> None:
    held = held_out(4, several=True, n=120, parts=3)
    logits = np.where(held.truth, 3.0, -3.0)
    logits[held.group_names == "G1"] *= -1
    found = judged(replace(held, logits=logits)).metrics["worst_groups"]
    assert found[0] == {"group": "G1", "n": 40, "sample_f1": 0.0}
    assert [row["sample_f1"] for row in found[1:]] == [1.0, 1.0]


def test_published_numbers_stand_beside_their_own_kind() -> None:
    assert measured_as("validation accuracy") == "accuracy"
    assert measured_as("test macro F1") == "macro_f1" and measured_as("test sample F1") == "sample_f1"  # fmt: skip
    assert measured_as("batch F1") is None and measured_as("train accuracy") is None
    assert value_in_words([0.956, 0.958]) == "0.956 to 0.958" and value_in_words("about 0.6") == "about 0.6"  # fmt: skip
    entry = {"metric": "accuracy", "value": 0.9, "protocol": "random", "source": ""}
    text = judged(held_out(2, published=(entry,))).text()
    assert "Published: accuracy 0.9 (random); here 0." in text
