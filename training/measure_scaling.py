"""Measure which input scaling the EfficientNet-Lite0 weights were trained with.

    KERAS_BACKEND=tensorflow python training/measure_scaling.py WEIGHTS MALARIA_PARQUET

Two independent pieces of evidence, printed as Markdown for ``training/cards/blank.md``:

1. Batch normalization keeps the mean and variance of its inputs over the training images. For each
   candidate scaling, photographs are passed through the network and the statistics at every
   normalization layer are compared with the stored ones; the right scaling gives ratios near 1.
2. Accuracy of a logistic regression on frozen features of malaria crops, folds by patient.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from make_blank import read_backbone
from napari_cellcls.models import networks, plan

SIZE = 224
CROPS_PER_PHOTO = 8
CELLS = 2000

_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
CANDIDATES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "(x - 127) / 128": lambda x: (x * 255 - 127) / 128,
    "ImageNet mean and std": lambda x: (x - _MEAN) / _STD,
    "x / 255": lambda x: x,
}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("malaria", type=Path)
    options = parser.parse_args()
    weights = read_backbone(options.weights.read_bytes())
    photos = photographs()
    cells, labels, patients = malaria_cells(options.malaria)
    print(
        "| scaling | variance ratio, stem | mean shift, stem | variance ratio, all layers | "
        "mean shift, all layers | accuracy, frozen features |"
    )
    print("|---|---|---|---|---|---|")
    for name, scaling in CANDIDATES.items():
        ratios, shifts = normalization_fit(weights, undo_layer(scaling(photos)))
        score = head_accuracy(weights, undo_layer(scaling(cells)), labels, patients)
        print(f"| {name} | {ratios[0]:.2f} | {shifts[0]:.2f} | {np.exp(np.mean(np.log(ratios))):.2f} | "
              f"{np.mean(shifts):.2f} | {score.mean():.4f} ± {score.std():.4f} |")  # fmt: skip


def photographs() -> np.ndarray:
    """Return random crops of photographs that come with scikit-learn and scikit-image, 0..1."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    sources = [
        *load_sample_images().images,
        data.astronaut(),
        data.coffee(),
        data.chelsea(),
        data.rocket(),
    ]
    random = np.random.default_rng(0)
    crops = []
    for photo in sources:
        for _ in range(CROPS_PER_PHOTO):
            y, x = (int(random.integers(0, n - SIZE + 1)) for n in photo.shape[:2])
            crops.append(photo[y : y + SIZE, x : x + SIZE, :3] / 255.0)
    return np.stack(crops)


def malaria_cells(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return crops at 96 px (0..1), labels and patients of a random subset."""
    import pandas as pd
    from PIL import Image
    from sklearn.utils import shuffle

    table = shuffle(pd.read_parquet(path), random_state=0).iloc[:CELLS]
    images = [Image.open(io.BytesIO(data)).convert("RGB").resize((96, 96), Image.Resampling.BILINEAR)
              for data in table["image"]]  # fmt: skip
    crops = np.stack([np.asarray(image) for image in images]) / 255.0
    return crops, (table["label"] == "Parasitized").to_numpy(), table["patient"].to_numpy()


def undo_layer(scaled: np.ndarray) -> np.ndarray:
    """Return the input for which the network's own scaling layer gives ``scaled``."""
    layer = networks.plan("efficientnet_lite0", {}).layers[0]
    return ((scaled - np.array(layer.offset)) / np.array(layer.scale)).astype(np.float32)


def normalization_fit(
    weights: dict[str, np.ndarray], crops: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return per normalization layer the median variance ratio and mean shift in standard deviations."""
    import keras

    model = networks.build("efficientnet_lite0", {"size": crops.shape[1]})
    plan.assign(model, weights)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    probe = keras.Model(model.input, [layer.input for layer in layers])
    ratios, shifts = [], []
    for layer, values in zip(layers, probe.predict(crops, batch_size=16, verbose=0), strict=True):
        mean, variance = values.mean((0, 1, 2)), values.var((0, 1, 2))
        stored_mean, stored_variance = (np.asarray(w) for w in layer.get_weights()[2:])
        alive = stored_variance > 1e-4  # some channels of the published network are constant
        ratios.append(np.median(variance[alive] / stored_variance[alive]))
        shift = np.abs(mean - stored_mean)[alive] / np.sqrt(stored_variance[alive])
        shifts.append(np.median(shift))
    return np.array(ratios), np.array(shifts)


def head_accuracy(
    weights: dict[str, np.ndarray], crops: np.ndarray, labels: np.ndarray, patients: np.ndarray
) -> np.ndarray:
    """Return the accuracy of a logistic regression in five patient-disjoint folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = networks.build("efficientnet_lite0", {"size": crops.shape[1]})
    plan.assign(model, weights)
    features = model.predict(crops, batch_size=64, verbose=0)
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    return cross_val_score(head, features, labels, groups=patients, cv=GroupKFold(5))


if __name__ == "__main__":
    main()
