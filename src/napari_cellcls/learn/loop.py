"""The state of one training: model, optimizer of the phase, average, best weights, history.

Everything that is random in a step follows from the seed, the epoch and the step, so that a
training cut anywhere goes on as if it had never stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.files import write_bytes
from napari_cellcls.learn import balance
from napari_cellcls.learn.augment import augment
from napari_cellcls.learn.bank import draw
from napari_cellcls.learn.checkpoint import Checkpoints
from napari_cellcls.learn.classifier import (
    accelerators,
    as_float,
    build_classifier,
    to_device,
)
from napari_cellcls.learn.features import Seen
from napari_cellcls.learn.job import Fitted, Job, Phase, fingerprint
from napari_cellcls.learn.losses import better, counted_scores, scores_of
from napari_cellcls.learn.probe import set_fitted_head
from napari_cellcls.learn.start import Start, begin
from napari_cellcls.learn.steps import Optimizing, learning_rate, reseed, shorten_statistics
from napari_cellcls.vocabulary import DataError

_SAVE_EVERY_S = 300.0
_ON_DEVICE = 1 << 30


class Loop:
    """One training from its first to its last step; see :func:`napari_cellcls.learn.trainer.fit`."""

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        job: Job,
        rows: np.ndarray,
        val: np.ndarray | None,
        *,
        out: Path | None = None,
        resume: bool = False,
        bank: np.ndarray | None = None,
        micro_batch: int | None = None,
        feature_folder: Path | None = None,
        soft: np.ndarray | None = None,
        start: Start | None = None,
    ) -> None:
        import keras

        self.job, self.spec, self.out = job, job.training, out
        self.images, self.val = images, val if val is not None and len(val) else None
        self.targets = balance.targets_of(labels, job)
        self.taught = self.targets if soft is None else soft
        self.pool = balance.pool_of(rows, self.targets, job)
        self.class_weights = balance.weights_of(rows, self.targets, job)
        self.batch = min(self.spec.batch_size, len(self.pool))
        self.micro = min(micro_batch or self.batch, self.batch)
        self.epoch = self.step = self.phase_index = self.phase_epoch = self.waited = 0
        self.history: list[dict[str, float]] = []
        self.best: tuple[float, list[np.ndarray]] | None = None
        self.best_file: list[str] | None = None
        self.phase_best: float | None = None
        keras.utils.set_random_seed(self.spec.seed)
        self.backbone, self.model = build_classifier(job)
        self.notes = [begin(self.backbone, self.model, job, start)]
        total = sum(p.epochs * self._steps(p) for p in self.spec.phases)
        shorten_statistics(self.model, total)
        self.bank, self.feature_folder = bank, feature_folder
        # A GPU gathers its batches itself; a processor reads them from the memory-mapped file.
        on_gpu = bank is None and images.nbytes <= _ON_DEVICE and accelerators()
        self.device_images = to_device(images) if on_gpu else None
        self.average: list[Any] | None = None
        self._begin_epoch()
        mark = fingerprint(images, labels if soft is None else soft, job, rows, self.val)
        self.checkpoints = Checkpoints(out / "checkpoints", mark) if out else None
        self.saved = time.monotonic()
        if not (self.checkpoints and resume and self._restore()):
            self._begin_anew(start, rows)

    def _begin_anew(self, start: Start | None, rows: np.ndarray) -> None:
        if start is not None and start.groups is not None:
            judged = np.where(np.isnan(self.taught), np.nan, self.targets)
            said = set_fitted_head(
                self.model, self.images, judged, rows, start.groups, before=start.head,
                multi_label=self.job.multi_label, seed=self.spec.seed,
            )  # fmt: skip
            self.notes.append(said)
        if self.spec.average:
            self.average = [_copy(w.value) for w in self.model.weights]
        self._begin_phase()

    @property
    def phase(self) -> Phase:
        """Return the phase the next step belongs to."""
        return self.spec.phases[self.phase_index]

    @property
    def finished(self) -> bool:
        """Return whether all phases are done."""
        return self.phase_index >= len(self.spec.phases)

    @property
    def steps_done(self) -> int:
        """Return the steps done, those that early stopping left out included."""
        before = sum(p.epochs * self._steps(p) for p in self.spec.phases[: self.phase_index])
        if self.finished:
            return before
        return before + self.phase_epoch * self._steps(self.phase) + self.step

    @property
    def steps_total(self) -> int:
        """Return the steps of all phases."""
        return sum(p.epochs * self._steps(p) for p in self.spec.phases)

    def run_epoch(self) -> Iterator[float]:
        """Train to the end of the epoch; yields the mean loss so far after each step."""
        steps = self._steps(self.phase)
        order = balance.order_of(self.pool, steps * self.batch, self.spec.seed, self.epoch)
        while self.step < steps:
            rows = order[self.step * self.batch : (self.step + 1) * self.batch]
            at = self.phase_epoch * steps + self.step
            rate = learning_rate(self.phase, at, steps)
            targets, labels = self.taught[rows], self.targets[rows]
            weights = balance.sample_weights(labels, self.class_weights, self.job.multi_label)
            if self.job.multi_label and np.isnan(targets).any():
                weights = np.where(np.isnan(targets), np.float32(0), weights)
                targets = np.nan_to_num(targets)
            reseed(self.spec.seed, self.epoch, self.step)
            loss, counts = self.optimizing.learn(self._crops(rows), targets, weights, rate)
            if not np.isfinite(loss):
                raise DataError(
                    "The training ran away: the loss is not a number any more.",
                    code="TRAIN-NAN",
                    why=f"epoch {self.epoch + 1}, step {self.step + 1}",
                    remedy="Lower learning_rate in the recipe, or raise warmup_epochs.",
                )
            self._update_average(at)
            self.loss_sum += loss
            self.counts += counts
            self.rate = rate
            self.step += 1
            if self.checkpoints and time.monotonic() - self.saved > _SAVE_EVERY_S:
                self.save()
            yield self.loss_sum / self.step

    def end_epoch(self) -> None:
        """Judge on the validation side, note the epoch, move on, save the checkpoint."""
        entry: dict[str, float] = {
            "epoch": self.epoch + 1,
            "phase": self.phase_index + 1,
            "learning_rate": self.rate,
            "loss": self.loss_sum / self.step,
            **counted_scores(self.counts, self.step * self.batch, self.job),
        }
        with _Swapped(self.model, self.average):
            if self.val is not None:
                logits = self.seen.logits(self.val)
                found = scores_of(logits, self.targets[self.val], self.job)
                entry |= {f"val_{name}": value for name, value in found.items()}
            self._keep_best(entry)
        stop = self._stops_early(entry)
        entry["seconds"] = self.seconds + time.perf_counter() - self.started
        self.history.append(entry)
        self.epoch, self.phase_epoch = self.epoch + 1, self.phase_epoch + 1
        self._begin_epoch()
        if stop or self.phase_epoch >= self.phase.epochs:
            self.phase_index, self.phase_epoch = self.phase_index + 1, 0
            self._begin_phase()
        if self.out:
            lines = "".join(json.dumps(e) + "\n" for e in self.history)
            write_bytes(self.out / "history.jsonl", lines.encode())
        if self.checkpoints:
            self.save()

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        assert self.checkpoints is not None
        groups = {
            "model": _numbered(_numpy(v.value) for v in self.model.variables),
            "average": _numbered(_numpy(v) for v in self.average or []),
            "optimizer": self.optimizing.arrays() if not self.finished else {},
            "epoch": {"counts": self.counts},
        }
        state = {
            name: getattr(self, name)
            for name in ("epoch", "step", "phase_index", "phase_epoch", "waited", "phase_best",
                         "loss_sum", "rate", "history", "best_file")
        }  # fmt: skip
        state["best"] = self.best[0] if self.best else None
        state["seconds"] = self.seconds + time.perf_counter() - self.started
        self.checkpoints.save(groups, state, self.epoch, self.step)
        self.saved = time.monotonic()

    def summary(self) -> str:
        """Return the last epoch in one line."""
        entry = self.history[-1]
        words = [f"epoch {self.epoch}/{self.spec.epochs}: loss {entry['loss']:.4f}"]
        name = "macro_f1" if self.job.multi_label else "accuracy"
        if self.val is not None:
            shown = f"val {entry['val_loss']:.4f}, {name.replace('_', ' ')}"
            words.append(f"{shown} {entry[f'val_{name}']:.4f}")
        return ", ".join([*words, f"{entry['seconds']:.1f} s"])

    def result(self) -> Fitted:
        """Return the weights that the job asks to keep."""
        from napari_cellcls.models import networks, plan

        kept = self.best[1] if self.best is not None else self.average
        with _Swapped(self.model, kept):
            spec = networks.weight_spec(self.job.architecture, self.job.params)
            kernel, bias = (np.asarray(w, np.float32) for w in self.model.layers[-1].get_weights())
            weights = plan.collect(self.backbone, spec)
        return Fitted(weights, (kernel, bias), self.history, tuple(self.notes))

    def _steps(self, phase: Phase) -> int:
        return phase.steps_per_epoch or max(1, len(self.pool) // self.batch)

    def _begin_phase(self) -> None:
        self.waited, self.phase_best = 0, None
        if not self.finished:
            self.seen = Seen(self.model, self.job, self.phase, self.images, self.feature_folder)
            self.optimizing = Optimizing(
                self.job, self.backbone, self.seen.model, self.phase, self.batch, self.micro
            )

    def _begin_epoch(self) -> None:
        self.step, self.loss_sum, self.rate, self.seconds = 0, 0.0, 0.0, 0.0
        self.counts: np.ndarray = np.zeros((3, self.job.classes))
        self.started = time.perf_counter()

    def _crops(self, rows: np.ndarray) -> Any:
        from keras import ops

        if self.seen.features is not None:
            return to_device(self.seen.features[rows])
        seed = (self.spec.seed, self.epoch, self.step)
        if self.bank is not None:
            version = self.bank[self.epoch % len(self.bank)]
            return draw(version, rows, np.random.default_rng(seed))
        if self.device_images is None:
            crops = to_device(self.images[rows])
        else:
            crops = ops.take(self.device_images, ops.convert_to_tensor(rows), axis=0)
        return augment(as_float(crops), self.job.augmentation, seed)

    def _keep_best(self, entry: dict[str, float]) -> None:
        if self.spec.checkpoint is None:
            return
        value = entry[self.spec.checkpoint.monitor]
        if better(self.spec.checkpoint.monitor, value, self.best[0] if self.best else None):
            # Copies: in PyTorch these arrays are the live weights.
            self.best = (value, [np.array(w) for w in self.model.get_weights()])
            if self.checkpoints:
                self.best_file = self.checkpoints.save_best(_numbered(self.best[1]), self.epoch)

    def _stops_early(self, entry: dict[str, float]) -> bool:
        rule = self.spec.early_stopping
        if rule is None:
            return False
        if better(rule.monitor, entry[rule.monitor], self.phase_best):
            self.phase_best, self.waited = entry[rule.monitor], 0
        else:
            self.waited += 1
        return self.waited >= rule.patience

    def _update_average(self, step: int) -> None:
        if self.average is None:
            return
        # A short memory at first, so that the random start is forgotten (as in TensorFlow's EMA).
        keep = min(self.spec.average, (1 + step) / (10 + step))
        for i, weight in enumerate(self.model.weights):
            self.average[i] = keep * self.average[i] + (1 - keep) * _copy(weight.value)

    def _restore(self) -> bool:
        from keras import ops

        assert self.checkpoints is not None
        found = self.checkpoints.load()
        if found is None or not found.groups:
            self.notes += found.notes if found else ()
            return False
        at = f"epoch {found.state['epoch']}, step {found.state['step']}"
        self.notes = [f"Goes on after {at}.", *found.notes]
        state = dict(found.state)
        best, seconds = state.pop("best"), state.pop("seconds")
        self.phase_index = state["phase_index"]
        self._begin_phase()
        for name, value in state.items():
            setattr(self, name, value)
        self.seconds, self.counts = seconds, found.groups["epoch"]["counts"]
        _assign(self.model.variables, found.groups["model"])
        if self.spec.average:
            stored = found.groups["average"]
            self.average = [ops.convert_to_tensor(stored[key]) for key in sorted(stored)]
        if found.best is not None:
            self.best = (best, [found.best[key] for key in sorted(found.best)])
        if not self.finished:
            self.optimizing.restore(found.groups["optimizer"])
        return True


class _Swapped:
    """Use other weights for a while (the running average), then put the own ones back."""

    def __init__(self, model: Any, weights: list[Any] | None) -> None:
        self.model, self.weights = model, weights

    def __enter__(self) -> None:
        if self.weights is not None:
            self.own = [_copy(w.value) for w in self.model.weights]
            for variable, value in zip(self.model.weights, self.weights):
                # A copy: JAX gives the memory of an assigned value away.
                variable.assign(_copy(value))

    def __exit__(self, *_: object) -> None:
        if self.weights is not None:
            for variable, value in zip(self.model.weights, self.own):
                variable.assign(value)


def _copy(value: Any) -> Any:
    from keras import ops

    return ops.stop_gradient(ops.convert_to_tensor(value)) * 1.0


def _numpy(value: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(value))


def _numbered(arrays: Any) -> dict[str, np.ndarray]:
    return {f"{i:05d}": np.asarray(value) for i, value in enumerate(arrays)}


def _assign(variables: list[Any], stored: dict[str, np.ndarray]) -> None:
    for variable, key in zip(variables, sorted(stored), strict=True):
        variable.assign(stored[key])
