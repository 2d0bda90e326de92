"""A training killed at random moments, again and again; run by ``test_process`` in its own process.

TensorFlow takes longest to load: it is loaded once, and every training is a fork that has not used
it yet. ``python killed.py RECIPE DATA OUT SEED KILLS`` prints what was seen as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from pathlib import Path


def train(recipe: str, data: Path, out: Path, resume: bool, pipe: int) -> None:
    """Train as the training process does; events go into the pipe."""
    from napari_cellcls.learn import runs
    from napari_cellcls.learn.classifier import prepare_backend

    prepare_backend("auto")
    options = argparse.Namespace(
        recipe=recipe,
        data=data,
        out=out,
        fold=0,
        resume=resume,
        set=None,
        micro_batch=None,
        teacher=None,
    )
    with os.fdopen(pipe, "w") as stream:
        os._exit(runs.train_command(options, stream))


def run(
    recipe: str, data: Path, out: Path, *, resume: bool, steps: int | None, delay: float
) -> list[dict]:
    """Train in a fork, killed ``delay`` seconds after so many steps; return its events."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        train(recipe, data, out, resume, theirs)
    os.close(theirs)
    events = []
    with os.fdopen(ours) as stream:
        for line in stream:
            events.append(json.loads(line))
            if steps is not None and events[-1].get("message", "").startswith("epoch"):
                steps -= 1
                if steps <= 0:
                    time.sleep(delay)
                    os.kill(child, signal.SIGKILL)
                    break
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return [*events, {"event": "exit", "code": code}]


def main() -> None:
    """Train once without and once with interruptions."""
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    from napari_cellcls.learn import runs

    runs._SAY_EVERY_S = 0.0  # every step is heard of, and may be the last
    recipe, data, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    chance, kills = random.Random(int(sys.argv[4])), int(sys.argv[5])
    whole = run(recipe, data, out / "whole", resume=False, steps=None, delay=0)
    heard = sum(e.get("message", "").startswith("epoch") for e in whole)
    killed = []
    for kill in range(kills):
        steps, delay = chance.randint(1, heard // kills), chance.random() * 0.05
        killed.append(run(recipe, data, out / "cut", resume=kill > 0, steps=steps, delay=delay))
    last = run(recipe, data, out / "cut", resume=True, steps=None, delay=0)
    json.dump({"whole": whole, "killed": killed, "last": last}, sys.stdout)


if __name__ == "__main__":
    main()
