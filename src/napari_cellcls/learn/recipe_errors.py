"""What is wrong with a recipe, in words: file, key, what was received, the nearest right key."""

from __future__ import annotations

import difflib
import typing
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from napari_cellcls.vocabulary import DataError

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def explain(error: ValidationError, kind: type[BaseModel], path: Path | None) -> DataError:
    """Return the first fault that checking a recipe against ``kind`` found."""
    found = error.errors(include_url=False)
    first = next((e for e in found if e["type"] in _UNKNOWN), found[0])
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] in _UNKNOWN:
        known = _keys_beside(kind, first["loc"])
        name = str(first["loc"][-1])
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6) or [
            path for path in _all_keys(kind) if path.rpartition(".")[2] in (name, f"{name}s")
        ]
        return DataError(
            f"The recipe has an unknown key: {where}.",
            code="RECIPE-KEY",
            path=path,
            why=f"known here: {', '.join(known)}",
            remedy=f"Did you mean {near[0]!r}?" if near else "Remove the key.",
        )
    received = (
        "" if first["type"] == "missing" or not where else f"; received {first['input']!r:.80}"
    )
    return DataError(
        f"The recipe's {where} is not usable." if where else "The recipe contradicts itself.",
        code="RECIPE-VALUE",
        path=path,
        why=f"{first['msg'].removeprefix('Value error, ')}{received}",
        remedy="Correct this value.",
    )


def _keys_beside(kind: Any, location: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed where an unknown one was found."""
    for part in location[:-1]:
        if isinstance(part, str) and part in _hints(kind):
            kind = next(iter(_parts_of(_hints(kind)[part])), kind)
    return sorted(name for name in _hints(kind) if not name.startswith("_"))


def _all_keys(kind: Any, before: str = "") -> list[str]:
    """Return every key of a recipe with the keys it is in, such as ``phases.0.epochs``."""
    found = []
    for name, annotation in _hints(kind).items():
        found.append(before + name)
        step = f"{name}.0." if typing.get_origin(annotation) is tuple else f"{name}."
        for part in _parts_of(annotation):
            found += _all_keys(part, before + step)
    return found


def _hints(kind: Any) -> dict[str, Any]:
    if issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    return {name: typing.get_type_hints(kind)[name] for name in kind.__dataclass_fields__}


def _parts_of(annotation: Any) -> list[Any]:
    """Return the classes with keys of their own inside a type such as ``tuple[Phase, ...]``."""
    if isinstance(annotation, type) and (
        is_dataclass(annotation) or issubclass(annotation, BaseModel)
    ):
        return [annotation]
    return [part for inner in typing.get_args(annotation) for part in _parts_of(inner)]
