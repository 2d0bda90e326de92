"""The audit of a labeled set as one HTML page that a person reads from top to bottom."""

from __future__ import annotations

import numpy as np

from napari_cellcls import __version__
from napari_cellcls.learn import page
from napari_cellcls.learn.audit import Audit, plane_names, samples
from napari_cellcls.learn.page import Section

_PER_CLASS = 12
_EDGE = 72
_PAIRS = 24
_LARGEST = 15
_CHARTED = 20
_FEW_CLASSES = 4
_MANY_CLASSES = 12


def html(audit: Audit) -> str:
    """Return the page of an audit."""
    data = audit.data
    groups = len(np.unique(data.groups))
    facts = [(f"{len(data):,}", "images"), (f"{len(data.classes)}", "classes")]
    if data.group_kind:
        facts.append((f"{groups:,}", f"groups ({data.group_kind})"))
    facts += [
        (_sizes_in_words(audit), "pixels, height x width"),
        (f"{len(audit.near):,}", "near-duplicate pairs"),
    ]
    if data.multi_label:
        facts.append((f"{data.matrix.sum(1).mean():.2f}", "labels per image"))
    sections = [
        Section("Findings", _findings(audit)),
        Section("Classes", _classes(audit)),
        Section(
            "What the classes look like",
            _grids(audit),
            f"Up to {_columns(audit)} images of each class, from as many groups as there are. Shown as the network "
            f"sees them: stretched to {data.images.shape[1]} x {data.images.shape[2]} pixels.",
        ),
        Section("Sizes", _sizes(audit), "The longer side of each image before resizing."),
        Section("Brightness", _brightness(audit), _brightness_lead(audit)),
    ]
    if len(audit.near):
        lead = f"The {min(_PAIRS, len(audit.near))} closest of {len(audit.near)}; distance 0 is a copy."
        sections.append(Section("Copies and near-copies", _pairs(audit), lead))
    if data.group_kind:
        sections.append(Section("Groups", _groups(audit)))
    if further := _columns_further(audit):
        sections.append(Section("Other columns", further))
    return page.page(
        f"Data audit: {audit.path.name}",
        f"Layout: {data.layout}.",
        facts,
        sections,
        f"Made by napari-cellcls {__version__}; everything is in this file.",
    )


def _findings(audit: Audit) -> str:
    order = {"stop": 0, "look": 1, "good": 2}
    found = sorted(audit.findings, key=lambda f: order[f.level])
    boxes = [page.finding(f.level, f.what, f.code, f.names) for f in found]
    return "".join([*boxes, *(page.finding("look", note) for note in audit.notes)])


def _classes(audit: Audit) -> str:
    data = audit.data
    counts, matrix = data.counts, data.matrix
    most = max(counts.values())
    rows = []
    for k, (name, n) in enumerate(counts.items()):
        groups = len(np.unique(data.groups[matrix[:, k]]))
        share = f"{100 * n / len(data):.1f} %"
        row = [name, f"{n / most:.4f}", f"{n:,}", share]
        rows.append([*row, f"{groups:,}"] if data.group_kind else row)
    headings = ["class", "", "images", "share"] + (["groups"] if data.group_kind else [])
    return page.table(headings, rows, bar=1)


def _grids(audit: Audit) -> str:
    data = audit.data
    figures = []
    columns = _columns(audit)
    for k, name in enumerate(data.classes):
        rows = samples(data, k, columns)
        if len(rows):
            crops = page.visible(np.asarray(data.images[np.sort(rows)]))
            sheet = page.mosaic(crops, columns, _EDGE)
            figures.append(page.figure(name, f"{data.counts[name]:,} images", page.picture(sheet)))
    return page.panels(figures)


def _columns(audit: Audit) -> int:
    return _PER_CLASS if len(audit.data.classes) < _MANY_CLASSES else _PER_CLASS // 2


def _sizes_in_words(audit: Audit) -> str:
    sizes = audit.data.sizes
    if sizes is None:
        return "unknown"
    low, high = sizes.min(0), sizes.max(0)
    if (low == high).all():
        return f"{low[0]} x {low[1]}"
    middle = np.median(sizes, axis=0)
    return f"{middle[0]:.0f} x {middle[1]:.0f}"


