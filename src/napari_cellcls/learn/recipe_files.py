"""Where recipes are, and what stands in their files, with the changes asked for. Nothing is checked here."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_cellcls.vocabulary import DataError

_MAX_BYTES = 1 << 20


def find_recipe(recipe: str | Path) -> Path:
    """Return the file of a recipe given by path or by the name of a shipped one.

    Raises
    ------
    DataError
        ``RECIPE-MISSING``, with the names that are near.
    """
    path = Path(recipe)
    if path.is_file():
        return path
    shipped = shipped_recipes()
    if str(recipe) in shipped:
        return shipped[str(recipe)]
    beside = path.parent.glob("*.yaml") if path.suffix and path.parent.is_dir() else ()
    raise _missing(path, sorted({p.stem for p in beside} or shipped))


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with the program, by name."""
    package = Path(__file__).parents[1]
    for folder in (package / "recipes", package.parents[1] / "training" / "recipes"):
        if folder.is_dir():
            return {p.stem: p for p in sorted(folder.glob("*.yaml"))}
    return {}


def read_content(path: Path, changes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the keys and values of a recipe file, with changes, before they are checked."""
    import yaml

    try:
        content = yaml.safe_load(path.read_bytes()[:_MAX_BYTES])
    except yaml.YAMLError as error:
        raise _syntax(path, str(error)) from None
    if not isinstance(content, dict):
        raise _no_mapping(path, content)
    for change in changes:
        _change(content, change, path)
    return content


def _change(content: dict[str, Any], change: str, path: Path) -> None:
    """Set one value of a recipe as told by ``key=value``."""
    import yaml

    key, sign, text = change.partition("=")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _bad_change(change, path, str(error)) from None
    owners: list[Any] = [content]
    *way, last = key.strip().split(".")
    for step in way:
        owners = [found for owner in owners for found in _inside(owner, step)]
    for owner in owners:
        if isinstance(owner, dict) and last:
            owner[last] = value
        elif isinstance(owner, list) and last.isdigit() and int(last) < len(owner):
            owner[int(last)] = value
        else:
            owners = []
    if not owners or not sign:
        raise _bad_change(change, path, f"nothing is called {key!r}")


def _inside(owner: Any, step: str) -> list[Any]:
    if isinstance(owner, list):
        return owner if step == "*" else owner[int(step) :][:1] if step.isdigit() else []
    if not isinstance(owner, dict):
        return []
    if not isinstance(owner.get(step), dict | list):
        owner[step] = {}
    return [owner[step]]


def _missing(path: Path, known: Sequence[str]) -> DataError:
    """Return that there is no such recipe."""
    near = difflib.get_close_matches(path.stem, known, n=1)
    return DataError(
        "The recipe is not there.",
        code="RECIPE-MISSING",
        path=path,
        remedy=(f"Did you mean {near[0]!r}? " if near else "")
        + f"Known recipes: {', '.join(known) or 'none'}.",
    )


def _syntax(path: Path, why: str) -> DataError:
    """Return that a file is not YAML."""
    return DataError(
        "The recipe is not valid YAML.",
        code="RECIPE-SYNTAX",
        path=path,
        why=why.replace("\n", " ")[:300],
        remedy="Correct the line named above.",
    )


def _no_mapping(path: Path, content: object) -> DataError:
    """Return that a file holds something else than keys and values."""
    return DataError(
        "The recipe is not a list of keys and values.",
        code="RECIPE-SYNTAX",
        path=path,
        why=f"it holds {type(content).__name__}",
        remedy="Start from a recipe in training/recipes.",
    )


def _bad_change(change: str, path: Path, why: str) -> DataError:
    """Return that a value given with ``--set`` cannot be set."""
    return DataError(
        f"The recipe cannot be changed by {change!r}.",
        code="RECIPE-VALUE",
        path=path,
        why=why.replace("\n", " ")[:300],
        remedy="Write key=value, the key as in the recipe with dots: --set phases.0.epochs=2",
    )
