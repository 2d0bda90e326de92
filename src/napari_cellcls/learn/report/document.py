"""The report from top to bottom: what was measured and how far to trust it, then what went wrong."""

from __future__ import annotations

import numpy as np

from napari_cellcls import __version__
from napari_cellcls.learn import metrics, page
from napari_cellcls.learn.comparison import Comparison, gap_in_words
from napari_cellcls.learn.heldout import SHARED, UNKNOWN
from napari_cellcls.learn.page import Section
from napari_cellcls.learn.report import charts, pictures, tables
from napari_cellcls.learn.verdict import Report, group_values
from napari_cellcls.learn.wording import number

_HEADLINES = {False: ("accuracy", "auc", "macro_f1", "ece"), True: ("macro_f1", "sample_f1", "average_precision", "accuracy")}  # fmt: skip


def html(report: Report, comparison: Comparison | None = None) -> str:
    """Return the whole page.

    Parameters
    ----------
    report : Report
        Its ``metrics["gap"]`` is shown when there is one.
    comparison : Comparison, optional
        With another model on the same images.
    """
    held = report.held
    sections = [
        Section("What to make of it", _findings(report)),
        Section(
            "Numbers beside trivial answers",
            tables.numbers(report),
            report.statement.replace("In brackets", "Small below"),
        ),
    ]
    if held.published:
        sections.append(Section("Beside what was published", tables.published(report)))
    if any(held.history.values()):
        lead = "Dashed: training. Solid: validation. Dotted upright: a new phase of the training."
        sections.append(Section("Training", charts.training_curves(held.history), lead))
    sections += _class_sections(report)
    sections += _calibration(report)
    sections += _pictures(report)
    sections += _groups(report)
    if comparison is not None:
        sections += _comparison(comparison)
    sections.append(Section("How each number is defined", tables.definitions(report)))
    return page.page(
        f"Evaluation: {held.model or 'model'}",
        f"Protocol: {held.protocol}.",
        _facts(report),
        sections,
        f"Made by napari-cellcls {__version__}; everything is in this file.",
    )


def _facts(report: Report) -> list[tuple[str, str]]:
    found = report.metrics
    facts = []
    for name in _HEADLINES[report.held.data.multi_label]:
        low, high = found[f"{name}_low"], found[f"{name}_high"]
        interval = "" if low is None else f"\n{low:.3f} to {high:.3f}"
        value = "-" if found[name] is None else f"{found[name]:.3f}"
        facts.append((value, f"{tables.title(name)}{interval}"))
    groups = (
        f"\nof {found['groups']:,} groups ({report.held.group_words})"
        if report.held.group_words
        else ""
    )
    facts.append((f"{found['n']:,}", f"images{groups}"))
    return facts


def _findings(report: Report) -> str:
    held, found = report.held, report.metrics
    boxes = []
    if held.groups == SHARED or (held.groups == UNKNOWN and held.model):
        boxes.append(("look", f"{held.protocol}."))
    elif held.group_words:
        boxes.append(("good", f"No {held.group_words} is on both sides: {held.protocol}."))
    if not held.group_words:
        boxes.append(("look", "Nothing says which images belong together, so each counts on its own: the intervals are too narrow where several are of one patient or antibody."))  # fmt: skip
    boxes += _beside_trivial(report)
    if held.data.multi_label:
        empty, own = number(found["accuracy_all_zeros"]), number(found["accuracy"])
        words = "Accuracy is that of single labels and says little here: no label at all, for every image, gets"
        boxes.append(("look", f"{words} {empty}; the model {own}. Read the F1 values."))
        absent = found["classes_never_there"]
        if absent:
            boxes.append(("look", f"No judged image has {', '.join(absent)}: nothing is known of these classes."))  # fmt: skip
    if "gap" in found:
        boxes.append(("look", gap_in_words(found, held.data.multi_label)))
    if "accuracy_clean" in found:
        boxes.append(("good", f"On the {report.rows['confirmed labels only']['n']:,} images whose label a second reading confirmed, the accuracy is {number(found['accuracy_clean'])}."))  # fmt: skip
    boxes += [("note", note) for note in held.notes if note.rstrip(".") not in held.protocol]
    return "".join(page.finding(level, text) for level, text in boxes)


