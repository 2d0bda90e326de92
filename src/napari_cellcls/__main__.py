"""Starts the terminal: the program ``cellcls``, and ``python -m napari_cellcls``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the program; Ctrl+C while it still loads is one line too, not a traceback."""
    try:
        from napari_cellcls import cli

        return cli.main()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
