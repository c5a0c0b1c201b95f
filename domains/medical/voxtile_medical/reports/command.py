"""`voxtile facts CORPUS --from reports`: what the reports of a corpus say, as facts with their sentences."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome, Row
from voxtile.errors import InputError
from voxtile_medical.reports.extract import facts_of_report
from voxtile_medical.reports.lexicon import LEXICON, load_lexicon

_POLARITIES = ("present", "absent", "uncertain")


@dataclass(frozen=True)
class ReportTask:
    """The engine task: an item is a part of the captions table, so that reports that arrive later are read alone.

    Attributes:
        corpus: the corpus.
        lexicon: YAML of concepts.
        vocabulary: name of the scope.
    """

    corpus: Path
    lexicon: Path
    vocabulary: str

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "reports"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "2"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        digest = hashlib.sha256(self.lexicon.read_bytes()).hexdigest()
        return {"lexicon_sha256": digest, "vocabulary": self.vocabulary}

    def items(self) -> Iterator[Item]:
        """One item a part of the captions table that holds reports.

        Raises:
            InputError: there is none.
        """
        found = False
        for part in Corpus(self.corpus).parts("captions"):
            reports = pq.read_table(part, columns=["kind"]).column("kind").to_pylist().count("raw")
            if reports:
                found = True
                yield Item(f"reports/{part.stem}", {"part": part.stem, "reports": reports}, cost=reports * 1000)
        if not found:
            raise InputError(
                f"'{self.corpus}' has no reports (captions of kind raw); attach them with: "
                "voxtile convert … --reports FILE"
            )

    def process(self, item: Item) -> Outcome:
        """Facts and open scopes of the samples of one part."""
        words = load_lexicon(self.lexicon)
        path = self.corpus / "tables" / "captions" / f"{item.inputs['part']}.parquet"
        facts: list[Row] = []
        scopes: list[Row] = []
        for row in pq.read_table(path, columns=["uid", "text", "kind"]).to_pylist():
            if row["kind"] != "raw":
                continue
            for fact in facts_of_report(row["text"], words):
                attributes: dict[str, Any] = {"evidence": list(fact.evidence)}
                if fact.laterality:
                    attributes["laterality"] = fact.laterality
                facts.append(
                    {
                        "uid": row["uid"],
                        "concept": fact.concept,
                        "polarity": fact.polarity,
                        "attributes": json.dumps(attributes, sort_keys=True),
                        "source": f"reports@{words.version}",
                    }
                )
            scopes.append(
                {
                    "uid": row["uid"],
                    "vocabulary": self.vocabulary,
                    "closed": False,
                    "concepts": [concept.name for concept in words.concepts],
                }
            )
        return Outcome("used", tables={"facts": facts, "scopes": scopes})


def facts_from_reports(
    corpus: Path,
    *,
    lexicon: Path = LEXICON,
    vocabulary: str = "ct-findings",
    **run: Any,  # noqa: ANN401
) -> None:
    """Read findings from the free-text reports of a corpus.

    Every mention in the findings and impression sections becomes a fact (present, absent, uncertain) with the
    sentences that say it. The scope is open: what a report does not mention stays unknown.

    Args:
        corpus: a corpus whose captions table holds reports (kind raw).
        lexicon: YAML of concepts; the default covers CT of the chest and abdomen.
        vocabulary: name of the scope that is written.
        run: options of the run.

    Raises:
        InputError: the corpus has no reports, or the lexicon cannot be read.
    """
    load_lexicon(lexicon)
    summary = run_task(ReportTask(corpus, lexicon, vocabulary), corpus, RunOptions(**run))
    facts = Corpus(corpus).table("facts", columns=["concept", "polarity", "source"]).to_pylist()
    counts = Counter((f["concept"], f["polarity"]) for f in facts if (f["source"] or "").startswith("reports@"))
    table = Table(title="findings in the reports: samples a concept")
    table.add_column("concept")
    for polarity in _POLARITIES:
        table.add_column(polarity, justify="right")
    for concept in sorted({concept for concept, _ in counts}):
        table.add_row(concept, *(str(counts[concept, polarity]) for polarity in _POLARITIES))
    Console().print(table)
    summary.raise_if_failed()
