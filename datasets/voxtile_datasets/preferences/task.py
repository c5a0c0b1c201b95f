"""Preferences as an engine task: an item is a number of images, of which drafts are drawn and judged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from voxtile.assist.assistant import Assistant, Style
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.data.images import CorpusImages
from voxtile.data.sentences import split_sentences
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import EvaluationError
from voxtile_datasets.captions.checker.check import NAME, VERSION, Known
from voxtile_datasets.captions.checker.vocabulary import vocabulary_digests
from voxtile_datasets.captions.plain_words import PlainWords
from voxtile_datasets.captions.wordings import Bank
from voxtile_datasets.instruct.cases import Case, CaseReader
from voxtile_datasets.instruct.questions import installed_questions
from voxtile_datasets.instruct.words import Words
from voxtile_datasets.preferences.pairs import PairMaker, judged

NOTHING = "nothing-to-prefer"


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How drafts are drawn.

    Attributes:
        samples: drafts an image.
        temperature: above 1 for more variety.
        style: of the reports.
        plain: words of what stands in place of wrong sentences; None for varied ones.
        longest: tokens of a draft at most.
        seed: another one draws other drafts.
    """

    samples: int = 4
    temperature: float = 1.0
    style: Style = "structured"
    plain: PlainWords | None = None
    longest: int = 256
    seed: int = 0


@dataclass(frozen=True)
class PreferenceTask:
    """The engine task.

    Attributes:
        corpus: opened.
        assistant: that drafts.
        model: how the table calls it.
        banks: wordings of facts, in the order of precedence.
        precedence: of the facts' sources.
        chosen: uids of the training split, by stem of the samples part.
        drawing: how drafts are drawn.
        facts_source: only facts whose source begins so judge and are said.
        closed: concepts that are denied where an image has facts, but none of these.
        chunk: images an item.
        batch_size: images at a time.
    """

    corpus: Corpus
    assistant: Assistant = field(compare=False)
    model: str
    banks: tuple[Bank, ...]
    precedence: tuple[str, ...]
    chosen: Mapping[str, Sequence[str]]
    drawing: Drawing
    facts_source: str | None
    closed: tuple[str, ...] = ()
    chunk: int = 64
    batch_size: int = 8
    uses_gpu: ClassVar[bool] = True
    _last: dict[str, dict[str, Case]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "prefer"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "3"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output, the content of wordings and vocabularies among them."""
        plain = self.drawing.plain
        return {
            "model": self.model, "samples": self.drawing.samples, "temperature": self.drawing.temperature,
            "style": self.drawing.style, "words": "plain" if plain else "varied", "longest": self.drawing.longest,
            "seed": self.drawing.seed, "closed": sorted(self.closed),
            "facts_source": self.facts_source, "precedence": list(self.precedence),
            "banks": [[bank.identity, bank.sha256] for bank in self.banks],
            "checker": [NAME, VERSION, *sorted(vocabulary_digests().values())], **(plain.noted() if plain else {}),
        }  # fmt: skip

    def items(self) -> Iterator[Item]:
        """Chunks of the images of each part; what is known of them later makes new ones."""
        for stem, uids in self.chosen.items():
            digest, _ = self._reader.digest(self._part(stem))
            for start in range(0, len(uids), self.chunk):
                own = list(uids[start : start + self.chunk])
                named = hashlib.sha256("\n".join(own).encode()).hexdigest()
                inputs = {"part": stem, "first": start, "count": len(own), "uids": named, "known": digest}
                yield Item(f"prefer:{self.model}/{stem}/{named[:12]}", inputs, cost=len(own))

    def process(self, item: Item) -> Outcome:
        """The pairs of one chunk; an image that cannot be read is a row of the ledger."""
        start, stem = item.inputs["first"], item.inputs["part"]
        uids = list(self.chosen[stem][start : start + item.inputs["count"]])
        cases = self._cases(stem)
        images = CorpusImages(self.corpus, self.assistant.preset, uids, self.batch_size)
        question = self.assistant.question(self.drawing.style)
        rows: dict[str, Row] = {}
        failed: list[Part] = []
        for first in range(0, len(uids), self.batch_size):
            for uid, drafts in self._drafts(images, uids[first : first + self.batch_size], failed):
                for row in self._pairs(cases[uid], drafts, question):
                    rows.setdefault(row["preference_id"], row)
        if not rows and not failed:
            return Outcome("dropped", NOTHING, "the facts contradict or support nothing that was drafted")
        return Outcome("used", tables={"preferences": list(rows.values())}, parts=tuple(failed))

    def _drafts(
        self, images: CorpusImages, uids: Sequence[str], failed: list[Part]
    ) -> Iterator[tuple[str, Sequence[str]]]:
        read = {}
        for uid in uids:
            try:
                read[uid] = images.image(uid)
            except EvaluationError as error:
                failed.append(Part(uid, "failed", "unreadable", f"no draft of {uid}: {error}"))
        if read:
            size = (self.drawing.samples, self.drawing.longest)
            numbers = [np.random.default_rng([self.drawing.seed, *uid.encode()]).random(size) for uid in read]
            drawn = self.assistant.draw(
                torch.stack(list(read.values())), self.drawing.style, torch.from_numpy(np.stack(numbers)),
                temperature=self.drawing.temperature,
            )  # fmt: skip
            yield from zip(read, drawn, strict=True)

    def _pairs(self, case: Case, drafts: Sequence[str], question: str) -> Iterator[Row]:
        questions = installed_questions()
        words = Words(case, questions.get(case.bank.name, questions[""]), self.drawing.seed)
        plain, say = self.drawing.plain, None
        if plain is not None:
            say = partial(plain, subject=case.subject, bank=case.bank, variant=self.drawing.seed)
        maker = PairMaker(words, self.drawing.style == "structured", self.assistant.tells_findings_first, say)
        known = self._judging(case)
        for text in dict.fromkeys(drafts):
            for pair in maker.of(judged(split_sentences(text), known, case)):
                yield pair.row(case.uid, question, self.model)

    def _judging(self, case: Case) -> Known:
        """What judges: facts of one source alone, and then no scopes, which do not say whose they are; and silence."""
        known, source = case.known, self.facts_source
        if source is not None:
            sources = tuple(name.strip() for name in source.split(","))
            facts = [row for row in known.facts if (row["source"] or "").startswith(sources)]
            known = replace(known, facts=facts, scopes=(), _read={})
        silent = [name for name in case.subject.implied if name in self.closed]
        denied = [{"concept": name, "polarity": "absent", "source": source} for name in silent]
        return replace(known, facts=[*known.facts, *denied], _read={}) if denied else known

    def _cases(self, stem: str) -> dict[str, Case]:
        """What is known of the images of a part; of the last one it is kept."""
        if stem not in self._last:
            self._last.clear()
            self._last[stem] = {case.uid: case for case in self._reader.of_part(self._part(stem))}
        return self._last[stem]

    @cached_property
    def _reader(self) -> CaseReader:
        return CaseReader(self.corpus.roots[0], self.banks, self.precedence, self.facts_source, closed=self.closed)

    def _part(self, stem: str) -> Path:
        return self.corpus.roots[0] / "tables" / "samples" / f"{stem}.parquet"
