"""The script that counts circles, upward imports and sizes counts those of a package whose figures are known."""

import sys
from pathlib import Path

import pytest
from tests.benchmark_script import benchmark_script

ROOT = Path(__file__).parents[2]
FILES = {
    "__init__.py": "",
    "cli.py": "from pkg.data import loader\n",
    "errors.py": "",
    "data/__init__.py": "",
    "data/loader.py": "import pkg.data.order\nfrom ..models.tower import Tower\n",  # up, relative
    "data/order.py": (
        "from typing import TYPE_CHECKING\n"
        "from pkg.data.loader import load\n"  # closes the circle
        "if TYPE_CHECKING:\n    from pkg.cli import main\n"
        "else:\n    from pkg.errors import PkgError\n"
        "def late():\n    from pkg.cli import main\n    from pkg.errors import PkgError\n"
    ),
    "models/__init__.py": "from . import tower\n",
    "models/tower.py": "import os\nimport pkg\nfrom pkg import data\n" + "x = 1\n" * 30,
}


@pytest.fixture(scope="module")
def script():
    return benchmark_script("structure")


@pytest.fixture
def package(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "core" / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "core" / "pkg"


def test_imports_are_those_of_running_code_and_know_where_they_stand(script, package):
    graph = script.import_graph(package)
    assert graph["pkg.data.loader"].top == {"pkg.data.order", "pkg.models.tower"}
    assert graph["pkg.data.order"].top == {"pkg.data.loader", "pkg.errors"}
    assert graph["pkg.data.order"].local == {"pkg.cli"}, "that of the errors is at the top already"
    assert graph["pkg.models"].top == {"pkg.models.tower"}
    assert graph["pkg.models.tower"].top == {"pkg", "pkg.data"}


def test_circles_and_upward_imports_are_counted_with_and_without_functions(script, package):
    graph = script.import_graph(package)
    assert script.circles(graph) == [["pkg.data.loader", "pkg.data.order"]]
    assert script.circles(graph, local=True) == [["pkg.cli", "pkg.data.loader", "pkg.data.order"]]
    assert script.folder_circles(graph) == ["data <-> models"]
    assert script.folder_circles(graph, local=True) == ["cli <-> data", "data <-> models"]
    layers, places = [["cli"], ["models"], ["data"], ["types"]], {"pkg": "types"}
    assert script.upward(graph, layers, places) == ["pkg.data.loader (data) -> pkg.models.tower (models)"]
    assert script.upward(graph, layers, places, local=True) == ["pkg.data.order (data) -> pkg.cli (cli)"]
    assert script.upward(graph, [["cli"], ["models", "data"], ["types"]], places) == []
    placed = places | {"pkg.models.tower": "data", "pkg.cli": "types"}
    assert script.upward(graph, layers, placed) == ["pkg.cli (types) -> pkg.data.loader (data)"]
    assert script.upward(graph, layers, placed, local=True) == []


def test_sizes_are_counted(script, package):
    found = script.sizes(package.parents[1], ("core",))
    assert found == {
        "files": 8,
        "lines": 1 + 2 + 9 + 1 + 33,
        "median lines of a file": 1,
        "largest folder": "core/pkg: 2 files",
        "folders of more than 20 files": 0,
        "files under 20 lines": 4,
        "__init__.py files": 3,
    }


LOOKED_UP = {"fits", "economy", "edges", "marks", "amounts", "flat"}
"""Names that say nothing of what is in a file, as modules once had them."""


def test_no_folder_is_too_large_to_look_through_and_no_file_is_a_scrap(script):
    found = script.sizes(ROOT)
    assert found["folders of more than 20 files"] == 0, found["largest folder"]
    files = [path for folder in script.FOLDERS for path in (ROOT / folder).rglob("*.py")]
    scraps = {path for path in files if path.name != "__init__.py" and path.read_text().count("\n") < script.SHORT}
    alone = {ROOT / "core/voxtile/inference/similarity/method.py"}  # read for a help text, without torch
    assert scraps == alone
    assert not LOOKED_UP & {path.stem for path in files}


def test_the_order_of_layers_is_the_one_of_the_contract(script):
    layers = script.layers_of(ROOT / "pyproject.toml")
    assert layers[1] == ["cli"]
    assert layers[-2] == ["distributed", "pages", "types", "words"]
    names = [name for layer in layers for name in layer]
    there = [path for path in (ROOT / "core" / "voxtile").iterdir() if path.suffix == ".py" or path.is_dir()]
    assert sorted(names) == sorted(path.stem for path in there if not path.name.startswith("_"))
    assert set(script.PLACES.values()) <= set(names)


def test_a_command_is_timed_and_torch_is_seen(script, tmp_path):
    program = tmp_path / "program"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport torch\nsys.exit(2)\n"
    )
    program.chmod(0o755)
    (tmp_path / "torch.py").write_text("")
    found = script.answer(program, (), 2)
    assert found["torch"]
    assert 0 < found["seconds"] < 1
    with pytest.raises(SystemExit, match="left with 2"):
        script.answer(program, (), 0)
