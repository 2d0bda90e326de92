"""A checkpoint that survives a crash at any moment: one file, renamed into place, verified on load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.files import atomic_path

_NAME = "checkpoint.safetensors"


class Checkpoint:
    """The newest complete state of one training in a folder.

    Weights, optimizer, averages and counters are one file, because two files can disagree
    after a crash between them.

    Parameters
    ----------
    folder : Path
    fingerprint : str
        Identity of job and data; a checkpoint with another one is ignored.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.path = Path(folder) / _NAME
        self.fingerprint = fingerprint

    def save(self, groups: dict[str, list[np.ndarray]], state: dict[str, Any]) -> None:
        """Write named lists of arrays and a JSON state, replacing the previous checkpoint."""
        from safetensors.numpy import save

        tensors = {
            f"{name}/{i:05d}": np.asarray(
                value, order="C"
            )  # ascontiguousarray would turn a scalar into a vector
            for name, values in groups.items()
            for i, value in enumerate(values)
        }
        metadata = {
            "fingerprint": self.fingerprint,
            "state": json.dumps(state),
            "groups": json.dumps({name: len(values) for name, values in groups.items()}),
        }
        with atomic_path(self.path) as temporary:
            temporary.write_bytes(save(tensors, metadata))

    def load(self) -> tuple[dict[str, list[np.ndarray]], dict[str, Any]] | None:
        """Return what :meth:`save` wrote, or None when there is nothing usable for this job."""
        from safetensors import SafetensorError, safe_open

        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="numpy") as stream:
                metadata = stream.metadata() or {}
                if metadata.get("fingerprint") != self.fingerprint:
                    return None
                sizes = json.loads(metadata["groups"])
                groups = {
                    name: [stream.get_tensor(f"{name}/{i:05d}") for i in range(count)]
                    for name, count in sizes.items()
                }
                return groups, json.loads(metadata["state"])
        except (SafetensorError, OSError, KeyError, json.JSONDecodeError):
            return None
