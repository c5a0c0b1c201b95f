"""Who stands for an entry of a phrase bank: a name, a date, and a mark of the very line that was signed.

The mark is a hash: it shows that the line, the name or the date was changed since. Whoever can write to the file can
make another, so that it says what is signed and is no proof of who signed it.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxtile.errors import ConfigError

_MARK = 16  # hex digits
_KEYS = frozenset(["by", "day", "mark"])


@dataclass(frozen=True)
class Line:
    """What is signed: a text as entry of a concept, with the pictures it is meant for.

    Attributes:
        concept: it is an entry of.
        kind: of the entry.
        text: of the entry.
        modalities: of the samples it may be said of; none for all.
    """

    concept: str
    kind: str
    text: str
    modalities: tuple[str, ...] = ()

    def mark(self, by: str, on: str) -> str:
        """Hex digits by which the line is known again as one that somebody signed on a day."""
        parts = (self.concept, self.kind, self.text, ",".join(sorted(self.modalities)), by, on)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_MARK]


@dataclass(frozen=True)
class Signature:
    """A signature as it stands beside a line.

    Attributes:
        by: the name.
        on: the day, ISO 8601; None where a name alone was written by hand.
        mark: of the line that was signed; None where a name alone was written by hand.
        holds: whether the line is still the one that was signed.
    """

    by: str
    on: str | None = None
    mark: str | None = None
    holds: bool = False

    @property
    def is_name_alone(self) -> bool:
        """Whether somebody wrote a name by hand, which `voxtile caption sign` has yet to seal."""
        return self.mark is None

    def plain(self) -> str | dict[str, str | None]:
        """As it is written to the file."""
        return self.by if self.is_name_alone else {"by": self.by, "day": self.on, "mark": self.mark}


def sign(line: Line, by: str, on: str) -> Signature:
    """The signature of a line.

    Args:
        line: as it stands.
        by: who stands for it.
        on: the day, ISO 8601.
    """
    return Signature(by, on, line.mark(by, on), holds=True)


def read_signature(value: Any, line: Line, shown: str) -> Signature | None:  # noqa: ANN401 - what YAML holds
    """The signature that stands beside a line; None for none.

    Args:
        value: of the key `signed`.
        line: it stands beside.
        shown: the place in the file, for the error.

    Raises:
        ConfigError: it is neither a name nor a signature.
    """
    if not value:
        return None
    if isinstance(value, str):
        return Signature(value)
    if not isinstance(value, Mapping) or value.keys() != _KEYS or not all(value.values()):
        raise ConfigError(
            f"{shown} has a 'signed' that is neither a name in quotation marks nor what `voxtile caption sign` "
            "writes (by, day, mark); put it in quotation marks or delete it"
        )
    by, on, mark = (str(value[key]) for key in ("by", "day", "mark"))
    return Signature(by, on, mark, holds=mark == line.mark(by, on))


def day_of(text: str | None) -> str:
    """The day of a signature, ISO 8601; today (UTC) for none.

    Raises:
        ConfigError: it is no date.
    """
    if text is None:
        return datetime.datetime.now(datetime.UTC).date().isoformat()
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ConfigError(f"--on must be a day such as 2026-11-29, not '{text}'") from error
