"""Assemble the bundled package ``hela-organelles`` from what ``training/train_fluorescence.py`` wrote.

    python training/make_hela_starter.py OUT [--version 1.0.0]

Writes the package, the ONNX file beside it and the card ``training/cards/hela_organelles.md``.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.starters import Starter, assemble, options  # noqa: E402

NOT_SEEN = (
    "No real HeLa image was at hand, neither to draw after nor to test with: how it does on them is not known. "
    "Some copies of the set show the cell on black, some on the photograph around it; both were drawn."
)


def main() -> None:
    """Write package, ONNX file and card."""
    given = options(__doc__, "1.0.0", "hela_organelles.md").parse_args()
    starter = Starter(
        name="hela-organelles",
        version=given.version,
        inputs=[{"role": "gray", "name": "stain"}],
        cells="whole",
        numbers=("macro_f1", "accuracy", "balanced_accuracy", "auc", "ece"),
        optional={},
        real=lambda package: NOT_SEEN,
    )
    assemble(given, starter)


if __name__ == "__main__":
    main()
