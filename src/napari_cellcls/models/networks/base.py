"""What every architecture is made of: bounded numbers, a title, a plan, and where ImageNet weights lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_cellcls.models.plan import Plan

Channels = Annotated[int, Field(ge=1, le=16)]
ColorChannels = Literal[1, 3, 4]
"""Images for a network of three planes; see :func:`three_planes`."""

_TO_RGB = {
    1: ((1.0, 1.0, 1.0),),
    # Rows: red, green, blue, yellow; columns: the red, green and blue that the network sees.
    4: ((0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5), (0.5, 0.5, 0.0)),
}


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


def three_planes(plan: Plan) -> str:
    """Add what makes red, green and blue of the image: nothing for three channels.

    One channel is repeated. Four are those of the Human Protein Atlas in the order red, green,
    blue, yellow, and merged as published: ((R+Y)/2, (G+Y)/2, B/2).
    """
    matrix = _TO_RGB.get(plan.input_shape[-1])
    return "input" if matrix is None else plan.add("mix", "to_rgb", "input", matrix=matrix)
