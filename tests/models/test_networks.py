from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from napari_cellcls.models import networks
from napari_cellcls.models.plan import Plan
from napari_cellcls.vocabulary import ModelError

VARIANTS = [
    ("malaria_cnn", {}),
    ("malaria_cnn", {"size": 33, "channels": 4, "embedding": 20}),
    ("efficientnet_lite0", {}),
    ("efficientnet_lite0", {"size": 75}),
    ("cell_resnet", {}),
    ("cell_resnet", {"size": 47, "channels": 4, "width": 8, "blocks": [2, 1, 3], "embedding": 24}),
]

KERAS_SCRIPT = """
import json, sys
import numpy as np
from napari_cellcls.models import networks, onnx_writer, plan
from tests.models.make import random_weights, run_onnx
result = []
for arch_id, params in json.loads(sys.argv[1]):
    model = networks.build(arch_id, params)
    spec = networks.weight_spec(arch_id, params)
    weights = random_weights(arch_id, params)
    plan.assign(model, weights)
    back = plan.collect(model, spec)
    crops = np.random.default_rng(1).random((3, *networks.input_shape(arch_id, params)), dtype="f4")
    expected = model.predict(crops, verbose=0)
    got = run_onnx(onnx_writer.to_onnx(arch_id, params, weights), crops)
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_weights)
    result.append({
        "keras": {v.path: list(v.shape) for v in model.weights},
        "spec": {k.partition(":")[2]: list(s) for k, (s, _) in spec.items()},
        "counts": [model.count_params(), trainable],
        "output": list(model.output_shape),
        "onnx": float(np.abs(got - expected).max()),
        "same": all(np.array_equal(back[k], weights[k]) for k in weights),
    })
print(json.dumps(result))
"""


def test_malaria_cnn_is_the_published_network():
    assert networks.parameter_count("malaria_cnn", {}, classes=2) == (310_732, 310_412)
    assert networks.input_shape("malaria_cnn", {}) == (50, 50, 3)
    assert networks.embedding_size("malaria_cnn", {}) == 110


def test_operations_of_malaria_cnn_by_hand():
    convolutions = 50 * 50 * 32 * 27 + 25 * 25 * 64 * 9 * 32 + 12 * 12 * 64 * 9 * 64
    assert networks.operations("malaria_cnn", {}) == convolutions + 6 * 6 * 64 * 110


def test_cell_resnet_is_small_and_cheap():
    total, trainable = networks.parameter_count("cell_resnet", {})
    assert 100_000 < trainable < total < 300_000
    assert networks.operations("cell_resnet", {}) < 10_000_000


def test_efficientnet_lite0_size():
    # 4,652,008 parameters with the 1000-class head, as published by the authors.
    total, trainable = networks.parameter_count("efficientnet_lite0", {}, classes=1000)
    assert trainable == 4_652_008
    assert total - trainable == 42_016
    assert networks.operations("efficientnet_lite0", {"size": 224}) == pytest.approx(
        384e6, rel=0.01
    )


@pytest.mark.parametrize("arch_id", networks.ARCHITECTURES)
def test_names_are_numbered_and_unique(arch_id):
    names = list(networks.weight_spec(arch_id, {}))
    assert [n[:5] for n in names] == [f"{i:04d}:" for i in range(len(names))]
    assert len({n[5:] for n in names}) == len(names)


@pytest.mark.parametrize(
    ("arch_id", "params", "why"),
    [
        ("malaria_cnn", {"size": 9}, "size: Input should be greater than or equal to 16"),
        ("malaria_cnn", {"layers": 3}, "layers: Extra inputs"),
        ("malaria_cnn", {"size": "50"}, "size: Input should be a valid integer; received '50'"),
        ("malaria_cnn", {"size": True}, "size: Input should be a valid integer; received True"),
        ("efficientnet_lite0", {"channels": 4}, "channels"),
        ("cell_resnet", {"blocks": [1, 1]}, "blocks"),
        ("cell_resnet", {"blocks": [1, 1, 99]}, "blocks.2"),
        ("cell_resnet", {"width": 9}, "multiple of 2"),
    ],
)
def test_parameters_out_of_bounds(arch_id, params, why):
    with pytest.raises(ModelError, match="not usable") as caught:
        networks.plan(arch_id, params)
    assert caught.value.code == "MODEL-PARAMS"
    assert why in caught.value.why


def test_unknown_architecture_asks_for_a_newer_version():
    with pytest.raises(ModelError, match="newer version") as caught:
        networks.weight_spec("vision_transformer", {})
    assert caught.value.code == "MODEL-NEWER"
    assert "'vision_transformer'" in caught.value.why
    assert "pip install --upgrade" in caught.value.remedy


def test_too_many_weights(monkeypatch):
    monkeypatch.setattr(networks, "MAX_PARAMETERS", 1000)
    with pytest.raises(ModelError, match="310,510 weights; at most 1,000"):
        networks.plan("malaria_cnn", {})


def test_full_params_adds_defaults_as_json():
    assert networks.full_params("cell_resnet", {"blocks": [1, 2, 3]}) == {
        "size": 50, "channels": 3, "width": 32, "blocks": [1, 2, 3], "embedding": 128,
    }  # fmt: skip


def test_plan_refuses_mistakes():
    plan = Plan((8, 8, 3))
    plan.add("conv", "a", "input", filters=4, kernel=3)
    with pytest.raises(ValueError, match="'a' is used twice"):
        plan.add("relu", "a", "input")
    with pytest.raises(ValueError, match="adds different shapes"):
        plan.add("add", "sum", "input", "a")


def test_importing_networks_imports_no_framework():
    code = (
        "import sys; from napari_cellcls.models import networks, registry, runtime, package\n"
        "networks.weight_spec('efficientnet_lite0', {})\n"
        "heavy = {'keras', 'tensorflow', 'torch', 'onnx', 'onnxruntime', 'openvino', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.tensorflow
@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_keras_builds_what_the_plan_says(backend):
    import importlib.util

    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    env = os.environ | {
        "KERAS_BACKEND": backend,
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", KERAS_SCRIPT, json.dumps(VARIANTS)],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    for (arch_id, params), made in zip(
        VARIANTS, json.loads(done.stdout.splitlines()[-1]), strict=True
    ):
        assert made["keras"] == made["spec"]
        assert tuple(made["counts"]) == networks.parameter_count(arch_id, params)
        assert made["output"] == [None, networks.embedding_size(arch_id, params)]
        assert made["same"]
        assert made["onnx"] < 1e-4


def test_onnx_is_deterministic_and_takes_any_batch():
    from napari_cellcls.models import onnx_writer
    from tests.models.make import SMALL, random_weights, run_onnx

    weights = random_weights("cell_resnet", SMALL)
    first = onnx_writer.to_onnx("cell_resnet", SMALL, weights)
    assert first == onnx_writer.to_onnx("cell_resnet", SMALL, weights)
    crops = np.random.default_rng(0).random((7, 24, 24, 3), dtype=np.float32)
    whole = run_onnx(first, crops)
    assert whole.shape == (7, 16)
    np.testing.assert_allclose(run_onnx(first, crops[:1]), whole[:1], atol=1e-5)
