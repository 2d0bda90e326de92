"""Train the malaria fold models and the final model, several at once, within a time budget.

Needs NumPy, safetensors, pydantic and Keras 3 with any backend, with or without a GPU. One process per fold:
a small network fills neither a GPU nor several cores by itself. See training/README.md.

    PYTHONPATH=src KERAS_BACKEND=torch python training/train_folds.py --data malaria.npz --out OUT \
        --name resnet --arch cell_resnet --epochs 40 --augment strong --folds 0,1,2,3,4,all
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from napari_cellcls.learn import metrics, splits
from napari_cellcls.learn.augment import PRESETS
from napari_cellcls.learn.classifier import load_classifier, logits_of, prepare_backend
from napari_cellcls.learn.evaluate import summarize
from napari_cellcls.learn.job import Job, Phase, Training, read_weights, write_weights
from napari_cellcls.learn.trainer import fit


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="run")
    parser.add_argument("--arch", default="cell_resnet")
    parser.add_argument(
        "--params", type=json.loads, default={}, help="JSON, architecture parameters"
    )
    parser.add_argument(
        "--augment", default="strong", help=f"{', '.join(PRESETS)} or JSON of changes to strong"
    )
    parser.add_argument(
        "--styles", action="store_true", help="cells take on the stains listed in the data"
    )
    parser.add_argument(
        "--folds", default="0,1,2,3,4", help="numbers, all (no test side), random (published split)"
    )
    parser.add_argument(
        "--inner", action="store_true", help="judge on validation patients inside the training side"
    )
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--ema", type=float, default=0.99, help="0: keep the last weights")
    parser.add_argument("--warmup", type=float, default=2.0)
    parser.add_argument(
        "--constant", action="store_true", help="constant learning rate, as published"
    )
    parser.add_argument("--versions", type=int, default=0, help="augmented versions made once")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--jobs", type=int, default=6, help="processes at once")
    parser.add_argument("--budget", type=float, default=540, help="seconds for everything")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


def job_of(options: argparse.Namespace) -> Job:
    """Return the training job of the command line."""
    if options.augment in PRESETS:
        augmentation = PRESETS[options.augment]
    else:
        augmentation = replace(PRESETS["strong"], **json.loads(options.augment))
    if options.styles:
        with np.load(options.data, allow_pickle=False) as archive:
            stains = archive["styles"].tolist()
        augmentation = replace(augmentation, styles=tuple(tuple(stain) for stain in stains))
    phase = Phase(
        options.epochs, options.lr, schedule="constant" if options.constant else "cosine",
        warmup_epochs=options.warmup,
    )  # fmt: skip
    training = Training(
        phases=(phase,), batch_size=options.batch, weight_decay=options.decay,
        label_smoothing=options.smoothing, head_dropout=options.dropout, average=options.ema,
        versions=options.versions, seed=options.seed,
    )  # fmt: skip
    from napari_cellcls.models import networks

    params = networks.full_params(options.arch, options.params)
    return Job(options.arch, params, 2, training, augmentation)


def sides_of(data: dict[str, np.ndarray], fold: str, inner: bool) -> splits.Split:
    """Return the rows to train on and to judge by."""
    labels, patients = data["labels"], data["patients"]
    if fold == "all":
        return splits.Split(np.arange(len(labels)), np.array([], int), np.array([], int))
    if fold == "random":
        return splits.random_split(len(labels))
    split = splits.fold_split(data["fold"], int(fold), patients, labels, val=0.2 if inner else 0.0)
    splits.check_leaks(split.sides(), groups=patients)
    if inner:
        # Healthy cells of other slides are for training only.
        judged = split.val[data["fold"][split.val] >= 0]
        return splits.Split(split.train, np.array([], int), judged)
    return split


def weights_of(folder: Path, fold: str) -> Path:
    """Return where the weights of a fold are, laid out as by ``cellcls train``."""
    return (folder if fold == "all" else folder / f"fold{fold}") / "weights.safetensors"


def worker(options: argparse.Namespace) -> None:
    """Train one fold and write its weights, history and held-out logits."""
    prepare_backend()
    with np.load(options.data, allow_pickle=False) as archive:
        data = {name: archive[name] for name in archive.files}
    fold, folder = options.worker, options.out / options.name
    split, job = sides_of(data, fold, options.inner), job_of(options)
    start, complete, said = time.time(), True, 0
    task = fit(
        data["images"], data["labels"], job, train=split.train, bank_folder=options.out / "bank"
    )
    epoch_seconds: list[float] = []
    while True:
        try:
            step = next(task)
        except StopIteration as end:
            fitted = end.value
            break
        if step.message.startswith("epoch ") and "/" in step.message:
            epoch_seconds.append(time.time())
            said += 1
            if said <= 2 or said % 5 == 0:
                print(f"[{options.name} {fold}] {step.message}", flush=True)
        if options.until and time.time() > options.until:
            print(
                f"[{options.name} {fold}] out of time at step {step.done}/{step.total}", flush=True
            )
            task.close()
            return
    weights = weights_of(folder, fold)
    write_weights(weights, fitted)
    model = load_classifier(job, read_weights(weights, job))
    logits = (
        logits_of(model, data["images"], split.test)
        if len(split.test)
        else np.zeros((0, 2), np.float32)
    )
    np.savez(folder / f"fold{fold}.npz", rows=split.test, logits=logits, complete=complete)
    (folder / f"fold{fold}.json").write_text(json.dumps(fitted.history))
    if len(split.test):
        found = metrics.binary_metrics(metrics.softmax(logits), data["labels"][split.test])
        shown = ", ".join(f"{k} {v:.4f}" for k, v in found.items() if k != "n")
        print(f"[{options.name} {fold}] {shown}, {time.time() - start:.0f} s", flush=True)


def collect(options: argparse.Namespace) -> None:
    """Join the folds into out-of-fold logits and metrics."""
    with np.load(options.data, allow_pickle=False) as archive:
        labels, patients, clean, names = (
            archive[k] for k in ("labels", "patients", "clean", "names")
        )
    folder = options.out / options.name
    folds = [
        f for f in options.folds.split(",") if f != "all" and (folder / f"fold{f}.npz").exists()
    ]
    if not folds:
        return
    parts = [dict(np.load(folder / f"fold{f}.npz", allow_pickle=False)) for f in folds]
    rows = np.concatenate([part["rows"] for part in parts])
    logits = np.concatenate([part["logits"] for part in parts])
    number = [int(f) if f.isdigit() else 0 for f in folds]
    fold = np.concatenate([np.full(len(part["rows"]), f) for f, part in zip(number, parts)])
    np.savez_compressed(
        folder / "out_of_fold.npz", rows=rows, names=names[rows], logits=logits, fold=fold
    )
    protocol = f"{'inner validation of ' if options.inner else ''}folds {options.folds}"
    report = summarize(
        logits, labels[rows], patients[rows], fold, protocol=protocol, clean=clean[rows]
    )
    about = {"metrics": report.metrics, "rows": report.rows, "temperature": report.temperature}
    (folder / "metrics.json").write_text(json.dumps({**about, "worst": report.worst}, indent=1))
    print(f"{options.name}\n{report.text()}", flush=True)


def main() -> None:
    """Run the folds, several at once, then join them."""
    options = parse()
    if options.worker:
        worker(options)
        return
    folder = options.out / options.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_text(json.dumps(asdict(job_of(options)), indent=1))
    until = time.time() + options.budget
    waiting, running = options.folds.split(","), []
    threads = str(max(1, (os.cpu_count() or 1) // min(options.jobs, len(waiting))))
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    while waiting or running:
        while waiting and len(running) < options.jobs:
            command = [sys.executable, *sys.argv, "--worker", waiting.pop(0), "--until", str(until)]
            running.append(subprocess.Popen(command, env=environment))
        time.sleep(0.5)
        running = [process for process in running if process.poll() is None]
        if time.time() > until + 60:
            for process in running:
                process.kill()
    collect(options)


if __name__ == "__main__":
    main()
