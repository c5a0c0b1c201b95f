"""`voxtile facts CORPUS --from series`: what each series is in its study, from the attributes of its samples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.parts import part_bytes, part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import ROLE
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import InputError
from voxtile_medical.series_roles.facts import SOURCE, role_facts


@dataclass(frozen=True)
class SeriesTask:
    """The engine task: an item is a part of the samples table whose samples have no roles yet.

    Attributes:
        corpus: the corpus.
    """

    corpus: Path

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "series"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return SOURCE.split("@")[1]

    def config(self) -> Mapping[str, Any]:
        """There is nothing to set."""
        return {}

    def items(self) -> Iterator[Item]:
        """One item a part of the samples table.

        Raises:
            InputError: there is none.
        """
        parts = Corpus(self.corpus).parts("samples")
        if not parts:
            raise InputError(f"'{self.corpus}' holds no samples; convert something into it first")
        for part in parts:
            yield Item(f"series/{part.stem}", {"part": part.stem}, cost=part_bytes(part))

    def process(self, item: Item) -> Outcome:
        """Facts of the samples of one part; those that a converter wrote already are not written again."""
        corpus = Corpus(self.corpus)
        path = self.corpus / "tables" / "samples" / f"{item.inputs['part']}.parquet"
        facts = corpus.table("facts", columns=["uid", "concept", "source"]).to_pylist()
        known = {f["uid"] for f in facts if f["concept"] == ROLE and f["source"] == SOURCE}
        rows = part_table(path, ["uid", "modality", "attributes"]).to_pylist()
        return Outcome("used", tables={"facts": [f for r in rows if r["uid"] not in known for f in role_facts(r)]})


def facts_from_series(corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Recognise what each series is in its study: T1, FLAIR, arterial phase, lung kernel, frontal view.

    The rules read acquisition elements (echo time, contrast agent, kernel, view position, …) that the converter kept as
    attributes, never file names. A series description is weak evidence: alone, or against the other elements, it makes
    a role uncertain, and uncertain roles choose no samples. `voxtile convert dicom` writes these facts already; this is
    for corpora that were converted before.

    Args:
        corpus: a corpus of DICOM series.
        run: options of the run.

    Raises:
        InputError: the corpus holds no samples.
    """
    summary = run_task(SeriesTask(corpus), corpus, RunOptions(**run))
    facts = Corpus(corpus).table("facts", columns=["concept", "polarity", "attributes"]).to_pylist()
    counts = Counter(
        (json.loads(f["attributes"] or "{}").get("role"), f["polarity"]) for f in facts if f["concept"] == ROLE
    )
    table = Table(title="roles of the series: samples")
    table.add_column("role")
    for polarity in ("present", "uncertain"):
        table.add_column(polarity, justify="right")
    for role in sorted({role for role, _ in counts}):
        table.add_row(escape(str(role)), *(str(counts[role, polarity]) for polarity in ("present", "uncertain")))
    output().print(table)
    summary.raise_if_failed()
