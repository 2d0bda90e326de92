"""Letters, fonts and the legend below an overlay picture: color is never the only sign."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls.counting import ClassCount, class_counts
from napari_cellcls.vocabulary import RESEARCH_USE_ONLY, ClassScheme

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from napari_cellcls.predict import Predictions

_INK, _FAINT, _PAPER = "#202020", "#606060", "#ffffff"
_ABSENT, _LEFT_OUT = "#c8c8c8", "#969696"
_ALL_LISTED = 6
"""Up to this many classes, those that no cell has are listed too, in gray: 0 is an answer."""


@functools.cache
def font(size: int) -> Any:
    """Return a sans-serif font of ``size`` pixels that knows many scripts."""
    from PIL import ImageFont

    # matplotlib carries DejaVu Sans; its folder is found without importing it.
    spec = find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        dejavu = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if dejavu.is_file():
            return ImageFont.truetype(str(dejavu), size)
    return ImageFont.load_default(size)


def draw_letters(
    picture: Picture,
    middle: np.ndarray,
    shown: np.ndarray,
    letters: tuple[str, ...],
    scheme: ClassScheme,
    typeface: Any,
) -> None:
    """Write each cell's letter at ``middle`` ``(N, 2)`` (y, x in picture pixels), in place."""
    from PIL import Image as PillowImage
    from PIL import ImageDraw

    stamps: dict[int, Picture] = {}
    for (y, x), index in zip(middle, shown, strict=True):
        if index < 0:
            continue
        if index not in stamps:
            left, top, right, bottom = typeface.getbbox(letters[index], stroke_width=2)
            stamp = PillowImage.new("RGBA", (int(right - left), int(bottom - top)))
            ImageDraw.Draw(stamp).text(
                (-left, -top),
                letters[index],
                font=typeface,
                fill=scheme.classes[index].color,
                stroke_width=2,
                stroke_fill="white",
            )
            stamps[index] = stamp
        stamp = stamps[index]
        picture.paste(stamp, (int(x) - stamp.width // 2, int(y) - stamp.height // 2), stamp)


def with_legend(
    picture: Picture,
    predictions: Predictions,
    letters: tuple[str, ...],
    no_class: str,
    rejected: int,
    lines: tuple[str, ...],
) -> Picture:
    """Return the picture on a sheet with the legend below it; ``no_class`` is a color."""
    from PIL import Image as PillowImage
    from PIL import ImageDraw

    size = int(min(max(picture.width / 55, 13), 40))
    typeface, pad = font(size), size
    items = legend_items(predictions, letters, no_class, rejected)
    width = max(picture.width, 24 * size)
    rows = _flow(items, typeface, width - 2 * pad, size)
    texts = [
        part
        for line in (*lines, RESEARCH_USE_ONLY)
        for part in _wrap(line, typeface, width - 2 * pad)
    ]
    step = round(size * 1.6)
    height = pad + step * len(rows) + round(size * 1.4) * len(texts) + pad // 2
    sheet = PillowImage.new("RGB", (width, picture.height + height), _PAPER)
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    pen = ImageDraw.Draw(sheet)
    y = picture.height + pad
    for row in rows:
        for x, (color, text) in row:
            box = (pad + x, y, pad + x + size, y + size)
            thin = color in (_ABSENT, _LEFT_OUT)
            pen.rectangle(box, outline=color, width=1 if thin else max(3, size // 4))
            ink = _FAINT if color == _ABSENT else _INK
            pen.text((pad + x + round(size * 1.5), y + size // 2), text, ink, typeface, anchor="lm")
        y += step
    for text in texts:
        pen.text((pad, y + size // 2), text, _FAINT, typeface, anchor="lm")
        y += round(size * 1.4)
    return sheet


def legend_items(
    predictions: Predictions, letters: tuple[str, ...], no_class: str, rejected: int
) -> list[tuple[str, str]]:
    """Return (color, text) of each legend entry.

    With more than six classes only those that occur are listed, the most frequent first; without
    any cell no class is.
    """
    counts = class_counts(predictions)
    rows: list[tuple[str, ClassCount]] = list(zip(letters, counts.classes, strict=True))
    if len(rows) > _ALL_LISTED:
        rows = sorted((r for r in rows if r[1].count), key=lambda r: -r[1].count)
    if not counts.total:
        rows = []
    items = [
        (
            row.cell_class.color if row.count else _ABSENT,
            f"{letter}  {row.cell_class.name}: {row.count}{_share(row)}",
        )
        for letter, row in rows
    ]
    if counts.unassigned:
        items.append((no_class, f"no class: {counts.unassigned}"))
    if rejected:
        items.append((_LEFT_OUT, f"left out: {rejected}"))
    return items


def _share(row: ClassCount) -> str:
    return f" ({100 * row.fraction.value:.1f} %)" if row.count else ""


def _flow(
    items: list[tuple[str, str]], typeface: Any, width: float, size: int
) -> list[list[tuple[int, tuple[str, str]]]]:
    rows: list[list[tuple[int, tuple[str, str]]]] = [[]]
    x = 0.0
    for item in items:
        need = size * 1.5 + typeface.getlength(item[1])
        if rows[-1] and x + need > width:
            rows.append([])
            x = 0.0
        rows[-1].append((round(x), item))
        x += need + 1.6 * size
    return rows if items else []


def _wrap(line: str, typeface: Any, width: float) -> list[str]:
    parts: list[str] = []
    current = ""
    for word in line.split():
        longer = f"{current} {word}".strip()
        if current and typeface.getlength(longer) > width:
            parts.append(current)
            longer = word
        current = longer
    return [*parts, current] if current else parts
