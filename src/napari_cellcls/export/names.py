"""Names of output files: one safe stem per image, the same on every run and every system."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}
)
# 255 bytes is the usual limit of a file name; the longest suffix of ours and the temporary
# prefix must fit beside the stem.
_MAX_BYTES = 180


def safe_stem(name: str) -> str:
    """Return ``name`` as a file stem that Windows, macOS and Linux accept.

    Characters no system allows become ``_``, names reserved on Windows get a ``_`` in front,
    and a very long name is cut and ended with a short hash of the whole.
    """
    stem = _UNSAFE.sub("_", name).strip(" .") or "image"
    if stem.split(".")[0].lower() in _RESERVED:
        stem = f"_{stem}"
    if len(stem.encode()) > _MAX_BYTES:
        mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        stem = stem.encode()[: _MAX_BYTES - 9].decode(errors="ignore") + "-" + mark
    return stem


def output_stems(images: Sequence[tuple[str, str | Path]]) -> tuple[list[str], list[str]]:
    """Choose one stem per image so that no result overwrites another.

    Parameters
    ----------
    images : sequence of (name, path)
        Short name and first file of each image, in the order they are processed.

    Returns
    -------
    stems : list of str
        The image's own name where it is the only one. Images that share a name (in the eyes of
        a file system that ignores case) get the name of their folder in front, and a number
        behind where that is not enough.
    notes : list of str
        One sentence for each shared name.
    """
    plain = [safe_stem(name) for name, _ in images]
    shared = {key for key, n in Counter(stem.casefold() for stem in plain).items() if n > 1}
    taken = {stem.casefold() for stem in plain} - shared
    stems: list[str] = []
    renamed: dict[str, list[str]] = {}
    for stem, (_, path) in zip(plain, images, strict=True):
        if stem.casefold() in shared:
            folder = Path(path).resolve().parent.name
            new = _first_free(safe_stem(f"{folder}_{stem}" if folder else stem), taken)
            renamed.setdefault(stem.casefold(), []).append(new)
            stem = new
        taken.add(stem.casefold())
        stems.append(stem)
    notes = [
        f"{len(new)} images are called '{old}'; their results are named {', '.join(new)}."
        for old, new in renamed.items()
    ]
    return stems, notes


def _first_free(stem: str, taken: set[str]) -> str:
    if stem.casefold() not in taken:
        return stem
    number = 2
    while f"{stem}-{number}".casefold() in taken:
        number += 1
    return f"{stem}-{number}"