def _beside_trivial(report: Report) -> list[tuple[str, str]]:
    """Return whether the model is clearly better than brightness alone."""
    row = report.baselines.get("intensity histogram")
    name = "macro_f1" if report.held.data.multi_label else "balanced_accuracy"
    if row is None or row[name] is None or report.metrics[name] is None:
        return []
    mine, low, theirs, high = report.metrics[name], report.metrics[f"{name}_low"], row[name], row[f"{name}_high"]  # fmt: skip
    words = f"Brightness alone, without any shape, reaches a {tables.title(name).lower().replace('f1', 'F1')} of {theirs:.3f}; the model {mine:.3f}"  # fmt: skip
    if low is not None and high is not None and low > high:
        return [("good", f"{words}.")]
    verdict = "but the intervals overlap" if mine > theirs else "no better than that"
    return [("look", f"{words}, {verdict}.")]


def _class_sections(report: Report) -> list[Section]:
    of = report.answers.scored
    sections = [
        Section("Classes", tables.classes(report), "Small below: 95 % intervals, as above.")
    ]
    if not of.multi_label:
        lead = "Rows: true class. Columns: what the model says. Stronger color: a larger share of the row."
        sections.append(Section("Confusion matrix", tables.confusion(report), lead))
    if report.thresholds:
        on = report.held.tuned_on
        lead = "What the same answers give with other thresholds. " + (
            f"Those not fixed were chosen on {on}, never on the images judged."
            if on and on != "the model as shipped"
            else "There is no validation side to choose them on, so only fixed ones are judged."
        )
        sections.append(Section("Thresholds", tables.thresholds(report), lead))
    return sections


def _calibration(report: Report) -> list[Section]:
    found, answers = report.metrics, report.answers
    several = report.held.data.multi_label
    before, after = metrics.reliability(answers.before), metrics.reliability(answers.scored)
    t = found["temperature"]
    lead = f"Expected calibration error {number(found['ece_before'])} as the network says"
    if t is None:
        lead += "; no temperature could be fitted, as there is no validation side."
    else:
        lead += f", {number(found['ece'])} after dividing the logits by a temperature ({t:.3f}, from {found['tuned_on']})."  # fmt: skip
    lead += " On the dashed line a stated probability comes true as often as it says; large dots hold many images."
    return [
        Section("Are the probabilities true?", charts.reliability(before, after, several), lead)
    ]


def _pictures(report: Report) -> list[Section]:
    held, of = report.held, report.answers.scored
    if held.data.images.ndim != 4:
        return []
    sections = []
    wrong = pictures.worst_mistakes(of)
    if len(wrong):
        lead = "Wrong answers that the model was surest of. Look whether the label or the model is wrong."
        sections.append(Section("Worst mistakes", pictures.tiles(held, of, wrong), lead))
    chosen = pictures.random_sample(len(of))
    lead = "Drawn at random from the images judged, right and wrong alike."
    return [*sections, Section("A random sample", pictures.tiles(held, of, chosen), lead)]


def _groups(report: Report) -> list[Section]:
    held, of = report.held, report.answers.scored
    sections = []
    folds = [(title, row) for title, row in report.rows.items() if title.startswith("fold ")]
    if held.group_words:
        _, size, value = group_values(of)
        known = ~np.isnan(value)
        what = "sample F1" if of.multi_label else "accuracy"
        chart = charts.groups(value[known], size[known], held.group_words, what)
        lowest = tables.worst(report) if report.worst else page.paragraph("No group has 20 images or more.", soft=True)  # fmt: skip
        body = page.panels([chart, lowest])
        lead = f"Whole groups ({held.group_words}) fail together, which is why the intervals draw them and not single images."
        sections.append(Section("Groups", body, lead))
    if folds:
        sections.append(Section("Folds", tables.rows(dict(folds), report.shown, "Each fold on its own")))  # fmt: skip
    return sections


def _comparison(comparison: Comparison) -> list[Section]:
    first, second = comparison.first, comparison.second
    held = first.held
    rows = [
        (tables.title(name), *comparison.differences[name])
        for name in first.shown
        if np.isfinite(comparison.differences[name][0])
    ]
    lead = (
        f"First (1): {held.model}. Second (2): {second.held.model} ({second.held.protocol}). Differences are first minus "
        f"second on the {len(comparison.rows[0]):,} images both were judged on; where an interval leaves out zero, "
        "the two differ."
    )
    body = charts.differences(rows)
    body += tables.compared(comparison)
    sections = [Section("Two models on the same images", body, lead)]
    if len(comparison.disagree) and held.data.images.ndim == 4:
        shown = comparison.disagree[: pictures.SHOWN]
        other = second.answers.scored.take(comparison.rows[1][shown])
        body = pictures.tiles(held, first.answers.scored, comparison.rows[0][shown], other)
        lead = f"The two say different classes of {len(comparison.disagree):,} images; the {len(shown)} they differ most on."
        sections.append(
            Section("Where they disagree", body + tables.disagreements(comparison), lead)
        )
    return sections
