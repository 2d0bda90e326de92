"""Make the film strip of the tutorial: the whole loop on real smears, in a real window.

It needs the real images of ``tests/real`` and a display of at least 1600 x 1200, for example::

    LIBGL_ALWAYS_SOFTWARE=1 xvfb-run -a -s "-screen 0 1600x1200x24" python docs/film.py
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from screenshots import IMAGES, TALL, save, settle, wait_until

PROJECT = Path(__file__).parents[1]


def main() -> None:
    """Save all scenes, with settings of their own."""
    data = Path(os.environ.get("CELLCLS_SHARED_DATA") or PROJECT.parent / "shared" / "data")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder, "settings.yaml"))
        os.environ["CELLCLS_HOME"] = str(Path(folder, "home"))
        sys.path.insert(0, str(PROJECT))
        import napari
        from napari.settings import get_settings
        from tests.widgets.story import Story

        get_settings().appearance.theme = "dark"
        viewer = napari.Viewer()
        viewer.window.resize(*TALL)

        def until(done: object) -> None:
            settle(0.05)
            wait_until(done, 600.0)  # type: ignore[arg-type]

        def picture(name: str) -> None:
            viewer.reset_view()
            settle(1.5)
            save(viewer, IMAGES / f"loop_{name}.png")

        story = Story(viewer, data, Path(folder), until, picture)
        story.open_and_classify()
        story.correct(30)
        story.fine_tune()
        story.use_it()
        story.export()
        story.roll_back()
        story.end()
        viewer.close()


if __name__ == "__main__":
    main()
