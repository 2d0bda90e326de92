from __future__ import annotations

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

from napari_cellcls.models import runtime
from napari_cellcls.models.engines.keras import KerasEngine
from napari_cellcls.vocabulary import EngineError
from tests.models import make

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return make.package(tmp_path_factory.mktemp("keras") / "small.cellpkg")


def heavy_modules():
    return {"keras", "tensorflow"} & set(sys.modules)


@pytest.fixture(scope="module")
def loaded_before():
    """Training tests of the same process may have loaded Keras already."""
    return heavy_modules()


@pytest.fixture(scope="module")
def engine(package, loaded_before):
    with KerasEngine(package) as opened:
        yield opened


def test_same_embeddings_as_onnx_runtime_and_no_keras_here(package, engine, loaded_before):
    crops = np.random.default_rng(0).random((300, 24, 24, 3), dtype=np.float32)
    with runtime.open_engine(package, "onnxruntime") as other:
        np.testing.assert_allclose(engine.embed(crops), other.embed(crops), atol=1e-4)
    assert engine.device == "cpu"
    assert heavy_modules() == loaded_before


def test_a_failing_request_is_told_and_the_child_lives(engine, package):
    with pytest.raises(EngineError, match="unknown request 'dance'"):
        engine._child.ask({"do": "dance"}, 60)
    assert engine.embed(package.test_input).shape == (2, 16)


def test_a_device_that_is_not_there(package):
    if "gpu" in runtime.survey()[2].devices:
        pytest.skip("this computer has a graphics card")
    with pytest.raises(EngineError, match="TensorFlow finds no GPU here") as caught:
        KerasEngine(package, "gpu")
    assert caught.value.code == "ENGINE-FAILED"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_killed_from_outside_then_closed(package):
    with KerasEngine(package) as opened:
        folder = opened._folder
        assert folder.is_dir()
        killer = threading.Thread(
            target=lambda: (time.sleep(0.2), os.kill(opened.pid, signal.SIGKILL))
        )
        killer.start()
        with pytest.raises(EngineError) as caught:
            while True:
                opened.embed(package.test_input)
        killer.join()
        assert caught.value.code == "ENGINE-CHILD-DIED"
        assert "exit status -9" in caught.value.why
    assert not folder.exists()
