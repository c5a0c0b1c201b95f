"""A finding with all that is known of it as a noun phrase: "unchanged 4 mm nodule in the right upper lobe"."""

from __future__ import annotations

import re
from functools import lru_cache

from voxtile_datasets.captions.wordings import fill
from voxtile_medical.reports.compose.wording import Choice, Wording
from voxtile_medical.reports.extract import ReportFact, facts_of_report
from voxtile_medical.reports.lexicon import Lexicon
from voxtile_medical.reports.quantities.levels import is_level

# "Small bowel perforation" is one of the small bowel.
_OF_BOWEL = ("small", "large")


def noun_phrase(fact: ReportFact, wording: Wording, choice: Choice, lexicon: Lexicon) -> tuple[dict[str, str], bool]:
    """The fields of a sentence about a finding, and whether more than its name is known.

    A change has a word that makes no other finding with the name, if there is one: "progressive kyphosis".
    """
    table, attributes = wording.table, fact.attributes
    name = choice.of(wording.names(fact.concept))
    plural = wording.plural(name)
    many = attributes.number is not None
    fields = {"name": (plural or plural_of(name, wording) if attributes.count else plural or name) if many else name}
    for field, attribute in (("change", "change"), ("severity", "severity"), ("number", "number")):
        value = getattr(attributes, attribute)
        if value and not (value == "resolved" and fact.polarity == "absent"):
            said = table["values"][attribute][value]
            if field == "change":
                plain = [word for word in said if not _is_something_else(word, fields["name"], lexicon)]
                said = plain or said
            fields[field] = choice.of(said)
    if fields.get("severity") in _OF_BOWEL and name.startswith("bowel"):
        fields["severity"] += "-sized"
    if attributes.count:
        fields["number"] = number_word(attributes.count, wording)
    if attributes.size_mm:
        fields["size"] = _size(attributes.size_mm, wording, choice)
    fields |= _place(fact, wording, choice)
    needed = [field for field in fields if field not in ("side", "location", "where", "name")]
    endings = [text for pattern in table["end_phrases"] if (text := _complete(pattern, fields, needed))]
    phrases = [text for pattern in table["noun_phrases"] if (text := _complete(pattern, fields, needed))]
    phrase = choice.of(phrases)
    countable = plural is not None and not many
    verb = 1 if many or _is_plural(name) else 0
    words = {
        "finding": phrase,
        "ending": choice.of([*phrases, *endings]),
        "a_finding": f"{article(phrase, wording)} {phrase}" if countable else phrase,
        **{key: forms[verb] for key, forms in table["verbs"].items()},
    }
    return words, len(fields) > 1


@lru_cache(maxsize=1 << 14)
def _is_something_else(change: str, name: str, lexicon: Lexicon) -> bool:
    """Whether a word of change with a name is read as another finding, or as no change: "increased kyphosis"."""
    alone = {fact.concept for fact in facts_of_report(f"There is {name}.", lexicon)}
    found = facts_of_report(f"There is {change} {name}.", lexicon)
    is_change = {fact.concept for fact in found} == alone and all(fact.attributes.change for fact in found)
    return bool(alone) and not is_change  # a name in another language is no name of the lexicon's


def _complete(pattern: str, fields: dict[str, str], needed: list[str]) -> str | None:
    """The pattern filled in, if it says all that is known."""
    if any(f"{{{field}}}" not in pattern for field in needed):
        return None
    place = ("side", "location") if "{where}" not in pattern else ("where",)
    known = {"side", "location"} & fields.keys()
    if known and place == ("where",) and "where" not in fields:
        return None
    if place != ("where",) and any(f"{{{field}}}" not in pattern for field in known):
        return None
    return fill(pattern, fields)


def _place(fact: ReportFact, wording: Wording, choice: Choice) -> dict[str, str]:
    """The fields side, location and where."""
    table, side, location = wording.table, fact.attributes.laterality, fact.attributes.location
    fields: dict[str, str] = {}
    if side:
        fields["side"] = choice.of(table["values"]["laterality"][side])
    if location:
        kind = "vertebra" if all(is_level(place) for place in location.split(" and ")) else "default"
        pattern: str = table["places"].get(location, table["places"][kind])
        fields["location"] = pattern.replace("{location}", location)
        if not side:
            fields["where"] = fields["location"]
        elif side != "bilateral" and kind == "default" and "{location}" in pattern:
            fields["where"] = pattern.replace("{location}", f"{fields['side']} {location}")
    elif side:
        fields["where"] = choice.of(table["sides"][side])
    return fields


def _size(lengths_mm: tuple[float, ...], wording: Wording, choice: Choice) -> str:
    """Millimetres or, where nothing is lost, centimetres."""
    sizes = wording.table["sizes"]
    centimetres = [f"{round(length / 10, 6):.10g}" for length in lengths_mm]
    exact = all(round(float(text) * 10, 4) == length for text, length in zip(centimetres, lengths_mm, strict=True))
    unit = choice.of(["mm", "cm"]) if exact else "mm"
    texts = centimetres if unit == "cm" else [f"{length:.10g}" for length in lengths_mm]
    said: str = sizes[unit].format(choice.of(sizes["join"]).join(texts))
    return said


def article(phrase: str, wording: Wording) -> str:
    """The indefinite article before a phrase; 8, 11 and 18 are said with a vowel."""
    articles = wording.table["articles"]
    is_vowel = phrase[0].lower() in articles["vowels"] or re.match(r"(?:11|18)(?!\d)", phrase) is not None
    chosen: str = articles["before_vowel"] if is_vowel else articles["else"]
    return chosen


def plural_of(name: str, wording: Wording) -> str:
    """The plural by the table, which may have that of the last two words or the last; else by rule."""
    words = name.split()
    for start in range(len(words)):
        known = wording.plural(" ".join(words[start:]))
        if known:
            return " ".join([*words[:start], known])
    if _is_plural(name):
        return name
    for ending, plural in _PLURALS:
        if name.endswith(ending):
            return name[: -len(ending)] + plural if plural != "es" else f"{name}es"
    return f"{name}s"


_PLURALS = (("sis", "ses"), ("ulus", "uli"), ("s", "es"), ("x", "es"), ("ch", "es"), ("ity", "ities"), ("omy", "omies"))


def number_word(count: int, wording: Wording) -> str:
    """A number in words up to twelve, beyond in digits."""
    words: list[str] = wording.lesions["numbers"]
    return words[count - 2] if count - 2 < len(words) else str(count)


def _is_plural(name: str) -> bool:
    return name.endswith("s") and not name.endswith(("ss", "us", "is"))
