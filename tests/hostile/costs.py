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
warnings.simplefilter("ignore")


def main() -> None:
    """Read [[target, file], …] from the named JSON; write what each cost to the standard output."""
    from target import targets, targets_in

    asked = json.loads(Path(sys.argv[1]).read_text())
    files = targets()
    readers = {name: next(t for t in targets_in(files[name]) if t.name == name) for name in {name for name, _ in asked}}
    for reader in readers.values():
        for seed in reader.seeds():
            _answer(reader, seed)
    print(json.dumps([_cost(readers[name], Path(path).read_bytes()) for name, path in asked]))


def _answer(reader: object, data: bytes) -> str:
    from target import answer

    error = answer(reader, data)
    return "" if error is None else f"{type(error).__name__}: {error}"[:300]


def _cost(reader: object, data: bytes) -> dict[str, object]:
    """Processor seconds, megabytes beyond the parent's, and what was raised that is no refusal."""
    reading, writing = os.pipe()
    own = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    child = os.fork()
    if child == 0:
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MAPPED, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        said = _refusal(reader, data)
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status, used = os.wait4(child, 0)
    return {
        "seconds": used.ru_utime + used.ru_stime, "megabytes": (used.ru_maxrss * 1024 - own) / 2**20,
        "status": status, **(json.loads(said) if said else {"find": "the process died", "refused": ""}),
    }  # fmt: skip


def _refusal(reader: object, data: bytes) -> dict[str, str]:
    """What was raised: by a name that the target has, or not."""
    find = _answer(reader, data)
    try:
        reader.read(data)  # type: ignore[attr-defined]
    except Exception as error:
        return {"find": find, "refused": f"{type(error).__name__}: {error}"[:300]}
    return {"find": find, "refused": ""}


if __name__ == "__main__":
    main()
