from __future__ import annotations

import json

import pytest

from napari_cellcls.models.manifest import MAX_MANIFEST, parse
from napari_cellcls.vocabulary import ChannelRole, Estimate, ModelError
from tests.models import make

RED = "#ff0000"


def refused(data: bytes) -> ModelError:
    with pytest.raises(ModelError) as caught:
        parse(data)
    return caught.value


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": "import os"}, "code: Extra inputs are not permitted; received 'import os'."),
        ({"name": "../evil"}, "name: String should match pattern"),
        ({"version": "1"}, "version: String should match pattern"),
        ({"title": "two\nlines"}, "title: String should match pattern"),
        ({"title": ""}, "title: String should have at least 1 character"),
        ({"description": "x" * 20_001}, "description: String should have at most 20000"),
        ({"crop": {"size": 24, "frame": "spiral"}}, "crop.frame: Input should be"),
        ({"crop": {"size": 24, "speed": 1}}, "crop.speed: Unexpected keyword"),
        ({"crop": {"size": 24, "frame": "window"}}, "a window needs extent_um or extent_px"),
        (
            {"crop": {"size": 24, "frame": "window", "extent_um": -1}},
            "is not between 0 and 100,000",
        ),
        ({"crop": {"size": 24, "margin": 9}}, "margin 0 to 2"),
        ({"crop": {"size": 30}}, "crops of 30 px do not fit a network of 24 px"),
        ({"normalization": {"kind": "percentile", "low": 99, "high": 1}}, "percentiles must rise"),
        ({"inputs": []}, "0 inputs do not fit a network of 3 channels"),
        ({"inputs": [{"role": "red", "name": "r"}]}, "inputs.0.role: Input should be"),
        ({"thresholds": [0.5]}, "1 thresholds for 2 classes"),
        ({"thresholds": [0.5, 1.5]}, "thresholds.1: Input should be less than or equal to 1"),
        ({"temperature": 0}, "temperature: Input should be greater than 0.01"),
        ({"classes": [{"id": "a", "name": "A", "color": RED}] * 2}, "two classes have the same id"),
        ({"classes": [{"id": "a", "name": "A|B", "color": RED}]}, "hold no '|'"),
        ({"classes": [{"id": "a b", "name": "A", "color": RED}]}, "classes.0.id"),
        ({"classes": [{"id": "a", "name": "A", "color": "red"}]}, "classes.0.color"),
        ({"channel_policy": "each", "inputs": []}, "a model with classes must name its inputs"),
        ({"files": {"a": {"sha256": "x", "bytes": 1}}}, "files.a.sha256"),
        ({"test": {"rtol": 1.0}}, "test.rtol"),
        ({"metrics": {"values": {"auc": {"value": "high"}}}}, "metrics.values.auc.value"),
    ],
)
def test_what_is_wrong_is_named(changes, why):
    error = refused(json.dumps(make.manifest_dict(**changes)).encode())
    assert error.code == "MODEL-MANIFEST"
    assert why in error.why


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is not valid JSON"),
        (b"\xff", "it is not valid JSON"),
        (b"[" * 200_000, "it is not valid JSON"),
        (b"[]", "it is not a JSON object"),
        (b'{"schema": "a", "schema": "b"}', "key 'schema' is given twice"),
        (b'{"temperature": NaN}', "NaN is not a number"),
        (b'{"schema": "other/1"}', "its schema is 'other/1', expected 'cellpkg/1'"),
        (b" " * (MAX_MANIFEST + 1), "it has 1,048,577 bytes"),
    ],
)
def test_not_a_manifest(data, why):
    error = refused(data)
    assert error.code == "MODEL-MANIFEST"
    assert why in error.why


def test_json_round_trip_is_stable():
    made = make.manifest(thresholds=[0.2, 0.8])
    assert parse(made.to_json()) == made
    assert parse(made.to_json()).to_json() == made.to_json()


def test_words_of_the_field():
    made = make.manifest(multi_label=True)
    assert made.label == "small@1.0.0"
    assert made.scheme.ids == ("alpha", "beta")
    assert made.scheme.multi_label
    assert made.planes[1].role is ChannelRole.RGB_GREEN


def test_metrics_as_estimates():
    values = {
        "auc": {"value": 0.9, "low": 0.8, "high": 0.95, "method": "bootstrap"},
        "f1": {"value": 0.7},
    }
    metrics = make.manifest(metrics={"n": 40, "values": values}).metrics
    assert metrics.estimate("auc") == Estimate(0.9, 0.8, 0.95, "bootstrap", 40)
    assert metrics.estimate("f1") is None
    assert metrics.estimate("kappa") is None
