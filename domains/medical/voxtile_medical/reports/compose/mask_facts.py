"""Facts of masks as what a report says: lesions with rounded sizes, what they touch, and organs by their size.

Sizes are whole millimetres, as radiologists report them (Fleischner Society, Bankier et al., Radiology 2017;285:584,
"nearest whole millimetre"); nothing is smaller than one. Names and places are those that the report reader knows.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from voxtile.corpus.records import Row
from voxtile.words.tokens import normal_form, words_of
from voxtile_medical.measurements.anatomy import load_anatomy
from voxtile_medical.measurements.rules import FINDINGS, MEASUREMENTS, RULES
from voxtile_medical.reports.assertion.grammar import load_grammar
from voxtile_medical.reports.attributes import Attributes
from voxtile_medical.reports.compose.wording import Wording
from voxtile_medical.reports.extract import ReportFact, facts_of_report
from voxtile_medical.reports.lexicon import PLACES, Concept, Lexicon
from voxtile_medical.reports.quantities.levels import levels

_SIDES = ("left", "right")


@dataclass(frozen=True)
class Lesion:
    """One lesion, or one finding that has no size.

    Attributes:
        name: what a report calls it: "renal cyst".
        fact: its concept, side, place and size.
        region_id: of the mask.
        attenuation: hypoattenuating, isoattenuating or hyperattenuating to its organ; None where that is not measured.
        hu: its mean attenuation, rounded, where that relation is known.
    """

    name: str
    fact: ReportFact
    region_id: str
    attenuation: str | None = None
    hu: int | None = None


@dataclass(frozen=True)
class Surroundings:
    """What the lesions of a mask touch, and their stage.

    Attributes:
        encased, abutted, touched: vessels, the first two with the contact angle in degrees.
        clear: vessels that were looked at and are not touched.
        stage: T category; None where none is known.
        is_firm: the category is.
    """

    encased: tuple[tuple[str, int], ...] = ()
    abutted: tuple[tuple[str, int], ...] = ()
    touched: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()
    stage: str | None = None
    is_firm: bool = True


@dataclass(frozen=True)
class OrganSize:
    """An organ whose size was judged by a published range.

    Attributes:
        organ: its name, of pairs in the plural.
        fact: what follows, e.g. splenomegaly, present or absent; None where the lexicon has no such finding.
        finding: its name.
        measure: volume, calibre or cardiothoracic ratio.
        value, unit: measured; whole millilitres and millimetres.
        usual: range; a bound that is not there is None.
    """

    organ: str
    fact: ReportFact | None
    finding: str
    measure: str
    value: float
    unit: str
    usual: tuple[float | None, float | None]

    @property
    def is_usual(self) -> bool:
        """Whether it lies within the range, not only on the side that was asked about."""
        low, high = self.usual
        return (low is None or self.value >= low) and (high is None or self.value <= high)


@dataclass(frozen=True)
class MaskedCase:
    """What the masks of one sample say, for a report.

    Attributes:
        lesions: in the order of the rows.
        surroundings: region_id → what its lesions touch.
        sizes: of organs.
        untold: names of findings that no report reader knows.
    """

    lesions: tuple[Lesion, ...] = ()
    surroundings: Mapping[str, Surroundings] = ()  # type: ignore[assignment]
    sizes: tuple[OrganSize, ...] = ()
    untold: tuple[str, ...] = ()


def is_of_masks(row: Row) -> bool:
    """Whether a row of the facts table was measured on a mask."""
    family, _, rule = (row["source"] or "").partition("/")
    return family in (FINDINGS, MEASUREMENTS) and rule.partition("@")[0] in RULES


def masked_case(rows: Iterable[Row], lexicon: Lexicon, wording: Wording) -> MaskedCase:
    """The rows of one sample that masks gave.

    Args:
        rows: of the table `facts`; those of other sources are passed over.
        lexicon: of the report reader.
        wording: what lesions are called.
    """
    by_rule = _by_rule(rows)
    relations = {
        _key(row, said): said["relation"] for row, said in by_rule.get("relative-attenuation", ()) if _is_own(said)
    }
    means = {_key(row, said): row["value"] for row, said in by_rule.get("mean", ()) if row["unit"] == "HU"}
    located = {_key(row, said): said.get("organ") for row, said in by_rule.get("location", ())}
    lesions: list[Lesion] = []
    untold: list[str] = []
    apart = {row["region_id"] for row, said in by_rule.get("finding", ()) if "lesion" in said}
    for row, said in by_rule.get("finding", ()):
        if said.get("count", 1) > 1 and row["region_id"] in apart:
            continue  # its parts follow, one by one
        known = _lesion(row, said, located.get(_key(row, said)), lexicon, wording)
        if known is None:
            untold.append(str(said["region"]))
            continue
        name, fact = known
        relation, mean = relations.get(_key(row, said)), means.get(_key(row, said))
        hu = None if relation is None or mean is None else round(mean)
        lesions.append(Lesion(name, fact, str(row["region_id"]), relation, hu))
    regions = {lesion.region_id for lesion in lesions if lesion.fact.attributes.size_mm}
    surroundings = {region: _surroundings(region, by_rule) for region in sorted(regions)}
    sizes = [_organ_size(row, said, lexicon) for row, said in by_rule.get("normal-range", ())]
    changed = {size.organ for size in sizes if size.fact and size.fact.polarity == "present"}
    # Who says that the kidneys are small need not say that they are not large.
    sizes = [s for s in sizes if s.organ not in changed or (s.fact and s.fact.polarity == "present")]
    return MaskedCase(tuple(lesions), surroundings, tuple(sizes), tuple(dict.fromkeys(untold)))


def _by_rule(rows: Iterable[Row]) -> Mapping[str, list[tuple[Row, Mapping[str, Any]]]]:
    """Rows of masks by the id of their rule, with their attributes; what was measured twice counts once.

    Of two versions of a rule that with the dimensions of a lesion counts, else the later row.
    """
    newest: dict[tuple[Any, ...], tuple[str, Row, Mapping[str, Any]]] = {}
    for row in rows:
        if not is_of_masks(row):
            continue
        said = json.loads(row["attributes"] or "{}")
        rule = row["source"].partition("/")[2].partition("@")[0]
        other = said.get("other") or said.get("vessel")
        key = (rule, row["region_id"], row["concept"], said.get("lesion"), said.get("region"), other)
        if key not in newest or "size_mm" in said or "size_mm" not in newest[key][2]:
            newest[key] = (rule, row, said)
    found: dict[str, list[tuple[Row, Mapping[str, Any]]]] = defaultdict(list)
    for rule, row, said in newest.values():
        found[rule].append((row, said))
    return found


def _is_own(said: Mapping[str, Any]) -> bool:
    """Whether an attenuation is relative to the organ that the finding's label names, where it names one."""
    named = load_anatomy().read(str(said["region"])).organ
    return named in (None, load_anatomy().read(str(said["organ"])).name)


