"""What a benchmark found, as JSON beside its lines of text; only where `make bench` or `--record` asks for it.

A comparison has a ratio that is above 1 where ours is ahead, whatever is compared; a figure has a value and an aim.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

FOLDER = "VOXTILE_BENCH_RECORDS"  # the environment variable that names a folder for records
FIELDS = ("name", "script", "ours", "peer", "theirs", "version", "ratio", "unit", "aim", "rounds", "machine", "date")


def machine() -> str:
    """Processor, cores and memory of this machine."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{len(os.sched_getaffinity(0))} × {model}, {memory:.0f} GiB"


def installed(package: str) -> str | None:
    """Version of a package of this environment."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def record(
    name: str,
    *,
    peer: str,
    ratios: Sequence[float],
    ours: float,
    theirs: float,
    unit: str,
    version: str | None = None,
    aim: float | None = None,
    spread: tuple[float, float] | None = None,
) -> None:
    """Write a comparison down.

    Args:
        name: what was compared.
        peer: what ours stands beside.
        ratios: of each round, above 1 where ours is ahead; with `spread` one value, its estimate.
        ours: median of ours.
        theirs: median of the peer's.
        unit: of both.
        version: of the peer; None where it is that of the environment that `make bench` made for it.
        aim: least ratio that is wanted.
        spread: lower and upper bound where it is not the range of the rounds.
    """
    low, high = spread or (min(ratios), max(ratios))
    ratio = {"median": statistics.median(ratios), "low": low, "high": high}
    found = {"ours": ours, "peer": peer, "theirs": theirs, "version": version, "ratio": ratio, "unit": unit}
    _write({"name": name, **found, "aim": aim, "rounds": len(ratios)})


def record_figure(name: str, value: float, *, unit: str, aim: float | None = None, least: bool = False) -> None:
    """Write a figure down that has no peer.

    Args:
        name: what was measured.
        value: what was found.
        unit: of the value.
        aim: what it should be at most.
        least: `aim` is what it should be at least.
    """
    _write({"name": name, "value": value, "unit": unit, "aim": aim, "least": least})


def _write(entry: dict[str, object]) -> None:
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    whole = {**entry, "machine": machine(), "date": when, "load": os.getloadavg()[0]}
    path = Path(folder) / f"{len(list(Path(folder).glob('*.json'))):03}.json"
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False))
