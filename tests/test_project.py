"""The frame of the project: what ships, what is documented, what a fresh machine is told."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import napari_cellcls

PROJECT = Path(__file__).resolve().parents[1]
DOCS = PROJECT / "docs"
WHEEL_LIMIT_BYTES = 60 * 2**20


@pytest.fixture(scope="module")
def pyproject() -> dict:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_ships_what_works_offline(wheel: zipfile.ZipFile):
    names = set(wheel.namelist())
    for name in ("napari.yaml", "py.typed", "__init__.py", "cli.py", "session.py"):
        assert f"napari_cellcls/{name}" in names
    shipped = {Path(name).name for name in names}
    for folder, pattern in (
        ("sample_data", "*.*"),
        ("src/napari_cellcls/models/bundled", "*.cellpkg"),
    ):
        here = {
            path.name for path in (PROJECT / folder).glob(pattern) if not path.name.startswith(".")
        }
        assert here, f"{folder} is empty"
        assert here - shipped == set()
    assert any(name.startswith("napari_cellcls/sample_data/") for name in names)
    assert any(name.endswith(".onnx") for name in names)


def test_wheel_is_small_and_holds_nothing_else(wheel: zipfile.ZipFile):
    assert Path(wheel.filename).stat().st_size < WHEEL_LIMIT_BYTES
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"napari_cellcls", f"napari_cellcls-{napari_cellcls.__version__}.dist-info"}
    assert not [
        name for name in wheel.namelist() if name.endswith((".pyc", ".h5", ".keras", ".pt", ".pkl"))
    ]


def test_wheel_carries_its_terms(wheel: zipfile.ZipFile):
    names = {Path(name).name for name in wheel.namelist() if "dist-info" in name}
    assert {"LICENSE", "NOTICE"} <= names


def test_no_qt_is_forced_on_a_napari_installation(pyproject: dict):
    required = {Requirement(line).name.lower() for line in pyproject["project"]["dependencies"]}
    assert required.isdisjoint({"pyqt5", "pyqt6", "pyside2", "pyside6"})
    assert all(
        not Requirement(line).extras
        for line in pyproject["project"]["dependencies"]
        if line.startswith("napari")
    )


def test_every_dependency_has_its_reason(pyproject: dict):
    lines = pyproject["project"]["dependencies"] + [
        line for extra in pyproject["project"]["optional-dependencies"].values() for line in extra
    ]
    names = {Requirement(line).name for line in lines} - {"napari-cellcls"}
    page = (DOCS / "dependencies.md").read_text(encoding="utf-8")
    reasons = dict(re.findall(r"^\| `([\w.-]+)` \| (.+?) \|$", page, re.MULTILINE))
    assert names - set(reasons) == set(), "a line `| \\`name\\` | reason |` is missing"
    assert set(reasons) - names == set(), "documented, but not in pyproject.toml"
    assert [name for name, reason in reasons.items() if len(reason.split()) < 4] == []


def test_every_import_is_a_declared_dependency(pyproject: dict):
    project = pyproject["project"]
    lines = project["dependencies"] + [
        line for extra in project["optional-dependencies"].values() for line in extra
    ]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    owners = importlib.metadata.packages_distributions()
    undeclared = set()
    for path in (PROJECT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - sys.stdlib_module_names:
                known = {canonicalize_name(owner) for owner in owners.get(name, ())}
                if known and not known & declared and name != "napari_cellcls":
                    undeclared.add(f"{name} in {path.name}")
    assert undeclared == set()


def test_readme_gives_the_two_commands_and_the_warning():
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text
    assert "Research use only" in text
    for link in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (PROJECT / link).exists(), f"README links to {link}, which is not there"


def test_makefile_explains_every_target():
    text = (PROJECT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)[1].split())
    explained = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert {"demo", "test", "lint", "docs", "bench", "clean", "help"} <= phony
    assert phony == explained


def test_scripts_are_executable():
    scripts = [PROJECT / ".ci" / "run", *(PROJECT / "scripts").glob("*.sh")]
    assert [path.name for path in scripts if not os.access(path, os.X_OK)] == []


def test_every_page_is_in_the_navigation():
    class Loader(yaml.SafeLoader):
        """Reads mkdocs.yml, whose plug-in tags mean nothing here."""

    Loader.add_multi_constructor("tag:", lambda *_: None)
    Loader.add_multi_constructor("!", lambda *_: None)
    config = yaml.load((PROJECT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)  # a SafeLoader
    listed = set(re.findall(r"[\w-]+\.md", str(config["nav"])))
    assert {path.name for path in DOCS.glob("*.md")} - listed == set()


def test_citation_names_its_sources(pyproject: dict):
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == napari_cellcls.__version__
    assert citation["license"] == pyproject["project"]["license"]
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference), reference
        assert {"doi", "url"} & set(reference), reference["title"]


def test_changelog_tells_about_this_version():
    text = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text
    assert f"## [{napari_cellcls.__version__}]" in text


def test_system_packages_are_listed_in_the_manual():
    done = subprocess.run(
        [str(PROJECT / "scripts" / "system_packages.sh"), "list"],
        capture_output=True,
        text=True,
        check=True,
    )
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    assert [name for name in done.stdout.split() if name not in page] == []
