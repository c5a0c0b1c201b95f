"""Claims of how and of what a picture was made, against the sample's own row; and claims that no picture can show."""

from __future__ import annotations

from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.extraction.claims import AGENT, Claim
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.verdict import Fault, Judgement

# What is invented where the row says nothing of it, because it is a number.
_NUMERIC = frozenset(["age", "magnification", "resolution"])
_BEYOND = {
    "cause": "no fact says what it comes from",
    "advice": "a caption gives no advice, and no fact does",
    "prognosis": "no picture shows what will become of it, and no fact says it",
    "change": "the facts compare with no other day",
    "history": "no fact tells what happened before",
    "place": "they name no such place",
    "identity": "they name no maker, owner or brand",
    "event": "no fact says what happened there",
    "unseen": "it cannot be seen in such a picture, and no fact holds it",
    "contents": "no picture shows what things hold, and no fact says it",
    "time": "nothing states the hour or the day",
}

_OF_TWO_DATES = frozenset(["change", "history", "event"])
_OPEN = frozenset(["unseen"])  # people, animals, sounds: no fact says that they are not there


def judge_imaging(claim: Claim, facts: Facts) -> list[Fault]:
    """What is wrong with a claim of how the picture was made; nothing where nothing at all is known of the sample."""
    aspect, row = claim.text or "", facts.metadata
    if not row:
        return []
    if claim.details:
        agrees = row.agrees_in_number(aspect, claim.details[0].bounds[0])
    else:
        agrees = row.agrees(aspect, claim.concepts)
    if agrees is not None and claim.polarity == "absent":
        agrees = not agrees
    if agrees or _is_held(claim, aspect, facts):
        return []
    name = aspect.replace("_", " ")
    if agrees is False:
        why = f"'{claim.words}' is wrong: the sample's {name} is {row.said(aspect)}."
        return [_fault(claim, aspect, "contradicted", why)]
    if there := _denied_that_is_there(claim, aspect, facts):
        why = f"'{claim.words}' is wrong: the facts say that there is {there.replace('_', ' ')}."
        return [_fault(claim, aspect, "contradicted", why)]
    if aspect in _NUMERIC:
        judgement: Judgement = "unknown" if claim.details[0].is_vague else "unsupported"
    elif aspect not in facts.vocabulary.imaging:
        return []
    else:
        judgement = facts.vocabulary.imaging[aspect].silent
    if judgement == "supported":
        return []
    if judgement == "unsupported" and aspect.lower() in facts.words:
        judgement = "unknown"  # a fact has one in words that nobody reads
    return [_fault(claim, aspect, judgement, f"'{claim.words}' is not known: the sample's row states no {name}.")]


def _denied_that_is_there(claim: Claim, aspect: str, facts: Facts) -> str | None:
    """What is there although what is claimed means that it is not: a metastasis in a node of stage N0."""
    known = facts.vocabulary.imaging.get(aspect)
    if known is None or claim.polarity == "absent":
        return None
    denied = (concept for value in claim.concepts for concept in known.denies.get(value, ()))
    return next((name for c in denied for name in sorted(facts.present() & facts.vocabulary.below(c))), None)


def _is_held(claim: Claim, aspect: str, facts: Facts) -> bool:
    """Whether the sample holds what is claimed under another name: a grade among the severities, a primary site."""
    known = facts.vocabulary.imaging.get(aspect)
    if known is None or claim.polarity == "absent":
        return False
    aspects = facts.vocabulary.imaging
    others = [known.instead, *(name for name, other in aspects.items() if other.instead == aspect)]
    if any(facts.metadata.agrees(name, claim.concepts) for name in others if name is not None):
        return True
    return facts.metadata.names(aspect, claim.concepts)


def judge_beyond(claim: Claim, facts: Facts) -> list[Fault]:
    """What is wrong with a cause, an advice, a prognosis or a comparison with another day that no fact holds."""
    aspect = claim.text or ""
    if aspect in ("place", "cause") and set(words_of(claim.words).words) <= facts.words:
        return []
    if any(facts.strength(concept) in ("present", "uncertain") for concept in claim.others):
        return []  # "hydronephrosis due to a stone" where the stone is a fact
    if aspect in _OF_TWO_DATES and (facts.is_pair or _is_seen(claim, facts)):
        return []
    if aspect == "change" and (known := frozenset(c for row in facts.all_rows() for c in row.changes)):
        return _change(claim, known)
    is_open = aspect in _OPEN and not facts.vocabulary.is_about_patients
    judgement: Judgement = "unknown" if is_open else "unsupported"
    return [_fault(claim, aspect, judgement, f"'{claim.words}' is not in the facts: {_BEYOND[aspect]}.")]


def _is_seen(claim: Claim, facts: Facts) -> bool:
    """Whether facts state what an event leaves behind, so that it can be told by it: a slick of what was spilled.

    Who or what did it is another matter: "leaked by one of the ships".
    """
    if not facts.vocabulary.natural or claim.relation == AGENT:
        return False
    told = {word[:_STEM] for word in words_of(claim.words).words}
    return any(
        told & stems and any(facts.strength(name) == "present" for name in names) for stems, names in _AFTERMATHS
    )


_STEM = 4  # letters that forms of a verb share
# Beginnings of words for what happened, and what is there afterwards.
_AFTERMATHS: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = (
    (frozenset(["spil", "leak", "disc", "pour", "oozi", "ooze"]), ("oil_slick",)),
    (frozenset(["burn", "scor", "fire", "char", "torc", "blaz", "wild"]), ("burnt",)),
    (frozenset(["floo", "inun", "drow", "subm", "over"]), ("flood", "flooded_forest", "flooded land", "water")),
    (frozenset(["froz", "froz", "free", "iced", "ice"]), ("sea_ice", "snow and ice", "snow", "glacier", "winter")),
    (frozenset(["fell", "logg", "clea", "cut"]), ("clearcut", "deforestation", "bare_soil")),
)


def _change(claim: Claim, known: frozenset[str]) -> list[Fault]:
    """What is wrong with the direction of a change, where facts state one."""
    said = set(claim.concepts)
    if not said or said & known or "other" in known:
        return []
    why = f"'{claim.words}' is wrong: the facts say {' and '.join(sorted(known))}."
    return [_fault(claim, "change", "contradicted", why)]


def _fault(claim: Claim, aspect: str, judgement: Judgement, why: str) -> Fault:
    return Fault(aspect.replace("_", "-"), judgement, claim.words, claim.start, claim.end, why)
