"""Which channel of an image feeds which input of a model; every choice has a reason.

A choice that nothing decides is refused with the names that are there and the words to say it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from napari_cellcls.images.image import Image
from napari_cellcls.vocabulary import RGB_ROLES, ChannelError, ChannelRole, InputPlane


@dataclass(frozen=True)
class ChannelMapping:
    """Which channel of an image feeds each input plane of a model.

    Attributes
    ----------
    indices : tuple of int or None
        Channel index per input; None for an optional input that is absent.
    inputs : tuple of InputPlane
    reasons : tuple of str
        Why, one sentence per input.
    """

    indices: tuple[int | None, ...]
    inputs: tuple[InputPlane, ...]
    reasons: tuple[str, ...]


def parse_overrides(text: str) -> dict[str, str]:
    """Parse ``"nucleus=DAPI,protein=1"`` to ``{"nucleus": "DAPI", "protein": "1"}``.

    Raises
    ------
    ChannelError
        ``CHANNEL-SYNTAX``.
    """
    found: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        role, sign, name = (s.strip() for s in part.partition("="))
        if not sign or not role or not name or role.lower() in found:
            raise ChannelError(
                "The channel assignment cannot be understood.",
                code="CHANNEL-SYNTAX",
                why=f"{part!r} is not of the form role=name, or names a role twice",
                remedy="Write for example --channels nucleus=DAPI,protein=1 (numbers count from 0).",
            )
        found[role.lower()] = name
    return found


def match(
    image: Image,
    inputs: Sequence[InputPlane],
    overrides: Mapping[str, str | int] | None = None,
) -> ChannelMapping:
    """Map the channels of an image to the inputs of a model.

    Parameters
    ----------
    image : Image
    inputs : sequence of InputPlane
        Empty for a model that takes any channels: then all are used, each on its own.
    overrides : mapping, optional
        Role (or input name) to channel name or index counted from 0; always wins.

    Returns
    -------
    ChannelMapping

    Raises
    ------
    ChannelError
        ``CHANNEL-MISSING``, ``CHANNEL-AMBIGUOUS``, ``CHANNEL-UNKNOWN`` (an override names a
        channel or role that does not exist).
    """
    given = _resolve_overrides(image, inputs, overrides or {})
    if not inputs:
        return _all_channels(image, sorted(set(given.values())))
    taken = set(given.values())
    chosen: list[tuple[int | None, str]] = []
    for plane in inputs:
        if plane.role.value in given:
            index = given[plane.role.value]
            chosen.append(
                (index, f"{plane.name}: channel '{image.channels[index].name}', as you chose")
            )
        else:
            index_or_none, reason = _choose(image, plane, taken)
            chosen.append((index_or_none, reason))
            if index_or_none is not None:
                taken.add(index_or_none)
    chosen = _by_elimination(image, inputs, chosen, taken)
    missing = [p for p, (i, _) in zip(inputs, chosen) if i is None and not p.optional]
    if missing:
        raise _missing(image, inputs, missing)
    return ChannelMapping(tuple(i for i, _ in chosen), tuple(inputs), tuple(r for _, r in chosen))


def _all_channels(image: Image, indices: list[int]) -> ChannelMapping:
    indices = indices or list(range(len(image.channels)))
    planes = tuple(InputPlane(image.channels[i].role, image.channels[i].name) for i in indices)
    reasons = tuple(f"{p.name}: this model takes every channel on its own" for p in planes)
    return ChannelMapping(tuple(indices), planes, reasons)


def _choose(image: Image, plane: InputPlane, taken: set[int]) -> tuple[int | None, str]:
    if image.is_rgb and plane.role not in RGB_ROLES:
        return None, f"{plane.name}: the image is a color photograph without separate stains"
    found = [
        (c.strength, i)
        for i, c in enumerate(image.channels)
        if c.role is plane.role and i not in taken
    ]
    if not found:
        return None, f"{plane.name}: no channel shows it"
    named = [i for _, i in found if image.channels[i].name.casefold() == plane.name.casefold()]
    if len(named) == 1 and len(found) > 1:
        return named[0], f"{plane.name}: the channel of this name"
    strongest = max(strength for strength, _ in found)
    best = [i for strength, i in found if strength == strongest]
    if len(best) > 1:
        names = " and ".join(f"'{image.channels[i].name}'" for i in best)
        raise ChannelError(
            f"Several channels could be {plane.name}.",
            code="CHANNEL-AMBIGUOUS",
            path=image.path,
            why=f"{names} fit {plane.role.value} equally well",
            remedy=f"Choose one: --channels {plane.role.value}={_quoted(image.channels[best[0]].name)}",
        )
    channel = image.channels[best[0]]
    others = len(found) - 1
    extra = f"; a better fit than {others} other" + ("s" if others > 1 else "") if others else ""
    return best[0], f"{plane.name}: channel '{channel.name}', because {channel.reason}{extra}"


def _by_elimination(
    image: Image,
    inputs: Sequence[InputPlane],
    chosen: list[tuple[int | None, str]],
    taken: set[int],
) -> list[tuple[int | None, str]]:
    """Give the one channel that is left to the one input that is left, if nothing speaks against it."""
    open_inputs = [
        i for i, (index, _) in enumerate(chosen) if index is None and not inputs[i].optional
    ]
    left = [i for i in range(len(image.channels)) if i not in taken]
    fits = len(open_inputs) == 1 and len(left) == 1 and len(inputs) > 1 and not image.is_rgb
    if not fits or image.channels[left[0]].role is not ChannelRole.UNKNOWN:
        return chosen
    plane = inputs[open_inputs[0]]
    if plane.role in (*RGB_ROLES, ChannelRole.BRIGHTFIELD, ChannelRole.GRAY):
        return chosen
    name = image.channels[left[0]].name
    result = list(chosen)
    result[open_inputs[0]] = (
        left[0],
        f"{plane.name}: channel '{name}', because it is the only one left",
    )
    return result


def _missing(image: Image, inputs: Sequence[InputPlane], missing: list[InputPlane]) -> ChannelError:
    there = ", ".join(f"{i} '{c.name}' ({c.role.value})" for i, c in enumerate(image.channels))
    if image.is_rgb:
        there = "one color photograph (red, green, blue)"
    needed = ", ".join(
        p.name if p.name == p.role.value else f"{p.name} ({p.role.value})" for p in missing
    )
    if all(p.role in RGB_ROLES for p in missing):
        what = "The model needs a color photograph (RGB), and the image is not one."
        remedy = (
            "Choose a model for fluorescence channels, or open the color version of this image."
        )
    elif image.is_rgb:
        what = f"The model needs separate channels ({needed}), and the image is a color photograph."
        remedy = "Choose a model for color photographs, or open the channels as separate files."
    else:
        what = f"The image has no channel for {needed}."
        says = ",".join(f"{p.role.value}=NAME" for p in missing)
        remedy = f"If one of its channels shows it, say so: --channels {says}"
    return ChannelError(
        what,
        code="CHANNEL-MISSING",
        path=image.path,
        why=f"the model needs {', '.join(p.role.value for p in inputs)}; the image has {there}",
        remedy=remedy,
    )


def _resolve_overrides(
    image: Image, inputs: Sequence[InputPlane], overrides: Mapping[str, str | int]
) -> dict[str, int]:
    roles = {p.role.value: p.role.value for p in inputs}
    roles |= {p.name.lower(): p.role.value for p in inputs if p.name.lower() not in roles}
    found: dict[str, int] = {}
    for key, value in overrides.items():
        role = roles.get(str(key).lower())
        if role is None and inputs:
            raise ChannelError(
                f"The model has no input called '{key}'.",
                code="CHANNEL-UNKNOWN",
                path=image.path,
                why=f"its inputs are {', '.join(p.role.value for p in inputs)}",
                remedy="Use one of these roles.",
            )
        found[role or str(key).lower()] = _channel_index(image, value)
    return found


def _channel_index(image: Image, value: str | int) -> int:
    names = [c.name for c in image.channels]
    if isinstance(value, str):
        exact = [i for i, n in enumerate(names) if n == value]
        loose = [i for i, n in enumerate(names) if n.lower() == value.lower()]
        for hits in (exact, loose):
            if len(hits) == 1:
                return hits[0]
        if value.isdigit() and not loose:
            value = int(value)
    if isinstance(value, int) and 0 <= value < len(names):
        return value
    listed = ", ".join(f"{i} '{n}'" for i, n in enumerate(names))
    raise ChannelError(
        f"The image has no channel {value!r}, or several of that name.",
        code="CHANNEL-UNKNOWN",
        path=image.path,
        why=f"its channels are {listed}",
        remedy="Name one of them, or give its number counted from 0.",
    )


def _quoted(name: str) -> str:
    return f"'{name}'" if " " in name else name
