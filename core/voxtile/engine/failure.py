"""Why an item gave nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from voxtile.errors import VoxtileError

LOST = frozenset({"worker-died", "time-limit", "memory-limit"})
"""Reasons of what was lost with its process; `error_class` then says how."""


@dataclass(frozen=True)
class Failure:
    """Why an item gave nothing.

    Attributes:
        reason: short name, for the ledger and the summary.
        error_class: name of the exception, or how the process ended (`SIGSEGV`).
        sentence: shown and never stored, since it may name what de-identification hides.
    """

    reason: str
    error_class: str
    sentence: str


def failure_of(error: Exception) -> Failure:
    """Name a failure: the error's own `reason`, or one made of its class (`InputError` → `input-error`)."""
    name = type(error).__name__
    if isinstance(error, VoxtileError):
        reason = getattr(error, "reason", None) or re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
        return Failure(str(reason), name, str(error))
    return Failure("unexpected-error", name, f"{name}: {error}" if str(error) else name)


def how_lost(failure: Failure) -> str:
    """What became of the process, as a verb for a sentence: `takes more memory than the limit`."""
    if failure.reason == "worker-died":
        return f"ends its process ({failure.error_class})"
    if failure.reason not in LOST:
        return f"fails ({failure.error_class})"
    return f"takes {failure.error_class}"


def lost(cause: str, detail: str) -> Failure:
    """The failure of an item whose process was lost, also when it ran alone."""
    return Failure(cause, detail, f"its worker process was lost ({detail})")
