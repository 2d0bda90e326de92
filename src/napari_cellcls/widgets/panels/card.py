"""The model card as a dialog: what the model is for, how good it is, and on what evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_cellcls.models.manifest import Manifest


class CardDialog(QDialog):
    """Shows one model card; its parent gives it the theme. Escape closes it."""

    def __init__(self, manifest: Manifest, parent: QWidget | None = None) -> None:
        from napari_cellcls.models.describe import card

        super().__init__(parent)
        self.setWindowTitle(f"Model card: {manifest.title}")
        self.resize(640, 680)
        self.text = QTextBrowser(self)
        self.text.setOpenExternalLinks(True)
        self.text.setMarkdown(card(manifest))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
