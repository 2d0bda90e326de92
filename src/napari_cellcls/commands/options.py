"""What a user asked for, and the choices we make where nothing was said, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_cellcls.vocabulary import CellsError, ChannelError, ModelError

if TYPE_CHECKING:
    from napari_cellcls.images.image import Image

Finder = Literal["smear", "blood", "fluorescence", "whole"]

SMEAR_MODEL = "malaria-thin-smear"
FLUORESCENCE_MODEL = "hpa-localization"

LABEL_SUFFIXES = (
    ".labels.tif", "_labels.tif", ".labels.ome.tif", "_labels.ome.tif", "_mask.tif",
    ".tif", ".tiff", ".ome.tif", ".png",
)  # fmt: skip


class EngineName(StrEnum):
    """Engines by name."""

    auto = "auto"
    onnxruntime = "onnxruntime"
    openvino = "openvino"
    tensorflow = "tensorflow"


@dataclass(frozen=True)
class Options:
    """Choices of one run; None means "choose for me".

    Attributes
    ----------
    out : Path
        Folder of the results.
    model : str or None
        Name or path of a package.
    labels : Path or None
        Label image, or a folder of label images with the stems of the images.
    find : {"smear", "blood", "fluorescence", "whole"} or None
        How to find cells when there are no labels; by default as the model suggests.
    channels : mapping of str to str or int
        Role -> channel name or index.
    scene, time, z
        Which plane of the file.
    engine, device : str
    batch_size : int
        Crops per network call.
    embeddings : bool
        Whether to keep and write embeddings.
    """

    out: Path
    model: str | None = None
    labels: Path | None = None
    find: Finder | None = None
    channels: Mapping[str, str | int] = field(default_factory=dict)
    scene: str | None = None
    time: int = 0
    z: int | Literal["max"] | None = None
    engine: str = "auto"
    device: str = "auto"
    batch_size: int = 256
    embeddings: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the choices as plain JSON values."""
        values = asdict(self)
        return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}


def choose_model(image: Image, wanted: str | None) -> tuple[str, str]:
    """Return the model for an image and, when it was our choice, the reason.

    Raises
    ------
    ModelError
        ``MODEL-CHOOSE`` when no bundled model fits the image.
    """
    if wanted is not None:
        return wanted, ""
    if image.is_rgb:
        return SMEAR_MODEL, f"model {SMEAR_MODEL}: the image is a color photograph"
    from napari_cellcls.images.channels import match
    from napari_cellcls.models import registry

    planes = registry.load(FLUORESCENCE_MODEL).manifest.planes
    try:
        match(image, planes)
    except ChannelError as error:
        names = ", ".join(f"'{c.name}' ({c.role})" for c in image.channels)
        raise ModelError(
            "No bundled model fits this image by itself.",
            code="MODEL-CHOOSE",
            path=image.path,
            why=f"it is no color photograph, and of the channels that {FLUORESCENCE_MODEL} needs "
            f"some are missing; the image has {names}.",
            remedy="Name a model with --model, and its inputs with --channels role=name,...",
        ) from error
    roles = ", ".join(plane.role for plane in planes)
    return FLUORESCENCE_MODEL, f"model {FLUORESCENCE_MODEL}: the image has its channels ({roles})"


def labels_for(labels: Path, stem: str) -> Path:
    """Return the label image for an image of this stem.

    Raises
    ------
    CellsError
        ``CELLS-NOLABELS`` when the folder holds none, ``CELLS-NOLABELFILE`` when there is
        nothing at that path.
    """
    if (
        labels.is_dir()
        and not (labels / ".zattrs").exists()
        and not (labels / "zarr.json").exists()
    ):
        for suffix in LABEL_SUFFIXES:
            if (labels / f"{stem}{suffix}").is_file():
                return labels / f"{stem}{suffix}"
        raise CellsError(
            f"There is no label image for '{stem}'.",
            code="CELLS-NOLABELS",
            path=labels,
            why=f"looked for {stem} followed by {', '.join(LABEL_SUFFIXES)}.",
            remedy="Name the label image like its image, or give --find to find the cells.",
        )
    if not labels.exists():
        raise no_label_file(labels)
    return labels


def no_label_file(path: Path) -> CellsError:
    """Say that there are no labels where they should be."""
    return CellsError(
        "The label image does not exist.",
        code="CELLS-NOLABELFILE",
        path=path,
        why="there is no file or folder of this name.",
        remedy="Check the path given with --labels.",
    )


def plane_of_labels(image: Image) -> Any:
    """Return the ``(Y, X)`` plane of an opened label image.

    Raises
    ------
    CellsError
        ``CELLS-PLANES`` when it has several planes.
    """
    if image.data.shape[0] != 1:
        raise CellsError(
            "The label image has more than one plane.",
            code="CELLS-PLANES",
            path=image.path,
            why=f"it has {image.data.shape[0]} planes{' (a color picture)' if image.is_rgb else ''}; "
            "labels are one plane of whole numbers, 0 for the background.",
            remedy="Save the labels as a single-channel TIFF of integers.",
        )
    return image.data[0]
