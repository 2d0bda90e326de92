"""The user's preferences (manifest ``configurations``), read in one place and never stored elsewhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preferences:
    """Defaults are those of the manifest; see napari > Preferences > Cell Classifier."""

    batch_size: int = 256
    engine: str = "auto"
    find_cells_at_once: bool = True
    outline_width: int = 3
    show_tooltips: bool = True
    show_letters: bool = True
    annotator: str = ""
    goal: int = 50
    second_percent: int = 10


def preferences() -> Preferences:
    """Return the present preferences, or the defaults where the plugin is not registered."""
    from napari.settings import get_plugin_settings

    try:
        stored = get_plugin_settings("napari-cellcls")
        return Preferences(
            batch_size=int(stored.inference.batch_size),
            engine=str(stored.inference.engine),
            find_cells_at_once=bool(stored.inference.find_cells_at_once),
            outline_width=int(stored.display.outline_width),
            show_tooltips=bool(stored.display.show_tooltips),
            show_letters=bool(stored.display.show_letters),
            annotator=str(stored.review.annotator).strip(),
            goal=int(stored.review.goal),
            second_percent=int(stored.review.second_percent),
        )
    except (KeyError, AttributeError, ValueError):
        return Preferences()
