"""A Python with libraries that cannot be installed beside napari, made for one test session."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

LIMIT_S = 300


def made(folder: Path, packages: tuple[str, ...]) -> tuple[str, str]:
    """Install packages from the package index into an environment of their own.

    Returns
    -------
    tuple of str
        The Python, empty when that did not work, and why not.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv:
        steps = [
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(python), *packages],
        ]
    else:
        steps = [
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", *packages],
        ]
    for step in steps:
        try:
            done = subprocess.run(
                step, capture_output=True, text=True, timeout=LIMIT_S, env=_settings()
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return "", str(error)
        if done.returncode:
            return "", " ".join(done.stderr.split())[-300:]
    return str(python), ""


def _settings() -> dict[str, str]:
    """Return the environment, with pip's package index handed over to uv as scripts/install.sh does."""
    settings = {"UV_SYSTEM_CERTS": "1", "UV_HTTP_TIMEOUT": "120", **os.environ}
    if "UV_DEFAULT_INDEX" not in settings:
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"],
            capture_output=True,
            text=True,
            check=False,
        )
        for line in listed.stdout.splitlines():
            name, _, value = line.partition("=")
            if name.endswith(".index-url"):
                settings["UV_DEFAULT_INDEX"] = value.strip("'\"")
    return settings
