"""A frozen network is asked once per cell: same result, exact resume, kept for other runs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from napari_cellcls.learn.augment import Augmentation
from napari_cellcls.learn.features import Seen, cut_of
from napari_cellcls.learn.job import BestWeights, Job, Phase, Training
from napari_cellcls.learn.trainer import fit
from napari_cellcls.vocabulary import finish
from tests.learn.jobs import PARAMS, blobs

FROZEN = Phase(3, 3e-3, frozen=True)
TRAIN, VAL = np.arange(120), np.arange(120, 160)


def job(*phases: Phase, arch: str = "malaria_cnn", **more) -> Job:
    params = PARAMS if arch == "malaria_cnn" else {"size": 32, "channels": 3, "hidden": 8}
    spec = {"phases": phases or (FROZEN,), "batch_size": 32, **more}
    return Job(arch, params, 2, Training(**spec))


@pytest.mark.parametrize(
    ("arch", "params", "cut"),
    [
        ("vgg16", {"hidden": 128}, "features"),
        ("vgg16", {}, "features"),
        ("mobilenet_v2", {"size": 32}, "embedding"),
        ("efficientnet_lite0", {"size": 32}, "embedding"),
        ("efficientnet_lite0", {"size": 32, "hidden": 16}, "features"),
        ("malaria_cnn", {}, "embedding_relu"),
        # Dropout while training is chance.
        ("hpa_cnn_bn", {}, None),
        # What lies before the frozen part learns.
        ("hpa_vgg16", {}, None),
    ],
)
def test_where_the_fixed_part_ends(arch: str, params: dict[str, object], cut: str | None) -> None:
    asked = Job(arch, params, 2, Training(phases=(FROZEN,)))
    assert cut_of(asked, FROZEN) == cut
    assert cut_of(asked, Phase(3)) is None
    assert cut_of(replace(asked, augmentation=Augmentation(flips=True)), FROZEN) is None
    assert cut_of(replace(asked, training=Training((FROZEN,), versions=2)), FROZEN) is None


@pytest.mark.tensorflow
@pytest.mark.parametrize("arch", ["malaria_cnn", "vgg16"])
def test_the_result_is_the_same(tmp_path: Path, arch: str) -> None:
    images, labels = blobs(160, 16 if arch == "malaria_cnn" else 32)
    asked = job(
        FROZEN, Phase(1, 1e-4, steps_per_epoch=1), arch=arch, head_dropout=0.3, average=0.5,
        checkpoint=BestWeights("val_loss"), class_weights="balanced",
    )  # fmt: skip
    if arch == "vgg16":
        asked = replace(asked, training=replace(asked.training, phases=(FROZEN,)))
    sides, seen = {"train": TRAIN, "val": VAL}, []
    whole = finish(fit(images, labels, asked, **sides))
    once = finish(fit(images, labels, asked, feature_folder=tmp_path, **sides), seen.append)
    assert [s.done for s in seen if s.message == "computing features"] == [0, 32, 64, 96, 128]
    for name, value in whole.tensors().items():
        np.testing.assert_allclose(once.tensors()[name], value, atol=2e-5, err_msg=name)
    for one, other in zip(whole.history, once.history, strict=True):
        for key in set(one) - {"seconds"}:
            assert other[key] == pytest.approx(one[key], rel=1e-3, abs=1e-5), key


@pytest.mark.tensorflow
@pytest.mark.parametrize("at", ["computing features", "epoch 2: "])
def test_stopped_and_resumed_it_ends_in_the_same_bits(tmp_path: Path, at: str) -> None:
    images, labels = blobs()
    asked = job(Phase(1, 3e-3), FROZEN, head_dropout=0.3)
    whole = finish(fit(images, labels, asked, feature_folder=tmp_path / "one"))
    run = {"out": tmp_path / "run", "feature_folder": tmp_path / "two"}
    task = fit(images, labels, asked, **run)
    next(step for step in task if step.message.startswith(at))
    task.close()
    assert not list((tmp_path / "two").glob(".part-*"))
    resumed = finish(fit(images, labels, asked, resume=True, **run))
    assert resumed.notes[0].startswith("Goes on after epoch 1")
    for name, value in whole.tensors().items():
        np.testing.assert_array_equal(resumed.tensors()[name], value, err_msg=name)


@pytest.mark.tensorflow
def test_features_are_kept_for_the_same_weights_and_images(tmp_path: Path) -> None:
    def computed(images: np.ndarray, asked: Job, rows: np.ndarray) -> bool:
        seen: list[str] = []
        task = fit(images, labels, asked, train=rows, feature_folder=tmp_path)
        finish(task, lambda step: seen.append(step.message))
        return "computing features" in seen

    images, labels = blobs(64)
    asked = job(Phase(1, frozen=True))
    assert computed(images, asked, np.arange(64))
    # Another fold, another schedule: the same features.
    longer = replace(asked, training=Training((Phase(2, frozen=True),), batch_size=32))
    assert not computed(images, longer, np.arange(32))
    assert computed(images, replace(asked, training=replace(asked.training, seed=7)), np.arange(64))
    assert computed(255 - images, asked, np.arange(64))
    assert len(list(tmp_path.glob("crops-*-features.npy"))) == 3


@pytest.mark.tensorflow
def test_finished_weights_find_their_features_again(tmp_path: Path) -> None:
    from napari_cellcls.learn.classifier import load_classifier, logits_of

    images, labels = blobs(64)
    fitted = finish(fit(images, labels, job(), train=TRAIN[:32], feature_folder=tmp_path))
    model = load_classifier(job(), fitted.tensors())
    expected = logits_of(model, images, np.arange(32, 64))
    for folder, found in ((tmp_path, True), (tmp_path / "none", False), (None, False)):
        seen = Seen(model, job(), FROZEN, images, folder)
        seen.recall()
        assert (seen.features is not None) is found
        np.testing.assert_allclose(seen.logits(np.arange(32, 64)), expected, atol=1e-5)
