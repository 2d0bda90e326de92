"""Charts of the report as inline SVG: training curves, reliability, differences. No file, no link.

Colors are those of the page, also in the dark: Matplotlib draws with stand-ins that become its
style variables. The two series differ by marker or dash too, so that they are told apart in gray.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

_VARIABLES = {
    "#010101": "var(--ink)", "#010102": "var(--soft)", "#010103": "var(--line)", "#010104": "var(--one)",
    "#010105": "var(--two)", "#010106": "var(--three)", "#010107": "var(--ground)", "#010108": "var(--card)",
}  # fmt: skip
INK, SOFT, LINE, ONE, TWO, THREE, GROUND, CARD = _VARIABLES
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "napari-cellcls", "font.family": "sans-serif", "font.size": 9.0,
    "text.color": SOFT, "axes.edgecolor": LINE, "axes.labelcolor": SOFT, "xtick.color": LINE, "ytick.color": LINE,
    "xtick.labelcolor": SOFT, "ytick.labelcolor": SOFT, "axes.titlecolor": INK, "axes.titlesize": 10.0,
    "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.color": LINE, "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False,
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "lines.linewidth": 1.8,
}  # fmt: skip
_CURVES = (("loss", "Loss"), ("accuracy", "Accuracy"), ("macro_f1", "Macro F1"))


def training_curves(history: Mapping[int, Sequence[Mapping[str, Any]]]) -> str:
    """Return loss, accuracy and macro F1 by epoch, a line per fold and side, as SVG; "" without any.

    Parameters
    ----------
    history : mapping of int to sequence of mapping
        Fold -> epochs, as in ``history.jsonl``.
    """
    runs = {fold: list(epochs) for fold, epochs in history.items() if epochs}
    shown = [(key, title) for key, title in _CURVES if any(key in run[0] for run in runs.values())]
    if not shown:
        return ""
    with _canvas(3.1 * len(shown), 2.5, columns=len(shown)) as (figure, axes, finish):
        faint = 1.0 if len(runs) == 1 else 0.65
        for ax, (key, title) in zip(axes, shown):
            for run in runs.values():
                for name, color, dash in ((key, ONE, (4, 1.5)), (f"val_{key}", TWO, ())):
                    points = [(e["epoch"], e[name]) for e in run if _known(e.get(name))]
                    if points:
                        x, y = zip(*points)
                        dot = "o" if len(points) < 4 else ""
                        ax.plot(
                            x, y, color=color, alpha=faint, dashes=dash, marker=dot, markersize=4
                        )
                for change in _phase_changes(run):
                    ax.axvline(change, color=SOFT, linewidth=0.8, dashes=(1, 2))
            ax.set(title=title, xlabel="epoch")
            ax.xaxis.get_major_locator().set_params(integer=True)
        _legend(figure, (("training", ONE, (4, 1.5)), ("validation", TWO, ())))
        return finish(
            "Loss, accuracy and F1 of each epoch, on the training and the validation side"
        )


def reliability(before: np.ndarray, after: np.ndarray, several: bool) -> str:
    """Return how often a stated probability comes true, before and after scaling, as SVG.

    Parameters
    ----------
    before, after : numpy.ndarray
        ``(bins, 3)`` as from :func:`napari_cellcls.learn.metrics.reliability`.
    several : bool
        Whether the decisions are single labels.
    """
    with _canvas(6.6, 3.0, columns=2) as (_, axes, finish):
        for ax, table, color, title in ((axes[0], before, TWO, "As the network says"), (axes[1], after, ONE, "After temperature scaling")):  # fmt: skip
            used = table[table[:, 0] > 0]
            said, true = used[:, 1] / used[:, 0], used[:, 2] / used[:, 0]
            ax.plot([0, 1], [0, 1], color=SOFT, linewidth=1, dashes=(3, 3))
            ax.vlines(said, said, true, color=color, alpha=0.45, linewidth=2)
            size = 12 + 90 * np.sqrt(used[:, 0] / used[:, 0].max()) if len(used) else 10
            ax.scatter(said, true, s=size, color=color, edgecolor=GROUND, linewidth=0.8, zorder=3)
            low = 0.0 if several or not len(used) else max(0.0, np.floor(10 * min(said.min(), true.min())) / 10)  # fmt: skip
            ax.set(
                title=title,
                xlim=(low - 0.02, 1.02),
                ylim=(low - 0.05, 1.05),
                xlabel="probability stated",
            )
        axes[0].set_ylabel("share that was right" if not several else "share that had the label")
        return finish(
            "Reliability: the share that came true beside the probability stated; on the line both agree"
        )


def differences(rows: Sequence[tuple[str, float, tuple[float, float] | None]]) -> str:
    """Return differences of two models with their intervals, and a line at zero, as SVG."""
    with _canvas(5.6, 0.5 + 0.34 * len(rows)) as (_, axes, finish):
        ax = axes[0]
        ax.axvline(0, color=SOFT, linewidth=1)
        for i, (_, value, limits) in enumerate(rows):
            y = len(rows) - 1 - i
            if limits is not None:
                ax.hlines(y, *limits, color=ONE, linewidth=2.2)
            ax.plot([value], [y], "o", color=ONE, markersize=6, markeredgecolor=GROUND)
        ax.set_yticks(range(len(rows)), [name for name, _, _ in rows][::-1])
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.grid(visible=False, axis="y")
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        return finish("Difference of the two models with 95 % intervals")


def groups(value: np.ndarray, size: np.ndarray, kind: str, what: str) -> str:
    """Return a number of every group by its number of images, as SVG."""
    with _canvas(5.6, 2.5) as (_, axes, finish):
        ax = axes[0]
        ax.scatter(size, value, s=16, color=ONE, alpha=0.6, linewidth=0)
        ax.set(xlabel=f"images of the {kind}", ylabel=what, ylim=(-0.03, 1.03))  # fmt: skip
        if size.max() > 20 * max(1, size.min()):
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter("{x:,.0f}")
        return finish(f"{what[0].upper()}{what[1:]} of each {kind} beside its number of images")


@contextmanager
def _canvas(
    width: float, height: float, columns: int = 1
) -> Iterator[tuple[Any, list[Any], Callable[[str], str]]]:
    """Give a figure, its axes, and what turns it into SVG."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure((width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(1, columns, squeeze=False)[0]

        def finish(title: str) -> str:
            stream = io.StringIO()
            figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
            return _inline(stream.getvalue(), title)

        yield figure, list(axes), finish


def _inline(svg: str, title: str) -> str:
    """Return an SVG file as an element of a page: colors of the page, no addresses, a title."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", body).replace("xlink:href", "href")
    for stand_in, variable in _VARIABLES.items():
        body = body.replace(stand_in, variable)
    body = re.sub(r"\n\s*", "\n", body)
    head = f'<svg class="chart" role="img" aria-label="{escape(title)}" '
    return (
        body.replace("<svg ", head, 1).replace(">", f"><title>{escape(title)}</title>", 1).strip()
    )


def _legend(figure: Any, entries: Iterable[tuple[str, str, tuple[float, ...]]]) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=color, dashes=dash, label=name) for name, color, dash in entries]
    figure.legend(handles=lines, loc="outside lower left", ncols=len(lines), fontsize=9)


def _phase_changes(run: Sequence[Mapping[str, Any]]) -> list[float]:
    return [b["epoch"] - 0.5 for a, b in pairwise(run) if a.get("phase") != b.get("phase")]


def _known(value: Any) -> bool:
    return value is not None and bool(np.isfinite(value))
