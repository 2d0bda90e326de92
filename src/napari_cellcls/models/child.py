"""A child process of ours that answers JSON lines: start, ask with a time limit, see it die, end it.

The child ends itself when its standard input closes, so it never outlives this process.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

from napari_cellcls.vocabulary import EngineError

_TAIL = 2000
_GRACE_SECONDS = 2.0


class Child:
    """One running child.

    Parameters
    ----------
    module : str
        Run as ``python -m module``.
    arguments : sequence of str
    title : str
        What it is, for messages ("The TensorFlow process").
    """

    def __init__(self, module: str, arguments: list[str], title: str) -> None:
        self._title = title
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        # -P: a file in the current folder must not pass for one of our modules.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._replies: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._listen, name="cellcls-child", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child is running."""
        return self._process.poll() is None

    def ask(self, message: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """Send a request and return the reply.

        Raises
        ------
        EngineError
            ``ENGINE-CHILD-DIED`` with the end of its error output, ``ENGINE-TIMEOUT`` (the child is
            ended), ``ENGINE-MEMORY`` or ``ENGINE-FAILED`` as the child reports.
        """
        with self._lock:
            try:
                assert self._process.stdin is not None
                self._process.stdin.write(json.dumps(dict(message)).encode() + b"\n")
                self._process.stdin.flush()
            except (OSError, ValueError):
                raise self._died() from None
            try:
                reply = self._replies.get(timeout=timeout)
            except queue.Empty:
                self._end()
                raise EngineError(
                    f"{self._title} did not answer in time and was ended",
                    code="ENGINE-TIMEOUT",
                    why=f"no answer to {message.get('do')!r} within {timeout:g} s.",
                    remedy="Try again, choose the engine 'onnxruntime', or close other programs.",
                ) from None
        if reply is None:
            raise self._died()
        if "error" in reply:
            raise EngineError(
                f"{self._title} could not {message.get('do')}",
                code="ENGINE-MEMORY" if reply.get("memory") else "ENGINE-FAILED",
                why=str(reply["error"])[:500],
                remedy="Choose the engine 'onnxruntime' or the device 'cpu'.",
            )
        return reply

    def close(self) -> None:
        """End the child, now if it is at work; safe to call twice and from another thread."""
        if self._process.stdin is not None:
            # A pipe that broke already is what we want.
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._end()
        self._reader.join(_GRACE_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError, OSError):
            for line in self._process.stdout:
                self._replies.put(json.loads(line))
        self._replies.put(None)

    def _died(self) -> EngineError:
        try:
            code: int | None = self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        return EngineError(
            f"{self._title} ended unexpectedly",
            code="ENGINE-CHILD-DIED",
            why=f"exit status {code}; its last words: {self._tail() or '(none)'}",
            remedy="If memory is short, close other programs; or choose the engine 'onnxruntime'.",
        )

    def _tail(self) -> str:
        if self._errors.closed:
            return ""
        size = self._errors.seek(0, 2)
        self._errors.seek(max(size - _TAIL, 0))
        return self._errors.read().decode("utf-8", "replace").strip()
