"""One target under atheris, in a process of its own; `benchmarks/fuzz` starts it.

A find does not end the process: its input is kept, and fuzzing goes on. What does end it is a hang (libFuzzer's alarm)
or a crash of native code, whose input libFuzzer keeps. Each execution is counted in a file that outlives the process.

Run: python -P benchmarks/fuzz/one.py TARGET FILE_OF_TARGETS FOLDER [options of libFuzzer]
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris

# Readers of ours and those that ours hand bytes to; the compiled ones are fuzzed through them, without their coverage.
MEASURED = ["voxtile", "voxtile_datasets", "voxtile_medical", "voxtile_pathology", "voxtile_remote_sensing", "pydicom",
            "defusedxml", "hl7"]  # fmt: skip
_OF_OUR_MUTANTS = 0.5  # share of inputs that `mutation.py` makes; the rest are libFuzzer's

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=MEASURED):
    import limits
    from mutation import mutant
    from target import Target, answer, targets_in, where


def main() -> None:
    """Fuzz until libFuzzer's options say stop."""
    name, file, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    _be_quiet()
    with atheris.instrument_imports(include=MEASURED):
        target = next(target for target in targets_in(file) if target.name == name)
        seeds = list(target.seeds())
        for seed in seeds:  # what is imported late is instrumented too
            answer(target, seed)
    for number, seed in enumerate(seeds):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    limits.bound_memory()
    atheris.Setup([sys.argv[0], *sys.argv[4:]], _execution(target, folder), custom_mutator=_mutator(seeds))
    atheris.Fuzz()


def _execution(target: Target, folder: Path) -> Callable[[bytes], None]:
    counter, found = _counter(folder / "executions"), set[str]()

    def execute(data: bytes) -> None:
        counter[:8] = (int.from_bytes(counter[:8], "little") + 1).to_bytes(8, "little")
        error = answer(target, data)
        if error is not None and (cause := where(error)) not in found:
            found.add(cause)
            _keep(folder, data, f"{cause}: {' '.join(str(error).split())[:200]}", cause)

    return execute


def _mutator(seeds: list[bytes]) -> Callable[[bytes, int, int], bytes]:
    def mutate(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < _OF_OUR_MUTANTS:
            return mutant(data or chance.choice(seeds), seeds, chance)[:most]
        return bytes(atheris.Mutate(data, most))

    return mutate


def _keep(folder: Path, data: bytes, said: str, cause: str) -> None:
    """Keep the first input of a cause."""
    finds = folder / "finds"
    finds.mkdir(parents=True, exist_ok=True)
    stem = hashlib.sha256(cause.encode()).hexdigest()[:12]
    (finds / f"{stem}.input").write_bytes(data)
    (finds / f"{stem}.txt").write_text(f"{said}\n")


def _counter(path: Path) -> mmap.mmap:
    if not path.exists():
        path.write_bytes(bytes(8))
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 8)


def _be_quiet() -> None:
    """What libraries warn of is no find, and a million times of it is a full disk; libFuzzer writes past Python."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process


if __name__ == "__main__":
    main()
