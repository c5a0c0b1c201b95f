"""Errors that a user can act on: one sentence that says what is wrong, where, and what to do next.

The commands print the sentence and leave with `exit_status`; the traceback is shown only with `--debug`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_LONGEST = 4000  # characters of a sentence; hostile files have names and values of megabytes


class VoxtileError(Exception):
    """Base of all errors that are the input's fault and not the program's.

    Args:
        message: the sentence; of one that repeats a long input the middle is left out.
    """

    exit_status = 2
    is_told = False  # by another process of the run, on the same machine

    def __init__(self, message: str = "") -> None:
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 2 :]}"
        super().__init__(message)

    def __reduce__(self) -> tuple[object, tuple[type[VoxtileError], str]]:
        """For other processes: made of the sentence, whatever a subclass makes it of."""
        return _again, (type(self), str(self))


def _again(kind: type[VoxtileError], message: str) -> VoxtileError:
    error = kind.__new__(kind, message)
    Exception.__init__(error, message)
    return error


class InputError(VoxtileError):
    """A source file or folder cannot be used as it is."""


class CorpusError(VoxtileError):
    """A corpus is damaged, incomplete, or made by a newer version."""


class ConfigError(VoxtileError):
    """A configuration asks for something that does not exist or cannot be."""


class PresetError(VoxtileError):
    """A corpus cannot satisfy the preprocessing that a model needs."""


class CheckpointError(VoxtileError):
    """A checkpoint cannot be loaded safely or does not fit."""


class ExportError(VoxtileError):
    """A model cannot be written for another library, or would answer otherwise there."""


class TrainingError(VoxtileError):
    """A run cannot go on; the message names what it met."""


class InterruptedRunError(VoxtileError):
    """Ctrl-C ended a training; what was saved stays."""

    exit_status = 130  # 128 + SIGINT, as shells do


class EvaluationError(VoxtileError):
    """A task cannot give an honest figure on this corpus."""


class MissingExtraError(VoxtileError):
    """An optional dependency is not installed; the message names the extra."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"'{package}' is not installed; install it with: pip install 'voxtile[{extra}]'")


@contextmanager
def required(package: str, extra: str) -> Iterator[None]:
    """Around the imports of an optional package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(package, extra) from error


class StopRunError(VoxtileError):
    """No further input can be processed: the run ends at once, and what was committed stays."""


class StoreError(StopRunError, CorpusError):
    """A remote corpus cannot be read now: no sample is at fault, and none may be left out for it."""


class RunFailedError(VoxtileError):
    """Some inputs of a run failed while the rest was committed; the summary and the ledger name them."""

    exit_status = 1


def cause_of(error: Exception) -> str:
    """What the system or a library says is wrong, in one line; of a file's error without its number and the file."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join(said.split()) or type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """The question whether one of the known names was meant, to be put behind a sentence; empty where none is near."""
    words = {word.lstrip("-"): word for word in known}  # the dashes of options say nothing of how near they are
    close = difflib.get_close_matches(name.lstrip("-"), words, n=1, cutoff=0.6)
    return f"; did you mean '{words[close[0]]}'?" if close else ""


def own_cause(error: BaseException) -> VoxtileError | None:
    """The error of ours that another was raised from: the parser wraps what a setting's class refuses."""
    cause = error.__cause__
    while cause is not None and not isinstance(cause, VoxtileError):
        cause = cause.__cause__
    return cause


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
