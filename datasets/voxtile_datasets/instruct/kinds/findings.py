"""Questions about one finding: whether it is there, how many, on which side, how large, where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from voxtile_datasets.captions.stated_facts import Fact
from voxtile_datasets.instruct.cases import Case, askable
from voxtile_datasets.instruct.dialogue import Claim, Dialogue, Turn, fact_id
from voxtile_datasets.instruct.words import Words

_DIGITS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}


def presence(case: Case, words: Words) -> Iterator[Dialogue]:
    """Whether something is there; "no" only where a fact denies it as a whole or a closed scope leaves it out."""
    firm = {fact.concept: fact for fact in reversed(case.subject.facts) if fact.polarity == "present"}
    unsure = {fact.concept for fact in case.subject.facts if fact.polarity == "uncertain"}
    for concept in askable(case, list(firm)):
        yield from _closed(case, words, firm[concept], "yes")
    denied = dict.fromkeys([*(f.concept for f in case.subject.facts), *case.subject.implied])
    for concept in askable(case, list(denied)):
        if concept not in firm and concept not in unsure and case.is_absent(concept):
            yield from _closed(case, words, Fact(concept, "absent"), "no")


def _closed(case: Case, words: Words, fact: Fact, answer: str) -> Iterator[Dialogue]:
    question = words.ask("presence", "ask", words.asked(fact.concept), fact.concept)
    text = words.say("presence", answer, words.told(fact), fact.concept)
    if question and text:
        claims = (Claim(case.uid, words.sentence(fact)),)
        shown = _regions(case, fact) if answer == "yes" else ()
        turns = (question, Turn("assistant", text, answer, shown, claims))
        yield Dialogue("presence", (case.uid,), turns, (_parent(case, fact),), fact.concept)


def details(case: Case, words: Words) -> Iterator[Dialogue]:
    """How many, on which side, how large and where, of findings of which there is one statement."""
    present = [fact for fact in case.subject.facts if fact.polarity == "present"]
    for fact in present:
        if not askable(case, [fact.concept]) or len(case.facts_of(fact.concept)) > 1:
            continue
        fields = words.told(fact)
        number = _DIGITS.get(fact.number or "", fact.number)
        answers = {
            "count": str(number) if str(number).isdecimal() else None,
            "side": fact.side if "on_side" in fields else None,
            "size": words.size(fact) if "size" in fields and fact.number is None else None,
            "place": fields.get("location") if "place" in fields else None,
        }
        for kind, answer in answers.items():
            if answer:
                yield from _told(case, words, fact, kind, answer)


def _told(case: Case, words: Words, fact: Fact, kind: str, answer: str) -> Iterator[Dialogue]:
    fields = words.told(fact) | ({"number": str(fact.number)} if fact.number else {})
    asked = words.asked(fact.concept)
    if fact.side == "bilateral" and kind == "side":
        asked = asked | {"is": fields["is"]}
    question = words.ask(kind, "ask", asked, fact.concept)
    text = words.say(kind, "tell", fields, fact.concept)
    if question and text:
        claims = (Claim(case.uid, words.sentence(fact)),)
        turns = (question, Turn("assistant", text, answer, _regions(case, fact), claims))
        yield Dialogue(kind, (case.uid,), turns, (_parent(case, fact),))


def _regions(case: Case, fact: Fact) -> tuple[str, ...]:
    """What an answer about a finding speaks of."""
    return tuple(region.region_id for region in case.regions if region.concept == fact.concept)


def _parent(case: Case, fact: Fact) -> str:
    return fact_id(case.uid, fact.concept, fact.polarity)


def bare(fact: Fact) -> Fact:
    """A fact without its details."""
    return replace(fact, size=None, side=None, location=None, levels=(), number=None)
