"""The sample images as layer data for *File > Open Sample*. The known classes stay in their files."""

from __future__ import annotations

from typing import Any

from napari_cellcls.samples import sample_image
from napari_cellcls.vocabulary import ImageError

LayerData = tuple[Any, dict[str, Any], str]


def thin_smear() -> list[LayerData]:
    """Return the simulated thin blood smear as one RGB image layer."""
    return _layers("thin-smear", "thin smear")


def rgby_field() -> list[LayerData]:
    """Return the simulated fluorescence field as four image layers (red, green, blue, yellow)."""
    return _layers("rgby-field", "RGBY field")


def _layers(key: str, name: str) -> list[LayerData]:
    from napari_cellcls._reader import get_reader

    path = sample_image(key)
    read = get_reader(str(path))
    if read is None:
        raise ImageError(
            "The sample image cannot be opened.",
            code="SAMPLE-MISSING",
            path=path,
            why="it is not there or is no readable TIFF",
            remedy="Install again: pip install --force-reinstall napari-cellcls",
        )
    layers = read(str(path))
    for _, options, _kind in layers:
        ours = options.setdefault("metadata", {}).setdefault("cellcls", {})
        ours.update(name=name, sample=key)
    return list(layers)
