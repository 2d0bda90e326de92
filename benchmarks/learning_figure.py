"""The picture of the benchmark of learning: scores by number of labels, one panel per part."""

from __future__ import annotations

from pathlib import Path

import numpy as np

Curves = dict[str, dict[int, list[float]]]
"""Way -> number of labels -> scores of the draws."""
Panel = tuple[str, str, tuple[int, ...], Curves]
_LOOKS = {
    "quick": ("#0072b2", "o"),
    "deep": ("#000000", "D"),
    "forest, our numbers": ("#009e73", "s"),
    "forest, regionprops": ("#e69f00", "^"),
    "Keras head": ("#d55e00", "v"),
    "quick on the network of blood-cells": ("#56b4e9", "x"),
}


def draw(path: Path, panels: dict[str, Panel]) -> None:
    """Write the picture; bands are a standard deviation of the draws."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.4 * len(panels), 4.2), dpi=110)
    named: dict[str, object] = {}
    for axis, (title, unit, counts, curves) in zip(np.atleast_1d(axes), panels.values()):
        for way, (color, mark) in _LOOKS.items():
            scores = curves.get(way)
            if not scores:
                continue
            x = sorted(scores)
            middle = np.array([np.mean(scores[n]) for n in x])
            spread = np.array([np.std(scores[n], ddof=1) if len(scores[n]) > 1 else 0 for n in x])
            (line,) = axis.plot(x, middle, f"{mark}-", color=color, ms=4.5, lw=1.4)
            axis.fill_between(x, middle - spread, middle + spread, color=color, alpha=0.12, lw=0)
            named.setdefault(way, line)
        axis.set(xscale="log", title=title, xlabel=unit, xticks=counts)
        axis.set_xticks(counts, [str(n) for n in counts])
        axis.set_xticks([], minor=True)
        axis.grid(alpha=0.3)
    np.atleast_1d(axes)[0].set_ylabel("F1 on photographs never labeled")
    figure.legend(
        named.values(), named.keys(), loc="lower center", ncols=len(named), frameon=False, fontsize=9
    )  # fmt: skip
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(path)
    pyplot.close(figure)
