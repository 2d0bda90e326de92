"""The model card as a dialog: what the model is for, how good it is, and on what evidence."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_cellcls.models.manifest import Manifest, MetricValue

LEVELS = {
    "released": "Released: evaluated on real cells.",
    "starter": "Starter: trained on simulated images. No accuracy claim on real images.",
    "backbone": "Backbone: describes cells; learns classes from your own labels.",
}


def card_html(manifest: Manifest) -> str:
    """Return the card of a model as HTML."""
    size = sum(entry.bytes for entry in manifest.files.values())
    inputs = ", ".join(p.name + (" (optional)" if p.optional else "") for p in manifest.planes)
    crop = manifest.crop
    facts = [
        ("Status", LEVELS[manifest.level]),
        ("Intended use", manifest.intended_use),
        ("Classes", ", ".join(c.name for c in manifest.classes) or "none yet"),
        ("Labels per cell", "several" if manifest.multi_label else "one" if manifest.classes else ""),
        ("Inputs", inputs or "any channels, each on its own"),
        ("Crop", f"{crop.size} × {crop.size} pixels, {crop.frame}" + (", masked" if crop.mask else "")),
        ("Pixel size", _range(manifest.pixel_size_um)),
        ("Network", manifest.architecture.id),
        ("Size", f"{size / 1e6:.1f} MB" if size else ""),
        ("Data", manifest.provenance.data),
        ("Data terms", manifest.data_terms),
        ("License", manifest.license),
        ("Id", manifest.label),
    ]
    rows = "".join(
        f"<tr><td style='padding-right:12px'><b>{escape(name)}</b></td><td>{escape(text)}</td></tr>"
        for name, text in facts
        if text
    )
    about = f"<p>{escape(manifest.description)}</p>" if manifest.description else ""
    return f"<h2>{escape(manifest.title)}</h2>{about}<table cellspacing=4>{rows}</table>{_metrics(manifest)}"


def _metrics(manifest: Manifest) -> str:
    metrics = manifest.metrics
    if not metrics.values:
        return ""
    rows = "".join(
        f"<tr><td style='padding-right:12px'>{escape(name)}</td><td>{_value(value)}</td></tr>"
        for name, value in metrics.values.items()
    )
    lines = [metrics.protocol, metrics.dataset, metrics.notes]
    if not metrics.independent:
        lines.append("Measured on data like that of the training: expect less on your own images.")
    words = "".join(f"<p>{escape(line)}</p>" for line in lines if line)
    return f"<h3>Measured</h3><table cellspacing=4>{rows}</table>{words}"


def _value(metric: MetricValue) -> str:
    if metric.low is None or metric.high is None:
        return f"{metric.value:.4g}"
    return f"{metric.value:.4g} ({metric.low:.4g}–{metric.high:.4g}, 95 % interval)"


def _range(limits: tuple[float, float] | None) -> str:
    return "" if limits is None else f"{limits[0]:g} to {limits[1]:g} µm"


class CardDialog(QDialog):
    """Shows one model card; its parent gives it the theme."""

    def __init__(self, manifest: Manifest, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Model card: {manifest.title}")
        self.resize(560, 620)
        self.text = QTextBrowser(self)
        self.text.setOpenExternalLinks(True)
        self.text.setHtml(card_html(manifest))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
