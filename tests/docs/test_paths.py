"""What docs and docstrings call by a path is there: `voxtile.data.VolumePreset`, `core/voxtile/data/epoch_order.py`."""

import ast
import importlib
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
CODE = ("core", "datasets", "domains", "tests", "benchmarks")
STARTS = [place.parent for glob in ("*", "domains/*") for place in ROOT.glob(f"{glob}/voxtile*/__init__.py")]
DOTTED = re.compile(r"(?<![\w./-])voxtile(?:_[a-z_]+)?(?:[.:](?!py\b|md\b|yaml\b|json\b)[A-Za-z_]\w*)+")
PYTHON = re.compile(r"(?<![\w./:<>*{-])(?:\w+/)+\w+\.py\b")
FILE = re.compile(r"(?<![\w./-])(?:core|datasets|domains|tests|benchmarks|docs)/[\w./-]*\w")
MOVED = ROOT / "docs" / "decisions" / "moved-modules.md"
# The example of a domain of one's own, and a page of the repository of ggml.
OTHERS = ("voxtile_microscopy", "docs/gguf.md")


@cache
def _entry_point_groups():
    declared = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"])
    sources = (path.read_text(encoding="utf-8") for top in CODE[:3] for path in (ROOT / top).rglob("*.py"))
    return declared | {
        group for text in sources for group in re.findall(r'(?:GROUP\w* = |group=)"(voxtile\.\w+)"', text)
    }


@cache
def _docstrings(path):
    return list(_read_docstrings(path))


def _read_docstrings(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def _moved():
    rows = re.findall(r"^\| (voxtile\S+) \| (.+) \|$", MOVED.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 400
    return rows


def _texts(top, looked_for=None):
    """Pages or docstrings; where it is said what is looked for, only those of files in which there is any."""
    if top == "pages":
        yield from ((path, path.read_text(encoding="utf-8")) for path in PAGES if path != MOVED)
        yield from ((MOVED, now) for _, now in _moved())
    else:
        paths = (ROOT / top).rglob("*.py")
        held = (path for path in paths if looked_for is None or looked_for.search(path.read_text(encoding="utf-8")))
        yield from ((path, text) for path in held for text in _docstrings(path))


@cache
def _exists(dotted):
    parts = re.split(r"[.:]", dotted)
    start = next((start for start in STARTS if start.name == parts[0]), None)
    if start is None:
        return False
    folder, rest = start, parts[1:]
    while rest and (folder / rest[0] / "__init__.py").is_file():
        folder, rest = folder / rest[0], rest[1:]
    module = folder / "__init__.py"
    if rest and (folder / f"{rest[0]}.py").is_file():
        module, rest = folder / f"{rest[0]}.py", rest[1:]
    if not rest:
        return True
    name = ".".join(module.with_suffix("").relative_to(start.parent).parts).removesuffix(".__init__")
    found = importlib.import_module(name)
    for attribute in rest:
        if attribute in getattr(found, "__annotations__", {}):
            return True
        if not hasattr(found, attribute):
            return False
        found = getattr(found, attribute)
    return True


@pytest.mark.cases(3)
@pytest.mark.parametrize("top", ["pages", *CODE])
def test_dotted_paths_resolve(top):
    named = [(path, dotted) for path, text in _texts(top) for dotted in DOTTED.findall(text)]
    known = _entry_point_groups()
    wrong = {
        f"{path.relative_to(ROOT)}: {dotted}"
        for path, dotted in named
        if not dotted.startswith(OTHERS) and dotted not in known and not _exists(dotted)
    }
    assert wrong == set()
    assert top == "benchmarks" or named


@pytest.mark.parametrize("top", ["pages", *CODE])
def test_paths_of_files_are_there(top):
    named = [(path, file) for path, text in _texts(top, FILE) for file in FILE.findall(text)]
    wrong = {
        f"{path.relative_to(ROOT)}: {file}"
        for path, file in named
        if file not in OTHERS and not (ROOT / file).exists() and not (path.parent / file).exists()
    }
    assert wrong == set()


def test_python_files_of_pages_are_there():
    """Also those named from a package on: `corpus/reader.py`."""
    wrong = {
        f"{path.relative_to(ROOT)}: {file}"
        for path, text in _texts("pages")
        for file in PYTHON.findall(text)
        if not any((start / file).exists() for start in (ROOT, *STARTS, *(start.parent for start in STARTS)))
    }
    assert wrong == set()


def test_modules_that_moved_are_no_longer_where_they_were():
    gone = [before for before, _ in _moved()]
    assert len(gone) == len(set(gone))
    files = [f"{name.replace('.', '/')}.py" for name in gone]
    assert [file for file in files if any((start.parent / file).exists() for start in STARTS)] == []


def test_a_path_that_is_gone_is_seen():
    assert DOTTED.findall("see `voxtile.data.gone` and `voxtile.corpus.shards.blosc2_frame:check`.") == [
        "voxtile.data.gone",
        "voxtile.corpus.shards.blosc2_frame:check",
    ]
    assert not _exists("voxtile.data.gone")
    assert not _exists("voxtile.data.NoPreset")
    assert _exists("voxtile.data.VolumePreset")
    assert _exists("voxtile.export.onnx")
    assert FILE.findall("in `core/voxtile/data/base.py`.") == ["core/voxtile/data/base.py"]
