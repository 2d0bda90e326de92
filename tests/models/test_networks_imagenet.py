"""ImageNet weights: found, read, refused; and our networks beside those of ``keras.applications``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_cellcls.models import networks
from napari_cellcls.models.networks import imagenet
from napari_cellcls.vocabulary import ModelError

# Files in the layout that Keras distributes are written from networks with random weights.
COMPARE_SCRIPT = """
import json, sys
from pathlib import Path
import keras
import numpy as np
from napari_cellcls.models import networks, onnx_writer, plan
from napari_cellcls.models.networks import imagenet
from napari_cellcls.models.networks.resnet import MEANS
from tests.models.make import run_onnx
from tests.models.test_networks_imagenet import write_keras_file
folder = Path(sys.argv[1])
caffe = lambda x: (255 * x - np.array(MEANS, "f4"))[..., ::-1]
cases = {
    "mobilenet_v2": (keras.applications.MobileNetV2, 67, lambda x: 2 * x - 1),
    "resnet50": (keras.applications.ResNet50, 49, caffe),
    "vgg16": (keras.applications.VGG16, 50, caffe),
    "hpa_inception_resnet_v2": (
        keras.applications.InceptionResNetV2, 75, lambda x: x / np.sqrt(1.001, dtype="f4")
    ),
}
result = {}
for arch_id in sys.argv[2:]:
    make, size, scaled = cases[arch_id]
    keras.utils.set_random_seed(0)
    theirs = make(weights=None, include_top=False, input_shape=(size, size, 3))
    crops = np.random.default_rng(0).random((8, size, size, 3), dtype="f4")
    crops *= np.linspace(0.1, 1, 8, dtype="f4")[:, None, None, None]
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    theirs(scaled(crops), training=True)
    source = networks.architecture(arch_id).imagenet
    write_keras_file(folder / source.file, theirs)
    params = {"size": size, "channels": 3}
    ours = networks.build(arch_id, params)
    said = imagenet.start(ours, arch_id, params, wanted=True)
    made = networks.plan(arch_id, params)
    body = keras.Model(ours.input, ours.get_layer(made.trunk[-1]).output)
    expected = np.asarray(theirs(scaled(crops)))
    got = np.asarray(body(crops))
    weights = plan.collect(ours, made.weight_spec())
    embedding = np.asarray(ours(crops))
    onnx = run_onnx(onnx_writer.to_onnx(arch_id, params, weights), crops)
    result[arch_id] = {
        "said": said,
        "counts": [theirs.count_params(), made.trunk_parameters()],
        "difference": float(np.abs(got - expected).max() / np.abs(expected).max()),
        "onnx": float(np.abs(onnx - embedding).max() / np.abs(embedding).max()),
        "spread": float(expected.std() / np.abs(expected).max()),
    }
