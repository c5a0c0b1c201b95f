"""How the code is laid out and how quickly its commands answer: the figures of docs/benchmarks.md, "The code itself".

- import circles of the core (strongly connected components with more than one module), pairs of its folders that import
  each other, and imports against the order of its layers, from the syntax trees: imports at the top of a module, and
  with those inside functions. What stands under
  TYPE_CHECKING does not count, and what a package exports lazily is an import of the package alone.
- files, lines, the largest folder, the median file, files under 20 lines; pairs of places that `duplicates` finds.
- processor seconds (user and system, median of five after one that warms up) of help texts and typing errors, and
  whether torch was imported for them.

The order of layers is that of the import-linter contract in this checkout's pyproject.toml; folders and files that are
older than it are mapped by PLACES. Run: python benchmarks/structure.py [--root OTHER_CHECKOUT] [--json FILE]
"""

import argparse
import ast
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import networkx as nx

HERE = Path(__file__).resolve().parents[1]
CORE = "voxtile"
FOLDERS = ("core", "datasets", "domains")
SHORT, REPEATS = 20, 5
PLACES = {  # what the contract has no name for, by the longest beginning: older checkouts have such
    "voxtile": "errors",
    "voxtile.command_options": "cli",
    "voxtile.command_table": "cli",
    "voxtile.doctor": "cli",
    "voxtile.embed": "stages",
    "voxtile.evaluate": "evaluation",
}
EVALUATE = ("evaluate", "last.ckpt", "medical/ct-findings")
COMMANDS = {
    "voxtile --help": ("voxtile", ("--help",), 0),
    "voxtile evaluate --help": ("voxtile", ("evaluate", "--help"), 0),
    "lightning fit --help": ("lightning", ("fit", "--help"), 0),
    "a misspelt option of evaluate": ("voxtile", (*EVALUATE, "--corpsu", "corpus", "--out", "report"), 2),
    "a missing required option of evaluate": ("voxtile", (*EVALUATE, "--out", "report"), 2),
}
"""Name: program, arguments, exit status."""


@dataclass(frozen=True)
class Imports:
    """Modules of a package that a module of it imports.

    Attributes:
        top: when it is itself imported.
        local: when a function of it is called, and not before.
    """

    top: frozenset[str]
    local: frozenset[str]


def import_graph(folder: Path) -> dict[str, Imports]:
    """Imports between the modules of a package, by module name.

    Args:
        folder: of the package, e.g. core/voxtile.
    """
    files = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: _imports(name, path, files) for name, path in files.items()}


def _imports(module: str, path: Path, files: Mapping[str, Path]) -> Imports:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: dict[bool, set[str]] = {False: set(), True: set()}
    for node, is_local in _import_nodes(ast.parse(path.read_text(encoding="utf-8")), False):
        for target in _targets(node, package):
            while target and target not in files:  # a name of a module
                target = target.rpartition(".")[0]
            if target and target != module:
                found[is_local].add(target)
    return Imports(frozenset(found[False]), frozenset(found[True] - found[False]))


