"""What each channel shows: guessed from its name, then wavelengths, then display color, with a reason.

Matching channels to the inputs of a model is in ``matching`` and offered here too.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from dataclasses import replace

from napari_cellcls.images.dyes import (
    DYE,
    HINT,
    HPA_COLORS,
    PATTERNS,
    ROLE_COLORS,
    SPARE_COLORS,
    STRUCTURE,
)
from napari_cellcls.images.image import Channel
from napari_cellcls.images.matching import ChannelMapping, match, parse_overrides
from napari_cellcls.images.omexml import OmeChannel
from napari_cellcls.vocabulary import RGB_ROLES, ChannelRole

__all__ = [
    "ChannelMapping",
    "assign_roles",
    "from_metadata",
    "guess",
    "match",
    "parse_overrides",
    "rgb_channels",
]

_BLUE_EMISSION, _GREEN_EMISSION = (400.0, 480.0), (495.0, 550.0)
_BLUE_EXCITATION, _GREEN_EXCITATION = (340.0, 420.0), (465.0, 500.0)


def rgb_channels() -> tuple[Channel, ...]:
    """Return the three planes of a color photograph."""
    names = ("red", "green", "blue")
    return tuple(
        Channel(name, role, ROLE_COLORS[role], "plane of a color photograph", strength=STRUCTURE)
        for name, role in zip(names, RGB_ROLES)
    )


def guess(channel: Channel) -> Channel:
    """Return the channel with its most likely role and the reason, seen alone.

    A role that is already set is kept.
    """
    if channel.role is not ChannelRole.UNKNOWN:
        return channel
    for find in (_by_name, _by_wavelength, _by_color):
        found = find(channel)
        if found is not None:
            role, strength, reason = found
            return replace(channel, role=role, strength=strength, reason=reason)
    label = f"'{channel.name}' tells no structure" if channel.name else "the channel has no name"
    return replace(channel, reason=label)


def assign_roles(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """Guess the roles of all channels of one image together.

    The whole set decides what one channel cannot: files named red, green, blue and yellow are the
    four stains of the Human Protein Atlas, a weak hint gives way to a named structure, a single
    unnamed channel is gray. Missing names and colors are filled in.
    """
    if len(channels) == 1 and not channels[0].name:
        only = replace(guess(channels[0]), name="gray")
        if only.strength < STRUCTURE:
            only = replace(
                only,
                role=ChannelRole.GRAY,
                strength=STRUCTURE,
                reason="the only channel, without a name",
            )
        return (replace(only, color=only.color or "#ffffff"),)
    named = _hpa_names(channels)
    guessed = [named.get(i) or guess(c) for i, c in enumerate(channels)]
    best = {c.role: 0 for c in guessed}
    for c in guessed:
        best[c.role] = max(best[c.role], c.strength)
    settled = [_give_way(c, best[c.role]) for c in guessed]
    return _complete(settled)


def _give_way(channel: Channel, best: int) -> Channel:
    """Drop a role claimed by color or wavelength alone when another channel names it."""
    if channel.strength == HINT and best > HINT and channel.role is not ChannelRole.PROTEIN:
        reason = f"{channel.reason}, but another channel names {channel.role.value}"
        return replace(channel, role=ChannelRole.UNKNOWN, strength=0, reason=reason)
    return channel


def _complete(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """Fill in missing names and colors; colors that are filled in differ from each other."""
    result: list[Channel] = []
    taken = {c.color for c in channels if c.color}
    for i, channel in enumerate(channels):
        color = channel.color
        if not color and (channel.role is ChannelRole.BRIGHTFIELD or len(channels) == 1):
            color = "#ffffff"
        if not color:
            wishes = (ROLE_COLORS.get(channel.role, ""), *SPARE_COLORS, "#ffffff")
            color = next((w for w in wishes if w and w not in taken), "#ffffff")
            taken.add(color)
        result.append(replace(channel, name=channel.name or f"Channel {i + 1}", color=color))
    return tuple(result)


def _hpa_names(channels: Sequence[Channel]) -> dict[int, Channel]:
    words = [c.name.strip().lower() for c in channels]
    colors = [w for w in words if w in HPA_COLORS]
    if len(colors) < 3 or len(set(colors)) != len(colors):
        return {}
    return {
        i: replace(
            channels[i],
            role=HPA_COLORS[word],
            strength=DYE,
            reason=f"'{word}' shows {HPA_COLORS[word].value} in Human Protein Atlas images",
        )
        for i, word in enumerate(words)
        if word in HPA_COLORS and channels[i].role is ChannelRole.UNKNOWN
    }


def _by_name(channel: Channel) -> tuple[ChannelRole, int, str] | None:
    name = channel.name.strip().lower()
    best: tuple[int, int, ChannelRole, str] | None = None
    for pattern, role, strength in PATTERNS:
        match = pattern.search(name)
        # The strongest word wins, then the longer one ("golgi membrane" is decided by length).
        if match and (best is None or (strength, len(match.group())) > best[:2]):
            best = (strength, len(match.group()), role, match.group())
    if best is not None:
        strength, _, role, word = best
        extra = "" if strength > HINT else " (a label that can sit on any structure)"
        return role, strength, f"name contains '{word}'{extra}"
    number = re.search(r"(?<!\d)([3-7]\d\d)(?!\d)", name)
    if number is not None:
        return _laser(float(number.group(1)), f"name contains the wavelength {number.group(1)} nm")
    return None


def _laser(nm: float, reason: str) -> tuple[ChannelRole, int, str] | None:
    if _BLUE_EXCITATION[0] <= nm <= _BLUE_EXCITATION[1]:
        return ChannelRole.NUCLEUS, HINT, f"{reason}, usual for DAPI and Hoechst"
    if _GREEN_EXCITATION[0] <= nm <= _GREEN_EXCITATION[1]:
        return ChannelRole.PROTEIN, HINT, f"{reason}, usual for GFP and FITC"
    return None


def _by_wavelength(channel: Channel) -> tuple[ChannelRole, int, str] | None:
    emission = channel.emission_nm
    if emission is not None:
        if _BLUE_EMISSION[0] <= emission <= _BLUE_EMISSION[1]:
            return (
                ChannelRole.NUCLEUS,
                HINT,
                f"emission {emission:g} nm, usual for DAPI and Hoechst",
            )
        if _GREEN_EMISSION[0] <= emission <= _GREEN_EMISSION[1]:
            return ChannelRole.PROTEIN, HINT, f"emission {emission:g} nm, usual for GFP and FITC"
        return None
    if channel.excitation_nm is not None:
        return _laser(channel.excitation_nm, f"excitation {channel.excitation_nm:g} nm")
    return None


def _by_color(channel: Channel) -> tuple[ChannelRole, int, str] | None:
    color = channel.color.lstrip("#")
    if len(color) != 6 or channel.emission_nm or channel.excitation_nm:
        return None
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (0, 2, 4))
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    if saturation < 0.5 or value < 0.3:
        return None
    if 0.58 <= hue <= 0.72:
        return ChannelRole.NUCLEUS, HINT, f"its display color #{color} is blue"
    if 0.28 <= hue <= 0.42:
        return ChannelRole.PROTEIN, HINT, f"its display color #{color} is green"
    return None


def from_metadata(found: Sequence[OmeChannel], count: int) -> tuple[Channel, ...]:
    """Turn what a file says about its channels into ``count`` channels with roles."""
    listed = [found[i] if i < len(found) else OmeChannel("") for i in range(count)]
    colors = {c.color for c in listed}
    # White for every channel is what writers put when nobody chose a color.
    unset = count > 1 and colors <= {None, "#ffffff"}
    return assign_roles(
        tuple(
            Channel(
                "" if c.name.startswith("Channel:") else c.name,
                color="" if unset or c.color is None else c.color,
                excitation_nm=c.excitation_nm,
                emission_nm=c.emission_nm,
            )
            for c in listed
        )
    )
