"""Which version of voxtile wrote a file: what a newer one wrote is refused, what an older one wrote opens."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

import voxtile
from voxtile.errors import VoxtileError

KEY = "voxtile_version"
"""Where configs and checkpoints say it."""
_LONGEST = 40  # characters of a version that a sentence repeats


def refuse_newer(written: object, what: str, error: type[VoxtileError]) -> None:
    """Raise an error where a newer version wrote a file: it may mean by the same words what this one does not know.

    Releases that differ in their third number alone read each other's files. What says no version, or one that is none,
    is taken to be older.

    Args:
        written: the version that the file states.
        what: the file, for the message.
        error: its class.
    """
    if (release := _release(written)) is not None and release > (_release(voxtile.__version__) or ()):
        raise error(newer(what, written))


def newer(what: str, written: object, detail: str = "") -> str:
    """The sentence about a file of a newer version.

    Args:
        what: the file.
        written: the version that it states.
        detail: which version of its format it has, in words.
    """
    return (
        f"{what} was written by voxtile {str(written)[:_LONGEST]}{detail}, which is newer than the "
        f"{voxtile.__version__} that is installed; upgrade with: pip install -U voxtile"
    )


def _release(version: object) -> tuple[int, int, int] | None:
    try:
        found = Version(version) if isinstance(version, str) and len(version) <= _LONGEST else None
    except InvalidVersion:
        return None
    return None if found is None else (found.epoch, found.major, found.minor)
