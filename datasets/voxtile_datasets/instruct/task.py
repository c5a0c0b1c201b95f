"""Dialogues as an engine task: an item is a part of the table of samples with what is known of its subjects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.corpus.records import Row
from voxtile.engine.task import Item, Outcome
from voxtile_datasets.captions.checker.check import NAME, VERSION
from voxtile_datasets.captions.checker.vocabulary import vocabulary_digests
from voxtile_datasets.captions.keyed_choice import shuffled
from voxtile_datasets.captions.plain_words import SizeMargin
from voxtile_datasets.captions.reconcile import PRECEDENCE
from voxtile_datasets.captions.wordings import Bank
from voxtile_datasets.instruct.balance import balanced
from voxtile_datasets.instruct.cases import Case, CaseReader
from voxtile_datasets.instruct.dialogue import Dialogue
from voxtile_datasets.instruct.judging import Judging
from voxtile_datasets.instruct.kinds import comparison, findings, regions, reports, unanswerable
from voxtile_datasets.instruct.questions import Questions, installed_questions
from voxtile_datasets.instruct.words import Words

KINDS = (
    "report", "presence", "count", "side", "size", "place", "comparison", "unanswerable", "region", "grounded",
)  # fmt: skip
NOTHING = "nothing-known"


@dataclass(frozen=True)
class InstructTask:
    """The engine task.

    Attributes:
        corpus: the corpus; no part of the task's identity.
        banks: wordings of facts, in the order of precedence.
        kinds: of dialogues that are made.
        variants: how many wordings of each.
        absent: at most so many absences a report of the facts says.
        most: at most so many dialogues of one kind an image, and of presence so many of each answer.
        precedence: of the facts' sources.
        facts_source: only facts whose source begins so.
        seed: of the choices.
        key_file: the key map, where it is not beside the corpus.
        size_margin: with which sizes are said; None says them as they are known.
    """

    corpus: str
    banks: tuple[Bank, ...]
    kinds: tuple[str, ...] = KINDS
    variants: int = 1
    absent: int = 3
    most: int = 4
    precedence: tuple[str, ...] = PRECEDENCE
    facts_source: str | None = None
    seed: int = 0
    key_file: Path | None = None
    size_margin: SizeMargin | None = None

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "instruct"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "3"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output, the content of wordings and vocabularies among them."""
        margin = {} if self.size_margin is None else {"size_margin": str(self.size_margin)}
        return {
            "kinds": list(self.kinds), "variants": self.variants, "absent": self.absent, "most": self.most,
            "precedence": list(self.precedence), "facts_source": self.facts_source, "seed": self.seed,
            "banks": [[bank.identity, bank.sha256] for bank in self.banks],
            "questions": {name: [q.identity, q.sha256] for name, q in sorted(installed_questions().items())},
            "checker": [NAME, VERSION, *sorted(vocabulary_digests().values())], **margin,
        }  # fmt: skip

    def items(self) -> Iterator[Item]:
        """One item a part; what is known of its subjects later makes it a new one."""
        reader = self._reader()
        for path in part_paths(Path(self.corpus), "samples"):
            digest, count = reader.digest(path)
            yield Item(f"instruct/{path.stem}", {"part": path.stem, "known": digest}, cost=max(1, count))

    def process(self, item: Item) -> Outcome:
        """The dialogues of the images of one part, judged."""
        root = Path(self.corpus)
        cases = self._reader().of_part(root / "tables" / "samples" / f"{item.inputs['part']}.parquet")
        made = {dialogue.identity: dialogue for case in cases for dialogue in self._of(case)}
        judging = Judging({one.uid: one for case in cases for one in (case, case.earlier) if one is not None})
        stored = _stored(root)
        rows: list[Row] = []
        for dialogue in balanced(list(made.values())):
            if dialogue.identity not in stored:
                rows += dialogue.rows(judging.of(dialogue))
        if not rows:
            return Outcome("dropped", NOTHING, "nothing new is known of the images of this part")
        return Outcome("used", tables={"dialogues": rows})

    def _of(self, case: Case) -> Iterator[Dialogue]:
        questions = _questions()
        own = questions.get(case.bank.name, questions[""])
        for variant in range(self.variants):
            words = Words(case, own, self.seed + variant, self.size_margin)
            for kind, make in _makers(case, words, self.absent).items():
                if kind in self.kinds:
                    yield from _at_most(list(make()), self.most, f"{case.uid}|{words.seed}|{kind}")

    def _reader(self) -> CaseReader:
        return CaseReader(Path(self.corpus), self.banks, self.precedence, self.facts_source, self.key_file)


def _makers(case: Case, words: Words, absent: int) -> dict[str, Callable[[], Iterator[Dialogue]]]:
    """What makes the dialogues of each kind."""

    def details(kind: str) -> Callable[[], Iterator[Dialogue]]:
        return lambda: (dialogue for dialogue in findings.details(case, words) if dialogue.kind == kind)

    def places() -> Iterator[Dialogue]:
        yield from details("place")()
        yield from regions.placed(case, words)

    def compared() -> Iterator[Dialogue]:
        if case.earlier is not None:
            yield from comparison.comparison(case, words, replace(words, case=case.earlier))

    return {
        "report": lambda: reports.reports(case, words, absent),
        "presence": lambda: findings.presence(case, words),
        "count": details("count"),
        "side": details("side"),
        "size": details("size"),
        "place": places,
        "comparison": compared,
        "unanswerable": lambda: unanswerable.unanswerable(case, words),
        "region": lambda: regions.described(case, words),
        "grounded": lambda: regions.grounded(case, words),
    }


def _at_most(dialogues: list[Dialogue], most: int, key: str) -> Iterator[Dialogue]:
    """So many of each answer of presence, and so many of any other kind; which ones, a key says."""
    for answer in ("yes", "no"):
        asked = [d for d in dialogues if d.kind == "presence" and d.answer == answer]
        yield from islice(shuffled(asked, f"{key}|{answer}"), most)
    yield from islice(shuffled([d for d in dialogues if d.kind != "presence"], key), most)


def _stored(root: Path) -> frozenset[str]:
    """Ids of the dialogues that the corpus has."""
    parts = part_paths(root, "dialogues")
    if not parts:
        return frozenset()
    return frozenset(read_parts(parts, table_schema("dialogues"), ["dialogue_id"])["dialogue_id"].to_pylist())


@cache
def _questions() -> dict[str, Questions]:
    return installed_questions()
