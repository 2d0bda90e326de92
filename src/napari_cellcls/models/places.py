"""Where models and derived files live on this computer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

BUNDLED = Path(__file__).with_name("bundled")
BUNDLED_ONNX = BUNDLED / "onnx"


def home() -> Path:
    """Return the user's data folder: ``CELLCLS_HOME``, else the platform's place (may not exist)."""
    if given := os.environ.get("CELLCLS_HOME"):
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "napari-cellcls"


def user_models() -> Path:
    """Return the folder of installed packages (may not exist)."""
    return home() / "models"


def onnx_cache() -> Path:
    """Return the folder of derived ONNX files (may not exist)."""
    return home() / "cache" / "onnx"