def _key(row: Row, said: Mapping[str, Any]) -> tuple[str, int]:
    return str(row["region_id"]), int(said.get("lesion", 0))


def _lesion(
    row: Row, said: Mapping[str, Any], organ: str | None, lexicon: Lexicon, wording: Wording
) -> tuple[str, ReportFact] | None:
    """Name and fact of a finding; None where the reader knows no such finding."""
    named = _named(str(said["region"]), organ, lexicon, wording)
    if named is None:
        return None
    name, concept = named
    size = [max(1, round(length)) for length in said.get("size_mm") or (row["value"],)]
    has_size = concept.has_size and concept.name not in wording.lesions["without_size"]
    count = said.get("count", 1) if has_size else 1
    side, place = _place(str(said.get("location") or ""), concept)
    place = place or _place(name, concept)[1]
    measured = said.get("laterality")
    if place in PLACES["vertebra"]:
        side = None  # a vertebra has a level and no side
    elif concept.has_side:
        side = side or (measured if measured in (*_SIDES, "bilateral") else None)
    attributes = Attributes(
        laterality=side if concept.has_side else None,
        location=place,
        size_mm=tuple(float(length) for length in size) if has_size else (),
        count=count if count > 1 else None,
        number="multiple" if count > 1 else None,
    )
    return name, ReportFact(concept.name, row["polarity"], attributes)


def _place(location: str, concept: Concept) -> tuple[str | None, str | None]:
    """Side and place that the name of a structure says: `left upper lobe`, `liver segment 6`, `vertebrae L1`."""
    values: dict[str, set[str]] = defaultdict(set)
    words = words_of(location)
    for match in (*load_grammar().modifiers.find(words.words), *levels(words)):
        attribute, value = match.payload
        values[attribute].add(value)
    sides, places = values["laterality"] & set(_SIDES), values["location"] & concept.places
    return (sides.pop() if len(sides) == 1 else None), (places.pop() if len(places) == 1 else None)


