"""Checkpoints that survive a crash at any moment: written aside, renamed, verified before use.

One checkpoint is a file of tensors and then a file of facts with the hash of the tensors, so that a
crash between the two leaves nothing that looks complete. The last two are kept, with the best
weights that they name; what does not verify is passed over and said.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.files import atomic_path, reason, sweep, write_bytes
from napari_cellcls.vocabulary import DataError, TaskError

Groups = dict[str, dict[str, np.ndarray]]
_KEPT = 2


@dataclass(frozen=True)
class Restored:
    """What a checkpoint held: arrays by group and name, the state, and doubts for the user."""

    groups: Groups
    state: dict[str, Any]
    best: dict[str, np.ndarray] | None
    notes: tuple[str, ...] = ()


class Checkpoints:
    """The newest complete states of one training in a folder.

    Parameters
    ----------
    folder : Path
    fingerprint : str
        Identity of job and data; a checkpoint with another one is refused.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = Path(folder), fingerprint

    def save(self, groups: Groups, state: dict[str, Any], epoch: int, step: int) -> None:
        """Write a checkpoint and forget the oldest ones.

        Parameters
        ----------
        groups : dict of str to dict of str to numpy.ndarray
        state : dict
            Anything JSON can hold; ``state["best_file"]`` is what :meth:`save_best` returned.
        epoch, step : int
            How many epochs, and steps of the next one, are done.

        Raises
        ------
        TaskError
            ``RUN-WRITE`` when the disk is full or the folder cannot be written.
        """
        name = f"{epoch:05d}-{step:07d}"
        with self._writing():
            digest = self._write_tensors(f"{name}.safetensors", groups)
            facts = {"fingerprint": self.fingerprint, "tensors": digest, "state": state}
            text = json.dumps(facts)
            check = hashlib.sha256(text.encode()).hexdigest()
            write_bytes(self.folder / f"{name}.json", json.dumps([check, text]).encode())
            _sync(self.folder)
            self._forget()

    def save_best(self, weights: dict[str, np.ndarray], epoch: int) -> list[str]:
        """Write the best weights so far and return their file and hash, to be put in the state."""
        name = f"best-{epoch:05d}.safetensors"
        with self._writing():
            return [name, self._write_tensors(name, {"best": weights})]

    def load(self) -> Restored | None:
        """Return the newest checkpoint that verifies, or None when there is none.

        Raises
        ------
        DataError
            ``RUN-CHANGED`` when the newest one belongs to another recipe or other data.
        """
        notes: list[str] = []
        for path in sorted(self.folder.glob("[0-9]*-[0-9]*.json"), reverse=True):
            try:
                facts = _facts(path)
                if facts["fingerprint"] != self.fingerprint:
                    raise _changed(path)
                state, best = facts["state"], None
                if state.get("best_file"):
                    name, digest = state["best_file"]
                    best = _read_tensors(self.folder / Path(name).name, digest)["best"]
                groups = _read_tensors(path.with_suffix(".safetensors"), facts["tensors"])
                return Restored(groups, state, best, tuple(notes))
            except (OSError, ValueError, KeyError, TypeError) as error:
                notes.append(
                    f"The checkpoint {path.stem} is damaged: {reason(error)}. An older one is used."
                )
        if notes:
            notes.append("No checkpoint is whole: the training begins anew.")
            return Restored({}, {}, None, tuple(notes))
        return None

    @property
    def exists(self) -> bool:
        """Return whether the folder holds any checkpoint."""
        return any(self.folder.glob("[0-9]*-[0-9]*.json"))

    def _write_tensors(self, name: str, groups: Groups) -> str:
        from safetensors.numpy import save

        # ascontiguousarray would turn a scalar into a vector.
        tensors = {
            f"{group}/{key}": np.asarray(value, order="C")
            for group, values in groups.items()
            for key, value in values.items()
        }
        data = save(tensors)
        with atomic_path(self.folder / name) as temporary:
            temporary.write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    def _forget(self) -> None:
        kept = sorted(self.folder.glob("[0-9]*-[0-9]*.json"), reverse=True)
        named = set()
        for path in kept[:_KEPT]:
            with contextlib.suppress(OSError, ValueError, KeyError):
                named.add(path.stem)
                named |= {Path(n).stem for n in (_facts(path)["state"].get("best_file") or ())[:1]}
        for path in kept[_KEPT:]:
            path.unlink(missing_ok=True)
        for path in self.folder.glob("*.safetensors"):
            if path.stem not in named:
                path.unlink(missing_ok=True)
        sweep(self.folder)

    @contextlib.contextmanager
    def _writing(self) -> Any:
        try:
            yield
        except OSError as error:
            raise TaskError(
                "The checkpoint of the training cannot be written.",
                code="RUN-WRITE",
                path=self.folder,
                why=reason(error),
                remedy="Make room or choose another folder with --out, then go on with --resume.",
            ) from error


def _facts(path: Path) -> dict[str, Any]:
    check, text = json.loads(path.read_text(encoding="utf-8"))
    if hashlib.sha256(text.encode()).hexdigest() != check:
        raise ValueError(f"{path.name} is not what was written")
    facts: dict[str, Any] = json.loads(text)
    return facts


def _read_tensors(path: Path, digest: str) -> Groups:
    from safetensors.numpy import load

    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{path.name} is not what was written")
    groups: Groups = {}
    for name, value in load(data).items():
        group, _, key = name.partition("/")
        groups.setdefault(group, {})[key] = value
    return groups


def _sync(folder: Path) -> None:
    """Make the renames themselves durable (POSIX only; Windows has no such call)."""
    with contextlib.suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _changed(path: Path) -> DataError:
    return DataError(
        "The run in this folder was begun with another recipe or other data.",
        code="RUN-CHANGED",
        path=path,
        why="the fingerprint of its checkpoint is another",
        remedy="Go on with the same recipe, --set values and data, or choose another folder with --out.",
    )
