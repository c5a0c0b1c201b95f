"""From rows of the facts table to what a caption says: where several sources speak of one thing, one has its say.

A report, a label and a mask often speak of the same finding, and do not always agree. The source that comes first in
the order of precedence is said, and of the others what it does not speak of; so no caption holds both a finding and its
denial, nor two sizes of one lesion. Rows of one source about one concept become as few statements as they fit in.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from voxtile_datasets.captions.checker.vocabulary import Vocabulary
from voxtile_datasets.captions.english import number_word
from voxtile_datasets.captions.keyed_choice import pick
from voxtile_datasets.captions.sizes import LENGTHS_MM, rounded_mm, size_text
from voxtile_datasets.captions.stated_facts import Fact, mapping_of, placed
from voxtile_datasets.captions.wordings import Bank, Wording

# Who looked at this very sample, who looked at the examination, then what was computed from masks, often of models.
PRECEDENCE = ("labels", "annotations", "reports", "masks")
_MASKS = "masks"
_MOST_COUNTED = 4  # pieces of a mask; more may be its crumbs
_SIDES = frozenset(["left", "right", "bilateral"])
_MASK_PLACES, _PLACES = ("location", "lobe", "segment"), ("location", "lobe", "segment", "region")
_HALF = 0.5


@dataclass(frozen=True)
class Reconciled:
    """What is said of a sample.

    Attributes:
        facts: without doubles and contradictions.
        left_out: rows that a source of higher precedence speaks against.
    """

    facts: tuple[Fact, ...]
    left_out: int


def reconcile(
    rows: Sequence[Mapping[str, Any]],
    bank: Bank,
    vocabulary: Vocabulary,
    *,
    uid: str,
    precedence: Sequence[str] = PRECEDENCE,
    spacing_mm: float | None = None,
) -> Reconciled:
    """Reconcile the rows of one sample.

    Args:
        rows: of the facts table.
        bank: says which details of a concept are worded.
        vocabulary: which concepts are kinds of which, and which exclude each other.
        uid: of the sample; key of the choice between millimetres and centimetres.
        precedence: beginnings of sources, the firmest first; those of no other source come last.
        spacing_mm: of the sample's voxels in the plane, where known.
    """
    ranked = sorted(
        ((_rank(row, precedence), row) for row in rows), key=lambda pair: (pair[0], repr(sorted(pair[1].items())))
    )  # fmt: skip
    kept: list[Mapping[str, Any]] = []
    outspoken: list[Mapping[str, Any]] = []
    firmer: list[Mapping[str, Any]] = []
    contradicted, last = 0, -1
    for rank, row in ranked:
        if rank != last:
            firmer, last = list(kept), rank
        about = [other for other in firmer if _is_about_same(row["concept"], other["concept"], vocabulary)]
        denied = any(_excludes(other, row, vocabulary) for other in firmer)
        if about or denied:
            outspoken.append(row)
            contradicted += denied or all(other["polarity"] != row["polarity"] for other in about)
        else:
            kept.append(row)
    facts: dict[Fact, None] = {}
    by_concept: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in kept:
        by_concept[row["concept"]].append(row)
    for concept, own in by_concept.items():
        others = [row for row in outspoken if row["concept"] == concept]
        facts |= dict.fromkeys(_statements(own, others, bank.wording_of(concept), uid, spacing_mm))
    return Reconciled(_without_denials(facts, vocabulary), contradicted)


def _without_denials(facts: Iterable[Fact], vocabulary: Vocabulary) -> tuple[Fact, ...]:
    """A thing that one sentence of a source finds and another denies counts as found, as it does for the checker."""
    listed = list(facts)
    found = [fact for fact in listed if fact.polarity != "absent"]
    firm = {fact.concept for fact in found if fact.polarity == "present"}

    def holds(fact: Fact) -> bool:
        if fact.polarity == "present":
            return True
        if fact.polarity == "uncertain":
            return fact.concept not in firm
        below = [vocabulary.resolve(other.concept) for other in found]
        return not any(set(vocabulary.resolve(fact.concept)) & _above(names, vocabulary) for names in below)

    return tuple(sorted((fact for fact in listed if holds(fact)), key=repr))


def _rank(row: Mapping[str, Any], precedence: Sequence[str]) -> int:
    source = row.get("source") or ""
    return next((place for place, name in enumerate(precedence) if source.startswith(name)), len(precedence))


def _above(names: Iterable[str], vocabulary: Vocabulary) -> set[str]:
    return {name for own in names for name in vocabulary.above(own)}


def _is_about_same(one: str, other: str, vocabulary: Vocabulary) -> bool:
    """Whether two concepts are one, or one is a kind of the other."""
    first, second = set(vocabulary.resolve(one)), set(vocabulary.resolve(other))
    return bool(first & _above(second, vocabulary) or second & _above(first, vocabulary))


def _excludes(one: Mapping[str, Any], other: Mapping[str, Any], vocabulary: Vocabulary) -> bool:
    if one["polarity"] != "present" or other["polarity"] != "present":
        return False
    names = set(vocabulary.resolve(other["concept"]))
    return any(names & vocabulary.excluded(own) for own in vocabulary.resolve(one["concept"]))


def _statements(
    rows: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
    wording: Wording,
    uid: str,
    spacing_mm: float | None,
) -> list[Fact]:
    """The facts of one concept by one source, as few as say all of it.

    Args:
        rows: of the concept.
        others: rows about it that another source speaks over.
        wording: which details are said.
        uid: key of choices.
        spacing_mm: see `reconcile`.
    """
    if any(_is_on_map(row) for row in rows):
        return _of_map(rows)
    facts = list(dict.fromkeys(_fact(row, wording, uid, spacing_mm) for row in rows))
    levels = [fact for fact in facts if fact.levels]
    if len(levels) > 1:  # a fracture at each of them
        for polarity in dict.fromkeys(fact.polarity for fact in levels):
            same = [fact for fact in levels if fact.polarity == polarity and not fact.size]
            places = sorted({level for fact in same for level in fact.levels}, key=_down_the_spine)
            if len(same) > 1:
                facts = [fact for fact in facts if fact not in same]
                facts.append(replace(same[0], levels=tuple(places)))
    facts = [fact for fact in facts if not any(_says_more(other, fact) for other in facts)]
    if len(facts) == 1 and facts[0].polarity == "present" and not facts[0].size and not facts[0].number:
        facts = [_with_size(facts[0], others, wording, uid, spacing_mm)]
    return facts


def _with_size(
    fact: Fact, others: Sequence[Mapping[str, Any]], wording: Wording, uid: str, spacing_mm: float | None
) -> Fact:
    """The one finding of a source with the size that another gives one on the same side."""
    measured = [_fact(row, wording, uid, spacing_mm) for row in others if row["polarity"] == "present"]
    single = len(measured) == 1 and measured[0].number is None and len(fact.levels) < 2
    if single and measured[0].size and measured[0].side == fact.side:
        return replace(fact, size=measured[0].size)
    return fact


def _says_more(one: Fact, other: Fact) -> bool:
    """Whether one fact says all that another says, and more."""
    if one == other or one.polarity != other.polarity or (one.number is None) != (other.number is None):
        return False
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("size", "levels")]
    pairs.append((other.side if one.side == "bilateral" else one.side, other.side))  # both sides are each of them
    ours, theirs = (set((fact.location or "").split(" and ")) - {""} for fact in (one, other))
    return theirs <= ours and all(not theirs or ours == theirs for ours, theirs in pairs)


def _fact(row: Mapping[str, Any], wording: Wording, uid: str, spacing_mm: float | None) -> Fact:
    attributes = mapping_of(row.get("attributes"))
    is_measured = (row.get("source") or "").startswith(_MASKS)
    said = wording.says & wording.measured if is_measured else wording.says
    side = str(attributes.get("laterality") or "").casefold()
    number = _number(attributes, is_measured=is_measured) if "number" in said else None
    fact = Fact(
        row["concept"],
        row["polarity"],
        _size(row, attributes, uid, spacing_mm, is_measured=is_measured) if "size" in said else None,
        side if side in _SIDES and "side" in said else None,
        number=number,
        is_minor=row.get("unit") in ("1", "fraction") and (row.get("value") or 0) < _HALF,
    )
    keys = _MASK_PLACES if is_measured else _PLACES
    location = next((str(attributes[key]) for key in keys if attributes.get(key)), "")
    own = set(row["concept"].casefold().replace("_", " ").split())
    if "location" not in said or (is_measured and own <= set(location.casefold().split())):
        return fact  # a mask may be held by one of its own name
    if fact.side == "bilateral" and {"left", "right"} & set(location.casefold().split()):
        return fact
    return placed(fact, location)


def _size(
    row: Mapping[str, Any], attributes: Mapping[str, Any], uid: str, spacing_mm: float | None, *, is_measured: bool
) -> str | None:
    """As a report states it, or as a mask measures it, rounded to its grid."""
    value, unit = row.get("value"), row.get("unit")
    stated = attributes.get("size_mm")
    if isinstance(stated, list) and stated:
        lengths, unit = [float(length) for length in stated], "mm"
    elif value is not None and unit in LENGTHS_MM and math.isfinite(value):
        lengths = [float(value)]
    else:
        return None
    if is_measured:
        lengths, unit = [rounded_mm(length * LENGTHS_MM[unit], spacing_mm) for length in lengths], "mm"
    in_cm = pick(("mm", "cm"), f"{uid}|{row['concept']}|unit") == "cm"
    return size_text(lengths, unit, in_cm=in_cm)


def _number(attributes: Mapping[str, Any], *, is_measured: bool) -> str | None:
    """How many, as a word; None for one."""
    count, number = attributes.get("count"), attributes.get("number")
    if isinstance(count, int | float) and count > 1:
        return number_word(int(count)) if count <= _MOST_COUNTED or not is_measured else "multiple"
    if isinstance(number, int) and number > 1:
        return number_word(number)
    return number if isinstance(number, str) and number else None


def _is_on_map(row: Mapping[str, Any]) -> bool:
    attributes = mapping_of(row.get("attributes"))
    return "osm_id" in attributes or "osm_ids" in attributes


def _of_map(rows: Sequence[Mapping[str, Any]]) -> list[Fact]:
    """One statement of a kind of things on a map: that it is there, and how many it is where they were counted."""
    read = [(row, mapping_of(row.get("attributes"))) for row in rows]
    counts = [int(row["value"]) for row, attributes in read if attributes.get("kind") == "count" and row["value"]]
    objects = {attributes["osm_id"] for _, attributes in read if attributes.get("osm_id")}
    number = None
    if counts:
        number = number_word(max(counts)) if max(counts) > 1 else None
    elif len(objects) > 1:
        number = ""
    return [Fact(rows[0]["concept"], rows[0]["polarity"], number=number)]


def _down_the_spine(level: str) -> tuple[int, int]:
    return "CTLS".index(level[0]), int(level[1:].replace("-", "/").split("/")[0])
