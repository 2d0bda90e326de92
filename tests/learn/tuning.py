"""A program that fine-tunes again and again, to be killed: prints a line when a version is written down.

python tuning.py PROJECT BASE
"""

from __future__ import annotations

import sys
from pathlib import Path

from napari_cellcls.learn.finetune import finetune
from napari_cellcls.models.package import read_package
from napari_cellcls.project.project import open_project
from napari_cellcls.vocabulary import finish

if __name__ == "__main__":
    with open_project(Path(sys.argv[1]), read_only=True) as project:
        base = read_package(sys.argv[2])
        for seed in range(1000):
            made = finish(finetune(project, base, seed=seed))
            sys.stdout.write(f"{made.label}\n")
            sys.stdout.flush()
