"""A process that reads hostile files, a child for each, and says what each cost; started by test_costs.py.

Readers are imported and their seeds read first, so that a child's memory and time are those of the file alone. A child
may map no more than `MAPPED` beyond its parent: what asks for what a header claims fails there.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings
from pathlib import Path

MAPPED = 1 << 30
HERE = Path(__file__).parents[2] / "benchmarks" / "fuzz"
sys.path.insert(0, str(HERE))

from target import Target, targets_in, where  # noqa: E402

from voxtile.errors import VoxtileError  # noqa: E402

warnings.simplefilter("ignore")


def main() -> None:
    """Read [[target, file], …] of a JSON by targets of the named files; write what each cost to standard output."""
    asked = json.loads(Path(sys.argv[1]).read_text())
    wanted = {name for name, _ in asked}
    readers = {reader.name: reader for file in sys.argv[2:] for reader in targets_in(file) if reader.name in wanted}
    for reader in readers.values():
        for seed in reader.seeds():
            _answer(reader, seed)
    print(json.dumps([_cost(readers[name], Path(path).read_bytes()) for name, path in asked]))


def _answer(reader: Target, data: bytes) -> dict[str, str]:
    """What was raised: by a name that the target has, or not."""
    try:
        reader.read(data)
    except (VoxtileError, *reader.refuses) as refusal:
        return {"find": "", "refused": f"{type(refusal).__name__}: {refusal}"[:300]}
    except Exception as error:
        return {"find": f"{where(error)}: {error}"[:300], "refused": ""}
    return {"find": "", "refused": ""}


def _cost(reader: Target, data: bytes) -> dict[str, object]:
    """Processor seconds, megabytes beyond what the child had to begin with, and what was raised."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (_pages(0) + MAPPED, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        held = _pages(1)
        said = _answer(reader, data)
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - held) / 2**20
        os.write(writing, json.dumps({**said, "megabytes": more}).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status, used = os.wait4(child, 0)
    died = {"find": f"the process died ({status})", "refused": "", "megabytes": 0.0}
    return {"seconds": used.ru_utime + used.ru_stime, **(json.loads(said) if said else died)}


def _pages(which: int) -> int:
    """Bytes that are mapped (0) or held (1)."""
    return int(Path("/proc/self/statm").read_text().split()[which]) * resource.getpagesize()


if __name__ == "__main__":
    main()
