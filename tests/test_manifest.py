from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import napari_cellcls

MANIFEST = Path(napari_cellcls.__file__).with_name("napari.yaml")


@pytest.fixture(scope="module")
def contributions() -> dict:
    return yaml.safe_load(MANIFEST.read_text())["contributions"]


def test_npe2_accepts_the_manifest_and_imports_what_it_names() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", str(MANIFEST), "--imports"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid" in done.stdout


def test_every_contribution_points_at_a_command(contributions: dict) -> None:
    commands = {command["id"] for command in contributions["commands"]}
    used = {
        item["command"]
        for kind in ("widgets", "readers", "writers", "sample_data")
        for item in contributions[kind]
    } | {item["command"] for items in contributions["menus"].values() for item in items}
    assert used == commands


def test_the_words_users_see(contributions: dict) -> None:
    assert [w["display_name"] for w in contributions["widgets"]] == [
        "Classify cells",
        "Review cells",
        "Fine-tune",
    ]
    samples = {s["key"]: s["display_name"] for s in contributions["sample_data"]}
    assert samples == {"thin-smear": "Thin blood smear", "rgby-field": "RGBY fluorescence field"}
    assert "napari/layers/classify" in contributions["menus"]


def test_defaults_of_the_manifest_are_those_of_the_code(contributions: dict) -> None:
    from dataclasses import asdict

    from napari_cellcls.widgets.settings import Preferences

    stated = {
        name: prop["default"]
        for group in contributions["configurations"].values()
        for name, prop in group["properties"].items()
    }
    assert stated == asdict(Preferences())


def test_every_engine_is_offered(contributions: dict) -> None:
    from napari_cellcls.models.runtime import ENGINES

    offered = contributions["configurations"]["inference"]["properties"]["engine"]["enum"]
    assert offered == ["auto", *ENGINES]
