"""Dependencies go one way: domains and datasets import the core, and the core imports neither."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "voxtile": ROOT / "core" / "voxtile",
    "voxtile_datasets": ROOT / "datasets" / "voxtile_datasets",
    "voxtile_medical": ROOT / "domains" / "medical" / "voxtile_medical",
    "voxtile_pathology": ROOT / "domains" / "pathology" / "voxtile_pathology",
    "voxtile_remote_sensing": ROOT / "domains" / "remote_sensing" / "voxtile_remote_sensing",
}
ALLOWED = {
    "voxtile": set(),
    "voxtile_datasets": {"voxtile"},
    "voxtile_medical": {"voxtile", "voxtile_datasets"},
    "voxtile_pathology": {"voxtile", "voxtile_datasets"},
    "voxtile_remote_sensing": {"voxtile", "voxtile_datasets"},
}


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_is_below_it(package):
    files = list(PACKAGES[package].rglob("*.py"))
    assert files
    forbidden = set(PACKAGES) - ALLOWED[package] - {package}
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}" for path in files for name in _imports(path) if name in forbidden
    }
    assert not wrong


def test_every_package_of_the_repository_is_checked():
    found = {path.parent.name for path in ROOT.glob("*/voxtile*/__init__.py")}
    found |= {path.parent.name for path in ROOT.glob("domains/*/voxtile*/__init__.py")}
    assert found == set(PACKAGES)
