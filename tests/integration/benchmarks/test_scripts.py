"""Scripts of benchmarks/, which nobody runs for weeks, name only what there is."""

import ast
import importlib

import pytest
from tests.benchmark_script import BENCHMARKS

OURS = ("voxtile", "voxtile_datasets", "voxtile_medical", "voxtile_pathology", "voxtile_remote_sensing")
SCRIPTS = sorted(BENCHMARKS.rglob("*.py"))


def named(tree):
    """Modules of ours that a script imports anywhere, each with a name of it, or none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in OURS:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name.partition(".")[0] in OURS)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(BENCHMARKS).as_posix())
def test_what_a_script_imports_of_ours_is_there(path):
    for module, name in named(ast.parse(path.read_text(encoding="utf-8"))):
        found = importlib.import_module(module)
        assert name is None or hasattr(found, name) or importlib.import_module(f"{module}.{name}")


def test_most_scripts_import_something_of_ours():
    assert sum(any(named(ast.parse(path.read_text(encoding="utf-8")))) for path in SCRIPTS) > len(SCRIPTS) / 2
