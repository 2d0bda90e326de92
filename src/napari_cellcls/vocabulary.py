"""The words of the field, shared by every room: classes, channels, crops, progress, errors.

This module owns names and small frozen values only. It imports nothing heavier than the
standard library, so that any room, the terminal and the child processes can use it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from enum import StrEnum
from os import PathLike, fspath
from typing import ClassVar, Literal, Self, TypeAlias, TypeVar

Result = TypeVar("Result")

RESEARCH_USE_ONLY = "Research use only. Not for diagnosis."


class CellClsError(Exception):
    """An error a user can act on: what happened, where, why we think so, what to do.

    Parameters
    ----------
    what : str
        What happened, one sentence.
    code : str
        Stable code such as ``IMG-TRUNC``; documented in ``docs/troubleshooting.md``.
    path : path-like, optional
        The file concerned.
    why : str, optional
        The evidence, with the values received.
    remedy : str, optional
        What the user can do now.
    """

    default_code: ClassVar[str] = "CELLCLS"

    def __init__(
        self,
        what: str,
        *,
        code: str | None = None,
        path: str | PathLike[str] | None = None,
        why: str = "",
        remedy: str = "",
    ) -> None:
        self.what = sentence(what)
        self.code = code or self.default_code
        self.path = None if path is None else fspath(path)
        self.why = why
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        """Return one readable paragraph that ends with the code."""
        where = f" File: {self.path}." if self.path else ""
        why = f" Why: {sentence(self.why)}" if self.why else ""
        remedy = f" What to do: {self.remedy}" if self.remedy else ""
        return f"{self.what}{where}{why}{remedy} [{self.code}]"

    def at(self, path: str | PathLike[str] | None) -> Self:
        """Name the file concerned where the place that raised did not know it; return self."""
        if self.path is None and path is not None:
            self.path = fspath(path) or None
        return self


def sentence(text: str) -> str:
    """Return text with a full stop, unless it ends with a mark of its own."""
    return text if not text or text[-1] in ".!?:;…" else f"{text}."


class ImageError(CellClsError):
    """The image file cannot be used."""

    default_code = "IMG"


class ChannelError(CellClsError):
    """The image lacks a channel the model needs, or the mapping is ambiguous."""

    default_code = "CHANNEL"


class CellsError(CellClsError):
    """The label image or cell table cannot be used."""

    default_code = "CELLS"


class ModelError(CellClsError):
    """The model package cannot be used."""

    default_code = "MODEL"


class EngineError(CellClsError):
    """No engine can run the model, or the engine failed."""

    default_code = "ENGINE"


class DataError(CellClsError):
    """A labelled data set or recipe cannot be used for training or evaluation."""

    default_code = "DATA"


class TaskError(CellClsError):
    """A long task failed for a reason outside our own checks."""

    default_code = "TASK"


@dataclass(frozen=True)
class Progress:
    """One step of a long task.

    Attributes
    ----------
    done, total : int
        Units finished and units in all (``total == 0``: not known).
    message : str
        What is being done, in the user's words.
    """

    done: int
    total: int
    message: str = ""


Task: TypeAlias = Generator[Progress, None, Result]
"""A long task: yields :class:`Progress`, returns its result, can be closed between two steps."""


def finish(task: Task[Result], on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Run a task to its end and return its result.

    Parameters
    ----------
    task : Task
        The generator to exhaust.
    on_progress : callable, optional
        Called with each :class:`Progress`.
    """
    while True:
        try:
            step = next(task)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if on_progress is not None:
            on_progress(step)


class ChannelRole(StrEnum):
    """What a channel shows, independent of its name or dye."""

    NUCLEUS = "nucleus"
    PROTEIN = "protein"
    MICROTUBULES = "microtubules"
    ER = "er"
    MEMBRANE = "membrane"
    ACTIN = "actin"
    MITOCHONDRIA = "mitochondria"
    GOLGI = "golgi"
    CELL = "cell"
    RGB_RED = "rgb_red"
    RGB_GREEN = "rgb_green"
    RGB_BLUE = "rgb_blue"
    BRIGHTFIELD = "brightfield"
    GRAY = "gray"
    UNKNOWN = "unknown"


RGB_ROLES = (ChannelRole.RGB_RED, ChannelRole.RGB_GREEN, ChannelRole.RGB_BLUE)
"""Planes of a color photograph (a stained smear), in this order."""

