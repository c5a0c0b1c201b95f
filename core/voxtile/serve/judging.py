"""Which caption a reader judges next."""

from __future__ import annotations

from dataclasses import dataclass

from voxtile.errors import ConfigError
from voxtile.serve.explored import Explored
from voxtile.serve.reviews.store import Drawn

_AHEAD = 50  # captions that are looked for at a time


@dataclass(frozen=True)
class Waiting:
    """A caption that waits for a verdict."""

    caption_id: str
    uid: str
    kind: str
    origin: str
    text: str
    verdict: str | None


# All readers are given the same order, so that two of them judge the same captions.
_ORDERS = {
    "random": "md5(caption_id)",
    "stratified": "row_number() OVER (PARTITION BY kind, provider ORDER BY md5(caption_id)), md5(caption_id)",
    "objected": "md5(caption_id)",
}


def next_caption(explored: Explored, reader: str, drawn: Drawn, kind: str | None) -> Waiting | None:
    """The next caption that a reader has not judged; None where all are judged.

    Args:
        explored: the corpus.
        reader: who judges.
        drawn: at random; in turn from each kind and provider; or those alone that the checker objects to.
        kind: of captions, or None for all but reports.

    Raises:
        ConfigError: the order is none.
    """
    if drawn not in _ORDERS:
        raise ConfigError(f"captions are drawn as one of: {', '.join(_ORDERS)}")
    judged = explored.reviews.judged_by(reader)
    wanted = "kind = ?" if kind else "kind <> 'raw' AND ? IS NULL"
    objected = "AND verdict IN ('contradicted', 'unsupported')" if drawn == "objected" else ""
    for start in range(0, len(judged) + _AHEAD, _AHEAD):
        rows = explored.tables.rows(
            f"""SELECT caption_id, uid, kind, concat_ws(' ', provider, model) AS origin, text, verdict
            FROM captions LEFT JOIN judged USING (caption_id) WHERE {wanted} {objected}
            ORDER BY {_ORDERS[drawn]} LIMIT {_AHEAD} OFFSET {start}""",
            kind,
        )
        for row in rows:
            if row["caption_id"] not in judged:
                return Waiting(**row)
        if len(rows) < _AHEAD:
            return None
    return None
