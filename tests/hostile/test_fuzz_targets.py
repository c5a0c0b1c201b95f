"""Every target of `make fuzz-parsers`, small: its seeds and some mutants of them, and what fuzzing has found before."""

from __future__ import annotations

import base64
import contextlib
import importlib
import io
import json
import logging
import resource
import sys
import time
import warnings
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz"
FOUND = Path(__file__).with_name("fuzz_finds.json")
SECONDS = 5.0  # of processor time for one input; the slowest takes 0.5
MEGABYTES = 700  # that all mutants of a target may add to the process
FILES = sorted(path.stem for path in (FUZZ / "targets").glob("*.py"))


@pytest.fixture(scope="module")
def fuzz():
    """The modules of benchmarks/fuzz."""
    sys.path.insert(0, str(FUZZ))
    yield {name: importlib.import_module(name) for name in ("target", "mutation")}
    sys.path.remove(str(FUZZ))


@contextlib.contextmanager
def quiet():
    """What readers and their libraries say of hostile files is not looked at here."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _read(target, seeds) -> int:
    """How many seeds are read and not refused."""
    read = 0
    for seed in seeds:
        with contextlib.suppress(Exception):
            target.read(seed)
            read += 1
    return read


@pytest.mark.cases(4)
@pytest.mark.parametrize("mutants", [12, pytest.param(40, marks=pytest.mark.sweep)])
@pytest.mark.parametrize("file", FILES)
def test_hostile_bytes_are_read_or_refused_by_name(file, mutants, fuzz):
    """At once, within bounds of memory; a target that reads none of its own seeds would prove nothing."""
    found = [find for target in fuzz["target"].targets_in(file) for find in _finds(target, mutants, fuzz)]
    assert found == []


def _finds(target, mutants, fuzz):
    """What is wrong with the answers of a target."""
    with quiet():
        seeds = list(target.seeds())
        if not _read(target, seeds):
            yield f"{target.name} reads none of its seeds"
        before = _peak_mb()
        for data in fuzz["mutation"].mutants(seeds, mutants, target.name):
            began = time.process_time()
            error = fuzz["target"].answer(target, data)
            if error is not None:
                yield f"{target.name}: {fuzz['target'].where(error)}: {error} on {data[:200]!r}"
            if time.process_time() - began > SECONDS:
                yield f"{target.name} takes too long on {data[:200]!r}"
        if _peak_mb() - before > MEGABYTES:
            yield f"{target.name} takes {_peak_mb() - before:.0f} MB"


def test_what_fuzzing_found_stays_mended(fuzz):
    found = json.loads(FOUND.read_text())
    files = fuzz["target"].targets()
    for name, inputs in found.items():
        target = next(target for target in fuzz["target"].targets_in(files[name]) if target.name == name)
        for text in inputs:
            with quiet():
                error = fuzz["target"].answer(target, base64.b64decode(text))
            assert error is None, f"{name}: {fuzz['target'].where(error)}: {error}"


def test_a_find_is_what_no_target_names(fuzz):
    """The judge itself: an error of voxtile refuses, a bare one is a find, and so is an endless sentence."""
    module = fuzz["target"]
    from voxtile.errors import InputError

    def target(error):
        def read(data):
            raise error

        return module.Target("a", read, lambda: [b""], (KeyError,))

    assert module.answer(target(InputError("no picture; give one")), b"") is None
    assert module.answer(target(KeyError("x")), b"") is None
    assert module.answer(target(InputError("x" * 10**6)), b"") is None, "a sentence of ours is never endless"
    for error in (ValueError("x"), MemoryError(), RecursionError(), InputError(""), KeyError("x" * 10**6)):
        assert module.answer(target(error), b"") is error
