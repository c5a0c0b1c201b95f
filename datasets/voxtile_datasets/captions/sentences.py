"""From the facts of one sample to sentences: a keyed, repeatable choice among a bank's wordings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voxtile_datasets.captions.wordings import Bank, fill, normalise

# Letters and digits whose names begin with a vowel sound: an MR, an X-ray, an 8 mm nodule, but a CT.
_AN_LETTERS = frozenset("AEFHILMNORSX")
_AN_NUMBER = re.compile(r"8|1[18]([.,]|$)")
_SINGULARS = frozenset({"ascites", "diabetes", "herpes", "lens", "pancreas"})
_PLURALS = frozenset({"bacteria", "calculi", "mitoses", "nevi"})
_LENGTH_UNITS = frozenset({"mm", "cm", "m", "km", "um", "µm"})
_LOCATION_KEYS = ("location", "lobe", "segment", "region")


@dataclass(frozen=True)
class Fact:
    """A fact as sentences need it.

    Attributes:
        concept, polarity: as in the facts table.
        size: with its unit, e.g. `8 mm`.
        side: left, right or bilateral.
        location: e.g. `right upper lobe`.
    """

    concept: str
    polarity: str
    size: str | None = None
    side: str | None = None
    location: str | None = None


@dataclass(frozen=True)
class Subject:
    """What the facts are about.

    Attributes:
        uid: the key of all choices.
        modality: of the sample.
        body: body part or scene, if known.
        facts: stated facts.
        implied: concepts that closed scopes say are absent, in order.
    """

    uid: str
    modality: str | None
    body: str | None
    facts: tuple[Fact, ...]
    implied: tuple[str, ...] = field(default=())


def fact_from_row(row: Mapping[str, Any]) -> Fact:
    """Read a row of the facts table, whose attributes may be parsed already."""
    attributes = _mapping(row.get("attributes"))
    value, unit = row.get("value"), row.get("unit")
    size = f"{value:g} {unit}" if value is not None and unit in _LENGTH_UNITS else None
    location = next((str(attributes[key]) for key in _LOCATION_KEYS if attributes.get(key)), None)
    side = attributes.get("laterality")
    return Fact(row["concept"], row["polarity"], size, str(side) if side else None, location)


def body_part(attributes: str | None) -> str | None:
    """The body part that a sample's attributes name, in lower case."""
    value = _mapping(attributes).get("body_part")
    return str(value).casefold() if value else None


def fact_sentences(subject: Subject, bank: Bank, *, variant: int, absent: int) -> list[tuple[Fact, str]]:
    """One sentence a fact, with the fact, in the order of the facts, then of the implied absences.

    Args:
        subject: what to word.
        bank: the wordings.
        variant: number of the wording; another number, another choice.
        absent: at most so many absences are said, chosen by the key; the rest stays unsaid.
    """
    absences = [fact for fact in subject.facts if fact.polarity == "absent"]
    stated = {fact.concept for fact in subject.facts}
    absences += [Fact(concept, "absent") for concept in subject.implied if concept not in stated]
    said = _shuffled(absences, f"{subject.uid}|{variant}|absences")[:absent]
    facts = [fact for fact in subject.facts if fact.polarity != "absent"] + [f for f in absences if f in said]
    return [(fact, _sentence(fact, subject, bank, variant)) for fact in facts]


def report(subject: Subject, bank: Bank, *, variant: int, absent: int) -> str | None:
    """All sentences as one text, in a keyed order; None when there is nothing to say."""
    sentences = dict.fromkeys(text for _, text in fact_sentences(subject, bank, variant=variant, absent=absent))
    return " ".join(_shuffled(list(sentences), f"{subject.uid}|{variant}|order")) or None


def wordings_of(fact: Fact, bank: Bank, modality: str | None, body: str | None = None) -> tuple[str, ...]:
    """Every sentence that a bank has for a fact, each once: all names in all patterns with all names of the picture.

    Args:
        fact: what to word.
        bank: the wordings.
        modality: of the sample.
        body: body part or scene, if known.
    """
    names, images = _names(fact, bank), picture_names(bank, modality, body)
    return tuple(
        dict.fromkeys(text for name in names for image in images for text in _worded(fact, bank, name, image, body))
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


def _sentence(fact: Fact, subject: Subject, bank: Bank, variant: int) -> str:
    key = f"{subject.uid}|{variant}|{fact.concept}|{fact.polarity}|{fact.side}|{fact.location}"
    name = _pick(_names(fact, bank), key + "|name")
    image = _pick(picture_names(bank, subject.modality, subject.body), f"{subject.uid}|{variant}|image")
    return str(_pick(_worded(fact, bank, name, image, subject.body), key + "|pattern"))


def _names(fact: Fact, bank: Bank) -> tuple[str, ...]:
    wording = bank.concepts.get(normalise(fact.concept), bank.generic)
    return (_lower_first(fact.concept.replace("_", " ").strip()), *wording.synonyms)


def _worded(fact: Fact, bank: Bank, name: str, image: str, body: str | None) -> list[str]:
    """The patterns that a fact can fill, with one name and one picture."""
    wording = bank.concepts.get(normalise(fact.concept), bank.generic)
    finding = " ".join(part for part in (fact.size, fact.side, name) if part)
    fields = {"name": name, "finding": f"{_article(finding)} {finding}" if wording.is_countable else finding}
    fields |= {"image": image, "an_image": f"{_article(image)} {image}", "is": "are" if _is_plural(name) else "is"}
    known = (("body", body), ("side", fact.side), ("size", fact.size), ("location", fact.location))
    fields |= {key: value for key, value in known if value}
    filled = [text for pattern in wording.patterns[fact.polarity] if (text := fill(pattern, fields))]
    if not filled:  # every wording of the concept needs a field that this fact lacks
        filled = [text for pattern in bank.generic.patterns[fact.polarity] if (text := fill(pattern, fields))]
    return [text[0].upper() + text[1:] for text in filled]


def _article(noun: str) -> str:
    first = noun.split()[0].split("-")[0]
    if first[0].isdigit():
        return "an" if _AN_NUMBER.match(first) else "a"
    if first.isupper():
        return "an" if first[0] in _AN_LETTERS else "a"
    return "an" if first[0].lower() in "aeiou" else "a"


def _is_plural(name: str) -> bool:
    """By the last word's ending, which is right for the names of findings and tissues."""
    last = name.split()[-1].casefold()
    return last in _PLURALS or (last.endswith("s") and not last.endswith(("ss", "us", "is")) and last not in _SINGULARS)


def _lower_first(text: str) -> str:
    """`Pleural Effusion` → `pleural effusion`; acronyms such as `COPD` stay."""
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in text.split())


def _digest(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def _pick(options: Sequence[str], key: str) -> str:
    return options[_digest(key) % len(options)]


def _shuffled(items: Sequence[Any], key: str) -> list[Any]:
    return [
        item for _, item in sorted(((_digest(f"{key}|{i}"), item) for i, item in enumerate(items)), key=lambda p: p[0])
    ]


def _mapping(text: str | Mapping[str, Any] | None) -> Mapping[str, Any]:
    if text is None or isinstance(text, Mapping):
        return text or {}
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
