"""Draws a map with UMAP in a process of its own: ``python -m napari_cellcls.review.umap_child IN OUT NEIGHBORS SEED``.

UMAP imports TensorFlow where it is installed, which must never come into a process with a window (both
crash), and it compiles for a minute, which would make the window stutter.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import numpy as np


def main(arguments: list[str]) -> None:
    """Read points ``(N, D)`` from one ``.npy`` file, write their places ``(N, 2)`` to another."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    source, target, neighbors, seed = arguments
    modules: dict[str, Any] = sys.modules
    modules["tensorflow"] = None  # only a part of UMAP that is not used here needs it
    from umap import UMAP  # type: ignore[import-not-found, unused-ignore]

    drawn = UMAP(n_neighbors=int(neighbors), random_state=int(seed), n_jobs=1)
    np.save(target, np.asarray(drawn.fit_transform(np.load(source)), np.float32))


def _end_with_parent() -> None:
    while os.read(0, 1024):  # not sys.stdin, whose lock would stand in the way of a normal end
        pass
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