def _import_nodes(node: ast.AST, is_local: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, is_local
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _import_nodes(ast.Module([other], []), is_local)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _import_nodes(child, is_local or inside)


def _targets(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parents = package.split(".")
        base = ".".join([*parents[: len(parents) - node.level + 1], *([node.module] if node.module else [])])
    yield from (f"{base}.{alias.name}" for alias in node.names)


def circles(graph: Mapping[str, Imports], *, local: bool = False) -> list[list[str]]:
    """Groups of modules that import each other, the largest first."""
    edges = nx.DiGraph()
    for name, imports in graph.items():
        edges.add_edges_from((name, target) for target in (imports.top | imports.local if local else imports.top))
    found = [sorted(group) for group in nx.strongly_connected_components(edges) if len(group) > 1]
    return sorted(found, key=lambda group: (-len(group), group))


def folder_circles(graph: Mapping[str, Imports], *, local: bool = False) -> list[str]:
    """Pairs of folders and files directly below the package that import each other, as "one <-> other"."""
    edges = set()
    for name, imports in graph.items():
        for target in imports.top | imports.local if local else imports.top:
            if "." in name and "." in target:
                edges.add((name.split(".")[1], target.split(".")[1]))
    return sorted(f"{one} <-> {other}" for one, other in edges if one < other and (other, one) in edges)


def layers_of(pyproject: Path, package: str = CORE) -> list[list[str]]:
    """Layers of the import-linter contract for a package, the highest first."""
    contracts = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    [found] = [c for c in contracts if c["type"] == "layers" and c.get("containers") == [package]]
    return [re.split(r"\s*[:|]\s*", re.sub(r"[()]", "", layer).strip()) for layer in found["layers"]]


def upward(
    graph: Mapping[str, Imports], layers: Sequence[Sequence[str]], places: Mapping[str, str], *, local: bool = False
) -> list[str]:
    """Imports of a higher layer by a lower one, as "importer -> imported"."""
    height = {name: -row for row, layer in enumerate(layers) for name in layer}
    found = []
    for name, imports in graph.items():
        for target in sorted(imports.local if local else imports.top):
            own, other = layer_of(name, height, places), layer_of(target, height, places)
            if "." in name and "." in target and height[own] < height[other]:  # not the package's own __init__
                found.append(f"{name} ({own}) -> {target} ({other})")
    return sorted(found)


def layer_of(module: str, known: Mapping[str, object], places: Mapping[str, str]) -> str:
    """The layer of a module: its place, or the folder or file below the package that has a layer's name."""
    parts = module.split(".")
    if module in places and len(parts) > 1:
        return places[module]
    if len(parts) > 1 and parts[1] in known:
        return parts[1]
    found = [begin for begin in places if module == begin or module.startswith(f"{begin}.")]
    return places[max(found, key=len)]


def sizes(root: Path, folders: Sequence[str] = FOLDERS) -> dict[str, object]:
    """Files and lines of the Python code of some folders; a folder's files are those directly in it."""
    paths = [path for name in folders for path in sorted((root / name).rglob("*.py"))]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    in_folder = Counter(path.parent.relative_to(root).as_posix() for path in paths if path.name != "__init__.py")
    largest, most = in_folder.most_common(1)[0]
    short = [path for path in paths if lines[path] < SHORT and path.name != "__init__.py"]
    return {
        "files": len(paths),
        "lines": sum(lines.values()),
        "median lines of a file": statistics.median(lines.values()),
        "largest folder": f"{largest}: {most} files",
        "folders of more than 20 files": sum(count > 20 for count in in_folder.values()),
        f"files under {SHORT} lines": len(short),
        "__init__.py files": sum(path.name == "__init__.py" for path in paths),
    }


def duplicate_pairs(root: Path) -> dict[str, int] | None:
    """Pairs of places that share six or more lines, if there is a command that counts them: all, and those by kind."""
    if shutil.which("duplicates") is None:
        return None
    command = ["duplicates", "--repo", str(root), "--most", "1", "--seconds", "600"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "incomplete:" in said:
        raise SystemExit(f"duplicates: {said[:500]}")
    names = {
        "pairs": r"pairs? of places",
        "alike but for names": "by shape alone",
        "of these boilerplate": "of those marked",
    }
    found = {name: re.search(rf"([\d,]+) {words}", said) for name, words in names.items()}
    return {name: int(one.group(1).replace(",", "")) if one else 0 for name, one in found.items()}


def answer(program: Path, arguments: Sequence[str], status: int) -> dict[str, object]:
    """Processor seconds of a command, and whether it imported torch.

    Raises:
        SystemExit: it left with another status than it should.
    """
    with tempfile.TemporaryDirectory() as folder:
        _, said = _run(program, arguments, status, folder, {"PYTHONPROFILEIMPORTTIME": "1"})
        seconds = [_run(program, arguments, status, folder, {})[0] for _ in range(REPEATS)]
    return {"seconds": round(statistics.median(seconds), 2), "torch": bool(re.search(r"\|\s+torch\s", said))}


def _run(
    program: Path, arguments: Sequence[str], status: int, folder: str, variables: Mapping[str, str]
) -> tuple[float, str]:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            [program, *arguments], cwd=folder, stdout=output, stderr=output, env=os.environ | variables
        )
        _, left, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(left)
        output.seek(0)
        said = output.read()
    if process.returncode != status:
        raise SystemExit(f"{program} {' '.join(arguments)} left with {process.returncode}: {said[-500:]}")
    return usage.ru_utime + usage.ru_stime, said


def measure(root: Path, programs: Path | None) -> dict[str, object]:
    """All figures of a checkout."""
    graph, layers = import_graph(root / "core" / CORE), layers_of(HERE / "pyproject.toml")
    return {
        "commit": _git(root, "rev-parse", "--short", "HEAD") + ("+" if _git(root, "status", "--porcelain") else ""),
        "machine": f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "layers": [" : ".join(layer) for layer in layers],
        "circles": circles(graph),
        "circles with imports in functions": circles(graph, local=True),
        "folders that import each other": folder_circles(graph),
        "folders that import each other in functions too": folder_circles(graph, local=True),
        "upward imports": upward(graph, layers, PLACES),
        "upward imports in functions": upward(graph, layers, PLACES, local=True),
        "imports in functions": sum(len(imports.local) for imports in graph.values()),
        "sizes": sizes(root),
        "duplicates": duplicate_pairs(root),
        "commands": {
            name: answer(programs / program, arguments, status)
            for name, (program, arguments, status) in COMMANDS.items()
        }
        if programs
        else None,
    }


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", path.read_text(encoding="utf-8")) if path.is_file() else None
    return found.group(1) if found else platform.processor()


def table(found: Mapping[str, object]) -> Iterator[str]:
    """The figures as Markdown."""
    yield f"| {found['commit']}, {found['machine']} | |\n|---|---|"
    for name in ("circles", "circles with imports in functions"):
        groups: list[list[str]] = found[name]
        yield f"| import {name} (modules in them) | {len(groups)} ({sum(map(len, groups))}) |"
    for name in ("folders that import each other", "folders that import each other in functions too"):
        yield f"| pairs of {name} | {len(found[name])} |"
    for name in ("upward imports", "upward imports in functions"):
        yield f"| {name} | {len(found[name])} |"
    yield f"| imports in functions | {found['imports in functions']} |"
    for name, value in found["sizes"].items():
        yield f"| {name} | {value:,} |" if isinstance(value, int) else f"| {name} | {value} |"
    pairs = found["duplicates"] or {"not counted": "the command is not on PATH"}
    yield f"| pairs of places that share six or more lines | {', '.join(f'{n} {name}' for name, n in pairs.items())} |"
    for name, value in (found["commands"] or {}).items():
        yield f"| {name} | {value['seconds']} s{', imports torch' if value['torch'] else ''} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=HERE, help="checkout to measure; its .venv runs the commands")
    parser.add_argument("--programs", type=Path, help="folder of its commands `voxtile` and `lightning`")
    parser.add_argument("--no-commands", action="store_true", help="leave the seconds out")
    parser.add_argument("--json", type=Path, help="also write all that was found, each circle and import by name")
    options = parser.parse_args()
    root = options.root.resolve()
    own = Path(sys.executable).parent if root == HERE else root / ".venv" / "bin"
    programs = None if options.no_commands else (options.programs or own)
    if programs and not (programs / "voxtile").is_file():
        parser.error(f"there is no {programs / 'voxtile'}; name the folder with --programs, or give --no-commands")
    found = measure(root, programs)
    print("\n".join(table(found)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
