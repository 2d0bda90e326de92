"""Which engines this computer has, which one to take and why, and opening it for a model.

Rule of ``auto``: a graphics card through ONNX Runtime; else one through TensorFlow; else the processor
through ONNX Runtime, then OpenVINO, then TensorFlow. Measured in float32 on two processor cores: ONNX
Runtime gave 1.0 to 1.1 times the crops per processor second of OpenVINO on all three networks, and
three times the crops per second of TensorFlow on the blank model.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_cellcls import files
from napari_cellcls.models import onnx_writer, places
from napari_cellcls.models.engines.base import Engine, self_test
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.vocabulary import EngineError

ENGINES = ("onnxruntime", "openvino", "tensorflow")
DEVICES = ("auto", "cpu", "gpu", "cuda", "directml", "coreml", "npu")
ONNX_BYTES = 1 << 30
"""What the networks made ready for ONNX Runtime may take on the disk."""
_HASH = ".sha256"
_ON_CARD = ("cuda", "directml", "gpu")
# (engine, on a graphics card): OpenVINO on a card comes last because it was not measured.
_ORDER = (
    ("onnxruntime", True), ("tensorflow", True), ("onnxruntime", False), ("openvino", False),
    ("tensorflow", False), ("openvino", True),
)  # fmt: skip


@dataclass(frozen=True)
class EngineReport:
    """What is known about one engine without starting it.

    Attributes
    ----------
    name : str
    available : bool
    devices : tuple of str
        What it can run on here, fastest first ("cuda", "directml", "coreml", "cpu" ...).
    version : str
        "" when it is not installed.
    note : str
        One sentence: what was found, or what is missing.
    remedy : str
        The command that installs it, "" when it is there.
    """

    name: str
    available: bool
    devices: tuple[str, ...]
    version: str
    note: str
    remedy: str = ""


@dataclass(frozen=True)
class Choice:
    """The engine and device to take, and why in words."""

    engine: str
    device: str
    reason: str


def survey() -> list[EngineReport]:
    """Return a report per engine, in the order of :data:`ENGINES`."""
    return [_SURVEYS[name]() for name in ENGINES]


def choose(
    engine: str = "auto", device: str = "auto", reports: list[EngineReport] | None = None
) -> Choice:
    """Choose an engine and a device.

    Parameters
    ----------
    engine : str
        ``auto`` or a name of :data:`ENGINES`.
    device : str
        ``auto``, ``cpu``, ``gpu`` or a device that :func:`survey` names.
    reports : list of EngineReport, optional
        What there is; by default :func:`survey`.

    Raises
    ------
    EngineError
        ``ENGINE-UNKNOWN`` (no such engine or device), ``ENGINE-MISSING`` (asked for, not installed; with the
        command), ``ENGINE-DEVICE`` (not on this device).
    """
    if engine not in ("auto", *ENGINES):
        raise EngineError(
            f"There is no engine {engine!r}",
            code="ENGINE-UNKNOWN",
            why=f"the engines are auto, {', '.join(ENGINES)}.",
            remedy="Choose one of them; 'auto' takes the fastest present.",
        )
    if device.partition(".")[0] not in DEVICES:  # OpenVINO numbers cards: gpu.0, gpu.1
        raise EngineError(
            f"There is no device {device!r}",
            code="ENGINE-UNKNOWN",
            why=f"devices are called {', '.join(DEVICES)}.",
            remedy="Choose 'auto', or a device that `cellcls doctor` lists for an engine.",
        )
    # Engines are looked at in order of preference only until one fits: importing all costs a second.
    known = {report.name: report for report in reports or []}
    wanted = ENGINES if engine == "auto" else (engine,)
    for name, card in _ORDER:
        if name not in wanted:
            continue
        if name not in known:
            known[name] = _SURVEYS[name]()
        report = known[name]
        fitting = [d for d in report.devices if _fits(d, device, card)] if report.available else []
        if fitting:
            return Choice(name, fitting[0], _reason(report, fitting[0], engine, device))
    present = [known[name] for name in wanted if known[name].available]
    if not present:
        raise _missing([known[name] for name in wanted])
    raise EngineError(
        f"No engine here can use the device {device!r}",
        code="ENGINE-DEVICE",
        why="; ".join(f"{r.name}: {', '.join(r.devices)}" for r in present) + ".",
        remedy="Choose 'auto' or 'cpu'. For an NVIDIA card: pip install 'napari-cellcls[gpu]'",
    )


def open_engine(package: ModelPackage, engine: str = "auto", device: str = "auto") -> Engine:
    """Open an engine for a model and check that it reproduces the model's own test output.

    Parameters
    ----------
    package : ModelPackage
    engine, device : str
        As in :func:`choose`.

    Returns
    -------
    Engine
        A context manager with ``name``, ``device`` and ``embed``. With both ``auto``, a graphics
        card that fails at opening is given up for the processor.

    Raises
    ------
    EngineError
        As :func:`choose`, and ``ENGINE-FAILED`` when the engine cannot open the model.
    ModelError
        ``MODEL-TEST`` when the test output is not reproduced.
    """
    choice = choose(engine, device)
    try:
        return _open(package, choice)
    except EngineError:
        if device != "auto" or choice.device not in _ON_CARD:
            raise
    return _open(package, choose(engine, "cpu"))


def onnx_of(package: ModelPackage) -> bytes:
    """Return the ONNX file of a package: bundled, else cached, else made now and cached.

    The key is the hash of the weights file, which names the architecture too. A cached file counts
    only with the hash written beside it, so half a file is made again instead of being loaded. Those
    used longest ago make room.
    """
    name = f"{package.weights_sha256}.onnx"
    bundled = places.BUNDLED_ONNX / name
    if bundled.is_file():
        return bundled.read_bytes()
    cached = places.onnx_cache() / f"v{onnx_writer.OPSET}" / name
    if (content := _cached(cached)) is not None:
        return content
    ref = package.manifest.architecture
    content = onnx_writer.to_onnx(ref.id, ref.params, package.weights)
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        files.sweep(cached.parent)
        files.write_bytes(cached, content)
        files.write_bytes(cached.with_suffix(_HASH), files.sha256(cached).encode())
        files.make_room(places.onnx_cache(), "*/*.onnx", ONNX_BYTES, parts=(_HASH,))
    except OSError:
        # A full or read-only disk costs some milliseconds at the next start, nothing else.
        return content
    return content


def _cached(path: Path) -> bytes | None:
    digest = path.with_suffix(_HASH)
    try:
        if files.sha256(path) != digest.read_text("ascii", "replace"):
            return None
        content = path.read_bytes()
    except OSError:
        return None
    with contextlib.suppress(OSError):  # one that may only be read is as good
        digest.touch()
    return content


def _open(package: ModelPackage, choice: Choice) -> Engine:
    try:
        opened = _make(package, choice)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(
            f"{choice.engine} could not open the model {package.manifest.label}",
            code="ENGINE-FAILED",
            path=package.path,
            why=f"on {choice.device}: {files.reason(error)}",
            remedy="Choose another engine or the device 'cpu'; `cellcls doctor` lists them.",
        ) from error
    try:
        self_test(opened, package)
    except BaseException:
        opened.close()
        raise
    return opened


def _make(package: ModelPackage, choice: Choice) -> Engine:
    if choice.engine == "onnxruntime":
        from napari_cellcls.models.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(package, onnx_of(package), choice.device)
    if choice.engine == "openvino":
        from napari_cellcls.models.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(package, onnx_of(package), choice.device)
    from napari_cellcls.models.engines.keras import KerasEngine

    return KerasEngine(package, choice.device)


def _fits(device: str, wanted: str, card: bool) -> bool:
    on_card = device in _ON_CARD
    if wanted == "auto":
        # CoreML and the like are offered by name only: not measured, so never taken unasked.
        return on_card if card else device == "cpu"
    if wanted == "gpu":
        return on_card and card
    return device == wanted and card == on_card


def _reason(report: EngineReport, device: str, engine: str, wanted: str) -> str:
    what = f"{report.name} {report.version} on {device}"
    if engine != "auto":
        return f"{what}, because you asked for this engine"
    if device in _ON_CARD:
        return f"{what}, because a graphics card is the fastest"
    why = (
        "the fastest on a processor"
        if report.name == "onnxruntime"
        else "the fastest one installed"
    )
    asked = " (you asked for this device)" if wanted != "auto" else ""
    return f"{what}, because it is {why}{asked}"


def _missing(wanted: list[EngineReport]) -> EngineError:
    names = " or ".join(report.name for report in wanted)
    return EngineError(
        f"The engine {names} is not installed"
        if len(wanted) == 1
        else "No engine that can run models is installed",
        code="ENGINE-MISSING",
        why=" ".join(report.note for report in wanted),
        remedy=f"{wanted[0].remedy} (or choose the engine 'auto')",
    )


def _version(*distributions: str) -> str:
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def _onnxruntime() -> EngineReport:
    name, remedy = "onnxruntime", "pip install onnxruntime"
    if importlib.util.find_spec(name) is None:
        return EngineReport(name, False, (), "", "ONNX Runtime is not installed.", remedy)
    from napari_cellcls.models.engines.onnxruntime import devices

    try:
        found = devices()
    except ImportError as error:
        return _broken(name, error, "pip install --force-reinstall onnxruntime")
    if not _has_nvidia():
        found = tuple(device for device in found if device != "cuda")
    version = _version("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml")
    return EngineReport(name, True, found, version, f"ONNX Runtime finds {', '.join(found)}.")


def _openvino() -> EngineReport:
    name, remedy = "openvino", "pip install 'napari-cellcls[openvino]'"
    if importlib.util.find_spec(name) is None:
        return EngineReport(name, False, (), "", "OpenVINO is not installed (optional).", remedy)
    from napari_cellcls.models.engines.openvino import devices

    try:
        found = devices()
    except (ImportError, RuntimeError) as error:
        return _broken(name, error, "pip install --force-reinstall openvino")
    note = f"OpenVINO finds {', '.join(found)}; arithmetic is kept at float32."
    return EngineReport(name, "cpu" in found, found, _version("openvino"), note)


def _tensorflow() -> EngineReport:
    name, remedy = "tensorflow", "pip install tensorflow"
    missing = [m for m in ("tensorflow", "keras") if importlib.util.find_spec(m) is None]
    if missing:
        note = f"{' and '.join(missing)} not installed (needed for deep training only)."
        return EngineReport(name, False, (), "", note, remedy)
    # Native Windows has had no TensorFlow for graphics cards since 2.11.
    card = _has_nvidia() and sys.platform == "linux"
    found = ("gpu", "cpu") if card else ("cpu",)
    note = f"TensorFlow is installed and runs in its own process on {', '.join(found)}."
    return EngineReport(name, True, found, _version("tensorflow", "tensorflow-cpu"), note)


def _broken(name: str, error: Exception, remedy: str) -> EngineReport:
    return EngineReport(
        name, False, (), _version(name), f"{name} is installed but broken: {error}", remedy
    )


def _has_nvidia() -> bool:
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None


_SURVEYS: dict[str, Callable[[], EngineReport]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "tensorflow": _tensorflow,
}
