"""Fills the pages of the manual that the source already knows: the list of modules of the API page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
MARK = "<!-- every module -->"

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
    """Replace the mark on the API page by one section per room and one entry per module."""
    if MARK not in markdown:
        return markdown
    return markdown.replace(MARK, "\n\n".join(_sections()))


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
