"""Shared fixtures and guards: own user folder per test, sane display settings, TensorFlow and OpenGL kept apart."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

PROJECT = Path(__file__).resolve().parents[1]
HAS_DISPLAY = sys.platform != "linux" or bool(
    os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
)

# Qt, Mesa, napari and TensorFlow read these once, when they are first imported: so set them here, before any is.
if HAS_DISPLAY:
    if os.environ.get("QT_QPA_PLATFORM") == "offscreen":
        del os.environ["QT_QPA_PLATFORM"]  # offscreen never paints napari's canvas
else:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ.setdefault("LIBGL_ALWAYS_SOFTWARE", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_SESSION_FOLDER = tempfile.TemporaryDirectory(prefix="cellcls-tests-")
os.environ["NAPARI_CONFIG"] = str(Path(_SESSION_FOLDER.name, "napari-settings.yaml"))
os.environ["CELLCLS_HOME"] = str(Path(_SESSION_FOLDER.name, "home"))

settings.register_profile("cellcls", deadline=None, print_blob=True)
settings.load_profile("cellcls")


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give every test an empty user folder, so that none sees or touches what a person installed."""
    with tempfile.TemporaryDirectory(prefix="home-", dir=_SESSION_FOLDER.name) as home:
        monkeypatch.setenv("CELLCLS_HOME", home)
        yield Path(home)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real images (``CELLCLS_SHARED_DATA``, or ``../shared/data`` beside the project)."""
    folder = Path(os.environ.get("CELLCLS_SHARED_DATA") or PROJECT.parent / "shared" / "data")
    if not (folder / "README.md").is_file():
        pytest.skip(f"real images are not at {folder}; set CELLCLS_SHARED_DATA to their folder")
    return folder


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip window tests where they cannot work, and say what would make them work."""
    gui = [item for item in items if item.get_closest_marker("gui")]
    if not HAS_DISPLAY:
        reason = "needs a display: run `make test-gui`"
    elif any(item.get_closest_marker("tensorflow") for item in items):
        reason = "never in one process with TensorFlow tests: run `make test-gui`"
    else:
        return
    for item in gui:
        item.add_marker(pytest.mark.skip(reason=reason))


_shown: list[str] = []


def pytest_runtest_call(item: pytest.Item) -> None:
    """Remember that a window test really ran."""
    if item.get_closest_marker("gui"):
        _shown.append(item.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session that opened a window and loaded TensorFlow: on Linux the two crash each other."""
    if _shown and "tensorflow" in sys.modules:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(
                "ERROR: TensorFlow was imported into the process of the window tests; "
                f"it belongs in the child process ({len(_shown)} window tests ran, first {_shown[0]})",
                red=True,
            )
