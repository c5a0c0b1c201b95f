"""Panics of libraries that are written in Rust, as errors that can be caught like any other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_PANIC = "PanicException"  # of pyo3; it is no Exception, so that what catches those would let the process end


@contextmanager
def panics_caught() -> Iterator[None]:
    """Raise what a compiled library raises for a bug of its own as an Exception.

    Raises:
        RuntimeError: the library came upon what it does not expect, as in a hostile file.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        raise RuntimeError(f"a compiled library failed ({error})") from error
