"""Fuzz every parser of ours, and the boundaries of those that ours call, with inputs that grow by coverage (atheris).

Every target (targets/*.py) gets the same time, in rounds, until there were so many executions in all and each has had
its least. An execution is a crash where it raises what the target does not name, where it takes longer than the limit
of one input, or where it asks for more memory than the limit allows; the inputs of crashes are kept in the work folder.
One process at a time; what the work folder holds of earlier runs is gone on from, and counted anew.

Run: python -P benchmarks/fuzz [--executions 1000000] [--least 2000] [--only TEXT] [--work build/fuzz] [--out FILE]
(`make fuzz-parsers`)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import limits  # noqa: E402
from target import targets  # noqa: E402

_LONGEST_INPUT = 1 << 16
_ROUND_S = 20
_GRACE_S = 600  # that a process may take to import on a busy machine, and to end


@dataclass
class Count:
    """What was done with a target.

    Attributes:
        executions: inputs that were given to it.
        seconds: that they took, imports included.
        stopped: processes that a hang or native code ended.
    """

    executions: int = 0
    seconds: float = 0.0
    stopped: int = 0
    rounds: int = field(default=0, repr=False)


def fuzz(wanted: int, least: int, only: str, work: Path, out: Path | None) -> dict[str, Count]:
    """Run rounds until there were enough executions; counts by target. Figures are written after each round."""
    files = {name: file for name, file in targets().items() if only in name or only == file}
    counts = {name: Count() for name in files}
    while True:
        short = [name for name, count in counts.items() if count.executions < least]
        if not short and sum(count.executions for count in counts.values()) >= wanted:
            return counts
        for name in short or sorted(counts):
            _round(name, files[name], counts[name], work / name.replace(" ", "-").replace("/", "-"))
            done = sum(count.executions for count in counts.values())
            print(f"{name}: {counts[name].executions:,} ({done:,} in all)", flush=True)
            if out:
                out.write_text(json.dumps(report(counts, work), indent=1) + "\n")
            if not short and done >= wanted:
                break


def _round(name: str, file: str, count: Count, folder: Path) -> None:
    """Some seconds of one target, in a process."""
    for part in ("corpus", "crashes"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    counter = folder / "executions"
    counter.unlink(missing_ok=True)
    count.rounds += 1
    options = [
        f"-max_total_time={_ROUND_S}", f"-timeout={limits.SECONDS}", f"-max_len={_LONGEST_INPUT}", "-rss_limit_mb=0",
        f"-artifact_prefix={folder}/crashes/", f"-seed={count.rounds}", "-verbosity=0", "-print_final_stats=1",
        "-reload=0", str(folder / "corpus"),
    ]  # fmt: skip
    began, before = time.monotonic(), len(list((folder / "crashes").iterdir()))
    memory = Path("/dev/shm")  # files of inputs are written and read thousands of times a second
    with (
        (folder / "log.txt").open("wb") as log,
        tempfile.TemporaryDirectory(prefix="voxtile-fuzz-", dir=memory if memory.is_dir() else None) as scratch,
    ):
        settings = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": scratch}
        command = [sys.executable, "-P", str(HERE / "one.py"), name, file, str(folder), *options]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=settings)
        try:
            status = process.wait(_ROUND_S + limits.SECONDS + _GRACE_S)
        except subprocess.TimeoutExpired:  # a hang that no alarm ends
            process.kill()
            status = process.wait()
    made = int.from_bytes(counter.read_bytes(), "little") if counter.is_file() else 0
    if made == 0:
        raise SystemExit(f"target '{name}' did not start:\n{(folder / 'log.txt').read_text(errors='replace')[-2000:]}")
    count.executions += made
    count.seconds += time.monotonic() - began
    count.stopped += bool(status) or len(list((folder / "crashes").iterdir())) > before


def report(counts: dict[str, Count], work: Path) -> dict[str, Any]:
    """Figures for the page of benchmarks."""
    rows = []
    for name, count in counts.items():
        folder = work / name.replace(" ", "-").replace("/", "-")
        finds = sorted(path.read_text().strip() for path in folder.glob("finds/*.txt"))
        rows.append({
            "target": name, "executions": count.executions, "seconds": round(count.seconds, 1), "finds": finds,
            "stopped": count.stopped,
        })  # fmt: skip
    return {
        "executions": sum(count.executions for count in counts.values()),
        "seconds": round(sum(count.seconds for count in counts.values()), 1),
        "crashes": sum(len(row["finds"]) + row["stopped"] for row in rows),
        "limit_seconds": limits.SECONDS, "limit_gigabytes": limits.GIGABYTES,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "targets": rows,
    }  # fmt: skip


def main() -> None:
    """Fuzz, write the figures, and leave with status 1 where there was a crash."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=1_000_000, help="in all")
    parser.add_argument("--least", type=int, default=2_000, help="of each target")
    parser.add_argument("--only", default="", help="targets with this in their name, or of this file")
    parser.add_argument(
        "--work", type=Path, default=Path("build/fuzz"), help="inputs that were found, kept between runs"
    )
    parser.add_argument("--out", type=Path, help="figures as JSON")
    options = parser.parse_args()
    try:
        import atheris  # noqa: F401
    except ImportError:
        raise SystemExit("fuzzing needs atheris: pip install -e '.[fuzz]'") from None
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
    counts = fuzz(options.executions, options.least, options.only, options.work, options.out)
    found = report(counts, options.work)
    for row in found["targets"]:
        for find in row["finds"]:
            print(f"{row['target']}: {find}")
        if row["stopped"]:
            print(f"{row['target']}: {row['stopped']} processes ended by a hang or in native code")
    print(f"{found['executions']:,} executions in {found['seconds']:,.0f} s, {found['crashes']} crashes")
    sys.exit(1 if found["crashes"] else 0)


if __name__ == "__main__":
    main()
