"""Lesions as sentences: how many there are, each by its size and place, what they touch, and what matters most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from voxtile.words.tokens import normal_form, words_of
from voxtile_datasets.captions.wordings import fill
from voxtile_medical.reports.assertion.grammar import load_grammar
from voxtile_medical.reports.attributes import Attributes
from voxtile_medical.reports.compose.mask_facts import Lesion, MaskedCase, OrganSize, Surroundings
from voxtile_medical.reports.compose.noun_phrases import article, number_word, plural_of
from voxtile_medical.reports.compose.sentences import Said, capital, listed
from voxtile_medical.reports.compose.wording import Choice, Style, Wording
from voxtile_medical.reports.extract import ReportFact
from voxtile_medical.reports.lexicon import PLACES, Lexicon
from voxtile_medical.reports.quantities.measures import Measurement

_CENTIMETRES_FROM = 10.0  # mm


@dataclass(frozen=True)
class Group:
    """Lesions of one concept and side that a report tells from others.

    Attributes:
        name: of one.
        fact: with their number, where there are several.
        lesions: those that it is of.
    """

    name: str
    fact: ReportFact
    lesions: tuple[Lesion, ...]


@dataclass(frozen=True)
class Family:
    """All lesions of one concept on one side.

    Attributes:
        total: how many, the largest dimension, their side; the group itself where there is only one.
        groups: those of one size and place each, largest first.
        surroundings: what they touch, by mask.
    """

    total: Group
    groups: tuple[Group, ...]
    surroundings: tuple[Surroundings, ...]

    @property
    def concept(self) -> str:
        """The concept of all of them."""
        return self.total.fact.concept

    @property
    def facts(self) -> tuple[ReportFact, ...]:
        """All that a report states of them."""
        own = tuple(group.fact for group in self.groups)
        return own if len(self.groups) == 1 else (self.total.fact, *own)


def families(case: MaskedCase, lexicon: Lexicon, wording: Wording) -> list[Family]:
    """The lesions of a case, by concept and side, in the lexicon's order of regions.

    Where the side of one of a kind is not known, or it lies in a vertebra, all of that kind are counted together.
    Lesions of one size (to the millimetre), side and place are one group, since no reader could tell them apart.
    """
    regions = list(wording.table["regions"])
    kinds: dict[tuple[str, str | None], list[Lesion]] = {}
    lesions = list(_bilateral(case.lesions))
    sideless = {lesion.fact.concept for lesion in lesions if lesion.fact.attributes.laterality is None}
    for lesion in lesions:
        fact = lesion.fact
        kinds.setdefault((fact.concept, None if fact.concept in sideless else fact.attributes.laterality), []).append(
            lesion
        )
    found = [_family(lesions, case, wording) for lesions in kinds.values()]
    return sorted(found, key=lambda f: (regions.index(lexicon.concepts[f.concept].region), f.concept))


def _bilateral(lesions: Sequence[Lesion]) -> Iterator[Lesion]:
    """The lesions, those without a size on both sides as bilateral."""
    sides: dict[str, set[str | None]] = {}
    for lesion in lesions:
        sides.setdefault(lesion.fact.concept, set()).add(lesion.fact.attributes.laterality)
    for lesion in lesions:
        fact = lesion.fact
        if not fact.attributes.size_mm and sides[fact.concept] >= {"left", "right"}:
            lesion = replace(lesion, fact=replace(fact, attributes=replace(fact.attributes, laterality="bilateral")))
        yield lesion


def _family(lesions: Sequence[Lesion], case: MaskedCase, wording: Wording) -> Family:
    groups: dict[Attributes | None, list[Lesion]] = {}
    for lesion in lesions:
        attributes = lesion.fact.attributes
        groups.setdefault(attributes if attributes.size_mm else None, []).append(lesion)
    made = sorted((_group(g, wording) for g in groups.values()), key=lambda g: (-_largest(g), repr(g.fact)))
    regions = dict.fromkeys(lesion.region_id for lesion in lesions if lesion.region_id in case.surroundings)
    around = tuple(case.surroundings[region] for region in regions)
    if len(made) == 1:
        return Family(made[0], tuple(made), around)
    count = sum(group.fact.attributes.count or 1 for group in made)
    sides = {lesion.fact.attributes.laterality for lesion in lesions}
    side = sides.pop() if len(sides) == 1 else None
    size = (max(_largest(group) for group in made),)
    attributes = Attributes(laterality=side, size_mm=size, number="multiple", count=count)
    fact = ReportFact(lesions[0].fact.concept, lesions[0].fact.polarity, attributes)
    return Family(Group(_common_name(lesions, wording), fact, tuple(lesions)), tuple(made), around)


def _group(lesions: Sequence[Lesion], wording: Wording) -> Group:
    attributes = lesions[0].fact.attributes
    for lesion in lesions[1:]:
        attributes = attributes.common(lesion.fact.attributes)
    count = sum(lesion.fact.attributes.count or 1 for lesion in lesions)
    if count > 1 and attributes.size_mm:
        attributes = replace(attributes, count=count, number="multiple")
    return Group(_common_name(lesions, wording), replace(lesions[0].fact, attributes=attributes), tuple(lesions))


def _common_name(lesions: Sequence[Lesion], wording: Wording) -> str:
    names = {lesion.name for lesion in lesions}
    return names.pop() if len(names) == 1 else wording.names(lesions[0].fact.concept)[0]


def _largest(group: Group) -> float:
    return max(group.fact.attributes.size_mm, default=0.0)


class LesionWriter:
    """Words lesions and organ sizes.

    Args:
        lexicon: of the report reader.
        wording: the table.
        style: structured, or narrative.
        choice: of words; the unit of sizes is chosen once for the report.
    """

    def __init__(self, lexicon: Lexicon, wording: Wording, style: Style, choice: Choice) -> None:
        self._lexicon = lexicon
        self._wording = wording
        self._style = style
        self._choice = choice
        self._table = wording.lesions
        self._unit = choice.of(["mm", "cm"])

    def family(self, family: Family) -> Iterator[Said]:
        """Sentences about the lesions of one kind, then what they touch and their stage."""
        patterns = self._table[self._style]
        total, several = family.total, len(family.groups) > 1
        kind = "several" if several else "equal" if total.fact.attributes.count else "one"
        kind = kind if total.fact.attributes.size_mm else "sizeless"
        yield Said(self._text(patterns[kind], self._fields(total)), (total.fact,))
        index = 1
        is_said = several and "attenuation" in self._fields(total)
        for group in family.groups if several else ():
            fields = self._each(group, index, is_said=is_said)
            kind = "each_equal" if group.fact.attributes.count else "each"
            if kind == "each" and self._style == "narrative" and "where" not in fields:
                kind = "each_nowhere"
            yield Said(self._text(patterns[kind], fields), (group.fact,))
            index += group.fact.attributes.count or 1
        yield from self._around(family)

    def impression(self, family: Family) -> Said:
        """The lesions of one kind in one sentence, with the vessels and the stage that decide."""
        total = family.total
        kind = "several" if len(family.groups) > 1 else "equal" if total.fact.attributes.count else "one"
        kind = kind if total.fact.attributes.size_mm else "sizeless"
        more = self._decisive(family)
        fact = total.fact
        if len(fact.attributes.size_mm) > 1:
            fact = replace(fact, attributes=replace(fact.attributes, size_mm=(max(fact.attributes.size_mm),)))
        return Said(self._text(self._table["impression"][kind], self._fields(total) | more), (fact,))

    def sizes(self, sizes: Sequence[OrganSize]) -> Iterator[tuple[str, Said, str]]:
        """Organs too large or too small, each with its region; then, with "", those of usual size in one sentence.

        Yields:
            Region, sentence, and what an impression says of it.
        """
        for size in sizes:
            if (size.fact and size.fact.polarity == "present") or (size.measure == "calibre" and not size.is_usual):
                yield self._changed(size)
        absent = [(size, size.fact) for size in sizes if size.fact and size.fact.polarity == "absent"]
        organs = list(dict.fromkeys(size.organ for size, _ in absent if size.is_usual))
        if organs:
            verb = self._wording.table["verbs"]["is"][1 if len(organs) > 1 or organs[0].endswith("s") else 0]
            text = self._text(self._table["normal_size"], {"organs": self._listed(organs), "is": verb})
            yield "", Said(text, tuple(fact for size, fact in absent if size.is_usual)), ""
        findings = [size.finding for size, _ in absent if not size.is_usual]
        if findings:
            text = self._text(self._table["not_enlarged"], {"findings": self._listed(findings, "denied")})
            yield "", Said(text, tuple(fact for size, fact in absent if not size.is_usual)), ""

    def _changed(self, size: OrganSize) -> tuple[str, Said, str]:
        value = f"{size.value:g} {size.unit}".strip()
        fields = {"finding": size.finding, "organ": size.organ, "value": value}
        region = self._lexicon.concepts[size.fact.concept].region if size.fact else "vessels"
        if size.fact and size.measure == "calibre":
            text = f"{capital(size.finding)} of {value}."
            return region, Said(text, (size.fact,)), text
        text = self._text(self._table["sizes"][size.measure], fields)
        measured = (Measurement(size.measure, size.organ, size.value, size.unit),) if size.unit else ()
        facts = (size.fact,) if size.fact else ()
        return region, Said(text, facts, measured), f"{capital(size.finding)}." if facts else text

    def importance(self, family: Family) -> tuple[float, float]:
        """The higher, the earlier in an impression: by stage and encasement, then kind, then size."""
        decisive = any(around.encased or around.stage for around in family.surroundings)
        return importance(family.total.name, self._wording) + 10 * decisive, _largest(family.total)

    def _around(self, family: Family) -> Iterator[Said]:
        """What the lesions touch, and the stage."""
        table = self._table
        whose = table["whose"]["several" if len(family.groups) > 1 or family.total.fact.attributes.count else "one"]
        for around in family.surroundings:
            phrases = self._vessels(around, 0)
            if phrases:
                yield Said(f"{whose} {self._listed(phrases)}.")
            if around.clear:
                vessels = self._listed([self._structure(vessel) for vessel in around.clear], "denied")
                yield Said(fill(table["vessels"]["clear"], {"vessels": vessels}) or "")
            if around.stage:
                yield Said(f"{capital(self._stage(around))}.")

    def _decisive(self, family: Family) -> dict[str, str]:
        """The fields vessels and stage of an impression."""
        phrases = [phrase for around in family.surroundings for phrase in self._vessels(replace(around, touched=()), 1)]
        stages = [around for around in family.surroundings if around.stage]
        more = {"vessels": self._listed(phrases)} if phrases else {}
        return more | ({"stage": self._stage(max(stages, key=lambda a: a.stage or ""))} if stages else {})

    def _vessels(self, around: Surroundings, form: int) -> list[str]:
        """Phrases such as "encases the portal vein (200 degrees)"; form 1 is "encasing …"."""
        patterns, verbs = self._table["vessels"], self._table["verbs"]
        found = []
        for kind, vessels in (("encased", around.encased), ("abutted", around.abutted)):
            for vessel, degrees in vessels:
                fields = {"verb": verbs[kind][form], "vessel": self._structure(vessel), "degrees": str(degrees)}
                found.append(fill(patterns[kind], fields) or "")
        for vessel in around.touched:
            fields = {"verb": verbs["touched"][form], "vessel": self._structure(vessel)}
            found.append(fill(patterns["touched"], fields) or "")
        return found

    def _structure(self, name: str) -> str:
        called: str = self._table["structures"].get(name, name)
        return called

    def _stage(self, around: Surroundings) -> str:
        kind = "open" if not around.is_firm else "encased" if around.stage == "T4" else "firm"
        return fill(self._table["stage"][kind], {"stage": around.stage or ""}) or ""

    def _listed(self, names: Sequence[str], how: str = "lists") -> str:
        return listed(names, **self._table[how])

    def _text(self, patterns: str | Sequence[str], fields: Mapping[str, str]) -> str:
        offered = [patterns] if isinstance(patterns, str) else patterns
        return capital(self._choice.of([made for pattern in offered if (made := self._filled(pattern, fields))]))

    def _filled(self, pattern: str, fields: Mapping[str, str]) -> str | None:
        """The pattern with its fields; {a} is the article of whatever word follows it, where none is given."""
        text = fill(pattern, {"a": "\0", **fields})
        if text is None or "\0" not in text:
            return text
        before, after = text.split("\0")
        return f"{before}{article(after.lstrip(), self._wording)} {after.lstrip()}"

    def _each(self, group: Group, index: int, *, is_said: bool) -> dict[str, str]:
        """The fields of one of several, whose attenuation may be said of all of them."""
        fields = self._fields(group, is_listed=self._style == "structured") | {"index": str(index)}
        if index > 1:
            fields |= {"further": self._table["further"], "a": self._choice.of(self._table["another"])}
        if is_said:
            fields.pop("attenuation", None)
        return fields

    def _fields(self, group: Group, *, is_listed: bool = False) -> dict[str, str]:
        """The fields of a sentence; in a list the name has the side, and the place has none."""
        attributes, lesions = group.fact.attributes, group.lesions
        where = self._where(replace(attributes, laterality=None) if is_listed else attributes, group.name)
        name = group.name
        if attributes.laterality and not (where and attributes.laterality in where):
            name = f"{attributes.laterality} {name}"
        fields = {"name": name, "names": plural_of(name, self._wording)}
        countable = self._wording.plural(group.name) is not None
        fields["a_name"] = f"{article(name, self._wording)} {name}" if countable else name
        if attributes.count:
            fields["number"] = number_word(attributes.count, self._wording)
        if attributes.size_mm:
            fields["size"] = self._size(attributes.size_mm)
            fields["largest"] = self._size((max(attributes.size_mm),))
        relations = {lesion.attenuation for lesion in lesions}
        if len(relations) == 1 and (relation := relations.pop()):
            fields["attenuation"] = relation
        if len(lesions) == 1 and lesions[0].hu is not None:
            fields["hu"] = fill(self._table["hu"], {"hu": str(lesions[0].hu)}) or ""
        return fields | ({"where": where} if where else {})

    def _where(self, attributes: Attributes, name: str) -> str | None:
        """The place with its preposition; None where there is none, or the name says it."""
        place, places = attributes.location, self._wording.table["places"]
        if place is None or place in {value for _, value in _modifiers(name)}:
            return None
        kind = next((kind for kind, known in PLACES.items() if place in known), "")
        pattern: str = self._table["where"].get(kind) or places.get(place, places["default"])
        fields = {"place": place, "location": place}
        return fill(pattern, fields | ({"side": attributes.laterality} if attributes.laterality else {}))

    def _size(self, lengths_mm: Sequence[float]) -> str:
        if self._unit == "cm" and max(lengths_mm) >= _CENTIMETRES_FROM:
            return f"{' x '.join(f'{length / 10:.1f}' for length in lengths_mm)} cm"
        return f"{' x '.join(f'{length:g}' for length in lengths_mm)} mm"


def _modifiers(name: str) -> Iterator[tuple[str, str]]:
    return (match.payload for match in load_grammar().modifiers.find(words_of(name).words))


def importance(name: str, wording: Wording) -> float:
    """How much a finding matters by the words of its name: 0 for cysts and stones, 3 for tumours and what is acute."""
    words = {normal_form(word) for word in name.replace("_", " ").split()}
    for level, kinds in enumerate(wording.lesions["importance"]):
        if words & {normal_form(word) for word in kinds}:
            return float(level)
    return 2.0


def facts_of_case(case: MaskedCase, lexicon: Lexicon, wording: Wording) -> list[ReportFact]:
    """All facts that a report of the case states: of its lesions, and of organ sizes."""
    stated = [fact for family in families(case, lexicon, wording) for fact in family.facts]
    return stated + [size.fact for size in case.sizes if size.fact]
