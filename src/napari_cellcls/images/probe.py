"""Trying a vendor file in a child process first, so that a crashing reader cannot take us along.

Native readers of CZI and ND2 end the whole process on some aborted acquisitions. The verdict is
remembered per path, size and modification time.
"""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from napari_cellcls.files import reason
from napari_cellcls.vocabulary import ImageError

if TYPE_CHECKING:
    from napari_cellcls.images.gate import Finding

_TIMEOUT_S = 300
_MEMORY_BYTES = 16 << 30


def check(finding: Finding) -> None:
    """Read shape and one plane of a vendor file in a child process.

    Raises
    ------
    ImageError
        ``IMG-READER-CRASH`` when the child died or hung; ``IMG-CORRUPT`` when the reader refused.
    """
    verdict = _verdict(finding.path, finding.kind.value, finding.stamp)
    if verdict is None:
        return
    crashed, why = verdict
    raise ImageError(
        f"The {finding.kind.value.upper()} reader crashed on this file."
        if crashed
        else f"The {finding.kind.value.upper()} file cannot be read.",
        code="IMG-READER-CRASH" if crashed else "IMG-CORRUPT",
        path=finding.path,
        why=why,
        remedy="Was the acquisition aborted or the copy cut off? Export it as OME-TIFF with the vendor's software.",
    )


@functools.lru_cache(maxsize=4096)
def _verdict(path: str, kind: str, stamp: tuple[int, int]) -> tuple[bool, str] | None:
    command = [sys.executable, "-m", "napari_cellcls.images.probe", kind, path]
    return run(command)


def run(command: list[str], timeout_s: float = _TIMEOUT_S) -> tuple[bool, str] | None:
    """Run a probe and judge it: None is good, else ``(crashed, why)``."""
    try:
        result = subprocess.run(
            command, capture_output=True, timeout=timeout_s, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        return True, f"no answer within {timeout_s:.0f} seconds"
    lines = result.stdout.decode("utf-8", "replace").strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else {}
    except ValueError:
        answer = {}
    if result.returncode == 0 and "shape" in answer:
        return None
    if "error" in answer:
        return False, str(answer["error"])
    return True, f"its process ended with {_describe(result.returncode)}"


def _describe(code: int) -> str:
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"


def _main(kind: str, path: str) -> int:
    """Child: limit the memory, read one plane, answer in one JSON line."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        pass
    from napari_cellcls.images.gate import FileKind, Finding
    from napari_cellcls.images.readers import BioImage

    try:
        scene = BioImage(Finding(path, FileKind(kind))).scene(0)
        plane = scene.data[tuple(0 if axis in "TCZ" else slice(None) for axis in scene.dims)]
        plane.compute(scheduler="synchronous")
        answer: dict[str, object] = {"shape": list(scene.data.shape)}
    except Exception as error:  # noqa: BLE001 - the parent makes a coded error of it
        answer = {"error": getattr(error, "why", "") or reason(error)}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:3]))
