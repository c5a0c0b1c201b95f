"""What a text names in place of what the facts state: a railway for the road, one kind of tumour for another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.extraction.naming.diseases import is_tumour_word
from voxtile_datasets.captions.checker.extraction.numbers.amount import SHARE
from voxtile_datasets.captions.checker.judging.agreement import agrees_with_any
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.verdict import Fault
from voxtile_datasets.captions.checker.vocabulary import Vocabulary


def in_place_of_another(fault: Fault, claims: Sequence[Claim], facts: Facts) -> Fault:
    """What is not known is invented where a text has it in place of what the facts state: a railway for the road."""
    claim = next((c for c in claims if c.kind == "concept" and (c.start, c.end) == (fault.start, fault.end)), None)
    if fault.judgement != "unknown" or fault.kind != "concept" or claim is None or claim.polarity != "present":
        return fault
    vocabulary = facts.vocabulary
    named = {name for other in claims if other.kind == "concept" for name in other.concepts}
    said = {
        c
        for name in named
        for c in (vocabulary.related(name) if not _is_wide(name, vocabulary) else vocabulary.above(name))
    }
    if name := _of_same_size(claim, said, facts):
        why = f"'{fault.words}' is not in the facts: what they state of that size is {name.replace('_', ' ')}."
        return replace(fault, judgement="unsupported", why=why)
    if vocabulary.is_about_patients and (name := _other_tumour(claim, said, facts)):
        why = f"'{fault.words}' is not in the facts: the tumour that they state is {name.replace('_', ' ')}."
        return replace(fault, judgement="unsupported", why=why)
    if vocabulary.natural and (name := _of_same_share(claim, said, facts)):
        why = f"'{fault.words}' is not in the facts: what they state of that share is {name.replace('_', ' ')}."
        return replace(fault, judgement="unsupported", why=why)
    if (vocabulary.natural or vocabulary.has_sides) and (name := _of_same_count(claim, said, facts)):
        why = f"'{fault.words}' is not in the facts: what they state of that number is {name.replace('_', ' ')}."
        return replace(fault, judgement="unsupported", why=why)
    if vocabulary.natural and facts.scoped & {c for name in claim.concepts for c in vocabulary.related(name)}:
        return fault  # an open scope leaves it open
    for concept in claim.concepts:
        alike = vocabulary.alike.get(concept, frozenset()) - vocabulary.kin(concept) - said
        stems = {word[:_STEM] for word in concept.split("_")}
        alike = frozenset(name for name in alike if not _is_named_alike(name, stems))
        if missing := sorted(name for name in alike if facts.rows(name) and facts.strength(name) == "present"):
            why = f"'{fault.words}' is not in the facts: they state {missing[0].replace('_', ' ')} in its place."
            return replace(fault, judgement="unsupported", why=why)
    return fault


def _is_wide(name: str, vocabulary: Vocabulary) -> bool:
    """Whether so much is a kind of a concept that its name says nothing of which one is meant: a lesion."""
    return len(vocabulary.below(name)) > _WIDEST


def _other_tumour(claim: Claim, said: set[str], facts: Facts) -> str | None:
    """What kind of tumour the facts state that a text does not name, where it names a kind that they do not have."""
    vocabulary = facts.vocabulary
    named = words_of(f"{claim.words} {' '.join(claim.concepts)}".replace("_", " ")).words
    if not any(map(is_tumour_word, named)):
        return None
    near = {c for concept in claim.concepts for c in vocabulary.related(concept) | vocabulary.kin(concept)}
    unsaid = sorted(facts.present() - said - near)
    return next((name for name in unsaid if any(map(is_tumour_word, words_of(name.replace("_", " ")).words))), None)


def _of_same_share(claim: Claim, said: set[str], facts: Facts) -> str | None:
    """What of the facts has the share of the picture that a claim gives to another cover, and is not named itself."""
    shares = [d for d in claim.details if d.dimension == SHARE and any(letter.isdecimal() for letter in d.words)]
    if len(shares) != 1:
        return None
    low, high = shares[0].bounds[0]
    kin = {c for concept in claim.concepts for c in facts.vocabulary.kin(concept)}
    unsaid = [name for name in sorted(facts.present() - said - kin) if low <= facts.share(name) <= high]
    return unsaid[0] if len(unsaid) == 1 else None


def _of_same_count(claim: Claim, said: set[str], facts: Facts) -> str | None:
    """What of the facts is as many as a claim gives of something else, two at least, and is not named itself."""
    counts = [d for d in claim.details if d.kind == "count" and not d.is_vague and d.bounds[0][0] == d.bounds[0][1]]
    if len(counts) != 1 or counts[0].bounds[0][0] < _SEVERAL or set(words_of(claim.words).words) <= _GENERAL:
        return None
    said = said - {c for concept in claim.concepts for c in facts.vocabulary.above(concept)}
    unsaid = [n for n in sorted(facts.present() - said) if any(row.counts for row in facts.rows_of(n))]
    return next((n for n in unsaid if agrees_with_any(counts[0], facts.rows_of(n), facts.vocabulary)), None)


def _of_same_size(claim: Claim, said: set[str], facts: Facts) -> str | None:
    """What of the facts has the size that a claim gives to something else, and is not named itself."""
    sizes = [d for d in claim.details if d.kind == "number" and d.dimension in ("length", "uptake", "volume")]
    if not sizes or not facts.vocabulary.has_sides:
        return None
    named = {c for concept in claim.concepts for c in facts.vocabulary.above(concept)}
    if set(words_of(claim.words).words) <= _GENERAL:
        return None  # "a soft tissue mass" may be what the facts call by another name
    said = said - named
    stems = {word[:_STEM] for word in words_of(f"{claim.words} {' '.join(claim.concepts)}".replace("_", " ")).words}
    kin = {c for concept in claim.concepts for c in facts.vocabulary.kin(concept)}
    unsaid = sorted(n for n in facts.present() - said - kin if not _is_named_alike(n, stems))
    return next((n for n in unsaid if all(agrees_with_any(d, facts.rows_of(n), facts.vocabulary) for d in sizes)), None)


def _is_named_alike(name: str, stems: set[str]) -> bool:
    """Whether of two names one holds the other by the beginnings of words: a cavity and a cavitating lesion.

    A shared last word makes none alike where each has its own before it: a broadleaf forest and a conifer forest.
    """
    own = {word[:_STEM] for word in name.split("_") if len(word) >= _STEM}
    long = {stem for stem in stems if len(stem) >= _STEM}
    return bool(own & long) and (own <= long or long <= own)


# General words for what facts may call by a name of its own: "a soft tissue mass", "a bulge", "a simple cyst".
_GENERAL = frozenset(
    ["mass", "lesion", "tumor", "growth", "lump", "bump", "bulge", "swelling", "nodule", "cyst", "collection", "focus",
     "spot", "shadow", "area", "node", "deposit", "clot", "bleed", "stone", "soft", "tissue", "simple", "solid",
     "cystic", "round", "rounded", "focal", "target", "space", "occupying", "finding", "abnormality", "thing",
     "structure", "a", "fluid", "in", "it", "of", "the", "opacity", "density", "patch", "neoplasm"]
)  # fmt: skip
_SEVERAL = 2
_STEM = 5  # letters that two forms of a word share
_WIDEST = 12  # kinds of a concept whose name still tells which one is meant
