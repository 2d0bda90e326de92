"""The page of an evaluation: whole, self-contained, readable by machines and screen readers."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from napari_cellcls.learn import comparison
from napari_cellcls.learn.evaluate import evaluate, summarize
from napari_cellcls.learn.heldout import HeldOut
from napari_cellcls.learn.report import charts, html, pictures, tables
from napari_cellcls.learn.verdict import Report
from napari_cellcls.vocabulary import finish
from tests.learn.judged import EPOCHS, held_out

EVIL = '<script>alert("x")</script>'
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects what matters; fails on tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def titles(self) -> list[str]:
        return re.findall(r"\n?([^\n]+)", self.text)


def judged(held: HeldOut) -> Report:
    return finish(evaluate(held, resamples=20))


def full() -> tuple[Report, comparison.Comparison]:
    published = ({"metric": "accuracy", "value": (0.95, 0.96), "protocol": "random split", "source": ""},)  # fmt: skip
    held = held_out(2, history={0: EPOCHS, 1: EPOCHS[:3]}, published=published, notes=("A note.",))
    report = judged(held)
    turned = held.logits.copy()
    turned[::5] *= -1
    second = judged(replace(held, logits=turned, model="second"))
    random = judged(replace(held, groups="shared")).metrics
    report.metrics["gap"] = comparison.gap(report.metrics, random)
    return report, comparison.compare(report, second)


def test_the_page_holds_everything_and_needs_nothing_from_outside() -> None:
    report, compared = full()
    text = html(report, compared)
    page = Page(text)
    for words in (
        "Numbers beside trivial answers", "Beside what was published", "Training", "Classes",
        "Confusion matrix", "Thresholds", "Are the probabilities true?", "Worst mistakes", "A random sample",
        "Groups", "Folds", "Two models on the same images", "Where they disagree", "How each number is defined",
        "0.95 to 0.96", "trivial: intensity histogram", "A note.", "With a random split the accuracy is",
    ):  # fmt: skip
        assert words in page.text, words
    assert "http" not in text and "//" not in re.sub(r"base64,[^\"]*", "", text)
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "a")
        source = attributes.get("src") or ""
        assert not source or source.startswith("data:image/")
        href = attributes.get("href") or ""
        assert not href or href.startswith("#")
    assert "url(" not in text.replace("url(#", "")
    assert len(text) < 3_000_000


def test_tables_and_pictures_are_named_for_screen_readers() -> None:
    report, compared = full()
    page = Page(html(report, compared))
    heads = [a for tag, a in page.tags if tag == "th"]
    assert heads and all(a.get("scope") in ("col", "row") for a in heads)
    count = [tag for tag, _ in page.tags]
    assert count.count("caption") == count.count("table") > 5
    assert all(a.get("alt") for tag, a in page.tags if tag == "img")
    figures = [a for tag, a in page.tags if tag == "svg"]
    assert figures and all(a.get("role") == "img" and a.get("aria-label") for a in figures)


def test_several_labels() -> None:
    report = judged(held_out(5, several=True))
    text = Page(html(report)).text
    assert "Accuracy is that of single labels and says little here" in text
    assert f"{report.metrics['accuracy_all_zeros']:.4f}" in text and "trivial: all zeros" in text
    assert "Confusion matrix" not in text and "Threshold of each label" in text
    assert "Sample F1" in text and "All labels right" in text


def test_without_groups_images_or_history() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 40)
    report = summarize(
        rng.normal(0, 1, (40, 3)), labels, np.arange(40).astype(str), np.zeros(40, int), protocol="p", resamples=5
    )  # fmt: skip
    text = Page(html(report)).text
    assert "patient" not in text.replace("of one patient or", "") and "Worst mistakes" not in text
    assert "Nothing says which images belong together" in text and "Training" not in text
    assert "no temperature could be fitted" in text


def test_what_is_not_defined_is_said() -> None:
    held = held_out(2)
    report = judged(replace(held, data=replace(held.data, labels=np.zeros(96, int))))
    text = html(report)
    assert "not defined" in text and ">nan" not in text.lower() and "None" not in text


def test_names_cannot_write_into_the_page() -> None:
    held = held_out(2)
    data = replace(
        held.data,
        classes=(EVIL, "b"),
        names=np.char.add(EVIL, held.data.names),
        groups=np.char.add(held.data.groups, EVIL),
        group_kind=EVIL,
    )
    held = replace(held, data=data, model=EVIL, protocol=EVIL, notes=(EVIL,), history={0: EPOCHS})
    report = judged(held)
    text = html(report, comparison.compare(report, report))
    assert "<script" not in text and "&lt;script" in text
    Page(text)


def test_worst_mistakes_are_the_surest() -> None:
    held = held_out(2)
    report = judged(held)
    of = report.answers.scored
    places = pictures.worst_mistakes(of, 5)
    assert not (of.said & of.truth)[places].any()
    p = of.probabilities[places].max(1)
    assert (np.diff(p) <= 0).all()
    mistakes = np.flatnonzero(~(of.said & of.truth).any(1))
    assert p[0] == of.probabilities[mistakes].max()
    perfect = judged(replace(held, logits=np.where(held.truth, 5.0, -5.0)))
    assert len(pictures.worst_mistakes(perfect.answers.scored)) == 0
    assert "Worst mistakes" not in html(perfect)


def test_the_sample_is_the_same_each_time() -> None:
    assert pictures.random_sample(1000, 5).tolist() == pictures.random_sample(1000, 5).tolist()
    assert pictures.random_sample(3, 5).tolist() == [0, 1, 2]


def test_curves_need_epochs() -> None:
    assert charts.training_curves({}) == "" and charts.training_curves({0: []}) == ""
    svg = charts.training_curves({0: [{"epoch": 1, "phase": 1, "loss": 0.5}]})
    assert svg.startswith("<svg") and "Loss" in svg and "Macro F1" not in svg
    full_svg = charts.training_curves({0: EPOCHS})
    assert "Macro F1" in full_svg and "var(--one)" in full_svg and "#0101" not in full_svg


@pytest.mark.parametrize("used", [0, 1, 3])
def test_reliability_of_few_bins(used: int) -> None:
    table = np.zeros((15, 3))
    table[12 : 12 + used] = (10, 9, 8)
    assert charts.reliability(table, table, several=False).startswith("<svg")


def test_confusion_shares_by_hand() -> None:
    report = judged(held_out(2))
    text = tables.confusion(report)
    n = report.metrics["confusion"][0][0]
    assert f"{n}<br><small>{100 * n / 48:.1f} %" in text
