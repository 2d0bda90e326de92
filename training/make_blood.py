"""Put trained blood-cell folds together: fold models to check, the package, its numbers and its card.

    python training/make_blood.py OUT --data ../shared/data/bccd

OUT is what ``cellcls train blood_cells`` wrote, fold by fold and once without. Every number on the card
comes from running the fold models again here, on the photographs they never saw.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from napari_cellcls.files import write_bytes
from napari_cellcls.learn.classifier import prepare_backend
from napari_cellcls.learn.evaluate import Report, evaluate_folds
from napari_cellcls.learn.job import Job
from napari_cellcls.learn.reading import open_cells
from napari_cellcls.learn.recipe import read_recipe
from napari_cellcls.vocabulary import RESEARCH_USE_ONLY, finish

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.bundling import (  # noqa: E402
    BUNDLED,
    PER_CLASS,
    Bundle,
    checked_job,
    table,
    write_folds,
    write_model,
)

from training import found_blood  # noqa: E402

HERE = Path(__file__).parent
NAME = "blood-cells"
SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "ece")
CHOICE = HERE / "cards" / "blood_cells_choice.md"


def main() -> None:
    """Assemble folds, package and card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of the runs")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, default=HERE / "recipes" / "blood_cells.yaml")
    parser.add_argument("--version", default="1.0.0")
    parser.add_argument("--folds", type=Path, default=HERE / "folds" / "blood_cells")
    parser.add_argument("--package", type=Path, default=BUNDLED / f"{NAME}.cellpkg")
    parser.add_argument("--card", type=Path, default=HERE / "cards" / "blood_cells.md")
    options = parser.parse_args()
    bundle = Bundle(
        name=NAME,
        version=options.version,
        group="image",
        cells="blood",
        dataset="BCCD, boxes of 292 photographs (Shenggan/BCCD_Dataset)",
        data="BCCD, boxes of all photographs",
    )
    recipe = read_recipe(options.recipe)
    job = checked_job(options.run, recipe, options.recipe)
    data = finish(open_cells(recipe, options.data))
    write_folds(options.run, options.folds, data, recipe, job, bundle)
    report = finish(evaluate_folds(data, options.folds))
    text = report.text()
    _write(options.folds / "metrics.json", report.metrics)
    prepare_backend()
    found = found_blood.numbers(
        found_blood.judge(options.data, options.folds, recipe), list(recipe.classes)
    )
    _write(options.folds / "found.json", found)
    package = write_model(options.package, options.run, data, recipe, job, report, bundle)
    write_bytes(options.card, card(package, job, report, found).encode())
    print(text)
    print(f"{options.package}: {options.package.stat().st_size / 1e6:.2f} MB")


def _write(path: Path, content: Any) -> None:
    write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())


def _classes(found: dict[str, Any]) -> str:
    return table(found["classes"], PER_CLASS)


def card(package: Any, job: Job, report: Report, found: dict[str, Any]) -> str:
    """Return the model card in Markdown; every number is taken from the reports."""
    from napari_cellcls.models import networks
    from napari_cellcls.models.describe import crop_in_words

    manifest, measured = package.manifest, report.metrics
    total, _ = networks.parameter_count(job.architecture, job.params, job.classes)
    names = list(measured["classes"])
    said = "\n".join(
        f"| {name} | " + " | ".join(f"{n:,}" for n in row) + " |"
        for name, row in zip(names, measured["confusion"])
    )
    rest = ", ".join(f"{n:,} {name}" for name, n in found["without_a_box"].items())
    return f"""# {manifest.title} ({manifest.label})

{RESEARCH_USE_ONLY} Red cells, white cells or platelets, for single cells of stained blood smears.

| | |
|---|---|
| network | {job.architecture}, {total:,} parameters, crops of {manifest.crop.size} x {manifest.crop.size} RGB |
| work per cell | {networks.operations(job.architecture, job.params) / 1e6:.1f} million multiply-adds |
| file | {package.path.stat().st_size / 1e6:.2f} MB |
| crop rule | {crop_in_words(manifest.crop, manifest.normalization)} |
| cells | found with `--find blood` |
| training data | {measured["n"]:,} boxes of {measured["groups"]} photographs; {manifest.data_terms} |
| license of the weights | {manifest.license} |
| temperature | {manifest.temperature} |

## How good it is on annotated boxes

Protocol: {measured["protocol"]}. Five models were trained, each without a fifth of the photographs, and each box was
judged by the model that never saw its photograph. Intervals: 95 %, bootstrap over photographs.

{_classes(measured)}

{table(report.rows, SHOWN)}

| is, said to be | {" | ".join(names)} |
|---{"|---" * len(names)}|
{said}

## How good it is in use

The program finds the cells of each photograph, cuts them by the crop rule, and the model that never saw the photograph
classifies them. A cell has the class of the box that holds its center. Boxes are wide, so a neighbor may lie in one:
the second table takes only cells whose frame and box agree (intersection over union above 0.5).

All {found["found"]["n"]:,} found cells with a box: accuracy {found["found"]["accuracy"]:.4f}.

{_classes(found["found"])}

The {found["well_cut"]["n"]:,} that agree with their box: accuracy {found["well_cut"]["accuracy"]:.4f}.

{_classes(found["well_cut"])}

Not every cell has a box; cells found without one were called {rest}.

{CHOICE.read_text(encoding="utf-8").strip()}

It brings 60 found cells of each class, from every third photograph, as the network `blank` and the measured numbers
describe them: a class that is added later is learned beside them by that network (`training/teach_general.py`).

It knows how large and how dark 250 found red cells of those photographs were (`training/teach_plain.py`), and says when the cells of an
image are not so. On 97 other photographs of BCCD it said so once; on 13 of them at half or double scale 13 times each, at 0.7
scale 12 times, at 1.5 scale 4 times, with 0.7 of the light 13 times, with 0.85 of it never.

## Check it

    cellcls evaluate {manifest.name} --data DATA --protocol image-5fold
    python training/found_blood.py --data DATA

run the five fold models again; no training is needed. How they were trained: `training/README.md`,
`training/recipes/{manifest.provenance.recipe}.yaml`, seed {job.training.seed}, {manifest.provenance.created}.
"""


if __name__ == "__main__":
    main()
