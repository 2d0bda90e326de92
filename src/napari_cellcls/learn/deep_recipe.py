"""The recipe of a deep fine-tune: the network of a released model, trained on from its weights. No data here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from napari_cellcls.learn.augment import PRESETS, Augmentation
from napari_cellcls.learn.recipe import ROLES
from napari_cellcls.learn.recipe_files import read_content, shipped_recipes
from napari_cellcls.models import networks
from napari_cellcls.models.manifest import Manifest
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.vocabulary import RGB_ROLES, InputPlane

START = "base.cellpkg"
_BATCH = 32
_FEWEST_STEPS = 8
_EPOCHS, _EPOCHS_BLIND = 24, 10
_RATE = 1e-4


def deep_recipe(
    base: ModelPackage,
    classes: Sequence[str],
    named: Mapping[str, str],
    inputs: Sequence[InputPlane],
    *,
    title: str,
    multi_label: bool,
    cells: int,
    validated: bool,
    seed: int = 42,
) -> dict[str, Any]:
    """Return the content of ``recipe.yaml``, to be laid beside the package as :data:`START`.

    Where classes are new, the head is fitted first; then all learn, slowly at the beginning. With a validation
    side the best epoch is kept and the training ends when no better one comes.

    Parameters
    ----------
    base : ModelPackage
        A released model.
    classes : sequence of str
    named : mapping of str to str
        Class -> what the base calls it, where that is another name.
    inputs : sequence of InputPlane
        What the network sees.
    title : str
    multi_label : bool
    cells : int
        On the training side.
    validated : bool
        Whether there is a validation side.
    seed : int
    """
    manifest = base.manifest
    steps = max(_FEWEST_STEPS, cells // _BATCH)
    start: dict[str, Any] = {"package": START, "sha256": base.sha256, "named": dict(named)}
    if set(classes) - set(_known(manifest, named)):
        start["head"] = "fitted"
    found: dict[str, Any] = {
        "name": re.sub(r"[^a-z0-9_-]+", "-", f"{manifest.name}-tuned".lower())[:64],
        "title": title[:200],
        "description": f"Fine-tuned from {manifest.label} on the labels of a project.",
        "data": "project",
        "architecture": {"id": manifest.architecture.id, "params": dict(manifest.architecture.params)},
        "start": start,
        "classes": list(classes),
        "input": {"size": manifest.crop.size, **channels_of(manifest, inputs)},
        "crop": {key: value for key, value in asdict(manifest.crop).items() if key != "size"},
        "normalization": asdict(manifest.normalization),
        "augmentation": _augmentation(manifest, inputs),
        "phases": [
            {
                "epochs": _EPOCHS if validated else _EPOCHS_BLIND, "learning_rate": _RATE,
                "schedule": "cosine", "warmup_epochs": 1, "steps_per_epoch": steps, "keep_statistics": True,
            },
        ],
        "batch_size": _BATCH,
        "loss": "binary_crossentropy" if multi_label else "categorical_crossentropy",
        "multi_label": multi_label,
        "class_weights": "balanced",
        "threshold": "per_class" if multi_label else 0.5,
        "weight_decay": 0.01,
        "turns": manifest.turns,
        "seed": seed,
        "protocol": {"kind": "listed", "val": 0.2 if validated else 0.0, "allow_duplicates": True},
        "license": manifest.license,
        "data_terms": manifest.data_terms,
    }  # fmt: skip
    if validated:
        found["early_stopping"] = {"monitor": "val_loss", "patience": 12}
        found["checkpoint"] = {"monitor": "val_loss"}
    return found


def channels_of(manifest: Manifest, inputs: Sequence[InputPlane]) -> dict[str, Any]:
    """Return how a recipe says what a network looks at: a known set of planes, or each of them named.

    Parameters
    ----------
    manifest : Manifest
    inputs : sequence of InputPlane
        In the order of the network.
    """
    roles, each = tuple(one.role for one in inputs), manifest.channel_policy == "each"
    if each and roles == RGB_ROLES:
        return {"channels": "rgb"}
    ref = manifest.architecture
    merges = any(x.kind == "mix" for x in networks.plan(ref.id, ref.params).layers)
    for name, wanted in ROLES.items():
        if not each and roles == wanted and merges is (name == "rgb_merge"):
            return {"channels": name}
    planes = [
        {"role": one.role.value, "name": one.name, "optional": one.optional} for one in inputs
    ]
    return {"channels": "each" if each else "joint", "planes": planes}


def _known(manifest: Manifest, named: Mapping[str, str]) -> list[str]:
    """Return the classes that the head knows already, by their new names."""
    back = {old: new for new, old in named.items()}
    return [back.get(one.name, one.name) for one in manifest.classes]


def _augmentation(manifest: Manifest, inputs: Sequence[InputPlane]) -> Any:
    """Return the changes that the model was trained with, as far as its recipe is here; else mild ones."""
    path = shipped_recipes().get(manifest.provenance.recipe)
    found = read_content(path).get("augmentation") if path is not None else None
    known = found if found not in (None, "none") else None
    if tuple(one.role for one in inputs) == RGB_ROLES:
        return known or "mild"
    if known is not None and manifest.channel_policy == "joint":
        return known
    # Planes of their own are no color, and what is beside a cell in the dark is not bright.
    made = Augmentation(**known) if isinstance(known, dict) else PRESETS[known or "mild"]
    plain = replace(made, density=0.0, styles=(), hue=0.0, saturation=0.0, edge_px=0)
    return {key: value for key, value in asdict(plain).items() if key != "styles"}


def share_of_validation(shares: Mapping[str, float]) -> list[str]:
    """Return the groups that validate: about a fifth, at least one, none of fewer than three.

    Parameters
    ----------
    shares : mapping of str to float
        Group -> its place in 0..1.
    """
    named = sorted(shares, key=lambda group: shares[group])
    return [] if len(named) < 3 else named[: max(1, round(0.2 * len(named)))]
