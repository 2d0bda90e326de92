"""Ways to learn from few labeled cells that the benchmark of learning compares; each answers for cells held out.

*Quick* is the program's own. The others are what people have without it: random forests as classifiers of region
features use them (on our calibrated numbers, and on those of ``regionprops`` of the raw image), and a Keras head
trained on the same embeddings with plain settings. *Deep* trains the whole network as ``cellcls finetune --deep`` does.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarks.described_cells import Table

from napari_cellcls.learn.head import fit_head

Learner = Callable[[Table, np.ndarray, np.ndarray, int], np.ndarray]
"""Table, rows labeled, rows to answer for, seed -> class index of those."""
_EPOCHS = 100


def quick(table: Table, rows: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Fit the head of a quick fine-tune from ``blank``."""
    targets = np.eye(table.labels.max() + 1)[table.labels[rows]]
    head = fit_head(
        table.values[rows], targets, groups=table.photographs[rows], blocks=table.blocks
    )
    return head.logits(table.values[test]).argmax(axis=1)


def forest(table: Table, rows: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Fit a random forest on the measured numbers."""
    return _forest(table.values[:, table.blocks[0] :], table, rows, test)


def regions(table: Table, rows: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Fit a random forest on the numbers of ``regionprops`` of the raw image."""
    return _forest(table.regions, table, rows, test)


def naive(table: Table, rows: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Train a dense softmax layer on the embeddings with Adam, everything else as it comes."""
    _one_thread()
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    kinds = int(table.labels.max()) + 1
    model = keras.Sequential(
        [keras.layers.Input((table.blocks[0],)), keras.layers.Dense(kinds, activation="softmax")]
    )
    # All epochs in one pass and many steps in one call: the same steps, without waiting for Python between them.
    model.compile("adam", "sparse_categorical_crossentropy", steps_per_execution=50)
    seen = table.values[:, : table.blocks[0]]
    cells = tf.data.Dataset.from_tensor_slices((seen[rows], table.labels[rows]))
    cells = cells.shuffle(len(rows), seed=seed).batch(32, drop_remainder=False)
    model.fit(cells.repeat(_EPOCHS), verbose=0)
    kernel, bias = model.get_weights()
    return np.asarray((seen[test] @ kernel + bias).argmax(axis=1))


def deep(table: Table, rows: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Train the whole network of ``blank`` on the crops of the labeled cells."""
    from benchmarks.learning_deep import trained

    from napari_cellcls.models import registry

    _one_thread()
    names = [f"class {k}" for k in range(int(table.labels.max()) + 1)]
    with tempfile.TemporaryDirectory() as folder:
        answer = trained(table, rows, names, registry.load("blank"), seed, Path(folder, "deep"))
        return answer(test).argmax(axis=1)


def _one_thread() -> None:
    """Let TensorFlow keep to one thread, as all others here do; only before it is imported."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")


def _forest(x: np.ndarray, table: Table, rows: np.ndarray, test: np.ndarray) -> np.ndarray:
    from sklearn.ensemble import RandomForestClassifier

    trees = RandomForestClassifier(300, class_weight="balanced", random_state=0, n_jobs=1)
    return np.asarray(trees.fit(x[rows], table.labels[rows]).predict(x[test]))


LEARNERS: dict[str, Learner] = {
    "quick": quick,
    "forest, our numbers": forest,
    "forest, regionprops": regions,
    "Keras head": naive,
    "deep": deep,
}
