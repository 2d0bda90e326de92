"""The map of all cells by likeness: two coordinates per cell, and which cells a lasso holds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np

from napari_cellcls.review import space
from napari_cellcls.vocabulary import CellClsError, Progress, Task

Method = Literal["pca", "umap"]

_NEIGHBORS = 15
_PAUSE_SECONDS = 0.1


def has_umap() -> bool:
    """Return whether UMAP is installed (``pip install "napari-cellcls[umap]"``)."""
    return importlib.util.find_spec("umap") is not None


def pca_map(embeddings: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the two main axes of embeddings, at once.

    Parameters
    ----------
    embeddings : numpy.ndarray
        ``(N, E)``.
    seed : int

    Returns
    -------
    numpy.ndarray
        ``(N, 2)`` float32 (x, y); a second axis that does not exist is 0.
    """
    found = space.principal(embeddings, 2, seed)
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def embedding_map(
    embeddings: np.ndarray, method: Method = "pca", seed: int = 0
) -> Task[np.ndarray]:
    """Return a map of embeddings: PCA in a moment, UMAP (McInnes 2018) in a minute or more.

    Parameters
    ----------
    embeddings : numpy.ndarray
        ``(N, E)``.
    method : {"pca", "umap"}
        UMAP works on the 64 main axes; sets of fewer than 16 cells are shown by PCA.
    seed : int
        The same seed gives the same map.

    Returns
    -------
    Task of numpy.ndarray
        ``(N, 2)`` float32 (x, y).

    Raises
    ------
    CellClsError
        ``MAP-NOUMAP`` when UMAP is asked for and not installed, ``MAP-FAILED`` when it fails.
    """
    if method == "umap" and not has_umap():
        raise CellClsError(
            "UMAP is not installed, so the map cannot be drawn with it.",
            code="MAP-NOUMAP",
            why="the package umap-learn is missing.",
            remedy='pip install "napari-cellcls[umap]", or use PCA.',
        )
    return _map(embeddings, method, seed)


def in_lasso(points: np.ndarray, lasso: np.ndarray) -> np.ndarray:
    """Return the rows of points inside a closed outline.

    Parameters
    ----------
    points : numpy.ndarray
        ``(N, 2)`` (x, y).
    lasso : numpy.ndarray
        ``(M, 2)`` corners in the same axes; closed by itself. Fewer than three hold nothing.

    Returns
    -------
    numpy.ndarray
        Row numbers, int64, in rising order.
    """
    corners = np.asarray(lasso, np.float64)
    if len(corners) < 3 or not len(points):
        return np.zeros(0, np.int64)
    from skimage.measure import points_in_poly

    inside = ((points >= corners.min(axis=0)) & (points <= corners.max(axis=0))).all(axis=1)
    near = np.flatnonzero(inside)
    kept: np.ndarray = near[points_in_poly(np.asarray(points, np.float64)[near], corners)]
    return kept


def _map(embeddings: np.ndarray, method: Method, seed: int) -> Task[np.ndarray]:
    count = len(embeddings)
    yield Progress(0, 1, f"Drawing the map of {count:,} cells")
    if method == "pca" or count <= _NEIGHBORS:
        return pca_map(embeddings, seed)
    axes = space.principal(embeddings, space.DIMENSIONS, seed)
    found = yield from _in_child(axes, seed)
    yield Progress(1, 1, "The map is drawn")
    return found


def _in_child(points: np.ndarray, seed: int) -> Task[np.ndarray]:
    """Ask :mod:`umap_child`; giving the task up ends the child."""
    with tempfile.TemporaryDirectory(prefix="cellcls-map-") as folder:
        source, target, words = (Path(folder, name) for name in ("in.npy", "out.npy", "words.txt"))
        np.save(source, points)
        module = "napari_cellcls.review.umap_child"
        # -P: a file in the current folder must not pass for one of our modules.
        command = [
            sys.executable,
            "-P",
            "-m",
            module,
            str(source),
            str(target),
            str(_NEIGHBORS),
            str(seed),
        ]
        with open(words, "wb") as errors:
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )  # fmt: skip
            try:
                while child.poll() is None:
                    yield Progress(0, 1, "Drawing the map (the first one takes longer)")
                    time.sleep(_PAUSE_SECONDS)
            finally:
                child.kill()
                child.wait()
                assert child.stdin is not None
                child.stdin.close()
        if child.returncode or not target.exists():
            said = words.read_text("utf-8", "replace").strip()[-500:]
            raise CellClsError(
                "UMAP could not draw the map.",
                code="MAP-FAILED",
                why=f"its process ended with status {child.returncode}: {said or 'it said nothing'}",
                remedy="Use PCA, or install UMAP again: pip install --upgrade umap-learn.",
            )
        found: np.ndarray = np.load(target)
        return found
