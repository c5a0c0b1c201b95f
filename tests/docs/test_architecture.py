"""docs/architecture.md shows the folders that are there, in the order that import-linter holds."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][1]
PACKAGES = ["core/voxtile", *(str(p.relative_to(ROOT)) for p in ROOT.glob("d*/voxtile_*") if p.is_dir())]
PACKAGES += [str(p.relative_to(ROOT)) for p in ROOT.glob("domains/*/voxtile_*") if p.is_dir()]


def _block(heading):
    return PAGE.split(f"\n## {heading}\n")[1].split("```\n")[1]


def _tree():
    """Folder of the tree → names under it, in the tree's order."""
    tree, folder = {}, ""
    for line in _block("The folders").splitlines():
        name, sentence = re.fullmatch(r"( {0,2}\S+)(?: {2,}(\S.*))?", line).groups()
        if name.startswith(" "):
            tree[folder].append(name.strip())
            assert sentence, f"{name} has no sentence"
        else:
            folder = name.rstrip("/")
            tree[folder] = []
    return tree


def _folders(folder):
    """Folders that hold a file of the project, not only what Python left there."""
    inside = [path for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"]
    return {f"{path.name}/" for path in inside if any(f.is_file() and f.suffix != ".pyc" for f in path.rglob("*"))}


@pytest.mark.parametrize("folder", [*PACKAGES, "tests", "benchmarks"])
def test_the_tree_names_the_folders_that_are_there(folder):
    shown = _tree()[folder]
    assert len(shown) == len(set(shown))
    assert {name for name in shown if name.endswith("/")} == _folders(ROOT / folder)


def test_the_tree_has_every_package_and_nothing_that_is_not_there():
    tree = _tree()
    assert len(PACKAGES) == 5
    assert set(PACKAGES) < set(tree)
    assert [
        f"{folder}/{name}" for folder, names in tree.items() for name in names if not (ROOT / folder / name).exists()
    ] == []
    modules = {path.name for path in (ROOT / "core" / "voxtile").glob("*.py")} - {"__init__.py"}
    assert {name for name in tree["core/voxtile"] if name.endswith(".py")} == modules


def test_layers_and_tree_have_the_order_of_the_contract():
    assert _block("Dependencies go one way").splitlines() == CONTRACT["layers"]
    layers = [set(re.split(r" [:|] ", layer)) for layer in CONTRACT["layers"]]
    place = {name: number for number, layer in enumerate(layers) for name in layer}
    shown = [name.removesuffix("/").removesuffix(".py") for name in _tree()["core/voxtile"]]
    outside = {"old_imports"} - place.keys()  # a stand-in for modules that are gone, which no layer imports
    assert {*place, *outside} == set(shown)
    order = [place[name] for name in shown if name in place]
    assert order == sorted(order)
