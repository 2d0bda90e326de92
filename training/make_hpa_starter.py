"""Assemble the bundled package ``hpa-localization`` from what ``training/train_fluorescence.py`` wrote.

    python training/make_hpa_starter.py OUT --data ../shared/data [--version 2.0.0]

Writes the package, the ONNX file beside it and the card ``training/cards/hpa_localization.md``, which
says what the model does on the real cells in the data folder.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.simulate import judge  # noqa: E402
from training.simulate.crops import ROLES  # noqa: E402
from training.simulate.fluorescence import CHANNELS  # noqa: E402
from training.starters import Starter, assemble, options  # noqa: E402

from napari_cellcls.models import runtime  # noqa: E402
from napari_cellcls.models.package import ModelPackage  # noqa: E402
from napari_cellcls.predict import Predictions, predict_crops  # noqa: E402

FIELDS = {"56_F11_1": "U-2 OS, 13 single cells", "57_F11_1": "A-431, cells our finder found"}
SEEN = (
    "Wrong more often than right. Two fields of the Human Protein Atlas were at hand, both of one antibody whose published label is "
    "Plasma membrane. The drawing of membrane folds and of microtubule ends was changed after a look at the cells of "
    "the first, so they are no independent test; and one antibody proves nothing about the other 27 patterns."
)


def main() -> None:
    """Write package, ONNX file and card."""
    parser = options(__doc__, "2.0.0", "hpa_localization.md")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    given = parser.parse_args()
    starter = Starter(
        name="hpa-localization",
        version=given.version,
        inputs=[
            {"role": role.value, "name": name, "optional": name in ("Microtubules", "ER")}
            for role, name in zip(ROLES, CHANNELS)
        ],
        cells="fluorescence",
        numbers=("macro_f1", "micro_f1", "sample_f1", "average_precision", "exact_match", "ece"),
        optional={"pixel_size_um": [0.06, 0.5], "sample_hint": "rgby-field"},
        real=lambda package: on_real_cells(package, given.data),
    )
    assemble(given, starter)


def on_real_cells(package: ModelPackage, data: Path) -> str:
    """Return what a model says of the real cells at hand, in Markdown."""
    cells = np.concatenate([crop for _, crop in judge.real_cells(data)])
    sets = {"56_F11_1": cells, "57_F11_1": judge.real_field(data)}
    lines = [
        "| real cells | number | labeled Plasma membrane | Plasma membrane most probable | among the first three | labels given |",
        "|---|---|---|---|---|---|",
    ]
    with runtime.open_engine(package, "onnxruntime", "cpu") as engine:
        for field, crops in sets.items():
            truth = judge.real_label(data, field)
            lines.append(row_of(FIELDS[field], predict_crops(crops, package, engine), truth))
    return SEEN + "\n\n" + "\n".join(lines)


def row_of(title: str, said: Predictions, truth: list[str]) -> str:
    """Return one line of the table: how often the published labels are given, and what is said instead."""
    columns = [said.scheme.names.index(name) for name in truth]
    order = np.argsort(-said.probabilities, axis=1)
    given = said.assigned[:, columns].any(1).mean()
    first, three = (np.isin(order[:, :k], columns).any(1).mean() for k in (1, 3))
    names = Counter(n for text in said.predicted for n in (text.split("|") if text else ["none"]))
    labels = ", ".join(f"{name} {count}" for name, count in names.most_common())
    return f"| {title} | {len(said)} | {given:.0%} | {first:.0%} | {three:.0%} | {labels} |"


if __name__ == "__main__":
    main()
