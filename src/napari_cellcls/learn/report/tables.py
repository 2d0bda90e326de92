"""The tables of the report: numbers beside trivial answers, classes, confusion, thresholds, definitions."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from napari_cellcls.learn import page
from napari_cellcls.learn.comparison import Comparison, difference_in_words
from napari_cellcls.learn.verdict import Report
from napari_cellcls.learn.wording import measured_as, number, rounded, value_in_words

_TITLES = {
    "auc": "AUC", "ece": "Calibration error", "macro_f1": "Macro F1", "micro_f1": "Micro F1",
    "sample_f1": "Sample F1", "f1": "F1", "exact_match": "All labels right",
}  # fmt: skip
_MOST_LISTED = 200
_ONE = {
    "accuracy": "Share of images whose most probable class is the true one.",
    "balanced accuracy": "Mean of the sensitivities of all classes: each class weighs the same.",
    "AUC": "Chance that a random positive image scores above a random negative one{mean}.",
    "sensitivity": "Share of the {positive} that is found{mean}.",
    "specificity": "Share of the others that is not taken for {positive}{mean}.",
    "macro F1": "Mean over the classes of 2 hits / (2 hits + false alarms + misses).",
    "calibration error": "Mean distance between stated probability and share that came true, in 15 bins of the top "
    "class, weighted by images (ECE).",
}  # fmt: skip
_SEVERAL = {
    "macro F1": "Mean over the classes that occur or are said of 2 hits / (2 hits + false alarms + misses).",
    "micro F1": "The same of the hits, false alarms and misses of all classes together.",
    "sample F1": "The same of the labels of one image, averaged over images that have or get a label.",
    "average precision": "Mean precision over the positives of a class, averaged over classes.",
    "AUC": "Chance that a random image with the label scores above one without, averaged over classes.",
    "accuracy": "Share of single labels that are right, the many absent ones included.",
    "all labels right": "Share of images whose whole set of labels is right.",
    "calibration error": "Mean distance between stated probability and share that had the label, in 15 bins over "
    "all labels (ECE).",
}  # fmt: skip


def title(name: str) -> str:
    """Return the name of a number for people."""
    return _TITLES.get(name, name.replace("_", " ").capitalize())


def numbers(report: Report) -> str:
    """Return every headline number with its interval, beside the trivial answers."""
    own = {name: row for name, row in report.rows.items() if not name.startswith("fold ")}
    columns = {**own, **report.baselines}
    heads = ["", *(f"trivial: {c}" if c in report.baselines else c for c in columns)]
    body = [[title(name), *(_cell(row, name) for row in columns.values())] for name in report.shown]
    body.append(["Images", *(f"{row['n']:,}" for row in columns.values())])
    if "specificity_at_93" in report.metrics:
        found = number(report.metrics["specificity_at_93"])
        body.append(["Specificity at 93 % sensitivity", found, *[""] * (len(columns) - 1)])
    words = [f"{name}: {row['words']}" for name, row in report.baselines.items()]
    note = page.paragraph(f"Trivial answers. {'; '.join(words)}.", soft=True) if words else ""
    caption = "Numbers with 95 % intervals, beside answers that need no look at the cells"
    return page.table(heads, body, caption=caption, row_heads=True) + note


def rows(found: Mapping[str, Mapping[str, Any]], shown: Sequence[str], caption: str) -> str:
    """Return rows of numbers as a table."""
    body = [
        [name, *(_cell(row, n) for n in shown), f"{int(row['n']):,}"] for name, row in found.items()
    ]
    return page.table(["", *map(title, shown), "Images"], body, caption=caption, row_heads=True)


def published(report: Report) -> str:
    """Return what others reported beside the same number here."""
    body = []
    for entry in report.held.published:
        name = measured_as(str(entry["metric"]))
        own = _cell(report.metrics, name) if name else "not measured in this way"
        body.append([str(entry["metric"]), value_in_words(entry["value"]), str(entry["protocol"]) or "not stated", own])  # fmt: skip
    heads = ["Number", "Published", "Their protocol", f"Here: {report.metrics['protocol']}"]
    return page.table(heads, body, caption="Published numbers and those of this evaluation", row_heads=True)  # fmt: skip


def classes(report: Report) -> str:
    """Return the numbers of each class."""
    names = ("sensitivity", "specificity", "precision", "f1", "auc", "average_precision")
    body = [
        [name, f"{row['n']:,}", f"{row['said']:,}", *(_cell(row, n) for n in names)]
        for name, row in report.metrics["classes"].items()
    ]
    heads = ["Class", "true", "said", *map(title, names)]
    return page.table(heads, body, caption="Each class against the rest", row_heads=True)


def confusion(report: Report) -> str:
    """Return the confusion matrix as a table shaded by the share of each row."""
    found, names = np.array(report.metrics["confusion"]), report.held.data.classes
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    lines = []
    for name, row in zip(names, found):
        total = int(row.sum())
        cells = "".join(_shaded(int(n), total) for n in row)
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return (
        '<div class="wide"><table class="matrix"><caption>Images by true class (rows) and answer (columns)</caption>'
        f'<thead><tr><th scope="col">true \\ said</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _shaded(n: int, total: int) -> str:
    share = n / total if total else 0.0
    # Never darker than what the text stays readable on, in light and dark.
    ground = f"background:color-mix(in srgb, var(--one) {45 * share:.0f}%, transparent)"
    percent = f"<br><small>{100 * share:.1f} %</small>" if total else ""
    return f'<td style="{ground}">{n:,}{percent}</td>'


def thresholds(report: Report) -> str:
    """Return what each rule for thresholds gives."""
    several = report.held.data.multi_label
    shown = ("macro_f1", "micro_f1", "sample_f1", "accuracy") if several else ("accuracy", "sensitivity", "specificity", "macro_f1")  # fmt: skip
    body = []
    for row in report.thresholds:
        if row.numbers is None:
            body.append([row.words, "not chosen", *["not defined"] * len(shown)])
            continue
        low, high = min(row.thresholds), max(row.thresholds)
        limits = f"{low:.3f}" if high - low < 5e-4 else f"{low:.3f} to {high:.3f} (median {statistics.median(row.thresholds):.3f})"  # fmt: skip
        body.append([row.words, limits, *(number(rounded(row.numbers[n])) for n in shown)])
    of = "each label" if several else report.held.data.classes[report.held.positive]
    heads = ["Rule", f"Threshold of {of}", *map(title, shown)]
    return page.table(heads, body, caption="Thresholds and what they give on the images judged", row_heads=True)  # fmt: skip


def worst(report: Report) -> str:
    """Return the groups that the model knows least."""
    body = [[name, f"{n:,}", f"{value:.3f}"] for name, n, value in report.worst]
    what = "sample F1" if report.held.data.multi_label else "accuracy"
    heads = [report.held.group_words.capitalize(), "images", what]
    return page.table(heads, body, caption=f"Lowest {what}, of groups with 20 images or more", row_heads=True)  # fmt: skip


def compared(comparison: Comparison) -> str:
    """Return both models' numbers, their difference, and who is right how often."""
    from napari_cellcls.learn import metrics

    of = [r.answers.scored.take(p) for r, p in zip((comparison.first, comparison.second), comparison.rows)]  # fmt: skip
    values = [metrics.measure(s) for s in of]
    body = [
        [
            title(name),
            *(number(rounded(v[name])) for v in values),
            difference_in_words(comparison.differences[name]),
        ]
        for name in comparison.first.shown
    ]
    table = page.table(["", "first", "second", "difference"], body, caption="Both models on the common images", row_heads=True)  # fmt: skip
    right = [[who, f"{n:,}"] for who, n in comparison.counts.items()]
    counts = page.table(["Right", "images"], right, caption="Who is right", row_heads=True)
    return page.panels([table, counts])


