"""What a sentence says of a finding beside its name: side, place, severity, size, change, number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from voxtile.words.phrases import Match
from voxtile_medical.reports.assertion.grammar import LOBE_SIDE, RELATIVE_SIDE, Modifier
from voxtile_medical.reports.assertion.statements import Statement
from voxtile_medical.reports.changes import CHANGE, is_gone, said_of_what_is_there
from voxtile_medical.reports.lexicon import Concept
from voxtile_medical.reports.mentions import Mention
from voxtile_medical.reports.quantities.counts import count_of
from voxtile_medical.reports.quantities.graded import graded
from voxtile_medical.reports.quantities.levels import DISCS, is_level, levels
from voxtile_medical.reports.quantities.one_by_one import segments
from voxtile_medical.reports.quantities.sizes import Size
from voxtile_medical.reports.sides import (
    both_of_one,
    compared_side,
    displaced_to,
    ends_at,
    is_of_displacement,
    taken_back,
)
from voxtile_medical.reports.territories import size_owners, territories, word_at

# "Apical pneumothorax" says where it is; "diffuse" in the name of a disease says nothing of it.
_OTHER_SIDE = {"left": "right", "right": "left"}
_SAME_SIDE = "same side"  # weaker than a side that is named
_ALL_ON = frozenset([("all", "on", "the"), ("all", "in", "the"), ("both", "on", "the")])
_NEAR_NAME = 4  # words from "consistent with" to the other name
_LONGEST_LABEL = 6  # words
_SIDED = ("laterality", LOBE_SIDE)
_WITHIN_NAMES = frozenset([*_SIDED, "location"])
_BORDERLINE = ("severity", "borderline")


@dataclass(frozen=True)
class Attributes:
    """Attributes of a finding, each None or empty where nothing is said.

    Attributes:
        laterality: left, right or bilateral.
        location: a place of english.yaml; several are joined by " and ".
        severity, change, number: values of english.yaml.
        size_mm: one to three dimensions in millimetres, as said.
        count: how many there are, where a number of two or more is said.
        each: of several that a sentence lists with a size and a place each, those of every one.
    """

    laterality: str | None = None
    location: str | None = None
    severity: str | None = None
    size_mm: tuple[float, ...] = ()
    change: str | None = None
    number: str | None = None
    count: int | None = None
    each: tuple[Attributes, ...] = ()

    def values(self) -> tuple[str | tuple[float, ...] | int | None, ...]:
        """The attributes in order."""
        return (self.laterality, self.location, self.severity, self.size_mm, self.change, self.number, self.count)

    def agrees(self, other: Attributes) -> bool:
        """Whether both can be said of one finding: nothing that one says contradicts the other.

        The largest dimension alone agrees with all of them. What is counted is not one of those that it counts: "three
        lesions" is another finding than a lesion whose size or place is said without a number.
        """
        pairs = zip(
            (self.laterality, self.location, self.severity, self.change, self.number),
            (other.laterality, other.location, other.severity, other.change, other.number),
            strict=True,
        )
        return (
            all(not one or not two or one == two for one, two in pairs)
            and _same_size(self.size_mm, other.size_mm)
            and (self.count == other.count or self._is_bare or other._is_bare)
        )

    @property
    def _is_bare(self) -> bool:
        return not (self.count or self.size_mm or self.location)

    def completed(self, other: Attributes) -> Attributes:
        """These, and those of another statement where these say nothing."""
        return Attributes(
            self.laterality or other.laterality,
            self.location or other.location,
            self.severity or other.severity,
            max(self.size_mm, other.size_mm, key=len),
            self.change or other.change,
            self.number or other.number,
            self.count or other.count,
        )

    def common(self, other: Attributes) -> Attributes:
        """Those that both statements say."""
        return Attributes(
            self.laterality if self.laterality == other.laterality else None,
            self.location if self.location == other.location else None,
            self.severity if self.severity == other.severity else None,
            self.size_mm if self.size_mm == other.size_mm else (),
            self.change if self.change == other.change else None,
            self.number if self.number == other.number else None,
            self.count if self.count == other.count else None,
        )

    def by_level(self) -> tuple[Attributes, ...]:
        """One for each that is listed, else for each vertebra or rib; these alone where other places are, or none."""
        if self.each:
            return self.each
        places = (self.location or "").split(" and ")
        if len(places) < 2 or not all(is_level(place) for place in places):
            return (self,)
        return tuple(replace(self, location=place) for place in places)

    def is_elsewhere(self, other: Attributes) -> bool:
        """Whether these are said of another side or place than the others."""
        side = self.laterality and other.laterality not in (self.laterality, "bilateral")
        place = self.location and other.location != self.location
        return bool(side or place) and not (self.laterality and other.laterality == "bilateral")


NONE = Attributes()


def attributes_of(
    statement: Statement,
    mentions: Sequence[Mention],
    sizes: Sequence[Size],
    concepts: Mapping[str, Concept],
    side_before: str | None = None,
) -> list[Attributes]:
    """The attributes of each mention; a word belongs to one place of the sentence only.

    Args:
        statement: the sentence.
        mentions: what it names.
        sizes: its sizes of this examination.
        concepts: what attributes each concept can have.
        side_before: the side that was named last before the sentence.
    """
    anchors = sorted({(mention.start, mention.end) for mention in mentions if not mention.is_closed})
    if not anchors:
        return [replace(NONE, laterality=mention.side) for mention in mentions]
    modifiers = _modifiers(statement, side_before)
    there = said_of_what_is_there(statement, modifiers, {i for start, end in anchors for i in range(start, end)})
    around = dict(zip(anchors, territories(statement, anchors), strict=True))
    found = []
    adrift, common = _adrift(statement, anchors, sizes), _common(statement, modifiers)
    moved, owners = displaced_to(statement) | ends_at(statement), size_owners(statement, anchors, sizes)
    for mention in mentions:
        territory = around.get((mention.start, mention.end))
        if mention.is_closed or territory is None:
            found.append(replace(NONE, laterality=mention.side))
            continue
        known = there if mention.polarity != "absent" else modifiers
        own = [m for m in known if territory[0] <= m.start < territory[1]]
        own = [m for m in own if m.end <= mention.start or m.start >= mention.end or _within_name(m, statement)]
        own = _closer_than_label(own, statement)
        if not is_of_displacement(statement, mention.start, mention.end):
            own = [m for m in own if m.start not in moved]
        within = [
            size
            for size, at in ((s, word_at(statement, s.start)) for s in sizes)
            if owners.get(size.start, (mention.start, mention.end)) == (mention.start, mention.end)
            and (size.start in owners or territory[0] <= at < territory[1])
        ]
        if mention.polarity == "absent":  # the size of something else: "no stone; the duct measures 5 mm"
            within = [
                s for s in within if statement.part_of(word_at(statement, s.start)) == statement.part_of(mention.start)
            ]
        else:
            within = within or adrift.get((mention.start, mention.end), [])
        whole = _chosen(statement, mention, own, within, concepts[mention.concept], common)
        if whole.laterality is None and mention.side and concepts[mention.concept].has_side:
            whole = replace(whole, laterality=mention.side)
        listed = _each(statement, mention, territory[1], own, within, concepts, whole)
        each = listed or graded(statement.words.words, mention.start, mention.end, own, whole)
        found.append(replace(whole, each=each))
    said = _renamed(statement, mentions, _of_one_side(mentions, found, common), concepts)
    return [_explained(i, mentions, said, concepts) for i in range(len(said))]


def _explained(
    index: int, mentions: Sequence[Mention], said: Sequence[Attributes], concepts: Mapping[str, Concept]
) -> Attributes:
    """Attributes; what is only thought of has the side of what it explains: "left basal opacity, pneumonia likely"."""
    own, concept = said[index], concepts[mentions[index].concept]
    before = [i for i in range(index) if mentions[i].polarity == "present" and not mentions[i].is_closed]
    sides = {said[i].laterality for i in before if concepts[mentions[i].concept].region == concept.region}
    if own.laterality or mentions[index].polarity != "uncertain" or not concept.has_side or len(sides) != 1:
        return own
    return replace(own, laterality=sides.pop())


def _of_one_side(mentions: Sequence[Mention], found: Sequence[Attributes], common: _Common) -> list[Attributes]:
    """The attributes, without both sides of a label where the same finding is said to be on one of them."""
    one_sided = {m.concept for m, a in zip(mentions, found, strict=True) if a.laterality in _OTHER_SIDE}
    return [
        replace(a, laterality=None) if a.laterality == common.side == "bilateral" and m.concept in one_sided else a
        for m, a in zip(mentions, found, strict=True)
    ]


def _each(
    statement: Statement,
    mention: Mention,
    end: int,
    modifiers: Sequence[Match[Modifier]],
    sizes: Sequence[Size],
    concepts: Mapping[str, Concept],
    whole: Attributes,
) -> tuple[Attributes, ...]:
    """Each of several findings: "three nodules: 4 mm RUL, 6 mm lingula and 9 mm LLL"; empty where none are listed."""
    at = [word_at(statement, size.start) for size in sizes]
    placed = [m.start for m in modifiers if m.payload[0] in _WITHIN_NAMES and m.start >= mention.end]
    concept, side = concepts[mention.concept], whole.laterality if whole.laterality in _OTHER_SIDE else None
    if mention.polarity != "present" or not concept.has_size:
        return ()
    found = []
    for first, last in segments(statement.words.words, mention.end, end, at, placed):
        own = [m for m in modifiers if first <= m.start < last]
        lengths = [size for size, position in zip(sizes, at, strict=True) if first <= position < last]
        one = _chosen(statement, mention, own, lengths, concept, _Common(side, ()))
        found.append(replace(one, severity=whole.severity, change=one.change or whole.change, number=None, count=None))
    return tuple(found) if whole.count in (None, len(found)) else ()


def _adrift(
    statement: Statement, anchors: Sequence[tuple[int, int]], sizes: Sequence[Size]
) -> dict[tuple[int, int], list[Size]]:
    """Sizes of clauses that name nothing, by the place before them: "mass, was 12 mm; currently 14 mm"."""
    clauses = statement.clauses
    named = {clauses[start] for start, _ in anchors}
    found: dict[tuple[int, int], list[Size]] = defaultdict(list)
    for size in sizes:
        at = word_at(statement, size.start)
        before = [anchor for anchor in anchors if anchor[1] <= at]
        if before and clauses[at] not in named:
            found[before[-1]].append(size)
    return found


def _renamed(
    statement: Statement, mentions: Sequence[Mention], found: Sequence[Attributes], concepts: Mapping[str, Concept]
) -> list[Attributes]:
    """The attributes, with side, place and size of what is called by another name: "mass of 4 cm, likely a cyst"."""
    completed = list(found)
    for phrase in statement.grammar.same_thing.find(statement.words.words):
        before = [i for i, m in enumerate(mentions) if m.end <= phrase.start and m.polarity == "present"]
        after = [i for i, m in enumerate(mentions) if phrase.end <= m.start < phrase.end + _NEAR_NAME]
        if not before or statement.clauses[mentions[before[-1]].start] != statement.clauses[phrase.start]:
            continue
        things = [i for i in before if not is_of_displacement(statement, mentions[i].start, mentions[i].end)]
        first = completed[things[-1]] if things else NONE
        for i in after:
            concept, own = concepts[mentions[i].concept], completed[i]
            if mentions[i].polarity == "absent" or mentions[i].is_closed:
                continue
            completed[i] = replace(
                own,
                laterality=own.laterality or (first.laterality if concept.has_side else None),
                location=own.location or (first.location if first.location in concept.places else None),
                size_mm=own.size_mm or (first.size_mm if concept.has_size else ()),
            )
    return completed


@dataclass(frozen=True)
class _Common:
    """Side and places that hold for all of a sentence."""

    side: str | None
    places: tuple[str, ...]


def _label_end(statement: Statement) -> int:
    """The word after the label that a sentence stands under; 0 where there is none."""
    return next((i for i, word in enumerate(statement.words.words[: _LONGEST_LABEL + 1]) if word == ":"), 0)


def _closer_than_label(own: Sequence[Match[Modifier]], statement: Statement) -> list[Match[Modifier]]:
    """What is said of a finding, without the sides of its label where it has its own: "both legs: left-sided clot"."""
    end = _label_end(statement)
    sided = [m for m in own if m.payload[0] == "laterality"]
    is_nearer = any(m.start >= end and m.payload[1] in _OTHER_SIDE for m in sided)
    return [m for m in own if not (is_nearer and m in sided and m.end <= end)]


def _common(statement: Statement, modifiers: Sequence[Match[Modifier]]) -> _Common:
    """What a sentence's label says ("Left side: …", "T5: …"), and the side of "all on the right"."""
    words = statement.words.words
    colon = _label_end(statement)
    said = [(m.payload, m.end <= colon or words[max(0, m.start - 3) : m.start] in _ALL_ON) for m in modifiers]
    sides = [value for (kind, value), holds in said if kind in _SIDED and holds]
    places = [m.payload[1] for m in modifiers if m.payload[0] == "location" and m.end <= colon]
    return _Common(_side(sides), tuple(places))


