"""Self-contained HTML pages: frame, figures as inline SVG, pictures as data; no link leaves the file.

Only strings and arrays come in, only strings go out; every text is escaped here.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from napari_cellcls.vocabulary import RESEARCH_USE_ONLY

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2429;--soft:#5b6871;--line:#dfe4e7;--ground:#fff;--card:#f6f8f9;
--bar:#00796b;--bad:#b3261e;--look:#9a6700;--good:#1b7f3b;--one:#0072b2;--two:#d55e00;--three:#009e73}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e8ecee;--soft:#9fabb3;--line:#333c42;--ground:#14191c;
--card:#1c2327;--bar:#4db6ac;--bad:#ff8a80;--look:#ffca4d;--good:#7fd99a;--one:#56b4e9;--two:#ff9a4d;--three:#4dd0a6}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2rem 1.5rem 3rem;max-width:68rem;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .3rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
h3{font-size:.95rem;margin:1rem 0 .3rem}p{margin:.3rem 0 .8rem;max-width:48rem}.soft{color:var(--soft)}
.facts{display:flex;flex-wrap:wrap;gap:.7rem;margin:1.2rem 0}
.fact{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.55rem .9rem;min-width:7rem}
.fact b{display:block;font-size:1.3rem;line-height:1.2;font-variant-numeric:tabular-nums}
.fact span{color:var(--soft);font-size:.8rem;white-space:pre-line}
.finding{border-left:4px solid var(--line);background:var(--card);padding:.5rem .9rem;margin:.5rem 0;
border-radius:0 6px 6px 0}.finding.stop{border-color:var(--bad)}.finding.look{border-color:var(--look)}
.finding.good{border-color:var(--good)}.finding code{float:right;color:var(--soft);font-size:.75rem}
summary{cursor:pointer;color:var(--soft);font-size:.85rem}
.names{font:12px/1.5 ui-monospace,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere;margin:.3rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.88rem}
th{text-align:left;font-weight:600;color:var(--soft);font-size:.8rem}
th,td{padding:.22rem .8rem .22rem 0;border-bottom:1px solid var(--line)}td.n,th.n{text-align:right}
.bar{display:inline-block;height:.72rem;border-radius:2px;background:var(--bar);vertical-align:baseline;min-width:1px}
.wide{overflow-x:auto}.panels{display:flex;flex-wrap:wrap;gap:1rem 1.4rem}
figure{margin:0}figcaption{font-size:.82rem;color:var(--soft);margin:.1rem 0 .25rem}
figcaption b{color:var(--ink);font-weight:600}
img{max-width:100%;display:block;border-radius:3px}svg text{fill:var(--soft);font-size:10px}
caption{text-align:left;color:var(--soft);font-size:.82rem;padding-bottom:.25rem}
tbody th{color:var(--ink);font-size:.88rem;font-weight:500}td small,.tile small{color:var(--soft);font-size:.78rem}td small{white-space:nowrap}
.tiles{display:flex;flex-wrap:wrap;gap:.7rem .6rem;align-items:flex-start}
.tile{width:8.6rem;font-size:.78rem;line-height:1.3;overflow-wrap:anywhere}.tile img{margin-bottom:.2rem}
.tile .no{color:var(--bad)}.tile .yes{color:var(--good)}
.matrix td,.matrix th{padding:.3rem .55rem;border:1px solid var(--line)}.matrix td{text-align:right}
.chart{max-width:100%;height:auto}.chart text{fill:var(--soft)}
@media print{body{max-width:none;padding:0;font-size:12px}section,figure,.tile,tr,.finding{break-inside:avoid}
h2{break-after:avoid}details>*{display:block}}
footer{margin-top:2.5rem;padding-top:.8rem;border-top:1px solid var(--line);color:var(--soft);font-size:.8rem}
"""

_NAMES_OPEN = 3
PLANE_COLORS = {
    "red": "#d9483b",
    "green": "#2e9e4f",
    "blue": "#3b7dd8",
    "yellow": "#d19a00",
    "gray": "#78868e",
}


@dataclass(frozen=True)
class Section:
    """A titled part of a page; ``body`` is HTML made by this module."""

    title: str
    body: str
    lead: str = ""


def page(
    title: str, lead: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section], foot: str
) -> str:
    """Return a whole page.

    Parameters
    ----------
    title, lead, foot : str
        Plain text.
    facts : sequence of (str, str)
        Value and what it counts, shown large.
    sections : sequence of Section
    """
    cards = "".join(
        f'<div class="fact"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name in facts
    )
    parts = "".join(
        f"<section><h2>{escape(s.title)}</h2>{paragraph(s.lead, soft=True)}{s.body}</section>"
        for s in sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<header><h1>{escape(title)}</h1>{paragraph(lead, soft=True)}</header><div class="facts">{cards}</div>'
        f"{parts}<footer>{escape(foot)} {escape(RESEARCH_USE_ONLY)}</footer></body></html>\n"
    )


