"""Small packages for the tests: real layout, random weights, no TensorFlow."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.cells.descriptor import size_of
from napari_cellcls.models import networks, onnx_writer
from napari_cellcls.models.manifest import Manifest, validate
from napari_cellcls.models.package import ModelPackage, write_package
from napari_cellcls.vocabulary import RGB_ROLES

SMALL: dict[str, Any] = {"size": 24, "width": 8, "blocks": [1, 1, 1], "embedding": 16}


def manifest_dict(**changes: Any) -> dict[str, Any]:
    """Return a valid manifest of a small two-class model, with some keys changed."""
    size = {**SMALL, **changes.get("architecture", {}).get("params", {})}["size"]
    return {
        "schema": "cellpkg/1",
        "name": "small",
        "version": "1.0.0",
        "title": "Small test model",
        "package_id": "test-1",
        "architecture": {"id": "cell_resnet", "params": SMALL},
        "classes": [
            {"id": "alpha", "name": "Alpha", "color": "#d55e00"},
            {"id": "beta", "name": "Beta", "color": "#0072b2"},
        ],
        "inputs": [{"role": role.value, "name": role.value[4:]} for role in RGB_ROLES],
        "crop": {"size": size, "frame": "square"},
        "license": "BSD-3-Clause",
        **changes,
    }


def manifest(**changes: Any) -> Manifest:
    return validate(manifest_dict(**changes))


def random_weights(arch_id: str, params: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
    """Return weights whose activations stay near 1 through the network."""
    random = np.random.default_rng(seed)
    result = {}
    for name, (shape, _) in networks.weight_spec(arch_id, params).items():
        if name.endswith("kernel"):
            fan_in = np.prod(shape[:-1]) if shape[-1] != 1 else shape[0] * shape[1]
            value = random.normal(0, np.sqrt(2 / fan_in), shape)
        elif name.endswith(("gamma", "moving_variance")):
            value = random.uniform(0.5, 1.5, shape)
        else:
            value = random.normal(0, 0.1, shape)
        result[name] = value.astype(np.float32)
    return result


def run_onnx(onnx: bytes, crops: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"crops": crops})[0])


def parts(made: Manifest, seed: int = 0) -> dict[str, Any]:
    """Return what ``write_package`` needs; the test output is what ONNX Runtime gives."""
    ref = made.architecture
    random = np.random.default_rng(seed)
    weights = random_weights(ref.id, ref.params, seed)
    crops = random.random((2, *networks.input_shape(ref.id, ref.params)), dtype=np.float32)
    embeddings = run_onnx(onnx_writer.to_onnx(ref.id, ref.params, weights), crops)
    size, count = embeddings.shape[1] * made.passes, len(made.classes)
    size += size_of(len(made.inputs)) if made.descriptor != "embedding" else 0
    head = (random.normal(size=(size, count)), np.zeros(count)) if count else None
    return {"weights": weights, "test_input": crops, "test_output": embeddings, "head": head}


@functools.cache
def _parts(text: str, seed: int) -> dict[str, Any]:
    return parts(Manifest.model_validate_json(text), seed)


def package(
    path: Path, seed: int = 0, reference: dict[str, np.ndarray] | None = None, **changes: Any
) -> ModelPackage:
    """Write a small package and return it."""
    made = manifest(**changes)
    given = dict(_parts(made.model_dump_json(by_alias=True), seed))
    return write_package(path, made, given.pop("weights"), reference=reference, **given)
