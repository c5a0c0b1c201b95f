"""Caption statistics of a card: what each origin wrote, what it cost, and what the newest checker said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from voxtile.corpus.view.tables import judge_captions

VERDICTS = ("supported", "unsupported", "contradicted", "unknown")
_OPENING_WORDS = 3
# Texts that nobody composed for this corpus: no checker is expected to have seen them.
GIVEN = ("raw", "template")


@dataclass(frozen=True)
class CaptionOrigin:
    """Captions of one kind, provider and model.

    Attributes:
        captions, samples, different: numbers of captions, of samples that have one, and of different texts.
        shortest, median, longest: words.
        tokens_in, tokens_out, cost_usd: as the provider counted them; 0 where it did not.
        verdicts: verdict of the newest checker → captions; `unchecked` for those without one.
        opening: commonest first three words.
        opening_share: share of the captions that open with them.
    """

    kind: str
    provider: str | None
    model: str | None
    captions: int
    samples: int
    different: int
    shortest: int
    median: int
    longest: int
    tokens_in: int
    tokens_out: int
    cost_usd: float
    verdicts: dict[str, int]
    opening: str
    opening_share: float

    @property
    def label(self) -> str:
        """`rewrite by gemma-3 (openai)`, for people."""
        by = self.model or self.provider
        via = (
            f" ({self.provider})"
            if self.model and self.provider and self.provider not in (self.model, self.kind)
            else ""
        )
        return f"{self.kind} by {by}{via}" if by else self.kind

    @property
    def is_generated(self) -> bool:
        """A model wrote them."""
        return self.kind not in GIVEN and self.provider not in (None, "template")

    @property
    def unchecked(self) -> int:
        """Captions that no checker has seen."""
        return self.verdicts.get("unchecked", 0)


def caption_origins(connection: duckdb.DuckDBPyConnection) -> list[CaptionOrigin]:
    """All origins, the most frequent first.

    Args:
        connection: of `Corpus.connection`; the table `judged` is added to it.
    """
    judge_captions(connection)
    connection.execute(f"""
        CREATE TEMP TABLE worded AS
        SELECT kind, provider, model, uid, text, tokens_in, tokens_out, cost_usd,
            coalesce(verdict, 'unchecked') AS verdict,
            len(string_split_regex(trim(text), '\\s+')) AS words,
            list_aggregate(list_slice(string_split_regex(trim(text), '\\s+'), 1, {_OPENING_WORDS}), 'string_agg', ' ')
                AS opening
        FROM captions LEFT JOIN judged USING (caption_id)""")
    verdicts: dict[tuple[str | None, ...], dict[str, int]] = {}
    for *origin, verdict, count in connection.execute(
        "SELECT kind, provider, model, verdict, count(*) FROM worded GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        verdicts.setdefault(tuple(origin), {})[verdict] = count
    rows = connection.execute("""
        SELECT kind, provider, model, count(*), count(DISTINCT uid), count(DISTINCT text), min(words),
            median(words)::BIGINT, max(words), coalesce(sum(tokens_in), 0)::BIGINT,
            coalesce(sum(tokens_out), 0)::BIGINT, coalesce(sum(cost_usd), 0.0)
        FROM worded GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3""").fetchall()
    openings = _openings(connection)
    found = []
    for row in rows:
        opening, count = openings[row[:3]]
        values = [*row, verdicts[row[:3]], opening, count / row[3]]
        found.append(CaptionOrigin(*values))
    return found


def languages(connection: duckdb.DuckDBPyConnection) -> list[tuple[str | None, int]]:
    """Language tag → captions, the most frequent first."""
    return connection.execute("SELECT lang, count(*) FROM captions GROUP BY 1 ORDER BY 2 DESC, 1").fetchall()


def _openings(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str | None, ...], tuple[str, int]]:
    rows: Sequence[tuple[str | None, str | None, str | None, str, int]] = connection.execute("""
        SELECT kind, provider, model, opening, count(*) AS n FROM worded GROUP BY 1, 2, 3, 4
        QUALIFY row_number() OVER (PARTITION BY kind, provider, model ORDER BY n DESC, opening) = 1""").fetchall()
    return {row[:3]: (row[3] or "", row[4]) for row in rows}