def paragraph(text: str, *, soft: bool = False) -> str:
    """Return a paragraph, or nothing for an empty text."""
    return f"<p{' class=soft' if soft else ''}>{escape(text)}</p>" if text else ""


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    bar: int | None = None,
    *,
    caption: str = "",
    row_heads: bool = False,
) -> str:
    """Return a table; numbers stand right, column ``bar`` holds shares 0..1 drawn as bars.

    With ``row_heads`` the first column names its row, for screen readers too. What follows a line
    break in a cell is set small below the rest.
    """

    def cell(i: int, text: str) -> str:
        if i == bar:
            return f'<td><span class="bar" style="width:{14 * float(text):.2f}rem"></span></td>'
        if i == 0 and row_heads:
            return f'<th scope="row">{escape(text)}</th>'
        first, _, small = text.partition("\n")
        below = f"<br><small>{escape(small)}</small>" if small else ""
        return f"<td{' class=n' if _is_number(first) else ''}>{escape(first)}{below}</td>"

    numeric = [
        bool(rows) and i != bar and _is_number(rows[0][i].partition("\n")[0])
        for i in range(len(headings))
    ]
    head = "".join(
        f'<th scope="col"{" class=n" if n else ""}>{escape(h)}</th>'
        for h, n in zip(headings, numeric)
    )
    body = "".join(
        "<tr>" + "".join(cell(i, text) for i, text in enumerate(row)) + "</tr>" for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def finding(
    level: str, what: str, code: str = "", names: Sequence[str] = (), shown: int = 200
) -> str:
    """Return a colored box: ``level`` is stop, look or good; more than a few names unfold."""
    tag = f"<code>{escape(code)}</code>" if code else ""
    more = [f"... and {len(names) - shown} more"] if len(names) > shown else []
    listed = "<br>".join(escape(n) for n in [*names[:shown], *more])
    fold = f'<div class="names">{listed}</div>' if names else ""
    if len(names) > _NAMES_OPEN:
        fold = f"<details><summary>{len(names)} names</summary>{fold}</details>"
    return f'<div class="finding {level}">{tag}{escape(what)}{fold}</div>'


def figure(title: str, note: str, content: str) -> str:
    """Return a figure with a caption above it."""
    return (
        f"<figure><figcaption><b>{escape(title)}</b> {escape(note)}</figcaption>{content}</figure>"
    )


def panels(figures: Sequence[str]) -> str:
    """Return figures side by side as far as the page is wide."""
    return f'<div class="panels">{"".join(figures)}</div>'


def histogram(
    edges: np.ndarray, counts: np.ndarray, unit: str, width: int = 300, height: int = 110
) -> str:
    """Return a histogram as SVG: bars, three ticks, the unit at the right."""
    top = max(float(np.max(counts)), 1e-9)
    step = width / len(counts)
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{height - height * c / top:.1f}" width="{max(step - 1, 0.5):.1f}" '
        f'height="{height * c / top:.1f}" fill="var(--bar)"/>'
        for i, c in enumerate(np.asarray(counts, float))
        if c > 0
    )
    return _svg(bars, width, height, (float(edges[0]), float(edges[-1])), unit)


def curves(
    series: dict[str, np.ndarray],
    limits: tuple[float, float],
    unit: str,
    width: int = 220,
    height: int = 70,
) -> str:
    """Return lines of the named planes as SVG; heights are square roots, so that tails show."""
    top = max((float(v.max()) for v in series.values()), default=0) or 1.0
    lines = []
    for name, values in series.items():
        step = width / max(len(values) - 1, 1)
        points = " ".join(
            f"{i * step:.1f},{height - height * (v / top) ** 0.5:.1f}" for i, v in enumerate(values)
        )
        color = PLANE_COLORS.get(name, "var(--bar)")
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>'
        )
    return _svg("".join(lines), width, height, limits, unit)


def picture(pixels: np.ndarray, scale: float = 1.0, alt: str = "") -> str:
    """Return an image element of ``(Y, X, 3)`` uint8 with the pixels inside it; ``alt`` says what it shows."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    data = base64.b64encode(stream.getvalue()).decode()
    height, width = pixels.shape[:2]
    size = f'width="{width * scale:.0f}" height="{height * scale:.0f}"'
    return f'<img {size} alt="{escape(alt)}" src="data:image/jpeg;base64,{data}">'


def mosaic(crops: np.ndarray, columns: int, edge: int, gap: int = 4) -> np.ndarray:
    """Return crops ``(N, Y, X, 3)`` uint8 side by side on white, each ``edge`` pixels wide."""
    from PIL import Image

    rows = -(-len(crops) // columns)
    sheet = np.full(
        (rows * (edge + gap) - gap, min(columns, len(crops)) * (edge + gap) - gap, 3), 255, np.uint8
    )
    for i, crop in enumerate(crops):
        y, x = i // columns * (edge + gap), i % columns * (edge + gap)
        sheet[y : y + edge, x : x + edge] = np.array(
            Image.fromarray(crop).resize((edge, edge), Image.Resampling.BICUBIC)
        )
    return sheet


def visible(crops: np.ndarray) -> np.ndarray:
    """Return crops of 1, 3 or 4 planes as color pictures ``(N, Y, X, 3)``; RGBY is merged."""
    planes = crops.shape[-1]
    if planes == 3:
        return np.asarray(crops)
    if planes == 1:
        return np.repeat(crops, 3, axis=-1)
    wide = crops.astype(np.uint16)
    merged = np.stack(
        [wide[..., 0] + wide[..., 3] // 2, wide[..., 1] + wide[..., 3] // 2, wide[..., 2]], -1
    )
    return np.minimum(merged, 255).astype(np.uint8)


def _svg(content: str, width: int, height: int, limits: tuple[float, float], unit: str) -> str:
    low, high = limits
    ticks = "".join(
        f'<text x="{at * width:.0f}" y="{height + 13}" text-anchor="{anchor}">{low + at * (high - low):,.0f}{tail}</text>'
        for at, anchor, tail in (
            (0, "start", ""),
            (0.5, "middle", ""),
            (1, "end", f" {escape(unit)}"),
        )
    )
    line = f'<line x1="0" x2="{width}" y1="{height}" y2="{height}" stroke="var(--line)"/>'
    return (
        f'<svg width="{width}" height="{height + 18}" viewBox="0 0 {width} {height + 18}" role="img">'
        f"{content}{line}{ticks}</svg>"
    )


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("%", "").strip().isdecimal()
