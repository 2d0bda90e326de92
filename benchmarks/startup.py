"""How long a fresh process takes: importing the package and the terminal, and to the first prediction.

Run ``python benchmarks/startup.py``. Every number is the median of several fresh processes; imports
are given without the start of Python itself. One process runs first to leave compiled files behind.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from napari_cellcls.samples import SAMPLES, sample_folder, sample_image

# As an installed program starts: with the compiled files that installing leaves behind.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
FIRST = """
import sys, time
from napari_cellcls.commands import steps
write = steps.write
def told(*arguments):
    sys.stdout.write(f"FIRST {time.time()} {time.process_time()}\\n"); sys.stdout.flush()
    return write(*arguments)
steps.write = told
from napari_cellcls.cli import main
sys.exit(main(sys.argv[1:]))
"""


def process(code: str, *arguments: str) -> tuple[float, str]:
    """Return seconds and output of a fresh Python."""
    begin = time.time()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, check=True, env=ENVIRONMENT,
    )  # fmt: skip
    return time.time() - begin, done.stdout


def imports(module: str, times: int) -> float:
    """Return the median seconds that importing a module adds to a fresh Python."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    return statistics.median(float(process(code)[1]) for _ in range(times))


def first_prediction(arguments: list[str], times: int) -> tuple[float, float, float]:
    """Return median seconds to the first prediction, its processor seconds, and seconds to the end."""
    firsts, busy, wholes = [], [], []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as out:
            begin = time.time()
            whole, text = process(FIRST, "classify", *arguments, "--out", out)
            stamp = next(line for line in text.splitlines() if line.startswith("FIRST"))
            firsts.append(float(stamp.split()[1]) - begin)
            busy.append(float(stamp.split()[2]))
            wholes.append(whole)
    return statistics.median(firsts), statistics.median(busy), statistics.median(wholes)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    process("import napari_cellcls.cli, napari_cellcls.predict, pandas, onnxruntime")
    rows: list[tuple[str, float, str]] = []
    for module, goal in (
        ("napari_cellcls", "0.05"),
        ("napari_cellcls.cli", ""),
        ("napari_cellcls.session", ""),
    ):
        rows.append((f"import {module}", imports(module, times), goal))
    for key, stem in SAMPLES.items():
        image = str(sample_image(key))
        labels = str(sample_folder() / f"{stem}_labels.tif")
        for how, more in (("cells given", ["--labels", labels]), ("cells found", [])):
            first, busy, whole = first_prediction([image, *more], times)
            what = f"cellcls classify {key}, {how}"
            rows.append((f"{what}: first prediction", first, "2"))
            rows.append((f"{what}: the same in processor time", busy, ""))
            rows.append((f"{what}: all written", whole, ""))
    width = max(len(name) for name, _, _ in rows)
    print(f"{'median of ' + str(times) + ' fresh processes':<{width}}  seconds  goal")
    for name, seconds, goal in rows:
        print(f"{name:<{width}}  {seconds:7.3f}  {goal}")
    print(
        f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
