"""Networks in Keras: the same tensors, counts and outputs as the plan, the ONNX file and Keras' own."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from napari_cellcls.models import networks

pytestmark = pytest.mark.tensorflow

VARIANTS = [
    ("malaria_cnn", {}),
    ("malaria_cnn", {"size": 33, "channels": 4, "embedding": 20}),
    ("efficientnet_lite0", {"size": 75, "hidden": 16}),
    ("cell_resnet", {"size": 47, "channels": 4, "width": 8, "blocks": [2, 1, 3], "embedding": 24}),
    ("hela_allconv", {"channels": 1}),
    ("hela_cnn_l2", {}),
    ("hela_cnn", {}),
    ("hela_cnn", {"size": 31, "channels": 2, "padding": "same"}),
    ("hpa_cnn", {"size": 40}),
    ("hpa_cnn_bn", {"size": 37, "hidden": [32, 16]}),
    ("mobilenet_v2", {"size": 65}),
    ("resnet50", {"size": 45}),
    ("vgg16", {"size": 33, "hidden": 16}),
    ("hpa_vgg16", {"size": 75}),
]

KERAS_SCRIPT = """
import json, sys
import keras
import numpy as np
from napari_cellcls.models import networks, onnx_writer, plan
from tests.models.make import random_weights, run_onnx
def forward(model, crops):
    # JAX compiles operation by operation when it is not told the whole.
    eager = keras.backend.backend() != "jax"
    return keras.ops.convert_to_numpy(model(crops) if eager else model.predict_on_batch(crops))
result = []
for arch_id, params in json.loads(sys.argv[1]):
    model = networks.build(arch_id, params)
    spec = networks.weight_spec(arch_id, params)
    weights = random_weights(arch_id, params)
    plan.assign(model, weights)
    back = plan.collect(model, spec)
    crops = np.random.default_rng(1).random((3, *networks.input_shape(arch_id, params)), dtype="f4")
    expected = forward(model, crops)
    got = run_onnx(onnx_writer.to_onnx(arch_id, params, weights), crops)
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_weights)
    networks.freeze(model, arch_id, params, True)
    left = sum(int(np.prod(v.shape)) for v in model.trainable_weights)
    networks.freeze(model, arch_id, params, False)
    result.append({
        "keras": {v.path: list(v.shape) for v in model.weights},
        "spec": {k.partition(":")[2]: list(s) for k, (s, _) in spec.items()},
        "counts": [model.count_params(), trainable],
        "left": left,
        "thawed": len(model.trainable_weights),
        "output": list(model.output_shape),
        "onnx": float(np.abs(got - expected).max() / max(1, np.abs(expected).max())),
        "spread": float(expected.std()),
        "same": all(np.array_equal(back[k], weights[k]) for k in weights),
    })
