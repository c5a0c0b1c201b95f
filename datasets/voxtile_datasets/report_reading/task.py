"""Reports of a corpus read by the rules and by a model, as an engine task: an input is a report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import InputError
from voxtile_datasets.captions.providers.cached import CachedProvider
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.providers.working_ahead import AheadTask
from voxtile_datasets.intake.report_parts import reports_of
from voxtile_datasets.report_reading.ask import Ask, ReportQuestions
from voxtile_datasets.report_reading.compare import Comparison, ModelFact, compare
from voxtile_datasets.report_reading.listing import NOT_READ
from voxtile_datasets.report_reading.rules import MODEL_SOURCE, RULES_SOURCE, RuleReader, RuleReading
from voxtile_datasets.report_reading.samples import Sample
from voxtile_datasets.report_reading.stored import BESIDE_MODEL, StoredRows

_AHEAD = 2  # reports for each request that the provider takes at once: a long report asks one piece after the other


@dataclass(frozen=True)
class Read:
    """A report with what came of it.

    Attributes:
        uid: of its sample.
        text: the report.
        reading: of the rules.
        comparison: with the model; None where it gave no reply that can be read.
        faults: reason → entries of the model's replies that are not taken.
        error: why there is no comparison.
    """

    uid: str
    text: str
    reading: RuleReading
    comparison: Comparison | None = None
    faults: Mapping[str, int] | None = None
    error: ReplyError | None = None


class ModelReportTask(AheadTask):
    """The engine task; close it when done.

    Args:
        corpus: the corpus.
        rules: of the domain.
        questions: asks about a report.
        provider: answers.
        samples: uid → what a request about it needs; reports of other samples are left out.
        identity: what of the command changes the facts.
    """

    def __init__(
        self,
        corpus: Path,
        rules: RuleReader,
        questions: ReportQuestions,
        provider: CachedProvider,
        samples: Mapping[str, Sample],
        identity: Mapping[str, Any],
    ) -> None:
        super().__init__(self._outcome, provider, _AHEAD)
        self._corpus, self._rules, self._questions = corpus, rules, questions
        self._samples, self._identity = samples, identity
        self._texts: dict[str, list[Row]] = {}

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return f"{self._rules.task}{BESIDE_MODEL}"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return f"{self._rules.version}+model1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output; no key and no address."""
        return {**self._rules.config(), **self._identity, "reader": "model", "model": self._provider.model}

    def items(self) -> Iterator[Item]:
        """One item a report.

        Raises:
            InputError: there is none.
        """
        empty = True
        for part in Corpus(self._corpus).parts("captions"):
            for place, row in enumerate(reports_of(part)):
                if row["uid"] in self._samples:
                    empty = False
                    sha = hashlib.sha256(row["text"].encode()).hexdigest()
                    inputs = {"part": part.stem, "place": place, "sha256": sha}
                    yield Item(f"reports/{part.stem}#{place:07}", inputs, cost=1000)
        if empty:
            raise InputError(
                f"'{self._corpus}' has no reports (captions of kind raw) that are chosen; attach them with: "
                "voxtile convert … --reports FILE, and look at --where and --limit"
            )

    def stored_replies(self) -> Iterator[Read]:
        """All chosen reports with the replies that are kept, as they were read; nothing is asked."""
        for item in self.items():
            yield self._ahead.run(self._read(item, self._stored))

    def requests(self, item: Item) -> list[Request]:
        """What is asked first about a report."""
        row = self._row(item)
        if self._rules.read(row["uid"], row["text"]).is_refused:
            return []
        return self._questions.requests(row["text"], self._samples[row["uid"]].modality)

    async def _stored(self, request: Request) -> Reply:
        reply = self._provider.cache.get(request.key(self._provider.model))
        if reply is None:
            raise ReplyError("not-in-cache", "there is no reply to this report; the ledger says why")
        return reply

    async def _read(self, item: Item, ask: Ask) -> Read:
        row = self._row(item)
        uid, text = row["uid"], row["text"]
        reading = self._rules.read(uid, text)
        if reading.is_refused:
            return Read(uid, text, reading)
        try:
            said = await self._questions.statements(text, self._samples[uid].modality, ask)
        except ReplyError as error:
            return Read(uid, text, reading, error=error)
        return Read(uid, text, reading, compare(said.claims, reading, text, self._rules), said.faults)

    async def _outcome(self, item: Item) -> Outcome:
        row = self._row(item)
        identifiers = self._samples[row["uid"]].identifiers

        async def ask(request: Request) -> Reply:
            if identifiers.found_in(f"{request.system or ''}\n{request.prompt}") is not None:
                raise ReplyError(
                    "identifier", "the report names its sample, patient or file; take the name out of its text"
                )
            return await self._provider.ask(request)

        read = await self._read(item, ask)
        facts = [*read.reading.tables.get("facts", ())]
        parts = list(read.reading.parts)
        unread = read.reading.unread
        if read.error is not None:
            self._provider.count_failure(read.error)
            parts.append(Part(read.uid, "failed", read.error.reason, str(read.error)))
        if read.comparison is not None:
            unread = read.comparison.unread
            overruled = {name for fact in read.comparison.added if fact.rules for name, _ in self._labels(fact)}
            facts = [fact for fact in facts if fact["concept"] not in overruled or not _is_finding(fact, self._rules)]
            facts += self._model_rows(read.uid, read.comparison.added, read.reading.labels - overruled)
            parts += [Part(read.uid, "dropped", refused.reason, refused.detail) for refused in read.comparison.refused]
        parts += [Part(read.uid, "dropped", NOT_READ, f"'{read.text[start:end][:120]}'") for start, end in unread]
        tables = self._stored_rows.without({"facts": facts, "scopes": [*read.reading.tables.get("scopes", ())]})
        return Outcome("used", tables=tables, parts=tuple(parts))

    def _labels(self, fact: ModelFact) -> Iterable[tuple[str, str | None]]:
        return self._rules.labels_of(fact.concept, fact.polarity)

    def _model_rows(self, uid: str, added: Sequence[ModelFact], spoken_of: frozenset[str]) -> Iterator[Row]:
        """Rows of the facts that the model alone states, marked; none under a name that the rules speak of."""
        written: set[str] = set()
        for fact in sorted(added, key=lambda fact: fact.polarity != "present"):
            for label, code in self._labels(fact):
                if label in spoken_of or label in written:
                    continue
                written.add(label)
                yield self._model_row(uid, label, code, fact)

    def _model_row(self, uid: str, label: str, code: str | None, fact: ModelFact) -> Row:
        attributes: dict[str, Any] = {
            "evidence": [fact.sentence], "words": fact.words, "spans": [list(fact.span)],
            "provider": self._provider.name, "model": self._provider.model,
        }  # fmt: skip
        details = {
            "laterality": fact.side, "location": fact.place, "size_mm": list(fact.size_mm), "called": fact.called,
            "rules": fact.rules,
        }  # fmt: skip
        attributes |= {name: value for name, value in details.items() if value}
        row: Row = {
            "uid": uid, "concept": label, "polarity": fact.polarity, "code": code,
            "attributes": json.dumps(attributes, sort_keys=True),
            "source": f"{MODEL_SOURCE}/{self._provider.model}@{self._rules.lexicon_version}",
        }  # fmt: skip
        return row | ({"value": max(fact.size_mm), "unit": "mm"} if fact.size_mm else {})

    def _row(self, item: Item) -> Row:
        stem = item.inputs["part"]
        if stem not in self._texts:
            while len(self._texts) > 1:
                self._texts.pop(next(iter(self._texts)))
            self._texts[stem] = list(reports_of(self._corpus / "tables" / "captions" / f"{stem}.parquet"))
        row: Row = self._texts[stem][item.inputs["place"]]
        return row

    @cached_property
    def _stored_rows(self) -> StoredRows:
        """From before this run, of the rules alone too; a report that is tried again adds only what is new."""
        return StoredRows(self._corpus, self._rules.task)


def _is_finding(row: Row, rules: RuleReader) -> bool:
    """Whether a row is a finding that the rules read, and no measurement of an organ."""
    return bool(row["source"] == f"{RULES_SOURCE}{rules.lexicon_version}")
