from __future__ import annotations

import hashlib
import zipfile
from types import SimpleNamespace

import pytest
import yaml

from napari_cellcls.models import describe, registry
from napari_cellcls.models.manifest import MetricValue
from napari_cellcls.models.package import write_package
from napari_cellcls.vocabulary import CropSpec, Normalization
from tests.models import make

METRICS = {
    "dataset": "Some cells",
    "n": 1200,
    "groups": 30,
    "protocol": "patient-disjoint 5-fold",
    "values": {"auc": {"value": 0.987, "low": 0.98, "high": 0.992, "method": "bootstrap"}},
    "per_class": {"alpha": {"recall": {"value": 0.9}}},
}


def test_card_says_everything():
    made = make.manifest(
        description="Tells alpha from beta.",
        metrics=METRICS,
        temperature=1.25,
        thresholds=[0.3, 0.7],
        pixel_size_um=[0.1, 0.3],
        level="starter",
        data_terms="Public domain.",
        intended_use="Teaching.",
        provenance={"recipe": "small", "parent": "blank@1.0.0", "data": "simulated"},
    )
    text = describe.card(made, 1_234_567)
    for words in (
        "# Small test model",
        "Tells alpha from beta.",
        "Starter model trained on simulated images: no claim of accuracy on real images.",
        "- Model: small@1.0.0",
        "- Architecture: Cell ResNet (`cell_resnet`)",
        "- File: 1.2 MB",
        "- Classes: Alpha, Beta (one per cell)",
        "- Inputs: red, green, blue",
        "- Pixel size: 0.1 to 0.3 µm",
        "- Confidence: calibrated with temperature 1.25",
        "- Thresholds: Alpha 0.30, Beta 0.70",
        "# Validation",
        "- auc: 0.987 (95 % interval 0.980 to 0.992, bootstrap)",
        "- class alpha: recall 0.900",
        "- Data: Some cells, 1,200 cells, 30 groups",
        "- Protocol: patient-disjoint 5-fold",
        "- License of the weights: BSD-3-Clause",
        "- Data: Public domain.",
        "- Intended use: Teaching.",
        "- Training data: simulated",
        "- Recipe: small",
        "- Fine-tuned from: blank@1.0.0",
    ):
        assert words in text, words


def test_card_without_numbers_says_so():
    text = describe.card(make.manifest())
    assert "this model has not been evaluated on labelled cells" in text
    assert "Intended use: Research use only. Not for diagnosis." in text


def test_numbers_that_are_not_independent_are_marked():
    lines = describe.metric_lines(make.manifest(metrics={**METRICS, "independent": False}))
    assert "- Not independent of the training data." in lines


def test_facts_of_the_malaria_network():
    params = {"id": "malaria_cnn", "params": {}}
    made = make.manifest(architecture=params, crop={"size": 50, "frame": "box"})
    facts = dict(describe.facts(made))
    assert facts["Parameters"] == "310,732"
    assert facts["Operations"] == "19.2 million multiply-adds per cell"


def test_blank_counts_per_channel():
    entry = registry.find("blank")
    assert entry.manifest is not None
    facts = dict(describe.facts(entry.manifest, entry.bytes))
    assert facts["Operations"] == "70.5 million multiply-adds per channel and cell"
    assert facts["Classes"] == "none yet"
    assert facts["Inputs"] == "any number of channels, each on its own"
    assert facts["File"] == "14.2 MB"


@pytest.mark.parametrize(
    ("crop", "rule", "words"),
    [
        (
            CropSpec(50, "box", mask=True),
            Normalization(),
            (
                "the tight box around the cell, stretched to 50 x 50 px; outside the cell everything is "
                "set to 0; values divided by the full scale of the image"
            ),
        ),
        (
            CropSpec(96, "square", margin=0.1),
            Normalization("percentile", 1, 99),
            (
                "a square around the cell as wide as its longer side with 10 % added on each side, resampled "
                "to 96 x 96 px; values between the 1 and 99 percentiles of the image"
            ),
        ),
        (
            CropSpec(64, "window", extent_um=20, extent_px=100),
            Normalization(),
            (
                "a window of 20 µm or 100 image pixels around the cell, resampled to 64 x 64 px; values "
                "divided by the full scale of the image"
            ),
        ),
    ],
)
def test_crop_in_words(crop, rule, words):
    assert describe.crop_in_words(crop, rule) == words


def test_number_in_words():
    assert describe.number_in_words(MetricValue(value=0.5)) == "0.500"
    assert describe.number_in_words(MetricValue(value=0.5, low=0.4, high=0.6)) == (
        "0.500 (95 % interval 0.400 to 0.600)"
    )


def test_rdf_has_the_fields_bioimageio_needs(tmp_path):
    given = make.parts(make.manifest())
    path = tmp_path / "m.cellpkg"
    write_package(path, make.manifest(), given.pop("weights"), onnx=b"graph", **given)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    rdf = yaml.safe_load(files["rdf.yaml"])
    assert rdf["type"] == "model"
    assert rdf["format_version"].startswith("0.5.")
    assert 5 <= len(rdf["name"]) <= 128
    assert {"description", "authors", "cite", "license", "tags", "version"} <= set(rdf)
    (given_axes, made_axes) = rdf["inputs"][0]["axes"], rdf["outputs"][0]["axes"]
    assert [a["type"] for a in given_axes] == ["batch", "space", "space", "channel"]
    assert given_axes[1] == {"type": "space", "id": "y", "size": 24}
    assert given_axes[3]["channel_names"] == ["red", "green", "blue"]
    assert len(made_axes[1]["channel_names"]) == 16
    assert rdf["weights"]["onnx"]["opset_version"] == 17
    sources = [
        rdf["documentation"], rdf["weights"]["onnx"], rdf["inputs"][0]["test_tensor"],
        rdf["outputs"][0]["test_tensor"], *rdf["attachments"],
    ]  # fmt: skip
    for entry in sources:
        assert entry["sha256"] == hashlib.sha256(files[entry["source"]]).hexdigest()
    assert b"# Validation" in files["README.md"]


def test_rdf_name_keeps_to_the_allowed_letters():
    assert describe._rdf_name("Zellen: größe/α (v2)") == "Zellen gr e (v2)"
    assert describe._rdf_name("x") == "x____"


def test_a_starter_and_a_smear_model_say_what_they_do_not_claim() -> None:
    starter = SimpleNamespace(level="starter", cells="fluorescence")
    smear = SimpleNamespace(level="released", cells="smear")
    assert "no accuracy claim on real ones" in describe.caution(starter)[0]
    assert "known-negative slide" in describe.caution(smear)[0]
    assert describe.caution(SimpleNamespace(level="released", cells="whole")) == ()
    assert describe.caution(SimpleNamespace(level="tuned", cells="smear")) == ()
