"""The rules that hold the house up: arrows, light start, forbidden words, sizes, documented errors."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "src" / "napari_cellcls"
MODULES = sorted(PACKAGE.rglob("*.py"))
EDGE = [
    path
    for path in MODULES
    if "widgets" in path.parts or path.name in {"_reader.py", "_sample_data.py", "_writer.py"}
]

# docs/architecture.md, rule 3.
HEAVY = [
    "keras", "tensorflow", "bioio", "bioio_base", "onnxruntime", "openvino", "onnx", "sklearn",
    "matplotlib", "distributed", "torch",
]  # fmt: skip
WINDOW = ["qtpy", "PyQt6", "PySide6", "magicgui", "superqt", "napari", "vispy"]

FORBIDDEN = {
    r"(?<![\"'])\bpickle\b": "runs code from files",  # quoted, it names a codec we refuse
    r"\bjoblib\b": "runs code from files",
    r"torch\.load": "runs code from files",
    r"\bload_model\(": "runs code from files",
    r"\bextractall\b": "writes where the archive says",
    r"\byaml\.load\(": "runs code from files; use yaml.safe_load",
    r"allow_pickle\s*=\s*True": "runs code from files",
    r"\b(eval|exec)\(": "runs code from strings",
    r"shell\s*=\s*True": "hands file names to a shell",
    r"\bnapari\._": "private napari API",
    r"_qt_window|_qt_viewer": "private napari API",
    r"\braise NotImplementedError\b": "a stub",
    r"\b(TODO|FIXME|XXX)\b": "belongs in an issue",
    r"(?<![\w.])print\(": "use the logger, or rich in the terminal",
}


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _load_script(name: str):
    spec = importlib.util.spec_from_file_location(name, PROJECT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_arrows_run_one_way():
    program = (
        "import sys; from importlinter.cli import lint_imports as run; sys.exit(run(no_cache=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("napari_cellcls", [*HEAVY, *WINDOW, "numpy", "pandas", "dask", "skimage", "scipy"]),
        ("napari_cellcls.vocabulary", [*HEAVY, *WINDOW, "numpy", "pandas", "dask"]),
        ("napari_cellcls.cli", [*HEAVY, *WINDOW]),
        ("napari_cellcls.session", [*HEAVY, *WINDOW]),
        ("napari_cellcls.predict", [*HEAVY, *WINDOW]),
        ("napari_cellcls.models.runtime", [*HEAVY, *WINDOW]),
        ("napari_cellcls._reader", HEAVY),
        ("napari_cellcls._sample_data", HEAVY),
    ],
)
def test_start_is_light(module: str, absent: list[str]):
    program = f"import sys, {module}; print(*sorted(set({absent!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [], f"importing {module} loads these"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_forbidden_words(path: Path):
    found = [
        f"{_name(path)}:{number}: {reason}: {line.strip()}"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for pattern, reason in FORBIDDEN.items()
        if re.search(pattern, line)
    ]
    assert found == []


@pytest.mark.parametrize("path", EDGE, ids=_name)
def test_only_public_attributes_of_others_at_the_edge(path: Path):
    private = [
        f"{_name(path)}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.endswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
    ]
    assert private == []


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_says_what_it_owns(path: Path):
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert doc, "a module docstring is missing"
    first = doc.split("\n\n")[0]
    assert first.rstrip().endswith((".", ":")), f"first sentence is not a sentence: {first!r}"
    assert len(first.split()) >= 4, f"too short to say what the module owns: {first!r}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_sizes(path: Path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 350, f"{_name(path)} is two modules"
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > 80
    ]
    assert long == []


def test_no_environment_is_changed_at_import():
    changed = [
        f"{_name(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if "os.environ[" in ast.unparse(node) and isinstance(node, ast.Assign | ast.Expr)
    ]
    assert changed == []


def test_every_error_code_is_documented_with_a_remedy():
    codes = _load_script("error_codes")
    used = {hit.code for hit in codes.raised()}
    rows = codes.documented()
    assert used - set(rows) == set(), "python scripts/error_codes.py --missing prints the rows"
    assert set(rows) - used == set(), "no longer in the source"
    for code, row in rows.items():
        cells = [cell.strip() for cell in row.split(" | ")]
        assert len(cells) == 2 and all(len(cell) > 10 for cell in cells), (
            f"{code}: needs a meaning and a remedy"
        )
