from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from napari_cellcls.models import onnx_writer, places, registry, runtime
from napari_cellcls.models.engines import base
from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.package import write_package
from napari_cellcls.models.runtime import EngineReport
from napari_cellcls.vocabulary import EngineError, ModelError
from tests.models import make

INSTALLED = [n for n in ("onnxruntime", "openvino") if importlib.util.find_spec(n) is not None]


def report(name: str, *devices: str) -> EngineReport:
    note = f"{name} finds {devices}." if devices else f"{name} is not installed."
    return EngineReport(
        name, bool(devices), devices, "1.0" if devices else "", note, f"pip install {name}"
    )


def reports(onnx: str = "", openvino: str = "", tensorflow: str = "") -> list[EngineReport]:
    given = {"onnxruntime": onnx, "openvino": openvino, "tensorflow": tensorflow}
    return [report(name, *devices.split()) for name, devices in given.items()]


@pytest.mark.parametrize(
    ("found", "asked", "chosen"),
    [
        (reports("cpu", "cpu", "cpu"), ("auto", "auto"), ("onnxruntime", "cpu")),
        (reports("cuda cpu", "cpu", "gpu cpu"), ("auto", "auto"), ("onnxruntime", "cuda")),
        (reports("directml cpu"), ("auto", "auto"), ("onnxruntime", "directml")),
        (reports("coreml cpu"), ("auto", "auto"), ("onnxruntime", "cpu")),
        (reports("coreml cpu"), ("auto", "coreml"), ("onnxruntime", "coreml")),
        (reports("cpu", "cpu gpu", "gpu cpu"), ("auto", "auto"), ("tensorflow", "gpu")),
        (reports("cpu", "cpu gpu", "cpu"), ("auto", "auto"), ("onnxruntime", "cpu")),
        (reports("cpu", "cpu gpu", "cpu"), ("auto", "gpu"), ("openvino", "gpu")),
        (reports("", "cpu", "cpu"), ("auto", "auto"), ("openvino", "cpu")),
        (reports("", "", "cpu"), ("auto", "auto"), ("tensorflow", "cpu")),
        (reports("cuda cpu", "cpu", "cpu"), ("auto", "cpu"), ("onnxruntime", "cpu")),
        (reports("cuda cpu", "cpu", "cpu"), ("openvino", "auto"), ("openvino", "cpu")),
        (reports("cuda cpu"), ("onnxruntime", "gpu"), ("onnxruntime", "cuda")),
    ],
)
def test_the_rule(found, asked, chosen):
    choice = runtime.choose(*asked, found)
    assert (choice.engine, choice.device) == chosen
    assert choice.reason.startswith(f"{chosen[0]} 1.0 on {chosen[1]}, because ")


@pytest.mark.parametrize(
    ("found", "asked", "code", "words"),
    [
        (reports("cpu"), ("torch", "auto"), "ENGINE-UNKNOWN", "the engines are auto, onnxruntime"),
        (reports("cpu"), ("openvino", "auto"), "ENGINE-MISSING", "pip install openvino"),
        (reports(), ("auto", "auto"), "ENGINE-MISSING", "No engine that can run models"),
        (
            reports("cpu", "cpu"),
            ("auto", "gpu"),
            "ENGINE-DEVICE",
            "onnxruntime: cpu; openvino: cpu",
        ),
        (reports("cpu", "cpu"), ("openvino", "cuda"), "ENGINE-DEVICE", "napari-cellcls[gpu]"),
    ],
)
def test_refusals_name_the_remedy(found, asked, code, words):
    with pytest.raises(EngineError) as caught:
        runtime.choose(*asked, found)
    assert caught.value.code == code
    assert words in str(caught.value)


def test_survey_says_what_is_there_and_what_is_missing(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name in ("openvino", "tensorflow") else real(name),
    )
    onnx, openvino, tensorflow = runtime.survey()
    assert onnx.available
    assert "cpu" in onnx.devices
    assert onnx.version.count(".") >= 1
    assert not openvino.available
    assert openvino.remedy == "pip install 'napari-cellcls[openvino]'"
    assert not tensorflow.available
    assert tensorflow.note.startswith("tensorflow not installed")


