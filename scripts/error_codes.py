"""Lists every coded error of the package and compares the list with docs/troubleshooting.md.

Usage::

    python scripts/error_codes.py            # code, where it is raised
    python scripts/error_codes.py --missing  # what the page lacks, as table rows to fill in, and what it has too much
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "napari_cellcls"
PAGE = ROOT / "docs" / "troubleshooting.md"
_ROW = re.compile(r"^\| `([A-Z][A-Z0-9-]+)` \|(.*)\|\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Raised:
    """One place where a code stands in the source, with the texts found beside it."""

    code: str
    path: Path
    line: int
    what: str = ""
    remedy: str = ""


def prefixes() -> set[str]:
    """Return the first words of all codes: the default codes of the error classes."""
    return {
        node.value.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and any(isinstance(t, ast.Name) and t.id == "default_code" for t in _targets(node))
    }


def raised() -> list[Raised]:
    """Return every code in the source, sorted; a code used in several places appears several times."""
    pattern = re.compile(rf"(?:{'|'.join(sorted(prefixes()))})(?:-[A-Z0-9]+)+")
    found = [hit for path in sorted(PACKAGE.rglob("*.py")) for hit in _in_file(path, pattern)]
    return sorted(found, key=lambda hit: (hit.code, str(hit.path), hit.line))


def documented() -> dict[str, str]:
    """Return code -> rest of its row on the troubleshooting page."""
    return {code: rest.strip() for code, rest in _ROW.findall(PAGE.read_text(encoding="utf-8"))}


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _in_file(path: Path, pattern: re.Pattern[str]) -> Iterator[Raised]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside_calls: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            texts = {keyword.arg: keyword.value for keyword in node.keywords}
            code = texts.get("code")
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                inside_calls.add(code)
                what = ast.unparse(node.args[0]) if node.args else ""
                remedy = ast.unparse(texts["remedy"]) if "remedy" in texts else ""
                yield Raised(code.value, path, node.lineno, what, remedy)
    for node in ast.walk(tree):
        if node in inside_calls or not isinstance(node, ast.Constant):
            continue
        if isinstance(node.value, str) and pattern.fullmatch(node.value):
            yield Raised(node.value, path, node.lineno)


def main(arguments: list[str]) -> int:
    """Print the list, or the difference to the page (exit code 1 when there is one)."""
    hits = raised()
    if "--missing" not in arguments:
        for hit in hits:
            print(f"{hit.code:24} {hit.path.relative_to(ROOT)}:{hit.line}  {hit.what}")
        return 0
    known = documented()
    rows = {hit.code: hit for hit in reversed(hits) if hit.code not in known}
    for code, hit in sorted(rows.items()):
        print(f"| `{code}` | {hit.what} | {hit.remedy} |   <- {hit.path.name}:{hit.line}")
    gone = sorted(set(known) - {hit.code for hit in hits})
    for code in gone:
        print(f"no longer in the source: {code}")
    return int(bool(rows or gone))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