def _sizes(audit: Audit) -> str:
    sizes = audit.data.sizes
    if sizes is None:
        return page.paragraph("The sizes are unknown.")
    if (sizes.min(0) == sizes.max(0)).all():
        return page.paragraph(f"All images have {sizes[0, 0]} x {sizes[0, 1]} pixels.")
    longer = sizes.max(1)
    few = len(audit.data.classes) <= _MANY_CLASSES
    parts = {"All": np.ones(len(sizes), bool)}
    if few:
        parts = {name: audit.data.matrix[:, k] for k, name in enumerate(audit.data.classes)}
    figures = []
    for name, rows in parts.items():
        values = longer[rows]
        if len(values):
            counts, edges = np.histogram(values, bins=40, range=(0, int(longer.max())))
            note = f"{values.min()} to {values.max()}, median {np.median(values):.0f} pixels"
            figures.append(page.figure(name, note, page.histogram(edges, counts, "px", 240, 80)))
    ratio = sizes.max(1) / np.maximum(sizes.min(1), 1)
    odd = 100 * float((ratio > 1.5).mean())
    text = f"{odd:.1f} % of the images are more than half as long again as they are wide; all are stretched to squares."
    return page.panels(figures) + page.paragraph(text, soft=True)


def _brightness_lead(audit: Audit) -> str:
    lead = "How often each value from 0 to 255 occurs in the images of a class (square root), a line per plane."
    if audit.black > 0.01:
        lead += f" Black pixels, outside the cell, are left out ({100 * audit.black:.0f} % of all)."
    return f"{lead} Classes that differ here can be told apart by brightness alone: check that this is biology."


def _brightness(audit: Audit) -> str:
    figures = []
    for name, spectrum in audit.spectra.items():
        planes = spectrum
        if (
            len(planes) == 3
            and np.array_equal(planes[0], planes[1])
            and np.array_equal(planes[1], planes[2])
        ):
            planes = planes[:1]
        if not planes.any():
            continue
        series = dict(zip(plane_names(len(planes)), planes))
        values = np.arange(64) * 4 + 2
        mean = ", ".join(f"{plane} {float(values @ part):.0f}" for plane, part in series.items())
        figures.append(page.figure(name, f"mean {mean}", page.curves(series, (0, 255), "")))
    return page.panels(figures)


def _pairs(audit: Audit) -> str:
    data, figures = audit.data, []
    for (a, b), distance in zip(audit.near.pairs[:_PAIRS].tolist(), audit.near.distance):
        crops = page.visible(np.stack([data.images[a], data.images[b]]))
        words = []
        for row in (a, b):
            labels = [data.classes[k] for k in np.flatnonzero(data.matrix[row])]
            words.append(f"{data.names[row]} ({', '.join(labels)}; {data.groups[row]})")
        figures.append(
            page.figure(
                f"distance {distance:.3f}",
                " and ".join(words),
                page.picture(page.mosaic(crops, 2, _EDGE)),
            )
        )
    return page.panels(
        [f'<div style="max-width:20rem;overflow-wrap:anywhere">{f}</div>' for f in figures]
    )


def _groups(audit: Audit) -> str:
    data = audit.data
    names, inverse, counts = np.unique(data.groups, return_inverse=True, return_counts=True)
    bins = min(40, int(counts.max()))
    heights, edges = np.histogram(counts, bins=max(bins, 1))
    note = f"{counts.min():,} to {counts.max():,}, median {np.median(counts):,.0f}"
    chart = page.figure("Images per group", note, page.histogram(edges, heights, "images"))
    per_class = np.zeros((len(names), len(data.classes)), int)
    np.add.at(per_class, inverse, data.matrix.astype(int))
    shown = np.argsort(-counts, kind="stable")[:_LARGEST]
    few = len(data.classes) <= _FEW_CLASSES
    headings = [data.group_kind, "", "images", *(data.classes if few else ["classes"])]
    rows = []
    for g in shown:
        detail = [f"{n:,}" for n in per_class[g]] if few else [f"{(per_class[g] > 0).sum()}"]
        rows.append([str(names[g]), f"{counts[g] / counts.max():.4f}", f"{counts[g]:,}", *detail])
    title = (
        f"The {len(shown)} largest of {len(names):,}" if len(names) > len(shown) else "All groups"
    )
    charts = page.panels([chart]) if len(names) >= _CHARTED else ""
    return f"{charts}<h3>{title}</h3>" + page.table(headings, rows, bar=1)


def _columns_further(audit: Audit) -> str:
    """Return the counts by class of every column that has a few values only."""
    data, parts = audit.data, []
    for name, column in data.extra.items():
        values = np.unique(column)
        if not 1 < len(values) <= _MANY_CLASSES:
            continue
        few = data.classes if len(data.classes) <= _FEW_CLASSES else ()
        rows = []
        for value in values:
            chosen = column == value
            per_class = [f"{data.matrix[chosen, k].sum():,}" for k in range(len(few))]
            rows.append(
                [str(value) or "(none)", f"{chosen.mean():.4f}", f"{chosen.sum():,}", *per_class]
            )
        parts.append(page.table([name, "", "images", *few], rows, bar=1))
    return "".join(f"<div style='margin-bottom:1.2rem'>{part}</div>" for part in parts)