print(json.dumps(result))
"""

# Policy "each" beside the path of a package, a frozen and a free step, and the rules of hela_cnn_l2.
TRAINING_SCRIPT = """
import json
import keras
import numpy as np
from types import SimpleNamespace
from napari_cellcls import embed
from napari_cellcls.models import networks, plan
from tests.models.make import SMALL, random_weights
model = networks.build_each("cell_resnet", SMALL, 5)
weights = random_weights("cell_resnet", SMALL)
network = model.get_layer("cell_resnet")
plan.assign(network, weights)
loss = keras.losses.CategoricalCrossentropy(from_logits=True)
targets = np.eye(2, dtype="f4")[[0, 1, 0, 1]]
crops = np.random.default_rng(1).random((4, 24, 24, 5), dtype="f4")
package = SimpleNamespace(manifest=SimpleNamespace(channel_policy="each", turns=1, in_color=False))
engine = SimpleNamespace(embed=lambda x: forward(network, x))
used = embed.embed_crops(crops, package, engine)
trained = forward(model, crops)
classifier = keras.Model(model.input, keras.layers.Dense(2)(model.output))
before = plan.collect(network, networks.weight_spec("cell_resnet", SMALL))
networks.freeze(classifier, "cell_resnet", SMALL, True)
classifier.compile("adam", loss)
classifier.train_on_batch(crops, targets)
kept = plan.collect(network, before)
networks.freeze(classifier, "cell_resnet", SMALL, False)
classifier.compile("adam", loss)
value = float(classifier.train_on_batch(crops, targets))
moved = plan.collect(network, before)
ruled = networks.build("hela_cnn_l2", {})
kernels = [l.kernel for l in ruled.layers if hasattr(l, "kernel")]
kernels = [keras.ops.convert_to_numpy(k.value) for k in kernels]
images = np.random.default_rng(0).random((2, 28, 28, 1), dtype="f4")
once, twice = (keras.ops.convert_to_numpy(ruled(images)) for _ in range(2))
in_training = keras.ops.convert_to_numpy(ruled(images, training=True))
print(json.dumps({
    "penalty": float(sum(keras.ops.convert_to_numpy(v) for v in ruled.losses)),
    "by_hand": float(5e-4 * sum((k.astype("f8") ** 2).sum() for k in kernels[:-1])),
    "penalties": len(ruled.losses),
    "limits": [float(np.abs(k).max() / np.sqrt(6 / np.prod(k.shape[:-1]))) for k in kernels],
    "dropped": bool(np.abs(in_training - once).max() > 0),
    "stable": bool(np.array_equal(once, twice)),
    "shape": list(trained.shape),
    "difference": float(np.abs(trained - used).max()),
    "kept": all(np.array_equal(kept[k], before[k]) for k in before),
    "moved": sum(not np.array_equal(moved[k], before[k]) for k in before),
    "tensors": len(before),
    "loss": value,
}))
"""


@functools.cache
def results(backend: str):
    """Run both scripts in one process of this backend and return what they print."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    env = os.environ | {
        "KERAS_BACKEND": backend,
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", KERAS_SCRIPT + TRAINING_SCRIPT, json.dumps(VARIANTS)],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()[-2:]]


@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_keras_builds_what_the_plan_says(backend):
    for (arch_id, params), made in zip(VARIANTS, results(backend)[0], strict=True):
        total, trainable = networks.parameter_count(arch_id, params)
        assert made["keras"] == made["spec"], arch_id
        assert made["counts"] == [total, trainable]
        assert made["output"] == [None, networks.embedding_size(arch_id, params)]
        assert made["same"]
        assert made["spread"] > 1e-3, arch_id
        assert made["onnx"] < 1e-4, arch_id
        assert made["left"] <= total - networks.frozen_count(arch_id, params)
        assert made["thawed"] > 0
        if networks.frozen_count(arch_id, params) == total:
            assert made["left"] == 0


@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_what_happens_in_training(backend):
    made = results(backend)[1]
    # Each channel on its own: the numbers of a package, in its order.
    assert made["shape"] == [4, 5 * 16]
    assert made["difference"] < 1e-5
    assert made["kept"], "a frozen network changed while its head was trained"
    assert made["moved"] == made["tensors"]
    assert np.isfinite(made["loss"])
    # L2 on the four convolutions and not on the dense layer, He et al.'s start, dropout.
    assert made["penalties"] == 4
    assert made["penalty"] == pytest.approx(made["by_hand"], rel=1e-5)
    assert all(0.9 < limit <= 1.0001 for limit in made["limits"])
    assert made["dropped"] and made["stable"]


def test_each_needs_a_network_of_three_planes():
    from napari_cellcls.vocabulary import ModelError

    with pytest.raises(ModelError, match="not usable") as caught:
        networks.build_each("hela_cnn", {}, 4)
    assert caught.value.code == "MODEL-PARAMS"
    assert "4 channels, one by one, for a network of 1 planes, not 3" in caught.value.why
