"""Is there a test that fails in one run of the suite and passes in another? The suite, many times over.

Every second run takes files and tests in another order (`-p shuffled`, the seed is the run's number). What each run
found stands in OUT/runs.jsonl, so that the next call goes on from there; runs of another commit are counted apart, and
local changes are refused. A test that failed in some runs of a commit is flaky, one that failed in all is broken;
either ends with status 1. Fifty runs take some eight hours on two cores.

    python -P benchmarks/suite_runs.py [--runs 50] [--out build/suite_runs] [--jobs 3] [-- pytest's own arguments]

`make flaky` runs all. Set VOXTILE_TEST_DATA, or tests of real files are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUITE = ("-m", "not sweep")
_RAN = (0, 1)  # pytest's exit statuses where tests ran


@dataclass(frozen=True)
class SuiteRun:
    """A run.

    Attributes:
        commit: of the code.
        order: seed of the order of tests; None where they ran as they stand.
        seconds: it took.
        load: processes that wanted a core as it began, on average over a minute.
        tests, skipped: how many.
        failed: names of those that failed or whose fixtures did.
    """

    commit: str
    order: int | None
    seconds: float
    load: float
    tests: int
    skipped: int
    failed: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is left of so many runs of this commit, and say which tests failed."""
    options = parsed(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    commit, kept = commit_of(options.root), options.out / "runs.jsonl"
    runs = [run for run in recorded(kept) if run.commit == commit]
    while len(runs) < options.runs:
        run = one_run(options, commit, len(runs))
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(run)) + "\n")
        runs.append(run)
        print(f"[{len(runs)}/{options.runs}] {run.seconds:.0f} s, load {run.load:.1f}, {run.tests} tests, "
              f"{len(run.failed)} failed {' '.join(run.failed[:5])}", flush=True)  # fmt: skip
    print("\n".join(verdict(runs)))
    if any(run.failed for run in runs):
        sys.exit(1)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="of this commit, those recorded already counted")
    parser.add_argument("--out", type=Path, default=Path("build/suite_runs"))
    parser.add_argument("--jobs", type=int, default=3, help="processes of a run; 0 for none beside pytest's own")
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout whose suite runs")
    parser.add_argument("pytest", nargs="*", default=SUITE, help="arguments of pytest in place of the whole suite")
    return parser.parse_args(argv)


def commit_of(root: Path) -> str:
    """The commit that is checked out.

    Raises:
        SystemExit: files were changed since, so that no commit says what ran.
    """
    said = subprocess.run(["git", "status", "--porcelain"], cwd=root, check=True, capture_output=True, text=True)
    if said.stdout:
        sys.exit(f"files were changed since the last commit, {said.stdout.split()[1]} for one: commit them first")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True)
    return head.stdout.strip()


def recorded(path: Path) -> list[SuiteRun]:
    """Runs of earlier calls."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [SuiteRun(**{**run, "failed": tuple(run["failed"])}) for run in map(json.loads, lines)]


def one_run(options: argparse.Namespace, commit: str, number: int) -> SuiteRun:
    """Run the suite once.

    Raises:
        SystemExit: pytest ended before tests ran.
    """
    order = number if number % 2 else None
    report, log = (options.out.resolve() / f"run.{suffix}" for suffix in ("xml", "txt"))
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    command += ["-n", str(options.jobs), "--dist", "loadfile", "--no-loadscope-reorder"] if options.jobs else []
    command += ["-p", "shuffled"] if order is not None else []
    paths = [str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "SHUFFLED": str(order or 0)}
    began, load = time.monotonic(), os.getloadavg()[0]
    with log.open("w", encoding="utf-8") as said:
        ended = subprocess.run(
            [*command, *options.pytest], cwd=options.root, env=environment, stdout=said, stderr=subprocess.STDOUT
        )
    if ended.returncode not in _RAN:
        sys.exit(f"pytest ended with status {ended.returncode}, see {log}")
    seconds = time.monotonic() - began
    tests, skipped, failed = outcome(report)
    if failed:
        log.rename(log.with_name(f"failed-{commit[:8]}-{number}.txt"))
    return SuiteRun(commit, order, round(seconds, 1), round(load, 1), tests, skipped, failed)


def outcome(report: Path) -> tuple[int, int, tuple[str, ...]]:
    """Tests, skipped ones, and names of failed ones, of pytest's report (JUnit's XML)."""
    cases = list(ET.parse(report).iter("testcase"))  # our own file
    failed = {
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    return len(cases), sum(case.find("skipped") is not None for case in cases), tuple(sorted(failed))


def verdict(runs: Sequence[SuiteRun]) -> list[str]:
    """What many runs of a commit say, in lines."""
    counts = Counter(name for run in runs for name in run.failed)
    seconds = sorted(run.seconds for run in runs)
    lines = [f"{len(runs)} runs, {seconds[0]:.0f} to {seconds[-1]:.0f} s, median {seconds[len(seconds) // 2]:.0f} s"]
    for name, times in counts.most_common():
        kind = "broken" if times == len(runs) > 1 else "flaky"
        lines.append(f"{kind}: {name} failed in {times} of {len(runs)} runs")
    return lines if counts else [*lines, "no test failed"]


if __name__ == "__main__":
    main()
