"""When samples were acquired, as numbers that can be subtracted: microseconds, so that no difference is rounded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000  # microseconds


def moment(text: str | None) -> int | None:
    """Microseconds since 1970 of a sample's `datetime`; None where it is missing or no date of ISO 8601.

    Times without a zone are UTC, and a date alone is its midnight.
    """
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def days_since_latest(moments: Sequence[int | None], among: Iterable[int | None] | None = None) -> list[float]:
    """Days from the latest moment to each: 0 or less, NaN where unknown.

    Only differences count, so that a shift of all dates (as de-identification shifts a subject's) changes nothing.

    Args:
        moments: microseconds.
        among: the moments whose latest counts, which include `moments`; these themselves where left out.
    """
    known = [value for value in (moments if among is None else among) if value is not None]
    latest = max(known, default=0)
    return [math.nan if value is None else (value - latest) / _DAY for value in moments]
