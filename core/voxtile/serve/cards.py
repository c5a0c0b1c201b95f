"""What a page of results shows of each sample."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pyarrow as pa
from pydantic import BaseModel

from voxtile.corpus.schema import MEASURED, ROLE, STRUCTURE
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
    firsts = sorted({int(n) for n in explored.index.numbers(pa.array([row["uid"] for row in rows], pa.string()))})
    texts, facts = _texts(explored, firsts), _facts(explored, firsts)
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


def _texts(explored: Explored, numbers: Sequence[int]) -> dict[str, str]:
    """A caption of each; the report itself where there is one."""
    rows = explored.tables.of_samples(
        "captions", numbers, f"uid, kind <> 'raw', caption_id, left(text, {_TEXT}) AS text"
    )
    return {row["uid"]: row["text"] for row in reversed(rows)}


def _facts(explored: Explored, numbers: Sequence[int]) -> dict[tuple[str, str], list[str]]:
    """Concepts by uid and polarity; measurements and what describes a region are left out."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    measured = f"starts_with(coalesce(source, ''), '{MEASURED}') AS measured"
    for row in explored.tables.of_samples("facts", numbers, f"uid, polarity, concept, {measured}"):
        if not row["measured"] and row["concept"] not in (ROLE, STRUCTURE):
            found[row["uid"], row["polarity"]].append(row["concept"])
    return found