print(json.dumps(result))
"""


def write_keras_file(path: Path, model) -> None:
    """Write the weights of a Keras model as the HDF5 files of ``keras.applications`` hold them."""
    arrays = {layer.name: {w.name: w.numpy() for w in layer.weights} for layer in model.layers}
    write_file(path, arrays)


def write_file(path: Path, layers: dict[str, dict[str, np.ndarray]]) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, arrays in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in arrays]
            for key, array in arrays.items():
                group.create_dataset(f"{name}/{key}:0", data=array)


def vgg_layers(seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    random = np.random.default_rng(seed)
    layers: dict[str, dict[str, np.ndarray]] = {"input_1": {}}
    for name, (shape, _) in networks.weight_spec("vgg16", {}).items():
        layer, _, variable = name[5:].partition("/")
        layers.setdefault(layer, {})[variable] = random.random(shape, dtype=np.float32)
    return layers


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_the_cache_is_that_of_keras(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    assert imagenet.cache() == Path.home() / ".keras" / "models"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert imagenet.cache() == tmp_path / "models"


def test_words_for_a_random_start(keras_home):
    said = imagenet.start(None, "mobilenet_v2", {}, wanted=True)
    assert said.startswith(
        "Starts from random weights: the ImageNet weights of MobileNetV2 are not"
    )
    assert str(keras_home / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224") in said
    assert said.endswith("and nothing is downloaded.")
    assert imagenet.start(None, "mobilenet_v2", {}, wanted=False) == (
        "Starts from random weights, as the recipe says."
    )
    assert imagenet.start(None, "hela_cnn", {}, wanted=True) == (
        "Starts from random weights: there are no ImageNet weights for 'hela_cnn'."
    )


def test_the_weights_of_blank_are_the_start_of_efficientnet_lite0():
    found = imagenet._bundled()
    spec = networks.weight_spec("efficientnet_lite0", {"size": 224})
    assert {name: array.shape for name, array in found.items()} == {
        name: shape for name, (shape, _) in spec.items()
    }


def test_planes_are_put_in_order_red_green_blue(tmp_path):
    layers = vgg_layers()
    write_file(tmp_path / "vgg.h5", layers)
    found = imagenet.read(tmp_path / "vgg.h5", "vgg16", {"hidden": 8})
    assert len(found) == 26
    first = found["0000:block1_conv1/kernel"]
    np.testing.assert_array_equal(first, layers["block1_conv1"]["kernel"][:, :, ::-1])
    np.testing.assert_array_equal(found["0001:block1_conv1/bias"], layers["block1_conv1"]["bias"])
    np.testing.assert_array_equal(
        found["0024:block5_conv3/kernel"], layers["block5_conv3"]["kernel"]
    )


@pytest.mark.parametrize("channels", [3, 4, 6])
def test_further_planes_get_the_mean_kernel(tmp_path, channels):
    random = np.random.default_rng(0)
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, (shape, _) in networks.weight_spec("resnet50", {"channels": 3}).items():
        layer, _, variable = name[5:].partition("/")
        layers.setdefault(layer, {})[variable] = random.random(shape, dtype=np.float32)
    write_file(tmp_path / "resnet.h5", layers)
    found = imagenet.read(tmp_path / "resnet.h5", "resnet50", {"channels": channels})
    kernel, stored = found["0000:conv1_conv/kernel"], layers["conv1_conv"]["kernel"]
    assert kernel.shape == (7, 7, channels, 64)
    np.testing.assert_array_equal(kernel[:, :, :3], stored[:, :, ::-1])
    for plane in range(3, channels):
        np.testing.assert_allclose(kernel[:, :, plane], stored.mean(axis=2), rtol=1e-6)


def test_older_layer_names_go_by_their_order(tmp_path):
    layers = vgg_layers()
    renamed = {f"old_{i}": arrays for i, arrays in enumerate(layers.values())}
    write_file(tmp_path / "old.h5", renamed)
    write_file(tmp_path / "new.h5", layers)
    old = imagenet.read(tmp_path / "old.h5", "vgg16", {})
    new = imagenet.read(tmp_path / "new.h5", "vgg16", {})
    assert all(np.array_equal(old[name], new[name]) for name in new)


def test_automatic_numbers_start_at_one(tmp_path):
    """Keras counts on when several networks were made before; only the order says which is which."""
    arrays = [np.full(1, i, np.float32) for i in range(12)]
    layers = {f"conv2d_{203 + i}" if i else "conv2d": {"kernel": arrays[i]} for i in (3, 0, 11, 1)}
    write_file(tmp_path / "numbered.h5", layers)
    found = imagenet._read_layers(tmp_path / "numbered.h5")
    assert {name: float(value[0][0]) for name, value in found.items()} == {
        "conv2d_1": 0, "conv2d_2": 1, "conv2d_3": 3, "conv2d_4": 11,
    }  # fmt: skip


def test_a_damaged_or_foreign_file_is_refused(tmp_path):
    broken = tmp_path / "broken.h5"
    broken.write_bytes(b"\x89HDF\r\n\x1a\nbut no more")
    foreign = tmp_path / "foreign.h5"
    write_file(foreign, {"fc": {"kernel": np.zeros((2, 2), np.float32)}})
    wrong = tmp_path / "wrong.h5"
    layers = vgg_layers()
    layers["block3_conv2"]["bias"] = np.zeros(7, np.float32)
    write_file(wrong, layers)
    holes = tmp_path / "holes.h5"
    layers = vgg_layers()
    layers["block2_conv1"]["bias"][3] = np.nan
    write_file(holes, layers)
    expected = {
        broken: "open file",
        foreign: "layer 'block1_conv1' is missing",
        wrong: "block3_conv2/bias is (7,), the network needs (256,)",
        holes: "block2_conv1/bias holds numbers that are not finite",
    }
    for path, why in expected.items():
        with pytest.raises(ModelError, match="ImageNet weights are not usable") as caught:
            imagenet.read(path, "vgg16", {})
        assert caught.value.code == "MODEL-IMAGENET"
        assert str(caught.value.path) == str(path)
        assert why in caught.value.why
    with pytest.raises(ModelError) as caught:
        imagenet.read(wrong, "hela_cnn", {})
    assert "no ImageNet network inside" in caught.value.why


@pytest.mark.tensorflow
def test_our_networks_are_those_of_keras(keras_home):
    names = ["mobilenet_v2", "resnet50", "vgg16", "hpa_inception_resnet_v2"]
    env = os.environ | {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPARE_SCRIPT, str(keras_home), *names],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found) == names
    for arch_id, made in found.items():
        assert made["counts"][0] == made["counts"][1], arch_id
        assert made["said"].startswith("Starts from the ImageNet weights of")
        assert made["spread"] > 1e-3, arch_id
        assert made["difference"] < 5e-4, arch_id
        assert made["onnx"] < 5e-4, arch_id