def disagreements(comparison: Comparison) -> str:
    """Return the images of which the two models say different classes, folded away."""
    held, classes_ = comparison.first.held, comparison.first.held.data.classes
    one, two = comparison.first.answers.scored, comparison.second.answers.scored
    body = []
    for place in comparison.disagree[:_MOST_LISTED]:
        a, b = comparison.rows[0][place], comparison.rows[1][place]
        said = [", ".join(classes_[k] for k in np.flatnonzero(m)) or "nothing" for m in (one.truth[a], one.said[a], two.said[b])]  # fmt: skip
        body.append([str(held.names[a]), str(held.group_names[a]), *said])
    heads = ["Image", "Group", "True", "First says", "Second says"]
    table = page.table(heads, body, caption="Images with different answers", row_heads=True)
    more = len(comparison.disagree) - len(body)
    tail = page.paragraph(f"... and {more:,} more.", soft=True) if more > 0 else ""
    return f"<details><summary>{len(body)} images by name</summary>{table}{tail}</details>"


def definitions(report: Report) -> str:
    """Return what each number means, in words."""
    held = report.held
    if held.data.multi_label:
        found = dict(_SEVERAL)
    else:
        two = report.answers.scored.positive is not None
        positive = held.data.classes[held.positive] if two else "images of a class"
        mean = "" if two else ", averaged over the classes"
        found = {k: v.format(positive=positive, mean=mean) if "{" in v else v for k, v in _ONE.items()}  # fmt: skip
    body = [[name[0].upper() + name[1:], words] for name, words in found.items()]
    body.append(["Intervals", f"{report.metrics['intervals'] or 'not defined: all images are of one group'}."])  # fmt: skip
    body.append(["Not defined", "A number without what it needs, such as the sensitivity of a class that no image has. It is left out of means."])  # fmt: skip
    return page.table(["Number", "Meaning"], body, caption="Definitions", row_heads=True)


def _cell(row: Mapping[str, Any], name: str) -> str:
    """Return a number, and below it its interval and its spread over folds."""
    if name not in row:
        return ""
    low, high, spread = (row.get(f"{name}{end}") for end in ("_low", "_high", "_sd"))
    small = [] if low is None or row[name] is None else [f"{low:.3f} to {high:.3f}"]
    small += [] if spread is None else [f"± {spread:.3f}"]
    return "\n".join([number(row[name]), *([", ".join(small)] if small else [])])
