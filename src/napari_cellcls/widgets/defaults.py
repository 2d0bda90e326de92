"""Ready choices from the image itself, and the entries of the menus. No Qt in here but `Option`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from napari_cellcls.images.image import Image
from napari_cellcls.vocabulary import ChannelError
from napari_cellcls.widgets.choices import ImageChoice
from napari_cellcls.widgets.panels.inputs import Option
from napari_cellcls.workflow import Method

if TYPE_CHECKING:
    from napari_cellcls.models.manifest import Manifest
    from napari_cellcls.models.registry import ModelEntry
    from napari_cellcls.models.runtime import Choice, EngineReport

METHOD_TEXTS: dict[Method, tuple[str, str]] = {
    "smear": (
        "Find: blood smear",
        "Red cells of a stained smear; white cells, platelets and clumps are left out",
    ),
    "blood": (
        "Find: all blood cells",
        "Red cells, white cells and platelets of a stained smear; clumps and debris are left out",
    ),
    "fluorescence": (
        "Find: fluorescence",
        "Nuclei, then whole cells from a cell channel or by expansion",
    ),
    "whole": ("Whole image", "The image is one ready cell, cut out already"),
}
ENGINE_TEXTS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "tensorflow": "TensorFlow"}
SMEARS = frozenset(("smear", "blood"))
_LEVEL_ORDER = {"released": 0, "tuned": 1, "starter": 2, "backbone": 3}


def default_method(image: Image) -> Method:
    """Return how to find cells: color photographs are smears, channels are fluorescence."""
    return "smear" if image.is_rgb else "fluorescence"


def default_model(image: Image | None, entries: Sequence[ModelEntry]) -> ModelEntry | None:
    """Return the model that fits the image best: inputs present, made for such cells, released."""
    if not entries:
        return None
    return min(entries, key=lambda entry: _misfit(image, entry))


def suits(image: Image, entry: ModelEntry) -> bool:
    """Return whether a model can be asked about an image: its inputs are there, and it is of such cells."""
    manifest = entry.manifest
    if manifest is None or not manifest.classes or not _fits(image, entry):
        return False
    return manifest.cells == "whole" or (manifest.cells in SMEARS) == (
        default_method(image) in SMEARS
    )


def method_for(image: Image, manifest: Manifest | None) -> Method:
    """Return how to find cells for a model: all cells of blood where it tells them apart."""
    method = default_method(image)
    return (
        "blood"
        if manifest is not None and (manifest.cells, method) == ("blood", "smear")
        else method
    )


def _misfit(image: Image | None, entry: ModelEntry) -> tuple[int, int, int]:
    manifest = entry.manifest
    assert manifest is not None
    unlike = int(image is not None and manifest.cells != default_method(image))
    return (
        int(not manifest.classes),
        unlike + 2 * int(not _fits(image, entry)),
        _LEVEL_ORDER[manifest.level],
    )


def _fits(image: Image | None, entry: ModelEntry) -> bool:
    from napari_cellcls.images.channels import match

    if image is None or entry.manifest is None:
        return True
    try:
        match(image, entry.manifest.planes)
    except ChannelError:
        return False
    return True


def image_options(choices: Iterable[ImageChoice]) -> list[Option]:
    """Return the entries of the Image menu."""
    return [Option(choice.name, choice, choice.detail) for choice in choices]


def cells_options(labels: Iterable[Any], shape: tuple[int, int] | None) -> list[Option]:
    """Return the entries of the Cells menu: methods, then Labels layers (wrong sizes say so)."""
    options = [Option(text, method, tip) for method, (text, tip) in METHOD_TEXTS.items()]
    return options + [Option(layer.name, layer, _labels_tip(layer, shape)) for layer in labels]


def _labels_tip(layer: Any, shape: tuple[int, int] | None) -> str:
    from napari_cellcls.widgets.choices import plane_shape

    y, x = plane_shape(layer)
    fits = "" if shape is None or shape == (y, x) else f"; the image has {shape[1]} × {shape[0]}"
    return f"The cells of this Labels layer, {x} × {y} pixels{fits}"


def model_options(entries: Iterable[ModelEntry]) -> list[Option]:
    """Return the entries of the Model menu; values are paths.

    What is not a released model says so in its text; a damaged package is disabled and says why.
    """
    options = []
    for entry in entries:
        manifest = entry.manifest
        if manifest is None:
            why = (
                ""
                if entry.error is None
                else f"{entry.error.what} {entry.error.why} [{entry.error.code}]"
            )
            options.append(Option(entry.name, str(entry.path), why_not=why or "cannot be read"))
            continue
        level = "" if manifest.level == "released" else f" ({manifest.level})"
        if manifest.level == "tuned":
            level = f" {manifest.version}{level}"  # the versions of a project share a name
        names = [c.name for c in manifest.classes]
        classes = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        tip = f"{manifest.title} {manifest.version}: {classes or 'no classes yet'}"
        options.append(Option(f"{manifest.name}{level}", str(entry.path), tip))
    return options


def engine_options(
    reports: Sequence[EngineReport], automatic: Choice | None = None, survey_error: str = ""
) -> list[Option]:
    """Return the entries of the Device menu: auto, then every engine and device, missing ones disabled.

    Values are ``(engine, device)``.
    """
    text, tip = "auto", survey_error or "Takes the fastest engine present (looking for engines…)"
    if automatic is not None:
        text = f"auto: {automatic.device.upper()}, {ENGINE_TEXTS.get(automatic.engine, automatic.engine)}"
        tip = f"auto takes {automatic.reason}."
    options = [Option(text, ("auto", "auto"), tip)]
    for report in reports:
        name = ENGINE_TEXTS.get(report.name, report.name)
        if not report.available:
            why = f"{report.note} {report.remedy}".strip()
            options.append(Option(name, (report.name, "auto"), why_not=why))
            continue
        tip = f"{report.note} Version {report.version}."
        options.append(Option(name, (report.name, "auto"), tip))
        if len(report.devices) > 1:
            options += [
                Option(f"{name}: {d.upper()}", (report.name, d), tip) for d in report.devices
            ]
    return options
