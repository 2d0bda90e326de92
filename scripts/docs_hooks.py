"""Fills in what the source already knows: the modules of the API page, the cards of the models page."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
MODULES_MARK = "<!-- every module -->"
CARDS_MARK = "<!-- every card -->"

# In the order of the arrows; what is not named here comes last.
ROOMS = [
    "vocabulary", "files", "samples", "images", "cells", "models", "predict", "counting", "learn", "export",
    "workflow", "session", "commands", "cli",
]  # fmt: skip


def on_config(config: Any) -> Any:
    """Leave pages out of the navigation that this checkout does not have (screenshots and tables are made)."""
    config["nav"] = _present(config["nav"], Path(config["docs_dir"]))
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace a mark by one section per room, or by one card per bundled model."""
    if MODULES_MARK in markdown:
        markdown = markdown.replace(MODULES_MARK, "\n\n".join(_sections()))
    if CARDS_MARK in markdown:
        markdown = markdown.replace(CARDS_MARK, "\n\n".join(_cards()))
    return markdown


def _cards() -> list[str]:
    """Return the card each bundled package carries: its title below ours, its sections below that."""
    cards = []
    for path in sorted((SOURCE / "napari_cellcls" / "models" / "bundled").glob("*.cellpkg")):
        with zipfile.ZipFile(path) as package:
            card = package.read("README.md").decode()
        title, _, rest = card.partition("\n")
        cards.append(f"##{title}\n" + re.sub(r"^#", "####", rest, flags=re.MULTILINE))
    return cards


def _present(nav: list[Any], docs: Path) -> list[Any]:
    kept: list[Any] = []
    for entry in nav:
        ((title, target),) = entry.items()
        if isinstance(target, list):
            kept.append({title: _present(target, docs)})
        elif (docs / target).is_file():
            kept.append(entry)
    return kept


def _sections() -> list[str]:
    modules: dict[str, list[str]] = {}
    for path in sorted((SOURCE / "napari_cellcls").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if (
            len(parts) == 1
            or any(part.startswith("_") for part in parts[1:])
            or parts[1] == "widgets"
        ):
            continue
        modules.setdefault(parts[1], []).append(".".join(parts))
    order = [room for room in ROOMS if room in modules] + sorted(set(modules) - set(ROOMS))
    return [
        f"## {room}\n\n" + "\n\n".join(f"::: {module}" for module in modules[room])
        for room in order
    ]