def _places(named: Sequence[str], concept: Concept) -> list[str]:
    """Those places that a concept can have; a disc stands for the vertebrae on both sides of it."""
    places = {place for place in named if place in concept.places}
    beside = {vertebra for place in places if place in DISCS for vertebra in place.split("-")}
    return sorted(places - beside)


def last_side(statement: Statement, before: str | None) -> str | None:
    """The side, left or right, that a sentence names last; else that of before."""
    found = statement.modifiers
    sides = [match.payload[1] for match in found if match.payload[0] in _SIDED]
    return next((side for side in reversed(sides) if side in _OTHER_SIDE), before)


def _modifiers(statement: Statement, side_before: str | None) -> list[Match[Modifier]]:
    """What a sentence says of sides, places and the rest, each vertebra and rib one by one."""
    found: list[Match[Modifier]] = []
    side = side_before
    gone = taken_back(statement) | both_of_one(statement)
    for match in (compared_side(statement, match) for match in statement.modifiers):
        kind, value = match.payload
        if kind in _SIDED:
            side = value if value in _OTHER_SIDE else side
            if match.start in gone:
                continue
        elif kind == RELATIVE_SIDE:
            if side is None:
                continue
            there = side if value == "same" else _OTHER_SIDE[side]
            match = Match(match.start, match.end, (_SAME_SIDE if value == "same" else "laterality", there))
        found.append(match)
    return [*found, *levels(statement.words)]


