"""What every architecture is made of: bounded numbers, a title, a plan, and where ImageNet weights lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from napari_cellcls.models.plan import Plan

Channels = Annotated[int, Field(ge=1, le=16)]


class Params(BaseModel):
    """Numbers of one architecture; every subclass bounds each of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    size: int
    channels: int


@dataclass(frozen=True)
class ImageNet:
    """Weights that Keras keeps in its cache for a network inside an architecture.

    Attributes
    ----------
    title : str
        The network, for people.
    file : str
        File name in ``~/.keras/models``.
    bgr : bool
        Whether they were trained on planes in the order blue, green, red.
    first : str
        Name of the layer that reads the image.
    """

    title: str
    file: str
    bgr: bool
    first: str


@dataclass(frozen=True)
class Architecture:
    """An entry of the registry.

    Attributes
    ----------
    id, title : str
        Name in recipes and packages; name for people.
    params : type of Params
    make_plan : callable
        From parameters to the layers.
    imagenet : ImageNet or None
    """

    id: str
    title: str
    params: type[Params]
    make_plan: Callable[[Any], Plan]
    imagenet: ImageNet | None = None
