from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.models import networks
from napari_cellcls.models.plan import Plan
from napari_cellcls.vocabulary import ModelError

PUBLISHED = [
    # row, architecture, parameters, classes, parameters of the whole classifier
    ("H1", "hela_allconv", {}, 10, 1_369_738),
    ("H2", "hela_cnn_l2", {}, 10, 157_034),
    ("H3", "hela_cnn", {}, 10, 195_786),
    ("H3 same", "hela_cnn", {"padding": "same"}, 10, 326_858),
    ("H4", "mobilenet_v2", {}, 10, 2_270_794),
    ("H4 gray", "mobilenet_v2", {"channels": 1}, 10, 2_270_794),
    ("P1", "hpa_cnn", {}, 28, 5_217_340),
    ("P2", "hpa_cnn_bn", {}, 28, 2_232_460),
    ("P3, P4", "resnet50", {}, 28, 23_648_220),
    ("P5", "resnet152", {}, 28, 58_431_452),
    ("P6", "hpa_inception_resnet_v2", {}, 28, 58_742_664),
    ("P6 3x3", "hpa_inception_resnet_v2", {"kernel": 3}, 28, 60_315_528),
    ("P7", "hpa_vgg16", {}, 28, 20_103_656),
    ("M1", "malaria_cnn", {}, 2, 310_732),
    ("M2", "vgg16", {"hidden": 128}, 2, 14_780_610),
]


@pytest.mark.parametrize(
    ("arch_id", "params", "classes", "expected"), [row[1:] for row in PUBLISHED],
    ids=[row[0] for row in PUBLISHED],
)  # fmt: skip
def test_parameters_of_the_published_networks(arch_id, params, classes, expected):
    assert networks.parameter_count(arch_id, params, classes)[0] == expected


def test_docs_state_the_same_parameters():
    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text("utf-8")
    for _, arch_id, _, _, expected in PUBLISHED:
        assert f"`{arch_id}`" in page
        assert f"{expected:,}" in page


@pytest.mark.parametrize(
    ("arch_id", "frozen"),
    [
        ("mobilenet_v2", 2_257_984),
        ("resnet50", 23_590_848),
        ("vgg16", 14_714_688),
        ("hpa_vgg16", 14_714_688),
        ("hpa_inception_resnet_v2", 54_336_736),
        ("hela_cnn", 194_496),
    ],
)
def test_parameters_that_a_frozen_phase_keeps(arch_id, frozen):
    assert networks.frozen_count(arch_id, {}) == frozen


def test_only_the_head_of_h4_learns():
    total, _ = networks.parameter_count("mobilenet_v2", {}, classes=10)
    assert total - networks.frozen_count("mobilenet_v2", {}) == 12_810


def test_vgg16_gives_512_features_of_a_malaria_crop():
    assert networks.input_shape("vgg16", {}) == (50, 50, 3)
    assert networks.embedding_size("vgg16", {}) == 512
    assert networks.plan("vgg16", {}).shapes["block5_pool"] == (1, 1, 512)


@pytest.mark.parametrize(
    "arch_id", ["hela_allconv", "mobilenet_v2", "vgg16", "hpa_vgg16", "hpa_inception_resnet_v2"]
)
def test_one_and_four_channels_become_three_planes(arch_id):
    gray, rgb, rgby = (networks.plan(arch_id, {"channels": n}) for n in (1, 3, 4))
    assert gray.parameters() == rgb.parameters() == rgby.parameters()
    assert (gray.input_shape[-1], rgby.input_shape[-1]) == (1, 4)
    assert gray.layers[0].matrix == ((1, 1, 1),)
    pixel = np.array([0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(
        pixel @ np.array(rgby.layers[0].matrix), [(0.2 + 0.8) / 2, (0.4 + 0.8) / 2, 0.6 / 2]
    )
    assert rgb.layers[0].kind != "mix"


def test_hela_cnn_halves_even_planes_without_padding():
    shapes = networks.plan("hela_cnn", {}).shapes
    assert [shapes[f"conv{i}"][0] for i in (1, 2, 3)] == [24, 8, 2]
    assert networks.plan("hela_cnn", {"padding": "same"}).shapes["conv3"][0] == 7


def test_mean_before_the_head_equals_the_published_order_of_h1():
    """A 1x1 convolution and a mean over the plane are both linear: their order is free."""
    random = np.random.default_rng(0)
    plane = random.normal(size=(4, 8, 8, 192))
    kernel, bias = random.normal(size=(1, 1, 192, 10)), random.normal(size=10)
    published = (np.einsum("nyxc,ijck->nyxk", plane, kernel) + bias).mean(axis=(1, 2))
    ours = plane.mean(axis=(1, 2)) @ kernel[0, 0] + bias
    np.testing.assert_allclose(ours, published, rtol=1e-12, atol=1e-12)
    last = networks.plan("hela_allconv", {}).layers[-1]
    assert (last.kind, networks.embedding_size("hela_allconv", {})) == ("average", 192)


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
        ("hpa_vgg16", {"kernel": 2}, "kernel: Input should be 1 or 3"),
        ("resnet50", {"channels": 2}, "greater than or equal to 3"),
        ("hela_cnn", {"padding": "full"}, "padding"),
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
    plan.add("maxpool", "b", "input", kernel=2)
    with pytest.raises(ValueError, match="joins different shapes"):
        plan.add("concat", "both", "a", "b")
    with pytest.raises(ValueError, match=r"nothing is left of the plane at layer 'c': \(0, 0, 3\)"):
        plan.add("maxpool", "c", "b", kernel=5)


def test_a_plane_that_vanishes_is_an_error_with_a_code(monkeypatch):
    entry = networks.ARCHITECTURES["hela_cnn"]
    tiny = replace(entry, make_plan=lambda p: entry.make_plan(p.model_copy(update={"size": 12})))
    monkeypatch.setitem(networks.ARCHITECTURES, "hela_cnn", tiny)
    with pytest.raises(ModelError, match="not usable") as caught:
        networks.plan("hela_cnn", {})
    assert caught.value.code == "MODEL-PARAMS"
    assert "nothing is left of the plane" in caught.value.why


def vars_of(limit) -> dict[str, int]:
    return {key: getattr(limit, key) for key in ("ge", "le") if hasattr(limit, key)}


@given(data=st.data())
def test_every_size_within_the_bounds_makes_a_network(data):
    """No parameters that pass the check may leave a layer without a plane."""
    arch_id = data.draw(st.sampled_from([a for a in networks.ARCHITECTURES if a != "resnet152"]))
    fields = networks.architecture(arch_id).params.model_fields
    bounds = {}
    for name in ("size", "channels"):
        limits = {k: v for m in fields[name].metadata for k, v in vars_of(m).items()}
        choices = st.sampled_from(get_args(fields[name].annotation) or [3])
        bounds[name] = data.draw(st.integers(limits["ge"], limits["le"]) if limits else choices)
    made = networks.plan(arch_id, bounds)
    assert min(min(shape) for shape in made.shapes.values()) >= 1
    assert made.input_shape == (bounds["size"], bounds["size"], bounds["channels"])


def test_importing_networks_imports_no_framework():
    code = (
        "import sys; from napari_cellcls.models import networks, registry, runtime, package\n"
        "networks.weight_spec('efficientnet_lite0', {})\n"
        "heavy = {'keras', 'tensorflow', 'torch', 'onnx', 'onnxruntime', 'openvino', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
