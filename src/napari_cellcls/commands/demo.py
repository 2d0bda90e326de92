"""``cellcls demo``: both samples from image to tables and pictures, without a window."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_cellcls.commands import console


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "demo"
    ),
) -> None:
    """Classify the two sample images (a blood smear, a fluorescence field) and show where the results are."""
    from napari_cellcls.commands.classify import run
    from napari_cellcls.commands.options import Options
    from napari_cellcls.samples import SAMPLES, sample_image

    paths = [sample_image(key) for key in SAMPLES]
    code = run(paths, Options(out=out))
    if code == 0:
        console.say("Both samples are simulated: known cells and classes, no real patients.")
        for path in sorted(out.resolve().glob("*.overlay.png")):
            console.say(f"  picture  {path}")
        for path in sorted(out.resolve().glob("*.cells.csv")):
            console.say(f"  table    {path}")
    raise typer.Exit(code)
