"""From drafts that were judged to pairs of drafts of which the facts speak for one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from voxtile.corpus.records import Row
from voxtile_datasets.captions.checker.check import NAME, VERSION, Known, check
from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.verdict import Verdict
from voxtile_datasets.captions.keyed_choice import pick
from voxtile_datasets.captions.stated_facts import Fact
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
        """Whether it denies, and what; None of a sentence about no finding."""
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
        structured: the drafts' sentences stand by the names of what they are about.
        findings_first: findings before denials then.
        say: words a fact; `words.sentence` where left out.
    """

    words: Words
    structured: bool = True
    findings_first: bool = True
    say: Callable[[Fact], str] | None = None

    def of(self, draft: Sequence[Judged]) -> Iterator[Pair]:
        """The pairs of one draft: at most one of each kind."""
        whole = " ".join(one.text for one in draft)
        wrong = [one for one in draft if one.is_wrong]
        ways: dict[str, tuple[list[Judged], Callable[[Fact], Fact | None]]] = {
            "corrected": (wrong, lambda fact: fact),
            # Unsaid is better than wrongly denied, or told with a wrong side or size. A finding that is not there is
            # another matter: who says nothing where he doubts misses those that are there.
            "shortened": ([one for one in wrong if not self._is_false_finding(one)], _bare),
        }
        for kind, (taken, say) in ways.items():
            sentences, right, parents = self._changed(draft, taken, say)
            text = " ".join(sentences)
            if taken and text and text != whole:
                faults = taken[0].verdict.faults
                why = faults[0].why if faults else None
                yield Pair(kind, text, whole, tuple(one.text for one in taken), right, why, parents)
        if kept := self._kept(draft, whole):
            yield kept

    def _is_false_finding(self, one: Judged) -> bool:
        """Whether a sentence affirms what is not there."""
        affirmed = [claim.concepts[0] for claim in one.findings if claim.polarity != "absent"]
        there = {fact.concept for fact in self.words.case.subject.facts if fact.polarity == "present"}
        return bool(affirmed) and not there.issuperset(affirmed)

    def _changed(
        self, draft: Sequence[Judged], taken: Sequence[Judged], say: Callable[[Fact], Fact | None]
    ) -> tuple[list[str], tuple[str, ...], tuple[str, ...]]:
        """Sentences of the draft with others in place of what is taken, those others, and facts that they are of."""
        said = {name for one in draft if one not in taken for claim in one.findings for name in claim.concepts}
        sentences: list[str] = []
        later: list[tuple[tuple[bool, str], str]] = []  # what a structured report says in its own place
        right: list[str] = []
        parents: list[str] = []
        for one in draft:
            if one not in taken:
                sentences.append(one.text)
                continue
            for fact, denied in self._facts(one, said):
                if (told := say(fact)) is not None and (told is fact or not denied):
                    said.add(fact.concept)
                    right.append((self.say or self.words.sentence)(told))
                    parents.append(fact_id(self.words.case.uid, fact.concept, fact.polarity))
                    place = self._place(fact.polarity == "absent", fact.concept)
                    later.append((place, right[-1])) if self.structured else sentences.append(right[-1])
        places = [one.place and self._place(*one.place) for one in draft if one not in taken]
        for place, text in later:
            at = _place_of(place, places)
            sentences.insert(at, text)
            places.insert(at, place)
        return sentences, tuple(right), tuple(parents)

    def _place(self, denied: bool, concept: str) -> tuple[bool, str]:
        return self.findings_first and denied, concept

    def _facts(self, one: Judged, said: Collection[str]) -> Iterator[tuple[Fact, bool]]:
        """A fact of each finding that a sentence names, beside what is said elsewhere, and whether it denies that."""
        for claim in one.findings:
            name = claim.concepts[0]
            facts = [fact for fact in self.words.case.facts_of(name) if fact.polarity != "uncertain"]
            if not facts and self.words.case.is_absent(name):
                facts = [Fact(name, "absent")]
            if facts and name not in said:
                yield facts[0], claim.polarity == "absent"

    def _kept(self, draft: Sequence[Judged], whole: str) -> Pair | None:
        """What is not wrong of a draft over less of it, of a finding where there is one.

        Less is the same without a sentence that the facts support, or with its finding alone: else a model that learns
        to leave out what may be wrong leaves out what is right, sides and sizes first.
        """
        right = [one for one in draft if not one.is_wrong]
        true = [n for n, one in enumerate(right) if one.verdict.verdict == "supported" and one.findings]
        found = [n for n in true if right[n].findings[0].polarity == "present"] or true
        if len(right) < 2 or not found:
            return None
        key = f"{self.words.case.uid}|{whole}|kept"
        number = int(pick([str(n) for n in found], key))
        texts = [one.text for one in right]
        bare = self._bare_sentence(right[number]) if pick(["sentence", "details"], f"{key}|less") == "details" else None
        less = [*texts[:number], *([bare] if bare else []), *texts[number + 1 :]]
        return Pair("kept", " ".join(texts), " ".join(less))

    def _bare_sentence(self, one: Judged) -> str | None:
        """The finding of a sentence without its details; None of a denial, of several, and where there are none."""
        if len(one.findings) != 1 or not one.findings[0].details:
            return None
        told = next((_bare(fact) for fact, _ in self._facts(one, ())), None)
        if told is None:
            return None
        text = (self.say or self.words.sentence)(told)
        return text if text != one.text else None


def _bare(fact: Fact) -> Fact | None:
    """A finding without its details; nothing in place of a denial.

    Several stay several: a pair that differs in the name itself teaches that it is seldom said, and not what follows.
    """
    if fact.polarity != "present":
        return None
    return replace(fact, size=None, side=None, location=None, levels=(), number=None if fact.number is None else "")


def _place_of(place: tuple[bool, str], places: Sequence[tuple[bool, str] | None]) -> int:
    """Where something belongs among what stands in order."""
    return next((number for number, other in enumerate(places) if other is not None and other > place), len(places))