def _named(region: str, organ: str | None, lexicon: Lexicon, wording: Wording) -> tuple[str, Concept] | None:
    """What a report calls the finding of a label, with the concept as which that is read."""
    words = load_anatomy().read(region)
    table = wording.lesions
    tokens = words.name.split()
    nouns = [noun for token in tokens if (noun := table["nouns"].get(token))]
    organs = [name for name in (words.organ, organ) if name]
    own = " ".join([*tokens[:-1], normal_form(tokens[-1])])
    said = list(dict.fromkeys([*nouns[-1:], *table["general_nouns"]]))
    names = [[f"{_adjective(name, table)} {noun}" for noun in said if nouns] for name in organs]
    for name in (*chain.from_iterable(names[:1]), own, *chain.from_iterable(names[1:])):
        concept = _read_as(name, lexicon)
        if concept is not None and _is_of_what_it_names(name, lexicon.concepts[concept], lexicon):
            return name, lexicon.concepts[concept]
    return None


def _is_of_what_it_names(name: str, concept: Concept, lexicon: Lexicon) -> bool:
    """Whether a concept is of the organ in a name: a bare "nodule" is one of the lung, that of the thymus is not."""
    words = words_of(name).words
    if concept.region == "general" or _read_as(words[-1], lexicon) != concept.name:
        return True
    whole = any(m.payload == concept.name and (m.start, m.end) == (0, len(words)) for m in lexicon.terms.find(words))
    return whole or any(lexicon.organ_regions.get(m.payload) == concept.region for m in lexicon.organs.find(words))


def _adjective(organ: str, table: Mapping[str, Any]) -> str:
    adjective: str = table["adjectives"].get(organ, organ)
    return adjective


@lru_cache(maxsize=1000)
def _read_as(name: str, lexicon: Lexicon) -> str | None:
    """The one concept as which the reader takes a name; None where it takes none, or several."""
    found = [fact for fact in facts_of_report(f"There is {name}.", lexicon) if fact.polarity == "present"]
    return found[0].concept if len(found) == 1 else None


def _surroundings(region: str, by_rule: Mapping[str, Sequence[tuple[Row, Mapping[str, Any]]]]) -> Surroundings:
    angles = [(row, said) for row, said in by_rule.get("vessel-contact-angle", ()) if row["region_id"] == region]
    present = [(said["vessel"], round(row["value"]), said.get("category")) for row, said in angles if row["value"]]
    angled = {vessel for vessel, _, _ in present}
    touched = [
        said["other"]
        for row, said in by_rule.get("distance", ())
        if row["region_id"] == region and said.get("touching") and load_anatomy().read(said["other"]).kind == "vessel"
    ]
    stages = [(row, said) for row, said in by_rule.get("t-stage", ()) if row["region_id"] == region]
    return Surroundings(
        encased=tuple((vessel, degrees) for vessel, degrees, category in present if category == "encasement"),
        abutted=tuple((vessel, degrees) for vessel, degrees, category in present if category != "encasement"),
        touched=tuple(vessel for vessel in touched if vessel not in angled),
        clear=tuple(said["vessel"] for row, said in angles if not row["value"] and said["vessel"] not in touched),
        stage=stages[0][1]["stage"] if stages else None,
        is_firm=not stages or stages[0][0]["polarity"] == "present",
    )


def _organ_size(row: Row, said: Mapping[str, Any], lexicon: Lexicon) -> OrganSize:
    finding = row["concept"].replace("_", " ")
    measure = {"ml": "volume", "mm": "calibre"}.get(row["unit"] or "", "cardiothoracic ratio")
    value = float(round(row["value"])) if row["unit"] else round(row["value"], 2)
    low, high = said.get("usual_range") or (None, None)
    known = None if finding.startswith("dilated") else _read_as(finding, lexicon)
    fact = None
    if known is not None:
        has_size = lexicon.concepts[known].has_size and row["unit"] == "mm" and row["polarity"] == "present"
        fact = ReportFact(known, row["polarity"], Attributes(size_mm=(value,) if has_size else ()))
    return OrganSize(str(said["region"]).lower(), fact, finding, measure, value, row["unit"] or "", (low, high))
