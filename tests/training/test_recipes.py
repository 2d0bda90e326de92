"""The recipes of the thirteen published systems: right network, right classes, the schedule as published."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_cellcls.learn.datasets import HELA_CLASSES, HPA_CLASSES, MALARIA_CLASSES
from napari_cellcls.learn.recipe import Recipe, read_recipe
from napari_cellcls.models import networks
from napari_cellcls.vocabulary import ChannelRole

RECIPES = Path(__file__).parents[2] / "training" / "recipes"
RARE = (
    "Peroxisomes", "Endosomes", "Lysosomes", "Microtubule ends", "Mitotic spindle",
    "Lipid droplets", "Rods & rings",
)  # fmt: skip

# name: (parameters of the whole classifier, edge, planes seen by the network, start)
PUBLISHED = {
    "hela_allconv": (1_369_738, 32, 3, "none"),
    "hela_cnn_l2": (157_034, 28, 1, "none"),
    "hela_cnn": (195_786, 28, 1, "none"),
    "hela_mobilenetv2": (2_270_794, 224, 3, "imagenet"),
    "hpa_cnn": (5_217_340, 128, 4, "none"),
    "hpa_cnn_bn": (2_232_460, 128, 4, "none"),
    "hpa_resnet50": (23_648_220, 128, 4, "imagenet"),
    "hpa_resnet50_oversampled": (23_648_220, 128, 4, "imagenet"),
    "hpa_resnet152_oversampled": (58_431_452, 128, 4, "imagenet"),
    "hpa_inception_resnet_v2": (58_742_664, 299, 3, "imagenet"),
    "hpa_vgg16": (20_103_656, 299, 3, "imagenet"),
    "malaria_cnn": (310_732, 50, 3, "none"),
    "malaria_vgg16_features": (14_780_610, 50, 3, "imagenet"),
}


def recipe(name: str) -> Recipe:
    return read_recipe(RECIPES / f"{name}.yaml")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_system(name):
    parameters, edge, planes, start = PUBLISHED[name]
    made = recipe(name)
    job = made.job()
    assert made.name == name
    assert job.pretrained == start
    assert networks.parameter_count(job.architecture, job.params, job.classes)[0] == parameters
    assert networks.input_shape(job.architecture, job.params)[:2] == (edge, edge)
    plan = networks.plan(job.architecture, job.params)
    seen = "to_rgb" if "to_rgb" in plan.shapes else "input"
    assert plan.shapes[seen][-1] == planes
    assert plan.input_shape[-1] == len(made.inputs)
    assert made.published and all(entry.metric and entry.protocol for entry in made.published)
    assert made.data_terms


@pytest.mark.parametrize("name", PUBLISHED)
def test_classes_and_split_of_its_set(name):
    made = recipe(name)
    family = name.split("_")[0]
    expected = {"hela": HELA_CLASSES, "hpa": HPA_CLASSES, "malaria": MALARIA_CLASSES}[family]
    assert made.classes == expected
    assert made.job().multi_label is (family == "hpa")
    assert made.protocol.kind == "random"
    test, val = made.protocol.test, made.protocol.val * (1 - made.protocol.test)
    wanted = (0.2, 0.16) if family == "malaria" else (0.15, 0.15)
    assert (test, val) == pytest.approx(wanted, abs=1e-4)


def test_hpa_planes_are_red_green_blue_yellow():
    roles = (ChannelRole.MICROTUBULES, ChannelRole.PROTEIN, ChannelRole.NUCLEUS, ChannelRole.ER)
    assert recipe("hpa_cnn").inputs == roles
    assert recipe("hpa_vgg16").inputs == roles


@pytest.mark.parametrize("name", ["hpa_inception_resnet_v2", "hpa_vgg16"])
def test_two_phases_as_published(name):
    made = recipe(name)
    first, second = made.phases
    assert (first.epochs, first.learning_rate, first.frozen, first.steps_per_epoch) == (
        20, 1e-3, True, 100,
    )  # fmt: skip
    assert (second.epochs, second.learning_rate, second.frozen) == (150, 1e-4, False)
    assert (made.batch_size, made.threshold, made.augmentation.flips) == (10, 0.2, True)


def test_schedules_of_the_others():
    first = recipe("hpa_cnn")
    assert [(p.epochs, p.learning_rate, p.schedule) for p in first.phases] == [(60, 1e-3, "decay")]
    assert first.early_stopping is not None and first.early_stopping.patience == 6
    assert first.early_stopping.monitor == "val_loss"
    frozen = {"hela_mobilenetv2": 5, "malaria_vgg16_features": 10}
    for name, epochs in frozen.items():
        assert [(p.epochs, p.frozen) for p in recipe(name).phases] == [(epochs, True)]
    assert recipe("hela_cnn").phases[0].epochs == 40
    assert recipe("malaria_cnn").phases[0].epochs == 5


def test_only_p4_and_p5_oversample_the_seven_rare_classes():
    found = {name: recipe(name).oversample for name in PUBLISHED}
    assert {name for name, rule in found.items() if rule} == {
        "hpa_resnet50_oversampled", "hpa_resnet152_oversampled",
    }  # fmt: skip
    for rule in filter(None, found.values()):
        assert rule.classes == RARE
