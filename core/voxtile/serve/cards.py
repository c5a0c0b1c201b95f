"""What a page of results shows of each sample."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pydantic import BaseModel

from voxtile.corpus.schema import ROLE, STRUCTURE
from voxtile.serve.explored import Explored

_COLUMNS = ("uid", "kind", "modality", "units", "shape", "subject", "study", "datetime")
_TEXT = 280  # characters of a caption


class Card(BaseModel):
    """One sample among results."""

    uid: str
    number: int
    kind: str
    modality: str | None
    units: str | None
    shape: list[int]
    subject: str
    study: str | None
    datetime: str | None
    text: str | None
    present: list[str]
    uncertain: list[str]
    cosine: float | None = None


def cards(explored: Explored, numbers: Sequence[int], cosines: Sequence[float] | None = None) -> list[Card]:
    """Cards of samples, in their order.

    Args:
        explored: the corpus.
        numbers: of the samples.
        cosines: likeness of each.
    """
    rows = explored.rows(numbers, _COLUMNS)
    uids = [row["uid"] for row in rows]
    texts, facts = _texts(explored, uids), _facts(explored, uids)
    return [
        Card(
            number=number,
            text=texts.get(row["uid"]),
            present=facts[row["uid"], "present"],
            uncertain=facts[row["uid"], "uncertain"],
            cosine=None if cosines is None else float(cosines[place]),
            **{name: row[name] for name in _COLUMNS if name != "shape"},
            shape=row["shape"] or [],
        )
        for place, (number, row) in enumerate(zip(numbers, rows, strict=True))
    ]


def _texts(explored: Explored, uids: Sequence[str]) -> dict[str, str]:
    """A caption of each; the report itself where there is one."""
    rows = explored.tables.rows(
        f"""SELECT uid, left(arg_min(text, (kind <> 'raw', caption_id)), {_TEXT}) AS text FROM captions
        WHERE uid IN (SELECT unnest(?::VARCHAR[])) GROUP BY uid""",
        list(uids),
    )
    return {row["uid"]: row["text"] for row in rows}


def _facts(explored: Explored, uids: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Concepts by uid and polarity; measurements and what describes a region are left out."""
    rows = explored.tables.rows(
        f"""SELECT DISTINCT uid, polarity, concept FROM facts WHERE uid IN (SELECT unnest(?::VARCHAR[]))
        AND value IS NULL AND concept NOT IN ('{ROLE}', '{STRUCTURE}') ORDER BY ALL""",
        list(uids),
    )
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        found[row["uid"], row["polarity"]].append(row["concept"])
    return found
