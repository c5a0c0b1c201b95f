"""The stage that scores: a run of rows of one part of a table is an item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from voxtile.corpus.parts import read_parts, table_schema
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.corpus.schema import OVERVIEW
from voxtile.engine.task import Item, Outcome
from voxtile.errors import InputError

_KEYS = {"samples": "uid", "captions": "caption_id"}


class Scorer(Protocol):
    """Gives scores to rows of a table. It is pickled to workers, so a frozen dataclass of plain values."""

    @property
    def name(self) -> str:
        """Short name, used in file names."""

    @property
    def version(self) -> str:
        """Bumped whenever the scores of the same row change."""

    @property
    def producer(self) -> str:
        """What the scores table calls it: name, version and what else its scores depend on."""

    @property
    def table(self) -> Literal["samples", "captions"]:
        """What is scored."""

    @property
    def rows_an_item(self) -> int:
        """Rows that are scored together."""

    def config(self) -> Mapping[str, Any]:
        """Settings that change scores."""

    def columns(self) -> Sequence[str]:
        """Columns that it needs."""

    def score(self, root: Path, rows: Sequence[Row]) -> Sequence[Mapping[str, float]]:
        """Scores by name of each row; none where a row has nothing to score."""


@dataclass(frozen=True)
class ScoreTask:
    """The engine task.

    Attributes:
        corpus: the corpus; no part of the task's identity.
        scorer: what gives the scores.
    """

    corpus: str
    scorer: Scorer

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return f"score-{self.scorer.name}"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return self.scorer.version

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {**self.scorer.config(), "producer": self.scorer.producer}

    def items(self) -> Iterator[Item]:
        """Runs of rows, part by part.

        Raises:
            InputError: there is nothing to score.
        """
        found = False
        for part in Corpus(Path(self.corpus)).parts(self.scorer.table):
            count = read_parts([part], table_schema(self.scorer.table), [_KEYS[self.scorer.table]]).num_rows
            for first in range(0, count, self.scorer.rows_an_item):
                found = True
                rows = min(self.scorer.rows_an_item, count - first)
                inputs = {"part": part.stem, "first": first, "rows": rows}
                yield Item(f"{self.scorer.producer}/{part.stem}/{first}", inputs, cost=rows * 1000)
        if not found:
            raise InputError(f"'{self.corpus}' has no {self.scorer.table} to score")

    def process(self, item: Item) -> Outcome:
        """Scores of one run of rows."""
        root, table = Path(self.corpus), self.scorer.table
        part = root / "tables" / table / f"{item.inputs['part']}.parquet"
        schema = table_schema(table)
        wanted = list(dict.fromkeys([_KEYS[table], *self.scorer.columns(), *(["kind"] if table == "samples" else [])]))
        rows = read_parts([part], schema, wanted).slice(item.inputs["first"], item.inputs["rows"]).to_pylist()
        if table == "samples":
            rows = [row for row in rows if row["kind"] != OVERVIEW]
        found: list[Row] = []
        for row, scores in zip(rows, self.scorer.score(root, rows), strict=True):
            own = {"uid": row[_KEYS[table]], "producer": self.scorer.producer}
            found += [{**own, "name": name, "value": float(value)} for name, value in scores.items()]
        return Outcome("used", tables={"scores": found})
