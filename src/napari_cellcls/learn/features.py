"""The fixed part of a network, asked once for every crop: features in a mapped file.

Where a phase trains with the network frozen and crops are not changed at random, every epoch would
compute the same numbers again. They are computed once and kept beside the decoded crops, for all
folds and runs that start from the same weights; deleting them is safe.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.files import atomic_path
from napari_cellcls.learn.augment import Augmentation
from napari_cellcls.learn.classifier import logits_of
from napari_cellcls.learn.datasets.store import make_room
from napari_cellcls.learn.job import Job, Phase
from napari_cellcls.learn.steps import memory_short
from napari_cellcls.vocabulary import Progress, Task


def cut_of(job: Job, phase: Phase) -> str | None:
    """Return the last layer of a network that is fixed in a phase, or None.

    Everything up to it is frozen and without chance, its output is one vector per crop, and
    nothing behind it looks past it. Planes that pass one by one have none.
    """
    from napari_cellcls.models import networks

    changing = job.training.versions or job.augmentation != Augmentation(
        probability=job.augmentation.probability
    )
    if changing or not phase.frozen or job.each:
        return None
    made = networks.plan(job.architecture, job.params)
    weighted = {name.partition(":")[2].rpartition("/")[0] for name in made.weight_spec()}
    free = weighted - set(made.trunk) if made.trunk else set()
    found = None
    for i, layer in enumerate(made.layers):
        if layer.kind == "dropout" or layer.name in free:
            break
        behind = made.layers[i + 1 :]
        known = {layer.name, *(later.name for later in behind)}
        if len(made.shapes[layer.name]) == 1 and all(known.issuperset(x.inputs) for x in behind):
            found = layer.name
    return found


class Seen:
    """What the steps of a phase see of each cell: its crop, or its features.

    Parameters
    ----------
    model : keras.Model
        The whole classifier.
    job : Job
    phase : Phase
    images : numpy.ndarray
        ``(N, Y, X, C)``.
    folder : Path, optional
        Where features are kept; without it every step sees crops.

    Attributes
    ----------
    model : keras.Model
        What is run on them: the whole classifier, or the part behind the features. Both have the
        same weights.
    features : numpy.ndarray or None
        ``(N, E)`` float32, memory-mapped read-only, once :meth:`prepare` or :meth:`recall` had them.
    """

    def __init__(
        self, model: Any, job: Job, phase: Phase, images: np.ndarray, folder: Path | None
    ) -> None:
        self.model, self.images = model, images
        self.features: np.ndarray | None = None
        self._whole, self._front = model, None
        name = cut_of(job, phase) if folder is not None else None
        if folder is None or name is None:
            return
        import keras

        at = model.get_layer(name).output
        self._front, self.model = keras.Model(model.input, at), keras.Model(at, model.output)
        self._about = [job.architecture, job.params, name]
        self._folder = folder

    def prepare(self, batch: int) -> Task[None]:
        """Compute the features of all crops, ``batch`` at once, unless they are there.

        Raises
        ------
        DataError
            ``DATA-SPACE`` when the disk has no room for them.
        TaskError
            ``TRAIN-MEMORY``.
        """
        if self._front is None or self.features is not None:
            return
        path, n = self._path(), len(self.images)
        if not path.is_file():
            width = int(self._front.output.shape[-1])
            path.parent.mkdir(parents=True, exist_ok=True)
            make_room(path.parent, n * width * 4)
            with atomic_path(path) as temporary, open(temporary, "wb") as stream:
                # In order and not mapped: what is written would stay in memory.
                about = {"descr": "<f4", "fortran_order": False, "shape": (n, width)}
                np.lib.format.write_array_header_1_0(stream, about)
                for start in range(0, n, batch):
                    yield Progress(start, n, "computing features")
                    rows = np.arange(start, min(n, start + batch))
                    with memory_short(batch):
                        stream.write(logits_of(self._front, self.images, rows).tobytes())
        self.features = np.load(path, mmap_mode="r", allow_pickle=False)

    def recall(self) -> None:
        """Use features that were computed before, if they are there."""
        if self._front is not None and (path := self._path()).is_file():
            self.features = np.load(path, mmap_mode="r", allow_pickle=False)

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Return the logits ``(n, K)`` float32 of the classifier for some rows."""
        if self.features is None:
            return logits_of(self._whole, self.images, rows)
        return logits_of(self.model, self.features, rows)

    def _path(self) -> Path:
        """Return the file of these images behind these weights, whoever computed it."""
        import keras

        assert self._front is not None
        how = [*self._about, keras.backend.backend(), keras.config.dtype_policy().name]
        digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode())
        for weight in self._front.get_weights():
            digest.update(np.ascontiguousarray(weight).tobytes())
        digest.update(repr((self.images.shape, self.images.dtype.str)).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        # Named like the decoded crops, so that it counts as one of them and makes room for others.
        return self._folder / f"crops-{digest.hexdigest()[:24]}-features.npy"