def test_a_broken_installation_is_reported(monkeypatch):
    def broken():
        raise ImportError("libonnxruntime.so: cannot open shared object file")

    monkeypatch.setattr("napari_cellcls.models.engines.onnxruntime.devices", broken)
    found = runtime.survey()[0]
    assert not found.available
    assert "installed but broken" in found.note
    assert "--force-reinstall" in found.remedy


def test_cuda_needs_a_card(monkeypatch):
    import onnxruntime

    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(runtime, "_has_nvidia", lambda: False)
    assert runtime.survey()[0].devices == ("cpu",)
    monkeypatch.setattr(runtime, "_has_nvidia", lambda: True)
    assert runtime.survey()[0].devices == ("cuda", "cpu")


@pytest.mark.parametrize("engine", INSTALLED)
@pytest.mark.parametrize("entry", registry.entries(), ids=lambda e: e.name)
def test_engines_reproduce_keras_on_every_bundled_model(entry, engine):
    package = registry.load(entry.path)
    with runtime.open_engine(package, engine, "cpu") as opened:
        assert (opened.name, opened.device) == (engine, "cpu")
        got = opened.embed(package.test_input)
    assert got.dtype == np.float32
    assert np.abs(got - package.test_output).max() < 1e-3


@pytest.mark.tensorflow
@pytest.mark.parametrize("entry", registry.entries(), ids=lambda e: e.name)
def test_all_engines_agree_on_every_bundled_model(entry):
    package = registry.load(entry.path)
    crops = np.random.default_rng(3).random((20, *package.input_shape), dtype=np.float32)
    results = {}
    for name in (*INSTALLED, "tensorflow"):
        with runtime.open_engine(package, name, "cpu") as engine:
            results[name] = engine.embed(crops)
    for name in results:
        assert np.abs(results[name] - results["tensorflow"]).max() < 1e-3, name


@pytest.fixture
def package(tmp_path):
    return make.package(tmp_path / "small.cellpkg")


@pytest.mark.parametrize("engine", INSTALLED)
def test_any_number_of_crops(package, engine):
    crops = np.random.default_rng(0).random((70, 24, 24, 3), dtype=np.float32)
    with runtime.open_engine(package, engine) as opened:
        whole = opened.embed(crops)
        assert whole.shape == (70, 16)
        parts = [opened.embed(crops[:1]), opened.embed(crops[1:3]), opened.embed(crops[3:])]
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
        assert opened.embed(crops[:0]).shape == (0, 16)
        assert opened.embed(crops[:2].astype(np.float64)[:, ::-1]).shape == (2, 16)


def test_wrong_shape_is_refused(package):
    with runtime.open_engine(package) as opened, pytest.raises(EngineError) as caught:
        opened.embed(np.zeros((2, 20, 20, 3)))
    assert caught.value.code == "ENGINE-SHAPE"
    assert "(2, 20, 20, 3)" in caught.value.why


def test_a_model_that_lies_about_its_output_is_refused(tmp_path):
    given = make.parts(make.manifest())
    given["test_output"] = given["test_output"] + 0.1
    lying = write_package(tmp_path / "x.cellpkg", make.manifest(), given.pop("weights"), **given)
    with pytest.raises(ModelError) as caught:
        runtime.open_engine(lying, "onnxruntime")
    assert caught.value.code == "MODEL-TEST"
    assert "embeddings differ by up to 0.1" in caught.value.why


def test_onnx_is_cached_and_a_damaged_file_is_made_again(package):
    first = runtime.onnx_of(package)
    (cached,) = places.onnx_cache().rglob("*.onnx")
    assert cached.stem == package.weights_sha256
    assert cached.read_bytes() == first
    cached.write_bytes(first[:100])
    assert runtime.onnx_of(package) == first
    assert cached.read_bytes() == first


