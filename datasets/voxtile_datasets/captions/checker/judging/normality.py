"""Statements that a picture, or a part of the body, is as it should be, against facts under scopes."""

from __future__ import annotations

from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.judging.details import is_elsewhere
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.verdict import Fault
from voxtile_datasets.captions.checker.vocabulary import NORMAL

# Regions whose parts are normal where the whole is: a spine with its discs; bile ducts are no part of the liver.
_WHOLES = frozenset(f"{name} finding" for name in ("spine", "brain", "lungs", "joints", "bones", "heart", "pleura"))


def wrong_there(claim: Claim, concept: str, facts: Facts) -> str | None:
    """What of a concept that a statement of normality denies is there; None where that is nothing or was excepted.

    Args:
        claim: of the kind `normal`; its `others` are what the text excepts ("apart from a nodule"), its details
            the side or place of what is normal.
        concept: that it denies.
        facts: what is known.
    """
    there = sorted(facts.present() & facts.vocabulary.below(concept))
    for name in there:
        if concept not in _WHOLES and facts.vocabulary.is_region(concept) and _is_of_another(claim, name, facts):
            continue
        if _is_excepted(claim, name, facts) or is_elsewhere(claim, facts.rows(name), facts.vocabulary):
            continue
        return name
    return None


def _is_of_another(claim: Claim, name: str, facts: Facts) -> bool:
    """Whether what is there belongs to another part of the region: dilated bile ducts where the liver is normal."""
    above = facts.vocabulary.above(name)
    return bool(above & facts.vocabulary.closed_by_name) and not above & set(claim.denies) - {
        c for c in claim.denies if facts.vocabulary.is_region(c)
    }


def judge_whole(claim: Claim, facts: Facts) -> list[Fault]:
    """What is wrong with a statement that the whole picture is normal, or that it is not."""
    if claim.others and "lesion" in claim.words.lower():
        return []  # "a cirrhotic liver without focal lesion" calls nothing else normal
    known = facts.strength(NORMAL)
    concepts = facts.vocabulary.concepts
    findings = [
        name
        for name in sorted(facts.present() - {NORMAL})
        if not (name in concepts and concepts[name].is_healthy) and not _is_excepted(claim, name, facts)
    ]
    is_excepted = bool(claim.others) and not findings
    is_normal = known == "present" or (known is None and not findings and facts.closed != frozenset())
    is_not = (known == "absent" and not is_excepted) or (known is None and bool(findings))
    if (claim.polarity == "present" and is_not) or (claim.polarity == "absent" and is_normal and not is_excepted):
        what = f"there is {findings[0].replace('_', ' ')}" if findings else "it is normal" if is_normal else "it is not"
        why = f"'{claim.words}' is wrong: the facts say that {what}."
        return [Fault("polarity", "contradicted", claim.words, claim.start, claim.end, why)]
    if claim.polarity == "uncertain" or is_normal or is_not or is_excepted:
        return []
    why = f"'{claim.words}' is not known: the facts do not say that all is normal."
    return [Fault("concept", "unknown", claim.words, claim.start, claim.end, why)]


def _is_excepted(claim: Claim, name: str, facts: Facts) -> bool:
    return any(name in facts.vocabulary.below(o) or o in facts.vocabulary.below(name) for o in claim.others)
