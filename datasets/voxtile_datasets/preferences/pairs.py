"""From drafts that were judged to pairs of drafts of which the facts speak for one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from voxtile.corpus.records import Row
from voxtile_datasets.captions.checker.check import NAME, VERSION, Known, check
from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.verdict import Verdict
from voxtile_datasets.captions.sentences import Fact, pick
from voxtile_datasets.instruct.cases import Case
from voxtile_datasets.instruct.dialogue import fact_id
from voxtile_datasets.instruct.words import Words

KINDS = ("corrected", "shortened", "kept")


@dataclass(frozen=True)
class Judged:
    """A sentence of a draft with what the facts say of it.

    Attributes:
        text: the sentence.
        verdict: on it.
    """

    text: str
    verdict: Verdict

    @property
    def is_wrong(self) -> bool:
        """Whether a fact says otherwise."""
        return self.verdict.verdict == "contradicted"

    @property
    def findings(self) -> tuple[Claim, ...]:
        """What it says of findings."""
        return tuple(claim for claim in self.verdict.claims if claim.kind == "concept" and claim.concepts)

    @property
    def place(self) -> tuple[bool, str] | None:
        """Where it stands in a structured report: findings before denials, both by name; None of one without either."""
        found = self.findings
        return (found[0].polarity == "absent", found[0].concepts[0]) if found else None


@dataclass(frozen=True)
class Pair:
    """Two drafts of which the facts speak for the first.

    Attributes:
        kind: see the column of the table.
        chosen, rejected: the drafts.
        wrong, right: sentences of the rejected one that the other has not, and what it has in their place.
        detail: why the first of `wrong` is wrong.
        parents: facts that `right` is of.
    """

    kind: str
    chosen: str
    rejected: str
    wrong: tuple[str, ...] = ()
    right: tuple[str, ...] = ()
    detail: str | None = None
    parents: tuple[str, ...] = ()

    def row(self, uid: str, question: str, model: str) -> Row:
        """The row of the table `preferences`.

        Args:
            uid: of the image.
            question: what the drafts answer.
            model: checkpoint that drew them.
        """
        whole = "\0".join((uid, question, self.kind, self.chosen, self.rejected, model))
        return {
            "preference_id": hashlib.sha256(whole.encode()).hexdigest()[:32], "uids": [uid], "question": question,
            "chosen": self.chosen, "rejected": self.rejected, "kind": self.kind, "wrong": list(self.wrong),
            "right": list(self.right), "detail": self.detail, "model": model, "parents": list(self.parents),
            "checker": f"{NAME}@{VERSION}", "created": None,
        }  # fmt: skip


def judged(sentences: Sequence[str], known: Known, case: Case) -> list[Judged]:
    """The sentences of a draft with their verdicts.

    Args:
        sentences: in order.
        known: facts that judge.
        case: whose image was drafted.
    """
    return [Judged(text, check(text, known, case.vocabulary)) for text in sentences]


@dataclass(frozen=True, eq=False)
class PairMaker:
    """Makes the pairs of the drafts of one image.

    Attributes:
        words: of its facts.
        structured: findings stand before denials in the drafts, both by name.
    """

    words: Words
    structured: bool = True

    def of(self, draft: Sequence[Judged]) -> Iterator[Pair]:
        """The pairs of one draft: at most one of each kind."""
        whole = _joined(draft)
        wrong = tuple(one for one in draft if one.is_wrong)
        if wrong:
            why = wrong[0].verdict.faults[0].why if wrong[0].verdict.faults else None
            said = tuple(one.text for one in wrong)
            for kind, better in (("corrected", self._corrected), ("shortened", self._shortened)):
                sentences, right, parents = better(draft)
                if sentences and (text := " ".join(sentences)) != whole:
                    yield Pair(kind, text, whole, said, right, why, parents)
        if kept := self._kept(draft, whole):
            yield kept

    def _corrected(self, draft: Sequence[Judged]) -> tuple[list[str], tuple[str, ...], tuple[str, ...]]:
        """The draft with what the facts say in place of what is wrong."""
        return self._changed(draft, lambda fact: fact)

    def _shortened(self, draft: Sequence[Judged]) -> tuple[list[str], tuple[str, ...], tuple[str, ...]]:
        """The draft without what is wrong: a finding that is there keeps its name, and loses its details."""
        return self._changed(draft, lambda fact: _bare(fact) if fact.polarity == "present" else None, named_alone=True)

    def _changed(
        self, draft: Sequence[Judged], say: Callable[[Fact], Fact | None], *, named_alone: bool = False
    ) -> tuple[list[str], tuple[str, ...], tuple[str, ...]]:
        """Sentences of the draft, those that are new, and facts that these are of."""
        said = {name for one in draft if not one.is_wrong for claim in one.findings for name in claim.concepts}
        sentences: list[str] = []
        later: list[tuple[tuple[bool, str], str]] = []  # what a structured report says in its own place
        right: list[str] = []
        parents: list[str] = []
        for one in draft:
            if not one.is_wrong:
                sentences.append(one.text)
                continue
            for fact in self._facts(one, said, affirmed_alone=named_alone):
                if (told := say(fact)) is not None:
                    said.add(fact.concept)
                    right.append(self.words.sentence(told))
                    parents.append(fact_id(self.words.case.uid, fact.concept, fact.polarity))
                    place = (fact.polarity == "absent", fact.concept)
                    later.append((place, right[-1])) if self.structured else sentences.append(right[-1])
        places = [one.place for one in draft if not one.is_wrong]
        for place, text in later:
            at = _place_of(place, places)
            sentences.insert(at, text)
            places.insert(at, place)
        return sentences, tuple(right), tuple(parents)

    def _facts(self, one: Judged, said: Collection[str], *, affirmed_alone: bool) -> Iterator[Fact]:
        """A fact of each finding that a sentence names, beside what is said elsewhere."""
        for claim in one.findings:
            name = claim.concepts[0]
            facts = [fact for fact in self.words.case.facts_of(name) if fact.polarity != "uncertain"]
            if facts and name not in said and not (affirmed_alone and claim.polarity == "absent"):
                yield facts[0]

    def _kept(self, draft: Sequence[Judged], whole: str) -> Pair | None:
        """The draft over the same without a sentence, or a detail, that the facts support: silence is no virtue."""
        places = [number for number, one in enumerate(draft) if one.verdict.verdict == "supported" and one.findings]
        if not places:
            return None
        number = pick([str(place) for place in places], f"{self.words.case.uid}|{whole}|kept")
        one = draft[int(number)]
        claim = one.findings[0]
        sentences = [other.text for place, other in enumerate(draft) if place != int(number)]
        if claim.details and claim.polarity == "present":
            bare = self.words.sentence(Fact(claim.concepts[0], "present"))
            sentences.insert(int(number), bare)
        less = " ".join(sentences)
        return Pair("kept", whole, less) if less and less != whole else None


def _bare(fact: Fact) -> Fact:
    return replace(fact, size=None, side=None, location=None, levels=(), number=None)


def _joined(draft: Sequence[Judged]) -> str:
    return " ".join(one.text for one in draft)


def _place_of(place: tuple[bool, str], places: Sequence[tuple[bool, str] | None]) -> int:
    """Where something belongs among what stands in order."""
    return next((number for number, other in enumerate(places) if other is not None and other > place), len(places))
