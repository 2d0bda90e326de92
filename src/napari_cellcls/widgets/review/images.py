"""Images of the project that is open: where they are now, and the one that is shown from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_cellcls.project.errors import unknown_image
from napari_cellcls.vocabulary import ImageError
from napari_cellcls.widgets import choices

if TYPE_CHECKING:
    import napari.viewer

    from napari_cellcls.images.image import Image
    from napari_cellcls.project.project import Project


class ProjectImages(QObject):
    """At most one image opened from the project.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QObject

    Attributes
    ----------
    image_id : str or None
    image : Image or None
        None: what *Classify cells* has is reviewed.
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.image_id: str | None = None
        self.image: Image | None = None
        self._layers: tuple[Any, ...] = ()

    @property
    def layer(self) -> Any:
        """One of the layers of the image."""
        return self._layers[0]

    def forget_image(self) -> None:
        """Show no image of the project; its layers stay in the viewer."""
        self.image_id, self.image, self._layers = None, None, ()

    def lost(self, layers: Any) -> bool:
        """Return whether the image was taken out of the viewer just now, and forget it then."""
        if self.image is None or all(layer in layers for layer in self._layers):
            return False
        self.forget_image()
        return True

    def show(self, project: Project, image_id: str) -> None:
        """Open an image of the project in the viewer, unless it is there.

        Raises
        ------
        ImageError
            ``REVIEW-IMAGE`` when it is not found; others when it cannot be read.
        ProjectError
        """
        known = project.journal.state.images.get(image_id)
        if known is None:
            raise unknown_image(image_id)
        found = project.locate(image_id)
        if found.status not in ("found", "moved") or found.path is None:
            there = " (there is a file with other content)" if found.status == "changed" else ""
            raise ImageError(
                f"The image '{known.name}' of the project is not found{there}.",
                code="REVIEW-IMAGE",
                path=found.path or known.hints.get("path"),
                why="it is neither where it was, nor beside or around the project.",
                remedy="Put it beside the project folder, or open it in napari and classify it.",
            )
        path = str(found.path)
        shown = self._in_viewer(path)
        if shown is None:
            self.viewer.open(path, plugin="napari-cellcls")
            shown = self._in_viewer(path)
        if shown is None:
            raise ImageError(
                f"The image '{known.name}' did not open.",
                code="REVIEW-IMAGE",
                path=path,
                why="no image layer came of it.",
                remedy="Open it by File > Open, and classify it.",
            )
        self._layers, self.image = shown
        self.image_id = image_id

    def _in_viewer(self, path: str) -> tuple[tuple[Any, ...], Image] | None:
        """Return layers and image where the viewer shows the file, whichever reader opened it."""
        for choice in choices.image_choices(self.viewer.layers):
            known = choice.layers[0].metadata.get(choices.META, {}).get("path")
            other = choices.file_of_another_reader(choice)
            if known == path or (
                other is not None and Path(other).absolute() == Path(path).absolute()
            ):
                image = choices.to_image(choice, tuple(self.viewer.dims.current_step))
                if image.path:
                    return choice.layers, image
        return None
