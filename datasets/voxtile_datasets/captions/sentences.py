"""From the facts of one sample to sentences: a keyed, repeatable choice among a bank's wordings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from voxtile_datasets.captions.english import (
    capitalised,
    head_part,
    is_lesion,
    is_mass,
    is_of_a_part,
    is_plural,
    plural,
    with_article,
)
from voxtile_datasets.captions.keyed_choice import pick, shuffled
from voxtile_datasets.captions.places import beside_place, place_of
from voxtile_datasets.captions.stated_facts import Fact, Subject
from voxtile_datasets.captions.wordings import Bank, Wording, fields_of, fill

_WHERE = frozenset(["place", "location"])
_WHOLE = frozenset(["found", "finding"])  # fields that hold all other details
_SIDED = frozenset(["name", "a_name"])  # of an absence, with its side
_ONE_A_SIDE = ("two", "2")
_SIDES = frozenset(["left", "right"])
_GRADE = re.compile(r"(?P<name>.+?)[ ,]+(?:grade|score) (?P<grade>\d)$", re.I)


Say: TypeAlias = "Callable[[Fact, Subject, Bank, int], str]"


def fact_sentences(
    subject: Subject, bank: Bank, *, variant: int, absent: int, say: Say | None = None
) -> list[tuple[Fact, str]]:
    """One sentence a fact, with the fact, in the order of the facts, then of the implied absences.

    Args:
        subject: what to word.
        bank: the wordings.
        variant: number of the wording; another number, another choice.
        absent: at most so many absences are said: what is easily taken for a finding first, then what a source denies
            or other samples have; the rest stays unsaid. What can only be read from metadata is never denied.
        say: makes a fact's sentence; `sentence_of` by default.
    """
    facts = [fact for fact in subject.facts if fact.polarity != "absent"]
    said = _absences(subject, bank, facts, variant)[:absent]
    facts += [fact for fact in subject.facts if fact in said] + [fact for fact in said if fact not in subject.facts]
    make = say or sentence_of
    return [(fact, make(fact, subject, bank, variant)) for fact in facts]


def _absences(subject: Subject, bank: Bank, found: Sequence[Fact], variant: int) -> list[Fact]:
    """What can be denied, the most informative first."""
    stated = [fact for fact in subject.facts if fact.polarity == "absent"]
    known = {fact.concept for fact in subject.facts}
    absences = [*stated, *(Fact(concept, "absent") for concept in subject.implied if concept not in known)]
    graded = {base for fact in found if (base := _base(fact.concept))}
    sayable = [
        fact
        for fact in absences
        if not bank.wording_of(fact.concept).is_property and _base(fact.concept) not in (graded or {""})
        and not _is_grade_zero(fact.concept)
    ]  # fmt: skip

    def rank(fact: Fact) -> int:
        likely, is_seen = fact.concept in subject.likely, fact in stated or fact.concept in subject.seen
        return 0 if likely else 1 if is_seen else 2

    return sorted(shuffled(sayable, f"{subject.uid}|{variant}|absences"), key=rank)


def report(subject: Subject, bank: Bank, *, variant: int, absent: int, say: Say | None = None) -> str | None:
    """All sentences as one text, in a keyed order; None when there is nothing to say."""
    pairs = fact_sentences(subject, bank, variant=variant, absent=absent, say=say)
    sentences = dict.fromkeys(text for _, text in pairs)
    return " ".join(shuffled(list(sentences), f"{subject.uid}|{variant}|order")) or None


def wordings_of(fact: Fact, bank: Bank, modality: str | None, body: str | None = None) -> tuple[str, ...]:
    """Every sentence that a bank has for a fact, each once: all names in all patterns with all names of the picture.

    Args:
        fact: what to word.
        bank: the wordings.
        modality: of the sample.
        body: body part or scene, if known.
    """
    fact, images = as_said(fact), picture_names(bank, modality, body)
    names = beside_place(own_names(fact, bank), fact.location)
    return tuple(
        dict.fromkeys(
            text for name in names for image in images for text in patterns_filled(fact, bank, name, image, body)
        )
    )


def picture_names(bank: Bank, modality: str | None, body: str | None) -> list[str]:
    """What the picture may be called, without an article.

    Args:
        bank: the wordings.
        modality: of the sample.
        body: body part or scene, if known.
    """
    fields = {"body": body} if body else {}
    patterns = bank.images.get(modality or "") or bank.images.get("default") or ("image",)
    return [text for pattern in patterns if (text := fill(pattern, fields))] or ["image"]


def sentence_of(fact: Fact, subject: Subject, bank: Bank, variant: int, more: Sequence[str] = ()) -> str:
    """The sentence that a bank says for a fact of a sample, chosen by the sample's uid and the variant.

    Args:
        fact: to word.
        subject: whose it is.
        bank: the wordings.
        variant: number of the wording.
        more: further names of the concept.
    """
    fact, name, image, key = chosen_names(fact, subject, bank, variant, more)
    return pick(patterns_filled(fact, bank, name, image, subject.body), key + "|pattern")


def chosen_names(
    fact: Fact, subject: Subject, bank: Bank, variant: int, more: Sequence[str] = ()
) -> tuple[Fact, str, str, str]:
    """The fact as it is said, which name of the concept and of the picture to use, and the key of further choices.

    Args:
        fact: to word.
        subject: whose it is.
        bank: the wordings.
        variant: number of the wording.
        more: further names of the concept, beside the bank's.
    """
    key = f"{subject.uid}|{variant}|{fact.concept}|{fact.polarity}|{fact.side}|{fact.location}|{fact.levels}"
    fact = as_said(fact)
    known = beside_place(tuple(dict.fromkeys((*own_names(fact, bank), *more))), fact.location)
    names = [name for name in known if _takes_details(name, fact, known[0])]
    name = pick(names or known, key + "|name")
    image = pick(picture_names(bank, subject.modality, subject.body), f"{subject.uid}|{variant}|image")
    return fact, name, image, key


def _takes_details(name: str, fact: Fact, own: str) -> bool:
    """Whether side, number, size and place can stand beside a name so that they are of the finding.

    "Right mass of the adrenal gland" says it of the mass, "adenocarcinoma cells of up to 4 mm" of the cells, and "a
    lesion in the liver in segment 4" says twice where it is.
    """
    is_several = fact.number is not None or fact.side == "bilateral" or is_plural(name)
    if (fact.side or fact.location or fact.levels or (fact.size and is_several)) and name != head_part(name):
        return False
    return not fact.size or (is_plural(name) == is_plural(own) and is_of_a_part(name) == is_of_a_part(own))


def as_said(fact: Fact) -> Fact:
    """`… grade 0` is the absence of …; `… grade 2` is "grade 2 …".

    Args:
        fact: as it is known.
    """
    graded = _GRADE.match(fact.concept.replace("_", " "))
    if graded is None:
        return fact
    name, grade = graded["name"], graded["grade"]
    if grade == "0":
        return replace(
            fact, concept=name, polarity={"present": "absent", "absent": "present"}.get(fact.polarity, fact.polarity)
        )
    return replace(fact, concept=f"grade {grade} {name}")


def _base(concept: str) -> str | None:
    graded = _GRADE.match(concept.replace("_", " "))
    return graded["name"] if graded else None


def _is_grade_zero(concept: str) -> bool:
    graded = _GRADE.match(concept.replace("_", " "))
    return graded is not None and graded["grade"] == "0"


def own_names(fact: Fact, bank: Bank) -> tuple[str, ...]:
    """What a concept is called, its own name first; an alias as what it stands for.

    Args:
        fact: as it is said.
        bank: the wordings.
    """
    wording = bank.wording_of(fact.concept)
    own = wording.name or capitalised(_lower_first(fact.concept.replace("_", " ").strip()))
    return (own, *wording.synonyms)


def fields_for(
    fact: Fact, wording: Wording, name: str, image: str, body: str | None, places: Mapping[str, str]
) -> dict[str, str]:
    """What the fields of patterns stand for, of those that are known.

    Args:
        fact: with its details.
        wording: of its concept.
        name: which of the concept's names to use.
        image: what the picture is called.
        body: body part or scene.
        places: the bank's phrases for places, with `default`.
    """
    is_several = fact.number is not None or len(fact.levels) > 1 or fact.side == "bilateral"
    many = fact.polarity != "absent" and is_several
    is_own = wording.is_countable is False or name == wording.name
    by_bank = wording.is_countable if is_own else None
    counted = is_plural(name) or (not is_mass(name) if by_bank is None else by_bank)
    counted |= bool(fact.size) and is_lesion(name) and not name.endswith(" in situ")
    said = plural(name) if many and counted else name
    is_many = is_plural(said)
    (place, location), side = place_of(fact.location, fact.levels, fact.side, places), fact.side
    if place and side and {side, "both"} & set(place.split()) and (side != "bilateral" or "both" in place.split()):
        side = None
    if side in _SIDES and not place and "side" in places and (is_many or not counted):
        place, side = places["side"].replace("{side}", side), None
    number = fact.number if counted and fact.number else None
    if side == "bilateral" and number in _ONE_A_SIDE:
        number = None  # "bilateral stones" are two at least
    before, after = (fact.size, None) if counted and not is_many and not fact.number else (None, fact.size)
    finding = " ".join(part for part in (number, before, side, said) if part)
    if after:
        finding += f" of up to {after}" if is_many else f" measuring {after}"
    is_one = counted and not is_many
    bare = " ".join(part for part in (side, name) if part)
    fields = {
        "name": bare if fact.polarity == "absent" else said,
        "a_name": with_article(bare) if is_one else bare,
        "found": finding,
        "finding": with_article(finding) if is_one else finding,
        "is": "are" if is_many else "is",
        "image": image,
        "an_image": with_article(image),
    }
    if not fact.is_minor:
        fields["an_image_of"] = f"{with_article(image)} of"
    known = (("body", body), ("side", fact.side), ("size", fact.size), ("location", location), ("place", place))
    return fields | {key: value for key, value in known if value}


def fields_needed(fact: Fact, fields: Mapping[str, str]) -> frozenset[str] | None:
    """Of which fields a pattern must have one to say all that is known of a fact; None where any pattern does.

    Args:
        fact: as it is said.
        fields: what is known of it, see `fields_for`.
    """
    if "place" in fields:
        return _WHERE
    if not fact.is_detailed:
        return None
    return _SIDED if fact.polarity == "absent" else _WHOLE


def patterns_filled(fact: Fact, bank: Bank, name: str, image: str, body: str | None) -> list[str]:
    """The patterns that a fact can fill, with one name and one picture; those that say where it is, if it is known.

    Args:
        fact: as it is said.
        bank: the wordings.
        name: of the concept.
        image: name of the picture.
        body: body part or scene, if known.
    """
    wording = bank.wording_of(fact.concept)
    fields = fields_for(fact, wording, name, image, body, bank.places)
    needed = fields_needed(fact, fields)
    own, generic = wording.patterns[fact.polarity], bank.generic.patterns[fact.polarity]
    for patterns in (own, generic):
        texts = [fill(pattern, fields) for pattern in patterns if needed is None or needed & fields_of(pattern)]
        if found := [text[0].upper() + text[1:] for text in texts if text]:
            return found
    if fact.polarity == "absent" and "place" in fields:  # without the place it would deny more
        return [f"No {fields['name']} {fields['place']}."]
    texts = [fill(pattern, fields) for pattern in (*own, *generic)]
    return [text[0].upper() + text[1:] for text in texts if text] or [f"{name[0].upper()}{name[1:]}."]


def _lower_first(text: str) -> str:
    """`Pleural Effusion` → `pleural effusion`; acronyms such as `COPD` stay."""
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in text.split())
