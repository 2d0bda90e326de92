"""What ``cellcls doctor`` looks at: facts about this computer, each with what to do when it lacks."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from napari_cellcls.vocabulary import CellClsError

State = Literal["ok", "missing", "broken"]

LIBRARIES = (
    "napari", "numpy", "scipy", "scikit-image", "pandas", "dask", "bioio", "tifffile", "zarr",
    "pillow", "keras", "tensorflow", "onnxruntime", "openvino", "scikit-learn", "pydantic",
)  # fmt: skip
_READERS = (
    ("OME-TIFF", "bioio-ome-tiff", "pip install bioio-ome-tiff"),
    ("TIFF", "bioio-tifffile", "pip install bioio-tifffile"),
    ("OME-Zarr", "bioio-ome-zarr", "pip install bioio-ome-zarr"),
    ("PNG, JPEG", "bioio-imageio", "pip install bioio-imageio"),
    ("CZI", "bioio-czi", "pip install 'napari-cellcls[czi]'"),
    ("ND2", "bioio-nd2", "pip install 'napari-cellcls[nd2]'"),
    ("LIF", "bioio-lif", "pip install 'napari-cellcls[lif]'"),
)
_NEEDED_READERS = 4
_OPENGL = """
from qtpy.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext
app = QGuiApplication([])
surface = QOffscreenSurface(); surface.create()
context = QOpenGLContext()
good = context.create() and context.makeCurrent(surface)
major, minor = context.format().version() if good else (0, 0)
import sys; sys.stdout.write(f"{app.platformName()} {major}.{minor}" if good else "none")
"""


@dataclass(frozen=True)
class Finding:
    """One line of the checkup.

    Attributes
    ----------
    part : str
    state : {"ok", "missing", "broken"}
    text : str
        What was found.
    remedy : str
        What to do about it.
    needed : bool
        Whether ``cellcls classify`` cannot work without it.
    """

    part: str
    state: State
    text: str
    remedy: str = ""
    needed: bool = False


def computer() -> Iterator[Finding]:
    """Describe Python, system, processor and memory."""
    yield Finding("Python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield Finding("System", "ok", f"{platform.platform()}, {platform.machine()}")
    features = processor_features()
    known = f"; {', '.join(features)}" if features else ""
    yield Finding("Processor", "ok", f"{usable_cores()} cores{known}")
    total, free = memory_gb()
    if total:
        text = f"{total:.1f} GB, {free:.1f} GB free"
        low = 0 < free < 1
        yield Finding(
            "Memory", "broken" if low else "ok", text, "Close other programs." if low else ""
        )


def engines() -> Iterator[Finding]:
    """Describe the engines and what ``auto`` takes, with the reason."""
    from napari_cellcls.models import runtime

    reports = runtime.survey()
    for report in reports:
        state: State = "ok" if report.available else "missing"
        label = f"{report.name} {report.version}".strip()
        yield Finding(f"Engine {label}", state, report.note, report.remedy)
    try:
        choice = runtime.choose(reports=reports)
    except CellClsError as error:
        yield Finding("Engine chosen", "broken", error.what, error.remedy, needed=True)
    else:
        yield Finding("Engine chosen", "ok", f"auto takes {choice.reason}")


def models() -> Iterator[Finding]:
    """Open every model with the chosen engine and compare with its own test output."""
    from napari_cellcls.models import registry, runtime

    entries = registry.entries()
    if not entries:
        yield Finding(
            "Models",
            "missing",
            "there is none",
            "pip install --force-reinstall napari-cellcls",
            True,
        )
    for entry in entries:
        part = f"Model {entry.label}"
        needed = entry.source == "bundled"
        try:
            if entry.error is not None:
                raise entry.error
            with runtime.open_engine(registry.load(entry.path)) as engine:
                text = f"reproduces its test output on {engine.name} ({engine.device})"
            yield Finding(part, "ok", text)
        except CellClsError as error:
            yield Finding(part, "broken", f"{error.what} {error.why}".strip(), error.remedy, needed)


def readers() -> Iterator[Finding]:
    """Describe which image formats can be read."""
    for number, (formats, distribution, remedy) in enumerate(_READERS):
        found = installed(distribution)
        if found:
            yield Finding(f"Reads {formats}", "ok", f"{distribution} {found}")
        else:
            needed = number < _NEEDED_READERS
            yield Finding(
                f"Reads {formats}", "missing", f"{distribution} is not installed", remedy, needed
            )


def window() -> Iterator[Finding]:
    """Describe what napari's window needs; the terminal works without any of it."""
    bindings = [f"{name} {found}" for name in ("PyQt6", "PySide6") if (found := installed(name))]
    if not bindings:
        yield Finding("Qt", "missing", "no Qt: no window", "pip install 'napari-cellcls[qt]'")
        return
    yield Finding("Qt", "ok", ", ".join(bindings))
    if sys.platform.startswith("linux"):
        screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if not screen:
            yield Finding(
                "Display",
                "missing",
                "DISPLAY is not set: no window here",
                "Log in with a desktop, or use xvfb-run.",
            )
            return
        yield Finding("Display", "ok", screen)
    yield _opengl()


def folders() -> Iterator[Finding]:
    """Try to write into the user folders."""
    from napari_cellcls.models import places

    for part, folder in (("User models", places.user_models()), ("Cache", places.onnx_cache())):
        existing = next((p for p in (folder, *folder.parents) if p.exists()), Path("/"))
        good = os.access(existing, os.W_OK)
        remedy = "" if good else "Set CELLCLS_HOME to a folder you can write to."
        yield Finding(
            part,
            "ok" if good else "broken",
            f"{folder}{'' if good else ' cannot be written'}",
            remedy,
        )
    free = shutil.disk_usage(existing).free / 1e9
    low = free < 1
    yield Finding(
        "Disk", "broken" if low else "ok", f"{free:.1f} GB free", "Free some space." if low else ""
    )


def libraries() -> Iterator[Finding]:
    """List versions of the libraries that matter."""
    found = {name: installed(name) for name in LIBRARIES}
    yield Finding(
        "Versions", "ok", ", ".join(f"{name} {number}" for name, number in found.items() if number)
    )


def installed(distribution: str) -> str:
    """Return the installed version of a distribution, "" when it is not there."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_features() -> tuple[str, ...]:
    """Return the vector extensions that matter for speed, as far as the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ()
    flags = set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())
    wanted = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "amx_tile": "AMX"}
    return tuple(name for flag, name in wanted.items() if flag in flags)


def memory_gb() -> tuple[float, float]:
    """Return total and free memory in GB, zeros when the system does not tell."""
    if importlib.util.find_spec("psutil") is not None:
        import psutil  # type: ignore[import-untyped, unused-ignore]

        now = psutil.virtual_memory()
        return now.total / 1e9, now.available / 1e9
    return 0.0, 0.0


def _opengl() -> Finding:
    # In a process of its own: a broken graphics driver ends the process instead of raising.
    try:
        done = subprocess.run(
            [sys.executable, "-c", _OPENGL], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return Finding(
            "OpenGL", "broken", "the graphics driver does not answer", "Update the driver."
        )
    answer = done.stdout.strip()
    if done.returncode or not answer or answer == "none":
        return Finding(
            "OpenGL",
            "broken",
            "no OpenGL: napari cannot draw",
            "Install a graphics driver (Linux: Mesa).",
        )
    platform_name, _, number = answer.partition(" ")
    return Finding("OpenGL", "ok", f"{number} ({platform_name})")