def test_the_cache_of_networks_is_bounded_and_the_one_used_longest_ago_goes(tmp_path, monkeypatch):
    def made(number: int):
        given = make.parts(make.manifest())
        weights = {
            name: values + np.float32(number) for name, values in given.pop("weights").items()
        }
        return write_package(tmp_path / f"{number}.cellpkg", make.manifest(), weights, **given)

    packages = [made(number) for number in range(3)]
    sizes = [len(runtime.onnx_of(one)) for one in packages]
    folder = places.onnx_cache() / f"v{onnx_writer.OPSET}"
    old = folder.parent / "v1" / "an-old-one.onnx"
    old.parent.mkdir()
    old.write_bytes(b"x")
    for age, one in enumerate(packages, start=1):
        digest = folder / f"{one.weights_sha256}.sha256"
        os.utime(digest, (time.time() - 1000 * age,) * 2)
    assert runtime.onnx_of(packages[2])  # used again, from the disk
    monkeypatch.setattr(runtime, "ONNX_BYTES", sum(sizes) + 10)
    last = made(3)
    runtime.onnx_of(last)
    there = {path.stem for path in folder.glob("*.onnx")}
    assert there == {one.weights_sha256 for one in (packages[0], packages[2], last)}
    assert {path.stem for path in folder.glob("*.sha256")} == there and not old.exists()


def test_a_cache_that_cannot_be_written_is_no_matter(package, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CELLCLS_HOME", str(tmp_path / "file"))
    with runtime.open_engine(package, "onnxruntime") as opened:
        assert opened.embed(package.test_input).shape == (2, 16)


class Forgetful(Engine):
    """Runs out of memory above some number of crops."""

    name, device = "forgetful", "cpu"

    def __init__(self, package, limit, error):
        super().__init__(package)
        self.limit, self.error, self.sizes = limit, error, []

    def _run(self, crops):
        self.sizes.append(len(crops))
        if len(crops) > self.limit:
            raise self.error
        return crops.reshape(len(crops), -1)[:, :16]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory"),
        RuntimeError("bad_alloc"),
        EngineError("no", code="ENGINE-MEMORY"),
    ],
)
def test_the_batch_is_halved_when_memory_runs_out(package, error):
    crops = np.random.default_rng(0).random((9, 24, 24, 3), dtype=np.float32)
    engine = Forgetful(package, 3, error)
    np.testing.assert_array_equal(engine.embed(crops), crops.reshape(9, -1)[:, :16])
    assert engine.sizes == [9, 4, 2, 2, 5, 2, 3]


def test_one_crop_that_does_not_fit(package):
    with pytest.raises(EngineError) as caught:
        Forgetful(package, 0, MemoryError()).embed(package.test_input)
    assert caught.value.code == "ENGINE-MEMORY"
    assert "a single crop" in caught.value.what


def test_other_failures_are_not_retried(package):
    engine = Forgetful(package, 0, RuntimeError("no kernel image"))
    with pytest.raises(EngineError) as caught:
        engine.embed(package.test_input)
    assert caught.value.code == "ENGINE-FAILED"
    assert "no kernel image" in caught.value.why
    assert engine.sizes == [2]


def test_a_card_that_fails_is_given_up_for_the_processor(package, monkeypatch):
    monkeypatch.setitem(
        runtime._SURVEYS, "onnxruntime", lambda: report("onnxruntime", "cuda", "cpu")
    )
    real = runtime._make

    def broken(package, choice):
        if choice.device == "cuda":
            raise RuntimeError("driver too old")
        return real(package, choice)

    monkeypatch.setattr(runtime, "_make", broken)
    with runtime.open_engine(package) as opened:
        assert opened.device == "cpu"
    with pytest.raises(EngineError, match="driver too old"):
        runtime.open_engine(package, device="gpu")


def test_a_provider_that_falls_back_is_noticed(package):
    with pytest.raises(EngineError) as caught:
        runtime._open(package, runtime.Choice("onnxruntime", "cuda", ""))
    assert caught.value.code == "ENGINE-DEVICE"
    assert "choose the device 'cpu'" in caught.value.remedy


def test_self_test_returns_the_difference(package):
    with runtime.open_engine(package, "onnxruntime") as opened:
        assert base.self_test(opened, package) < 1e-5


def test_engines_are_loaded_with_telemetry_off():
    code = (
        "import os, sys\n"
        "from napari_cellcls.models.engines import onnxruntime, openvino\n"
        "onnxruntime.devices()\n"
        "try:\n"
        "    openvino.devices()\n"
        "except ImportError:\n"
        "    pass\n"
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