def _chosen(
    statement: Statement,
    mention: Mention,
    modifiers: Sequence[Match[Modifier]],
    sizes: Sequence[Size],
    concept: Concept,
    common: _Common,
) -> Attributes:
    values: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for match in modifiers:
        attribute, value = match.payload
        values[attribute].append((_distance(match, mention), value))
    if mention.polarity == "absent":
        values[CHANGE] = [(0, "resolved")] if is_gone(statement, modifiers) else []
    sides = values["laterality"] if len(values["location"]) == 1 else []
    # A side that is written counts before the one that the name of the only lobe implies.
    sides = sides or values["laterality"] + values[LOBE_SIDE] or values[_SAME_SIDE]
    side = (_side([value for _, value in sides]) or common.side) if concept.has_side else None
    if mention.polarity == "absent" and side == "bilateral":
        side = None  # "no effusion on either side" denies it altogether
    places = _places([value for _, value in values["location"]] or common.places, concept)
    size = min(sizes, key=lambda s: abs(word_at(statement, s.start) - mention.start), default=None)
    count = count_of(statement, mention.start, mention.end, sizes) if mention.polarity != "absent" else None
    return Attributes(
        laterality=side,
        location=" and ".join(places) or None,
        severity=_closest(values["severity"]),
        size_mm=size.mm if size is not None and concept.has_size else (),
        change=_closest(values[CHANGE]),
        number=_closest(values["number"]) or ("multiple" if count else None),
        count=count,
    )


def _same_size(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
    if not one or not two or one == two:
        return True
    return (len(one) == 1 and one[0] == max(two)) or (len(two) == 1 and two[0] == max(one))


def _within_name(match: Match[Modifier], statement: Statement) -> bool:
    """Whether a word within a name says something of the finding: "the heart is mildly enlarged"."""
    is_adverb = match.payload[0] == "severity" and statement.words.words[match.start].endswith("ly")
    return match.payload[0] in _WITHIN_NAMES or match.payload == _BORDERLINE or is_adverb


def _distance(match: Match[Modifier], mention: Mention) -> int:
    return mention.start - match.end if match.end <= mention.start else match.start - mention.end + 1


def _closest(values: Sequence[tuple[int, str]]) -> str | None:
    return min(values)[1] if values else None


def _side(sides: Sequence[str]) -> str | None:
    distinct = set(sides)
    if not distinct:
        return None
    return distinct.pop() if len(distinct) == 1 else "bilateral"
