"""`voxtile score CORPUS --from alignment`: how far a caption agrees with the facts, from the newest verdict on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.corpus.parts import part_bytes, part_sha256, read_parts, table_schema
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import InputError

# Nothing in an open scope speaks for or against an unknown claim; a closed one speaks against an unsupported claim.
VALUES: Mapping[str, float] = {"supported": 1.0, "unknown": 0.5, "unsupported": 0.25, "contradicted": 0.0}


@dataclass(frozen=True)
class AlignmentTask:
    """The engine task: a part of the verdicts table is an item.

    Attributes:
        corpus: the corpus; no part of the task's identity.
    """

    corpus: str

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "score-alignment"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """What a verdict is worth."""
        return dict(VALUES)

    def items(self) -> Iterator[Item]:
        """Parts of the verdicts table, by their content.

        Raises:
            InputError: no caption was checked.
        """
        parts = Corpus(Path(self.corpus)).parts("verdicts")
        for part in parts:
            digest = part_sha256(part)
            yield Item(f"alignment/{part.stem}", {"part": part.stem, "sha256": digest}, cost=part_bytes(part))
        if not parts:
            raise InputError(f"'{self.corpus}' has no verdicts; check its captions with: voxtile check {self.corpus}")

    def process(self, item: Item) -> Outcome:
        """Scores of the captions of one part, each under the name of its checker."""
        store = Corpus(Path(self.corpus))
        part = store.roots[0] / "tables" / "verdicts" / f"{item.inputs['part']}.parquet"
        rows: list[Row] = []
        schema = table_schema("verdicts")
        for row in read_parts([part], schema, schema.names).to_pylist():
            if row["verdict"] in VALUES:
                producer = f"alignment@{self.version}+{row['checker'] or 'checker'}@{row['checker_version'] or '0'}"
                value = VALUES[row["verdict"]]
                rows.append({"uid": row["caption_id"], "name": "alignment", "value": value, "producer": producer})
        return Outcome("used", tables={"scores": rows})


def score_alignment(corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Score captions by their agreement with the facts, from the verdicts of voxtile check.

    supported 1, unknown 0.5, unsupported 0.25, contradicted 0. Each checker's version is a producer of its own. Use the
    score in --where-captions of voxtile curate, such as "alignment >= 0.5".

    Args:
        corpus: the corpus to add to.
        run: options of the run.

    Raises:
        InputError: no caption was checked.
    """
    Corpus(corpus)  # a folder that is no corpus is refused before anything is made in it
    run_task(AlignmentTask(str(corpus)), corpus, RunOptions(**run)).raise_if_failed()
