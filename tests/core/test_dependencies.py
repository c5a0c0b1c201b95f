"""Dependencies go one way: domains and datasets import the core, and the core imports neither."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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
# Extras that bring what a package imports; a command that needs another one names it.
EXTRAS = {
    "voxtile_datasets": {"llm", "curation", "medical"},  # workbooks are read by packages of the extra medical
    "voxtile_medical": {"medical", "dicomweb", "huggingface", "ocr", "pdf"},
    "voxtile_pathology": {"pathology"},
    "voxtile_remote_sensing": {"remote-sensing"},
}


@cache  # several tests ask for every file
def _imports(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


_providers = cache(packages_distributions)  # reads what all installed packages hold


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


def _normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def _brought(extras):
    """Names of what an install with some extras brings, by the project's own file and the metadata of the others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [*project["dependencies"], *(line for e in extras for line in project["optional-dependencies"][e])]
    asked, found = set(), set()
    while waiting:
        requirement = Requirement(waiting.pop())
        name = _normal(requirement.name)
        if (key := (name, frozenset(requirement.extras))) in asked:
            continue
        asked.add(key)
        found.add(name)
        try:
            lines = requires(requirement.name) or ()
        except PackageNotFoundError:
            continue
        for line in lines:
            marker = Requirement(line).marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)):
                waiting.append(line)
    return found


@pytest.mark.parametrize("package", EXTRAS)
def test_what_a_package_imports_comes_with_its_extras(package):
    """Also what came by way of another package, which may cease to bring it, as h5netcdf did with h5py."""
    brought, provided = _brought(EXTRAS[package]), _providers()
    names = {name for path in PACKAGES[package].rglob("*.py") for name in _imports(path)}
    others = names - set(PACKAGES) - sys.stdlib_module_names
    assert others
    lacking = {name for name in others if not brought & {_normal(owner) for owner in provided.get(name, ())}}
    assert lacking == set()
