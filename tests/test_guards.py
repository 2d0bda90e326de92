"""The guards of conftest.py: they must fail or skip what they promise to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MARKS = "[pytest]\nmarkers =\n    gui: a window\n    tensorflow: starts it\n    real: real images\n"


@pytest.fixture
def run(tmp_path: Path):
    """Return a function that runs test code under a copy of our conftest, in a process of its own."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "pytest.ini").write_text(MARKS)
    (tmp_path / "tensorflow.py").write_text("")  # stands for the real one

    def start(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_it.py").write_text("import os, pytest\n" + code)
        clean = {key: text for key, text in os.environ.items() if "DISPLAY" not in key}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-rs"],
            cwd=tmp_path,
            env=clean | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return start


WINDOW = "@pytest.mark.gui\ndef test_window():\n    pass\n"


def test_window_tests_pass_on_a_display(run):
    done = run(WINDOW, DISPLAY=":0")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_window_tests_are_skipped_without_a_display(run):
    if sys.platform != "linux":
        pytest.skip("other systems always have a display")
    done = run(WINDOW + "def test_qt():\n    assert os.environ['QT_QPA_PLATFORM'] == 'offscreen'\n")
    assert "1 passed, 1 skipped" in done.stdout
    assert "make test-gui" in done.stdout


def test_window_tests_are_skipped_beside_tensorflow_tests(run):
    done = run(WINDOW + "@pytest.mark.tensorflow\ndef test_net():\n    pass\n", DISPLAY=":0")
    assert "1 passed, 1 skipped" in done.stdout
    assert "never in one process" in done.stdout


def test_tensorflow_in_the_window_process_fails_the_session(run):
    done = run("@pytest.mark.gui\ndef test_window():\n    import tensorflow\n", DISPLAY=":0")
    assert done.returncode == 1
    assert "belongs in the child process" in done.stdout


def test_every_test_has_a_home_of_its_own(run):
    code = (
        "seen = []\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_home(n):\n"
        "    home = os.environ['CELLCLS_HOME']\n"
        "    assert os.listdir(home) == [] and home not in seen\n"
        "    seen.append(home)\n"
        "    open(os.path.join(home, 'x'), 'w').close()\n"
    )
    assert "2 passed" in run(code).stdout


def test_missing_real_images_are_a_skip_that_says_where(run, tmp_path: Path):
    done = run(
        "def test_real(shared_data):\n    pass\n", CELLCLS_SHARED_DATA=str(tmp_path / "nowhere")
    )
    assert "1 skipped" in done.stdout
    assert "set CELLCLS_SHARED_DATA" in done.stdout
