"""What a model is, in words: the card people read, and the description files of bioimage.io."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_cellcls.cells.descriptor import size_of
from napari_cellcls.models import networks
from napari_cellcls.models.manifest import Manifest, MetricValue
from napari_cellcls.vocabulary import RESEARCH_USE_ONLY, CropSpec, Normalization

RDF_FORMAT = "0.5.12"
_LEVELS = {
    "released": "Trained and evaluated on real images.",
    "starter": "Starter model trained on simulated images: no claim of accuracy on real images.",
    "backbone": "Backbone without classes: label some cells, then fine-tune to get a classifier.",
    "tuned": "Fine-tuned on labels of a project: its numbers are those of that project.",
}


def card(manifest: Manifest, size_bytes: int | None = None) -> str:
    """Return the model card as Markdown, for the terminal, the window and ``README.md``.

    Parameters
    ----------
    manifest : Manifest
    size_bytes : int, optional
        Size of the package file, when known.
    """
    blocks = [
        f"# {manifest.title}",
        manifest.description.strip(),
        f"**{_LEVELS[manifest.level]}**",
        "\n".join(f"- {name}: {text}" for name, text in facts(manifest, size_bytes)),
        "# Validation",
        "\n".join(metric_lines(manifest)),
        "# Terms",
        "\n".join(_terms(manifest)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def facts(manifest: Manifest, size_bytes: int | None = None) -> list[tuple[str, str]]:
    """Return the facts of the card as ``(name, text)`` pairs, in reading order."""
    ref = manifest.architecture
    total, _ = networks.parameter_count(ref.id, ref.params)
    passes = manifest.passes
    described = networks.embedding_size(ref.id, ref.params) * passes
    if manifest.descriptor != "embedding":
        described += size_of(len(manifest.inputs))
    total += len(manifest.classes) * (described + 1)
    operations = networks.operations(ref.id, ref.params) * passes * manifest.turns
    operations += len(manifest.classes) * described
    per = (
        "channel and cell" if manifest.channel_policy == "each" and not manifest.inputs else "cell"
    )
    rows = [
        ("Model", manifest.label),
        ("Architecture", f"{networks.architecture(ref.id).title} (`{ref.id}`)"),
        ("Parameters", f"{total:,}"),
        ("Operations", f"{operations / 1e6:,.1f} million multiply-adds per {per}"),
        ("Classes", _classes(manifest)),
        ("Inputs", _inputs(manifest)),
        ("Crop", crop_in_words(manifest.crop, manifest.normalization)),
    ]
    if manifest.turns > 1:
        rows.append(("Looks", f"{manifest.turns} quarter turns of each cell, averaged"))
    if manifest.descriptor != "embedding":
        rows.append(("Measured numbers", "shape and intensity of each cell, beside what is seen"))
    if size_bytes is not None:
        rows.insert(3, ("File", f"{size_bytes / 1e6:.1f} MB"))
    if manifest.pixel_size_um is not None:
        low, high = manifest.pixel_size_um
        rows.append(("Pixel size", f"{low:g} to {high:g} µm"))
    if manifest.classes:
        rows.append(("Confidence", f"calibrated with temperature {manifest.temperature:.3g}"))
    if manifest.thresholds is not None:
        pairs = zip(manifest.classes, manifest.thresholds, strict=True)
        rows.append(("Thresholds", ", ".join(f"{c.name} {t:.2f}" for c, t in pairs)))
    if manifest.sets is not None:
        promise = f"hold the right class for {manifest.sets.coverage:.0%} of cells"
        rows.append(("Sets of classes", f"{promise}, from {manifest.sets.groups} groups"))
    return rows


def metric_lines(manifest: Manifest) -> list[str]:
    """Return the measured numbers with intervals and protocol, one line each."""
    metrics = manifest.metrics
    if not metrics.values and not metrics.per_class:
        return [metrics.notes or "No numbers: this model has not been evaluated on labelled cells."]
    lines = [f"- {name}: {number_in_words(value)}" for name, value in metrics.values.items()]
    for class_id, values in metrics.per_class.items():
        inside = "; ".join(f"{name} {number_in_words(value)}" for name, value in values.items())
        lines.append(f"- class {class_id}: {inside}")
    where = ", ".join(
        part
        for part in (
            metrics.dataset,
            f"{metrics.n:,} cells" if metrics.n else "",
            f"{metrics.groups:,} groups" if metrics.groups else "",
        )
        if part
    )
    lines += [f"- Data: {where}"] if where else []
    lines += [f"- Protocol: {metrics.protocol}"] if metrics.protocol else []
    lines += [] if metrics.independent else ["- Not independent of the training data."]
    return lines + ([metrics.notes] if metrics.notes else [])


def number_in_words(value: MetricValue) -> str:
    """Return ``0.957 (95 % interval 0.951 to 0.962, Wilson)``."""
    if value.low is None or value.high is None:
        return f"{value.value:.3f}"
    method = f", {value.method}" if value.method else ""
    return f"{value.value:.3f} (95 % interval {value.low:.3f} to {value.high:.3f}{method})"


def caution(manifest: Manifest) -> tuple[str, ...]:
    """Return what must stand beside every result of a model, in the window, terminal and files."""
    if manifest.level == "starter":
        return ("Starter model: trained on simulated images, no accuracy claim on real ones.",)
    if manifest.cells == "smear" and manifest.level == "released":
        return ("Error rates are those of the NIH slides: test a known-negative slide first.",)
    return ()


def crop_in_words(crop: CropSpec, rule: Normalization) -> str:
    """Return how a cell becomes a network input, as one sentence."""
    margin = f" with {crop.margin * 100:g} % added on each side" if crop.margin else ""
    size = f"{crop.size} x {crop.size} px"
    if crop.frame == "box":
        frame = f"the tight box around the cell{margin}, stretched to {size}"
    elif crop.frame == "square":
        frame = f"a square around the cell as wide as its longer side{margin}, resampled to {size}"
    else:
        extents = [f"{crop.extent_um:g} µm"] if crop.extent_um is not None else []
        extents += [f"{crop.extent_px:g} image pixels"] if crop.extent_px is not None else []
        frame = f"a window of {' or '.join(extents)} around the cell, resampled to {size}"
    outside = f"; outside the cell everything is set to {crop.fill:g}" if crop.mask else ""
    if rule.kind == "background":
        values = "optical density over the empty glass, or signal over the background"
    elif rule.kind == "full_scale":
        values = "values divided by the full scale of the image"
    else:
        values = f"values between the {rule.low:g} and {rule.high:g} percentiles of the image"
    return f"{frame}{outside}; {values}"


def files_for_bioimageio(
    manifest: Manifest,
    members: Mapping[str, bytes],
    test_input: np.ndarray,
    test_output: np.ndarray,
) -> dict[str, bytes]:
    """Return ``README.md`` and ``rdf.yaml`` (bioimage.io model description 0.5)."""
    import yaml

    readme = card(manifest).encode()
    document = _rdf(manifest, {**members, "README.md": readme}, test_input, test_output)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return {"README.md": readme, "rdf.yaml": text.encode()}


def _rdf(
    manifest: Manifest,
    members: Mapping[str, bytes],
    test_input: np.ndarray,
    test_output: np.ndarray,
) -> dict[str, Any]:
    def source(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(members[name]).hexdigest()}

    planes = [p.name for p in manifest.planes] or ["red", "green", "blue"]
    if manifest.channel_policy == "each":
        planes = ["plane 1", "plane 2", "plane 3"]
    document: dict[str, Any] = {
        "type": "model",
        "format_version": RDF_FORMAT,
        "name": _rdf_name(manifest.title),
        "version": manifest.version,
        "description": (manifest.description or manifest.title)[:1000],
        "authors": [{"name": "napari-cellcls developers"}],
        "cite": [
            {"text": "napari-cellcls", "url": "https://github.com/napari-cellcls/napari-cellcls"}
        ],
        "license": manifest.license,
        "tags": ["napari-cellcls", "cell classification", manifest.architecture.id],
        "documentation": source("README.md"),
        "inputs": [_rdf_tensor("crops", planes, test_input, source("test_input.npy"))],
        "outputs": [_rdf_tensor("embedding", [], test_output, source("test_output.npy"))],
        "weights": {},
        "attachments": [source("weights.safetensors")],
        "config": {
            "napari-cellcls": {"schema": manifest.schema_, "package_id": manifest.package_id}
        },
    }
    if "model.onnx" in members:
        document["weights"]["onnx"] = {**source("model.onnx"), "opset_version": 17}
    if "head.safetensors" in members:
        document["attachments"].append(source("head.safetensors"))
    return document


def _rdf_tensor(
    name: str, planes: list[str], array: np.ndarray, test: dict[str, str]
) -> dict[str, Any]:
    axes: list[dict[str, Any]] = [{"type": "batch"}]
    if array.ndim == 4:
        axes += [{"type": "space", "id": i, "size": int(n)} for i, n in zip("yx", array.shape[1:3])]
    names = planes or [f"{name}{i}" for i in range(array.shape[-1])]
    axes.append({"type": "channel", "channel_names": names})
    return {
        "id": name,
        "axes": axes,
        "test_tensor": test,
        "data": {"type": "float32", "range": [0.0, 1.0] if planes else [None, None]},
    }


def _rdf_name(title: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_+- ()") else " " for c in title)
    return " ".join(kept.split())[:128].ljust(5, "_")


def _classes(manifest: Manifest) -> str:
    if not manifest.classes:
        return "none yet"
    kind = "several per cell" if manifest.multi_label else "one per cell"
    return f"{', '.join(c.name for c in manifest.classes)} ({kind})"


def _inputs(manifest: Manifest) -> str:
    if not manifest.inputs:
        return "any number of channels, each on its own"
    planes = [p.name + (" (may be absent)" if p.optional else "") for p in manifest.planes]
    alone = manifest.channel_policy == "each" and not manifest.in_color
    each = ", each on its own" if alone else ""
    return ", ".join(planes) + each


def _terms(manifest: Manifest) -> list[str]:
    lines = [f"- License of the weights: {manifest.license}"]
    lines += [f"- Data: {manifest.data_terms}"] if manifest.data_terms else []
    lines.append(f"- Intended use: {manifest.intended_use or RESEARCH_USE_ONLY}")
    origin = manifest.provenance
    lines += [f"- Training data: {origin.data}"] if origin.data else []
    lines += [f"- Recipe: {origin.recipe}"] if origin.recipe else []
    lines += [f"- Fine-tuned from: {origin.parent}"] if origin.parent else []
    return lines
