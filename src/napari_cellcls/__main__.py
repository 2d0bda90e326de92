"""Runs the terminal: ``python -m napari_cellcls`` is the same as ``cellcls``."""

from __future__ import annotations

import sys

from napari_cellcls.cli import main

if __name__ == "__main__":
    sys.exit(main())
