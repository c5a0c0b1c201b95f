"""In which direction one thing lies of another, against the relations and places that facts state."""

from __future__ import annotations

from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.extraction.relations import OPPOSITE, PARTS_OF_AREAS
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.verdict import Fault, Judgement

_COMPASS = frozenset(name for name in OPPOSITE if name.split("-")[0] in ("north", "south", "east", "west"))


def judge_direction(claim: Claim, known: frozenset[str], facts: Facts) -> list[Fault]:
    """What is wrong with a relation whose kind is a direction.

    Args:
        claim: of the kind `relation`.
        known: the directions that facts state of the two.
        facts: what is known.
    """
    kind = claim.relation or ""
    if any(kind == stated or kind in stated.split("-") for stated in known):
        return []
    if claim.words.split()[-1:] and claim.words.split()[-1].lower() in PARTS_OF_AREAS and not known:
        return _in_part(claim, kind, facts)
    if not (kind in _COMPASS and known & _COMPASS):  # what is above can be behind, too
        known = known & {OPPOSITE[kind]}
    subject, other = (names[0].replace("_", " ") for names in (claim.concepts, claim.others))
    if known:
        why = f"'{claim.words}' is wrong: by the facts {subject} lies {' and '.join(sorted(known))} of {other}."
        return [_fault(claim, "contradicted", why)]
    if facts.vocabulary.is_about_patients and facts.vocabulary.has_sides:
        return []  # bodies are alike, and facts seldom say where one part lies of another
    if not known and kind in _COMPASS and (places := _opposite_places(claim, kind, facts)):
        why = f"'{claim.words}' is wrong: by the facts {subject} lies in the {' and '.join(sorted(places))}."
        return [_fault(claim, "contradicted", why)]
    if all(facts.strength(names[0]) == "present" for names in (claim.concepts, claim.others)):
        why = f"'{claim.words}' is not in the facts: they do not say in which direction {subject} lies of {other}."
        return [_fault(claim, "unknown" if facts.vocabulary.natural else "unsupported", why)]
    return []


def _opposite_places(claim: Claim, kind: str, facts: Facts) -> set[str]:
    """Where in the picture the first of two lies by the facts, if that is opposite to where it is said to lie.

    A pool in the south of the picture is not north of courts of which no place is known.
    """
    places, others = (
        {p for concept in concepts for row in facts.rows(concept) for p in row.positions}
        for concepts in (claim.concepts, claim.others)
    )
    said = set(kind.split("-"))
    is_opposite = bool(places) and all({OPPOSITE[part] for part in said} & set(place.split("-")) for place in places)
    return places if is_opposite and not others else set()


def _in_part(claim: Claim, kind: str, facts: Facts) -> list[Fault]:
    """Of "ponds at the northern end of the course": where the course fills the picture, the ponds lie in its north."""
    whole = [row for concept in claim.others for row in facts.rows(concept)]
    places = {place for concept in claim.concepts for row in facts.rows(concept) for place in row.positions}
    if not places or any(row.positions for row in whole):
        return []
    if any(kind == place or set(kind.split("-")) & set(place.split("-")) for place in places):
        return []
    why = f"'{claim.words}' is wrong: by the facts it lies in the {' and '.join(sorted(places))} of the picture."
    return [_fault(claim, "contradicted", why)]


def _fault(claim: Claim, judgement: Judgement, why: str) -> Fault:
    return Fault("relation", judgement, claim.words, claim.start, claim.end, why)
