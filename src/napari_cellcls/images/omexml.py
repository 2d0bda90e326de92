"""The OME header of an image: parsed safely, reduced to what this plugin uses.

It refuses document types and entities before any parser sees them, and never opens a file the
header points to. Source: OME data model 2016-06 (Image, Pixels, Channel, TiffData).
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from napari_cellcls.vocabulary import ImageError

_MAX_CHARS = 64 << 20
_TO_UM = {
    "pm": 1e-6, "\u00c5": 1e-4, "nm": 1e-3, "\u00b5m": 1.0, "\u03bcm": 1.0, "um": 1.0, "micron": 1.0,
    "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6, "in": 25_400.0, "thou": 25.4,
}  # fmt: skip


@dataclass(frozen=True)
class OmeChannel:
    """One ``Channel`` element: name, color ``#rrggbb`` or None, wavelengths in nanometers."""

    name: str
    color: str | None = None
    excitation_nm: float | None = None
    emission_nm: float | None = None
    samples: int = 1


@dataclass(frozen=True)
class OmeImage:
    """One ``Image`` element.

    Attributes
    ----------
    name : str
    sizes : dict
        Declared sizes by axis letter (``T C Z Y X``).
    pixel_type : str
    significant_bits : int or None
    pixel_size_um : tuple of float or None
        ``(y, x)``; None when absent, zero, negative or in an unknown unit.
    channels : tuple of OmeChannel
    files : tuple of tuple
        ``(file name, uuid)`` the planes are said to be in.
    """

    name: str
    sizes: dict[str, int]
    pixel_type: str
    significant_bits: int | None = None
    pixel_size_um: tuple[float, float] | None = None
    channels: tuple[OmeChannel, ...] = ()
    files: tuple[tuple[str, str], ...] = ()

    @property
    def samples(self) -> int:
        """Return the samples per pixel of the first channel (3 for RGB)."""
        return self.channels[0].samples if self.channels else 1

    @property
    def plane_count(self) -> int:
        """Return how many TIFF planes this image needs."""
        channels = max(1, self.sizes["C"] // max(1, self.samples))
        return self.sizes["T"] * self.sizes["Z"] * channels


@dataclass(frozen=True)
class OmeHeader:
    """The whole header: its own UUID, its images, and whether it only points elsewhere."""

    uuid: str
    images: tuple[OmeImage, ...]
    companion: str | None = None


def parse(text: str, path: str) -> OmeHeader:
    """Parse an OME-XML text.

    Raises
    ------
    ImageError
        ``IMG-XML-UNSAFE`` for document types or entities; ``IMG-TRUNC-OME`` when the text is
        damaged, cut off, or lacks what OME requires.
    """
    if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper() or len(text) > _MAX_CHARS:
        raise ImageError(
            "The OME header contains instructions that a harmless image never needs.",
            code="IMG-XML-UNSAFE",
            path=path,
            why="its XML declares a document type or entities, or is larger than 64 MiB",
            remedy="Do not use this file unless you know who made it; export the image again.",
        )
    try:
        root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text.rstrip("\0")))
    except (ElementTree.ParseError, ValueError) as error:
        raise damaged(path, f"its XML cannot be parsed ({error})") from error
    if _local(root.tag) != "OME":
        raise damaged(path, f"the XML is {_local(root.tag)!r}, not 'OME'")
    companion = next((e for e in root if _local(e.tag) == "BinaryOnly"), None)
    try:
        images = tuple(_image(e, i) for i, e in enumerate(_children(root, "Image")))
    except (KeyError, ValueError) as error:
        raise damaged(path, f"a required value is missing or no number ({error})") from error
    if not images and companion is None:
        raise damaged(path, "it describes no image")
    name = None if companion is None else companion.get("MetadataFile", "")
    return OmeHeader(root.get("UUID", ""), images, name)


def damaged(path: str, why: str) -> ImageError:
    """Return the error for an OME-TIFF whose header or tail is missing."""
    return ImageError(
        "The OME-TIFF is damaged or cut off, so its channels cannot be told apart safely.",
        code="IMG-TRUNC-OME",
        path=path,
        why=why,
        remedy="Check that the copy is complete (compare file sizes) and copy it again.",
    )


def _image(element: ElementTree.Element, index: int) -> OmeImage:
    pixels = _children(element, "Pixels")
    if not pixels:
        raise ValueError(f"image {index} has no Pixels")
    attributes = pixels[0].attrib
    sizes = {axis: int(attributes[f"Size{axis}"]) for axis in "TCZYX"}
    bits = attributes.get("SignificantBits")
    return OmeImage(
        name=element.get("Name") or element.get("ID") or f"Image:{index}",
        sizes=sizes,
        pixel_type=attributes["Type"],
        significant_bits=int(bits) if bits and bits.isdigit() else None,
        pixel_size_um=_pixel_size(attributes),
        channels=tuple(_channel(c) for c in _children(pixels[0], "Channel")),
        files=tuple(
            (uuid.get("FileName", ""), (uuid.text or "").strip())
            for data in _children(pixels[0], "TiffData")
            for uuid in _children(data, "UUID")
        ),
    )


def _channel(element: ElementTree.Element) -> OmeChannel:
    return OmeChannel(
        name=element.get("Name") or element.get("Fluor") or "",
        color=_color(element.get("Color")),
        excitation_nm=_wavelength(element, "Excitation"),
        emission_nm=_wavelength(element, "Emission"),
        samples=max(1, int(element.get("SamplesPerPixel") or 1)),
    )


def _pixel_size(attributes: dict[str, str]) -> tuple[float, float] | None:
    found = []
    for axis in "YX":
        value = positive(attributes.get(f"PhysicalSize{axis}"))
        factor = _TO_UM.get(attributes.get(f"PhysicalSize{axis}Unit", "\u00b5m"))
        if value is None or factor is None:
            return None
        found.append(value * factor)
    return found[0], found[1]


def _wavelength(element: ElementTree.Element, which: str) -> float | None:
    value = positive(element.get(f"{which}Wavelength"))
    factor = _TO_UM.get(element.get(f"{which}WavelengthUnit", "nm"))
    return None if value is None or factor is None else value * factor * 1e3


def _color(value: str | None) -> str | None:
    # OME stores RGBA in one signed 32-bit number, red in the highest byte.
    try:
        rgba = int(value or "") & 0xFFFFFFFF
    except ValueError:
        return None
    return f"#{rgba >> 8:06x}" if rgba >> 8 else None


def positive(value: object) -> float | None:
    """Return a finite number above zero, else None."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [e for e in element if _local(e.tag) == name]


def _local(tag: str) -> str:
    return tag.rsplit("}", 1)[-1]
