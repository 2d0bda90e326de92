"""``cellcls models``: list, show and install model packages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cellcls.commands import console, versions

if TYPE_CHECKING:
    from napari_cellcls.models.manifest import Manifest
    from napari_cellcls.models.registry import ModelEntry

app = typer.Typer(
    help="List, show and install models; go back to and compare versions of a project.",
    no_args_is_help=True,
)
app.command("history")(versions.history)
app.command("rollback")(versions.rollback)
app.command("compare")(versions.compare)

_LEVELS = {
    "released": "evaluated on real data",
    "starter": "starter: no claim on real images",
    "backbone": "no classes yet: for classes of your own",
    "tuned": "fine-tuned on labels of a project",
}


@app.command("list")
def list_models() -> None:
    """List the models on this computer."""
    from napari_cellcls.models import registry

    entries = registry.entries()
    rows = [_row(entry) for entry in entries]
    console.show_table(["model", "from", "classes", "cells", "size", "status"], rows)
    for entry in entries:
        if entry.error is not None:
            console.show_error(entry.error)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Model name or .cellpkg file.")]) -> None:
    """Show what a model is, what it was measured to do, and under which terms."""
    from napari_cellcls.models import describe, networks, registry

    entry = registry.find(name)
    manifest = entry.manifest
    assert manifest is not None
    operations = networks.operations(manifest.architecture.id, manifest.architecture.params)
    facts = dict(describe.facts(manifest))
    lines = [
        ("title", manifest.title),
        ("description", manifest.description),
        ("status", _LEVELS[manifest.level]),
        ("classes", ", ".join(c.name for c in manifest.classes) or "none"),
        ("labels per cell", "several" if manifest.multi_label else "one"),
        ("inputs", _inputs(manifest)),
        (
            "cells",
            f"{manifest.cells}; crops of {manifest.crop.size} px, frame {manifest.crop.frame}",
        ),
        (
            "network",
            f"{manifest.architecture.id}, {operations * manifest.turns / 1e6:,.1f} million multiply-adds per cell"
            + (f" ({manifest.turns} quarter turns)" if manifest.turns > 1 else ""),
        ),
        ("measured", facts.get("Measured numbers", "")),
        ("sets of classes", facts.get("Sets of classes", "")),
        ("fine-tuned from", manifest.provenance.parent),
        ("size", _size(entry.bytes)),
        ("sha256", entry.sha256),
        ("intended use", manifest.intended_use),
        ("license", manifest.license),
        ("data terms", manifest.data_terms),
        ("file", str(entry.path)),
    ]
    console.say(entry.label, "bold")
    for title, text in (*lines, *_metrics(manifest)):
        if text:
            console.say(f"  {title + ':':<19}{' '.join(str(text).split())}")


@app.command()
def install(
    path: Annotated[Path, typer.Argument(help="A .cellpkg file.", show_default=False)],
) -> None:
    """Check a model package and copy it to your models."""
    from napari_cellcls.models import registry

    entry = registry.install(path)
    console.say(f"Installed {entry.label}: {entry.path}")


def _row(entry: ModelEntry) -> list[str]:
    manifest = entry.manifest
    if manifest is None:
        return [entry.label, entry.source, "", "", _size(entry.bytes), "cannot be read"]
    names = [c.name for c in manifest.classes]
    classes = ", ".join(names) if len(names) <= 3 else f"{len(names)}: {', '.join(names[:2])} ..."
    return [
        entry.label,
        entry.source,
        classes or "none",
        manifest.cells,
        _size(entry.bytes),
        _LEVELS[manifest.level],
    ]


def _inputs(manifest: Manifest) -> str:
    if not manifest.inputs:
        return "any number of channels, each on its own"
    return ", ".join(
        f"{i.name} ({i.role}{', optional' if i.optional else ''})" for i in manifest.inputs
    )


def _metrics(manifest: Manifest) -> list[tuple[str, str]]:
    metrics = manifest.metrics
    rows = [("protocol", metrics.protocol), ("measured on", metrics.dataset)]
    for name, value in metrics.values.items():
        text = f"{value.value:.4g}"
        if value.low is not None and value.high is not None:
            text += f" ({value.low:.4g} to {value.high:.4g})"
        rows.append((name.replace("_", " "), text))
    return rows


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