# Okabe and Ito 2008, color-blind safe; gray and black left out because they vanish on images.
CLASS_COLORS = (
    "#d55e00", "#0072b2", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#f0e442",
    "#882255", "#44aa99", "#aa4499", "#117733", "#999933", "#88ccee", "#ddcc77",
)  # fmt: skip


@dataclass(frozen=True)
class CellClass:
    """One class a cell can have: stable id, display name, color ``#rrggbb``."""

    id: str
    name: str
    color: str


@dataclass(frozen=True)
class ClassScheme:
    """The classes of a model, in the order of its outputs.

    Attributes
    ----------
    classes : tuple of CellClass
    multi_label : bool
        Whether a cell may have several classes (independent sigmoids) or exactly one (softmax).
    """

    classes: tuple[CellClass, ...]
    multi_label: bool = False

    @classmethod
    def from_names(
        cls, names: tuple[str, ...] | list[str], *, multi_label: bool = False
    ) -> ClassScheme:
        """Build a scheme with ids made from the names and the default palette."""
        return cls(
            tuple(
                CellClass(
                    "".join(c if c.isalnum() else "_" for c in name.lower()).strip("_"),
                    name,
                    CLASS_COLORS[i % len(CLASS_COLORS)],
                )
                for i, name in enumerate(names)
            ),
            multi_label,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Display names in output order."""
        return tuple(c.name for c in self.classes)

    @property
    def ids(self) -> tuple[str, ...]:
        """Stable ids in output order; used in the column names ``p_<id>``."""
        return tuple(c.id for c in self.classes)

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.classes)


@dataclass(frozen=True)
class InputPlane:
    """One plane a model expects: its role, the name shown to people, and whether it may be absent."""

    role: ChannelRole
    name: str
    optional: bool = False


Frame: TypeAlias = Literal["box", "square", "window"]


@dataclass(frozen=True)
class CropSpec:
    """How a cell becomes a network input. Part of the model: training and use share it exactly.

    Frames are whole pixels of the image, resampled bilinearly at half-pixel centers.

    Attributes
    ----------
    size : int
        Edge of the network input in pixels (inputs are square).
    frame : {"box", "square", "window"}
        ``box``: the tight bounding box, stretched to the square without keeping the aspect
        ratio (the layout of the NIH malaria crops). ``square``: a square around the center of
        the bounding box, its edge the longer side. ``window``: a square of fixed physical
        size around the center of the bounding box.
    margin : float
        For ``box`` and ``square``: added on each side, as a fraction of that side.
    extent_um, extent_px : float or None
        Edge of the ``window`` in micrometers; ``extent_px`` (image pixels) is used when the
        image has no pixel size.
    mask : bool
        Whether pixels outside the cell's own mask are set to ``fill``.
    fill : float
        Normalized value (0..1) outside the mask and outside the image.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    size: int
    frame: Frame = "square"
    margin: float = 0.0
    extent_um: float | None = None
    extent_px: float | None = None
    mask: bool = False
    fill: float = 0.0


@dataclass(frozen=True)
class Normalization:
    """How raw pixel values become 0..1 before the network.

    Attributes
    ----------
    kind : {"full_scale", "percentile", "background"}
        ``full_scale``: divide by the image's value range (255 for 8 bit, 4095 for 12 bit ...).
        ``percentile``: per channel, the ``low``..``high`` percentiles of the whole image map
        to 0..1, clipped; a constant channel becomes zeros.
        ``background``: what was measured over the background. Color photographs: optical density
        over the empty glass, 1.5 maps to 1. Others: the 1st..99.8th percentile of a channel.
    low, high : float
        Percentiles, 0..100, of the kind ``percentile``.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    kind: Literal["full_scale", "percentile", "background"] = "full_scale"
    low: float = 0.5
    high: float = 99.8


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval and the method that gave it."""

    value: float
    low: float
    high: float
    method: str = ""
    n: int = 0


@dataclass(frozen=True)
class Columns:
    """Names of the cell-table columns, the same in window, files and API (see docs/file-formats.md)."""

    label: str = "label"
    y: str = "y"
    x: str = "x"
    area_px: str = "area_px"
    area_um2: str = "area_um2"
    bbox: tuple[str, str, str, str] = field(default=("bbox_y0", "bbox_x0", "bbox_y1", "bbox_x1"))
    border: str = "border"
    predicted: str = "predicted"
    confidence: str = "confidence"
    could_be: str = "could_be"
    corrected: str = "corrected"
    class_: str = "class"
    annotator: str = "annotator"
    model: str = "model"
    flags: str = "flags"
    probability_prefix: str = "p_"
    joiner: str = "|"


COLUMNS = Columns()
