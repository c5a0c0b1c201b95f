"""Do the tests die when the code lies? Listed mutations, each applied alone to a copy, and the tests that concern it.

The lists are benchmarks/mutants/*.yaml: file → tests (a file, or `file::test`) and pairs [text to find, text in its
place], or a list of several such entries. A text must stand once in its file, so that a list that the code has left
behind is noticed. A mutation is killed where a test fails or runs into the time limit, and survives where all pass; one
that cannot even be imported is a mistake of the list. A third text of a pair explains a survivor.

Run: python -P benchmarks/mutants.py [--list NAME] [--only TEXT] [--jobs N] [--out FILE] [--known FILE]
(`make mutants` runs all)
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
LISTS = Path(__file__).parent / "mutants"
COPIED = ("core", "datasets", "domains", "tests", "benchmarks", "docs", "pyproject.toml", "README.md", "Makefile")
PACKAGES = ("core", "datasets", "domains/medical", "domains/pathology", "domains/remote_sensing")
WANTED = 0.97
_LIMIT_S = 300
_PASSED, _FAILED = 0, 1  # pytest's exit statuses


@dataclass(frozen=True)
class Mutation:
    """One lie: `find` becomes `replace` in `file`, and `tests` should notice."""

    file: str
    find: str
    replace: str
    tests: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True)
class Outcome:
    """What the tests said: `killed`, `survived`, `explained` (a survivor with a reason) or `broken`."""

    mutation: Mutation
    verdict: str
    seconds: float
    said: str


def read_mutations(only: str = "", lists: str = "*") -> list[Mutation]:
    """All mutations of the lists of these names whose file or text holds `only`.

    Raises:
        SystemExit: a text does not stand in its file exactly once, or a test file is missing.
    """
    found, wrong = [], []
    for path in sorted(LISTS.glob(f"{lists}.yaml")):
        listed = yaml.safe_load(path.read_text(encoding="utf-8")).items()
        entries = [(file, entry) for file, own in listed for entry in (own if isinstance(own, list) else [own])]
        for file, entry in entries:
            content = (ROOT / file).read_text(encoding="utf-8") if (ROOT / file).is_file() else ""
            wrong += [f"{path.name}: there is no {test}" for test in entry["tests"] if not _is_there(test)]
            for find, replace, *why in entry["mutations"]:
                if (times := content.count(find)) != 1:
                    wrong.append(f"{path.name}: {file} has {times} times: {find.splitlines()[0]}")
                found.append(Mutation(file, find, replace, tuple(entry["tests"]), *why))
    if wrong:
        raise SystemExit("the lists do not fit the code any more:\n  " + "\n  ".join(wrong))
    return [m for m in found if only in m.file or only in m.find]


def _is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    path = ROOT / file
    return path.is_file() and (not name or f"\ndef {name}(" in path.read_text(encoding="utf-8"))


def copy_of_the_code(folder: Path) -> Path:
    """A copy that may be mutated, with its bytecode validated by content, so that no old one is run."""
    for name in COPIED:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / name, **({"ignore": shutil.ignore_patterns("__pycache__")} if source.is_dir() else {}))
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", *PACKAGES]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def run_tests(folder: Path, tests: tuple[str, ...], limit_s: int = _LIMIT_S) -> tuple[int, str]:
    """Exit status of pytest on the copy, and its last line; a run beyond the time limit counts as failed."""
    paths = os.pathsep.join(str(folder / package) for package in PACKAGES)
    data = os.environ.get("VOXTILE_TEST_DATA", str((ROOT / ".." / "shared" / "data").resolve()))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "VOXTILE_TEST_DATA": data}
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *tests]
    command += ["-m", "not sweep or sweep(ci=True)", "--tb=no"]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return _FAILED, f"no end within {limit_s} s"
    lines = [
        line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))
    ] or done.stdout.splitlines()
    return done.returncode, (lines or [""])[-1][:160]


def judge(mutation: Mutation, folder: Path) -> Outcome:
    """Apply a mutation to the copy, run its tests, and take it back."""
    path, began = folder / mutation.file, time.monotonic()
    content = path.read_text(encoding="utf-8")
    path.write_text(content.replace(mutation.find, mutation.replace), encoding="utf-8")
    try:
        status, said = run_tests(folder, mutation.tests)
    finally:
        path.write_text(content, encoding="utf-8")
    verdict = {_PASSED: "explained" if mutation.why else "survived", _FAILED: "killed"}.get(status, "broken")
    return Outcome(mutation, verdict, time.monotonic() - began, said)


def judged(mutations: list[Mutation], jobs: int, scratch: Path) -> Iterator[Outcome]:
    """Outcomes in the order of the list; each job has a copy of its own."""
    copies = threading.local()
    numbers = iter(range(jobs))

    def own() -> None:
        folder = scratch / str(next(numbers))
        folder.mkdir()
        copies.folder = copy_of_the_code(folder)

    with ThreadPoolExecutor(jobs, initializer=own) as pool:
        yield from pool.map(lambda mutation: judge(mutation, copies.folder), mutations)


def killed_before(path: Path) -> list[Outcome]:
    """What an earlier run killed, as far as the lists still have it."""
    current = set(read_mutations())
    found = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        mutation = Mutation(**row["mutation"] | {"tests": tuple(row["mutation"]["tests"])})
        if row["verdict"] == "killed" and mutation in current:
            found.append(Outcome(mutation, row["verdict"], row["seconds"], row["said"]))
    return found


def main() -> int:
    """Run the lists; 1 where too many survive or the code itself fails its tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", default="*", metavar="NAME", help="mutations of this list alone, e.g. evaluation")
    parser.add_argument("--only", default="", metavar="TEXT", help="mutations whose file or text holds this")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--out", type=Path, metavar="FILE", help="all outcomes as JSON")
    parser.add_argument(
        "--known", type=Path, metavar="FILE", help="of an earlier run: what it killed is not tried again"
    )
    arguments = parser.parse_args()
    outcomes = killed_before(arguments.known) if arguments.known else []
    known = {outcome.mutation for outcome in outcomes}
    mutations = [m for m in read_mutations(arguments.only, arguments.list) if m not in known]
    with tempfile.TemporaryDirectory() as scratch:
        clean = Path(scratch) / "clean"
        clean.mkdir()
        tests = tuple(sorted({test for mutation in mutations for test in mutation.tests}))
        status, said = run_tests(copy_of_the_code(clean), tests, _LIMIT_S * len(tests))
        if status != _PASSED:
            print(f"the tests fail without any mutation: {said}")
            return 1
        for number, outcome in enumerate(judged(mutations, arguments.jobs, Path(scratch)), 1):
            outcomes.append(outcome)
            mutation = outcome.mutation
            line = f"[{number}/{len(mutations)}] {outcome.verdict:9} {outcome.seconds:4.0f} s  {mutation.file}"
            print(line, flush=True)
            if outcome.verdict != "killed":
                print(
                    f"    - {mutation.find}\n    + {mutation.replace}\n    {mutation.why or outcome.said}", flush=True
                )
            if arguments.out:
                made = json.dumps([asdict(outcome) for outcome in outcomes], indent=1)
                arguments.out.write_text(made, encoding="utf-8")
    counts = {v: sum(o.verdict == v for o in outcomes) for v in ("killed", "explained", "survived", "broken")}
    share = counts["killed"] / max(1, len(outcomes))
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + f"; {share:.1%} killed")
    return int(share < WANTED or counts["survived"] > 0 or counts["broken"] > 0)


if __name__ == "__main__":
    sys.exit(main())
