"""What is known of a sample, arranged for looking claims up."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date as Date

from voxtile.corpus.schema import MEASURED, ROLE
from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.attributes import Row, leaves
from voxtile_datasets.captions.checker.extraction.claims import Detail
from voxtile_datasets.captions.checker.extraction.numbers.amount import COUNT, SHARE
from voxtile_datasets.captions.checker.extraction.relations import OPPOSITE, PASSIVE, relation_of
from voxtile_datasets.captions.checker.fact import Fact, direction_of, fact_of
from voxtile_datasets.captions.checker.judging.countries import words_for_country
from voxtile_datasets.captions.checker.judging.metadata import Metadata
from voxtile_datasets.captions.checker.vocabulary import Vocabulary
from voxtile_datasets.captions.stated_facts import mapping_of

_STRENGTH = {"present": 2, "uncertain": 1, "absent": 0}
_UNKNOWN = 1  # a table from elsewhere may say what no polarity is: neither that it is there, nor that it is not
_WIDE = frozenset(["finding", "lesion"])  # one of them denied denies no others
_ANY = "_any"  # ends the names of what words alone name: inflammation of any kind
_MOST_SHARES = 12  # of which sums are made
_RANKS = ["first", "second", "third", "fourth", "fifth"]
_DATES = ("date", "month", "year", "acquired", "acquisition")  # begin the names of what holds a date
_DATE = re.compile(r"(?:19|20)\d\d-\d\d(?:-\d\d)?(?=$|[T ])")
_NAMED = ("name", "country", "city", "region", "state", "county", "place")
_KINDS = ("kind", "type", "subtype", "diagnosis", "histology", "entity")  # attributes that may name a concept
_EQUINOX = 22  # day of the month by which astronomical seasons begin
_TROPIC_DEG = 23.44
_SEASONS = ("winter", "spring", "summer", "autumn")


class Facts:
    """The facts and scopes of a sample by concept of the vocabulary.

    Args:
        facts: rows of the facts table; `attributes` as JSON or as a mapping.
        scopes: rows of the scopes table.
        vocabulary: names of concepts.
        metadata: columns and attributes of the sample's own row.
    """

    def __init__(
        self, facts: Sequence[Row], scopes: Sequence[Row], vocabulary: Vocabulary, metadata: Row | None = None
    ) -> None:
        self.vocabulary = vocabulary
        self.metadata = Metadata(metadata or {}, vocabulary, [mapping_of(row.get("attributes")) for row in facts])
        self._rows: dict[str, list[Fact]] = defaultdict(list)
        self._strength: dict[str, int] = {}
        self._relations: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._objects: dict[str, set[str]] = defaultdict(set)
        self.dates: set[str] = set()
        self.words: set[str] = set(self.metadata.words)
        self.unknown_names: set[str] = set()
        self._note(metadata or {})
        for row in self._of_season(metadata or {}):
            self._add(row)
        for row in facts:
            self._add(row)
        self.closed = self._closed(scopes)
        self.scoped = frozenset(c for s in scopes for name in s.get("concepts") or () for c in self._resolve(name))
        concepts = vocabulary.concepts
        self._implied = frozenset(part for c in self.present() if c in concepts for part in concepts[c].has)

    def _of_season(self, metadata: Row) -> list[Row]:
        """The season of the sample's row as a fact: by its name, else by the month and the side of the equator.

        Where no latitude is known the month is taken as one north of it; between the tropics there are no four seasons.
        """
        if self.vocabulary.is_about_patients:
            return []
        seasons = {str(metadata.get("season") or "").lower()} - {""}
        stated = metadata.get("latitude")
        latitude = stated if isinstance(stated, int | float) else _TROPIC_DEG
        turned = 6 if latitude < 0 else 0
        months = [date[5:7] for date in sorted(self.dates) if date[:4].isdecimal() and abs(latitude) >= _TROPIC_DEG]
        if not seasons or len(months) > 1:
            seasons |= {_SEASONS[(int(month) + turned) % 12 // 3] for month in months if month.isdecimal()}
        late = {int(date[5:7]) for date in self.dates if date[8:10].isdecimal() and int(date[8:10]) <= _EQUINOX}
        late = late if months else set()
        seasons |= {_SEASONS[(month - 1 + turned) % 12 // 3] for month in late if not month % 3}  # 3 September: summer
        return [{"concept": s, "polarity": "present"} for s in sorted(seasons) if s in self.vocabulary.concepts]

    @property
    def years(self) -> tuple[int, ...]:
        """Years of the dates of the sample, in order: two of a pair of pictures."""
        return tuple(sorted({int(date[:4]) for date in self.dates if date[:4].isdecimal()}))

    @property
    def is_pair(self) -> bool:
        """Whether the sample is of two dates, so that what changed between them can be a fact."""
        if self.vocabulary.is_about_patients:
            return False
        days = {date[:10] for date in self.dates if date[:4].isdecimal()}  # the hour makes no other day
        return len(days) > 1 or any(row.changes for row in self.all_rows())

    def spans(self) -> tuple[float, ...]:
        """Seconds between the first and the last date of the sample; none where there are not two."""
        days = sorted({_day(date) for date in self.dates} - {None}, key=lambda day: day or 0)
        return (((days[-1] or 0) - (days[0] or 0)) * 86400.0,) if len(days) > 1 else ()

    def holds(self, detail: Detail) -> bool:
        """Whether any fact of the sample, whatever it is of, has the number that a text gives.

        A number that the text says of another thing than the facts do is read wrongly more often than it is invented.
        """
        if detail.is_vague or (detail.dimension == SHARE and detail.bounds[0][0] <= 0):
            return False  # "hardly any" fits too much
        if detail.dimension == COUNT:
            return any(
                low <= most and least <= high
                for low, high in detail.bounds
                for row in self.all_rows()
                for least, most in row.counts
            )
        values = [v for row in self.all_rows() for v in row.numbers.get(detail.dimension or "", ())]
        values += self.spans() if detail.dimension == "time" else ()
        return bool(values) and all(any(low <= v <= high for v in values) for low, high in detail.bounds)

    def all_rows(self) -> list[Fact]:
        """Every fact that states something."""
        return [row for rows in self._rows.values() for row in rows if row.polarity != "absent"]

    def strength(self, concept: str) -> str | None:
        """What the facts say of a concept, its special kinds included: present, uncertain, absent, or None."""
        found = [s for name in self.vocabulary.below(concept) if (s := self._strength.get(name)) is not None]
        if found and max(found) > 0:
            return "present" if max(found) == 2 else "uncertain"
        if not found and concept in self._implied:
            return "present"
        if not found and any(self.strength(whole) == "present" for whole in self.wholes(concept)):
            return "present" if not self.is_optional(concept) or self._is_named(concept) else None
        absent = any(self._strength.get(name) == 0 for name in self.vocabulary.above(concept))
        return "absent" if absent else None

    def is_closed(self, concept: str) -> bool:
        """Whether a closed scope looked for a concept, or for what it is a kind of."""
        if self.closed is None or self.closed & self.vocabulary.above(concept):
            return True
        return self.vocabulary.is_region(concept) and bool(self.closed & self.vocabulary.below(concept))

    def all_kinds_absent(self, concept: str) -> list[str]:
        """The kinds of a general concept that the facts deny, where they and the scopes name no other kind of it.

        None of a finding in its own right where those are no more than half of its kinds: without plaque of the
        coronary arteries there is that of other vessels. Words that name nothing else ("inflamed") are of these kinds.
        """
        kinds = self.vocabulary.below(concept) - {concept}
        if concept in _WIDE or not kinds or concept in self.scoped:
            return []
        named = kinds & (self._strength.keys() | (self.scoped or frozenset()))
        denied = sorted(name for name in named if self._strength.get(name) == 0)
        enough = concept.endswith(_ANY) or 2 * len(denied) > len(kinds)
        return denied if denied and enough and len(denied) == len(named) else []

    def lists(self, concept: str) -> bool:
        """Whether a closed scope names a concept itself."""
        return self.closed is None or concept in self.closed

    def named(self) -> frozenset[str]:
        """The concepts of which facts say whether they are there."""
        return frozenset(self._strength)

    def present(self) -> frozenset[str]:
        """The concepts that a fact states."""
        return frozenset(name for name, strength in self._strength.items() if strength == 2)

    def rows(self, concept: str) -> list[Fact]:
        """The facts that state a concept or a special kind of it."""
        return [
            row
            for name in self.vocabulary.below(concept)
            for row in self._rows.get(name, ())
            if row.polarity != "absent"
        ]

    def rows_of_part(self, concept: str) -> list[Fact]:
        """What the facts of a whole say of a part: the colour and number of the towers of a bridge.

        A colour of the whole counts for its parts where no row tells of the part itself.
        """
        wholes = self.wholes(concept)
        rows = [row for whole in wholes for row in self.rows(whole)]
        named = [row for row in rows if any(c == concept for c in self._named_in(row.part))]
        if named:
            return [Fact("present", colours=row.colours, counts=row.part_counts, shapes=row.shapes) for row in named]
        counts = () if self.is_optional(concept) else tuple(span for row in rows for span in row.counts)
        coloured = [Fact("present", colours=row.colours) for row in rows if row.colours and not row.part]
        # "forty roofs" of forty houses: one of each is counted as the whole is
        return [*coloured, *([Fact("present", counts=counts)] if counts else [])]

    def is_optional(self, concept: str) -> bool:
        """Whether a concept is a part that its whole may lack."""
        entry = self.vocabulary.concepts.get(concept)
        return entry is not None and entry.is_optional

    def has_whole(self, concept: str) -> bool:
        """Whether the facts state something of which a concept is a part."""
        return any(self.strength(whole) == "present" for whole in self.wholes(concept))

    def _is_named(self, concept: str) -> bool:
        rows = [row for whole in self.wholes(concept) for row in self.rows(whole)]
        return any(name == concept for row in rows for name in self._named_in(row.part))

    def wholes(self, concept: str) -> tuple[str, ...]:
        """What a concept can be a part of."""
        entry = self.vocabulary.concepts.get(concept)
        return entry.part_of if entry is not None else ()

    def _named_in(self, words: tuple[str, ...]) -> list[str]:
        return [match.payload for match in self.vocabulary.terms.find(words)] if words else []

    def share_ranks(self, concept: str) -> frozenset[str]:
        """Ranks that a concept has among the shares that the facts state: `largest`, `first`, `second`, …, `smallest`.

        Empty where the facts state too few shares; a kind and what it is a kind of are no rivals.
        """
        related = self.vocabulary.above(concept) | self.vocabulary.below(concept)
        own = self.share(concept)
        named = [name for name in self.present() - related if self.share(name)]
        others = [self.share(n) for n in named if not (self.vocabulary.above(n) - {n}) & set(named)]
        if not own or not others:
            return frozenset()
        place = sum(share > own for share in others)
        found = {"between" if place and place < len(others) else "", *(_RANKS[place : place + 1])}
        found |= {"largest"} if not place else set()
        found |= {"smallest"} if place == len(others) or own <= min(others) else set()
        return frozenset(found - {""})

    def amount(self, concept: str, other: str) -> tuple[float, float] | None:
        """Shares, or else counts, of two concepts, where the facts state both."""
        shares = self.share(concept), self.share(other)
        if all(shares):
            return shares
        counts = [
            max((low for row in self.rows(name) for low, _ in row.counts), default=0.0) for name in (concept, other)
        ]
        return (counts[0], counts[1]) if all(counts) else None

    def share_left(self, concept: str) -> float:
        """The largest share that a concept can have beside what the facts state of others."""
        related = self.vocabulary.above(concept) | self.vocabulary.below(concept) | self.vocabulary.kin(concept)
        others = [name for name in self.present() if name not in related]
        top = [name for name in others if not (self.vocabulary.above(name) - {name}) & set(others)]
        return 1.0 - sum(self.share(name) for name in top)

    def rows_of(self, concept: str) -> list[Fact]:
        """The facts that state a concept itself."""
        return [row for row in self._rows.get(concept, ()) if row.polarity == "present"]

    def rows_of_wholes(self, concept: str) -> list[Fact]:
        """The facts that state what a concept belongs to: of the buildings of built-up land."""
        concepts = self.vocabulary.concepts
        wholes = [name for name in self.present() if name in concepts and concept in concepts[name].has]
        return [row for name in sorted(wholes) for row in self.rows(name)]

    def share(self, concept: str) -> float:
        """Which share of the picture a concept and its kinds have together, by the facts; 0 where they state none."""
        stated = [self._rows.get(name, ()) for name in self.vocabulary.below(concept)]
        return sum(max((max(row.numbers.get(SHARE, (0.0,))) for row in rows), default=0.0) for rows in stated)

    def objects(self, concept: str) -> int:
        """How many different regions or map objects the facts list of a concept; 0 where they list none."""
        return len(set().union(*(self._objects.get(name, set()) for name in self.vocabulary.below(concept))))

    def relations(self, subject: str, other: str) -> frozenset[str]:
        """Kinds of the relations that facts state between two concepts, seen from the first."""
        found: set[str] = set()
        about = [
            self.vocabulary.below(name) | (self.vocabulary.above(name) & self.present()) for name in (subject, other)
        ]
        for first in about[0]:
            for second in about[1]:
                found |= self._relations.get((first, second), set())
        return frozenset(found)

    def partners(self, concept: str, kinds: frozenset[str]) -> frozenset[str]:
        """What facts relate to a concept in one of some ways: what a bridge crosses."""
        names = self.vocabulary.related(concept)
        return frozenset(b for (a, b), found in self._relations.items() if a in names and found & kinds)

    def is_sum(self, detail: Detail) -> bool:
        """Whether a share is that of two or three things together, or of what they leave: "bog and heath make half"."""
        if detail.dimension != SHARE or self.vocabulary.is_about_patients:
            return False
        shares = [share for name in self.present() if (share := self.share(name))]
        sums = [sum(some) for size in (2, 3) for some in itertools.combinations(shares[:_MOST_SHARES], size)]
        sums += [1.0 - share for share in (*shares, *sums)]
        return all(any(low <= total <= high for total in sums) for low, high in detail.bounds)

    def _about(self, concept: str) -> frozenset[str]:
        """A concept, its kinds, and what it is a kind of as far as that is there."""
        return self.vocabulary.below(concept) | (self.vocabulary.above(concept) & self.present())

    def _closed(self, scopes: Sequence[Row]) -> frozenset[str] | None:
        """Concepts of closed scopes; None where one of them is closed for everything."""
        names: set[str] = set()
        for scope in scopes:
            if scope["closed"]:
                if scope.get("concepts") is None:
                    return None
                names.update(scope["concepts"])
        return frozenset(concept for name in names for concept in self._resolve(name))

    def _resolve(self, name: str) -> tuple[str, ...]:
        found = self.vocabulary.resolve(name)
        if found == (name,) and name not in self.vocabulary.concepts:
            self.unknown_names.add(name)
        return found

    def _add(self, row: Row) -> None:
        name, source = row["concept"], row.get("source") or ""
        if name == ROLE:
            return
        attributes = mapping_of(row.get("attributes"))
        is_measurement = source.startswith(MEASURED)
        concepts = self._resolve(str(attributes.get("region", name))) if is_measurement else self._resolve(name)
        fact = fact_of(row, attributes, self.vocabulary)
        for concept in concepts:
            if not is_measurement:
                self._strength[concept] = max(self._strength.get(concept, -1), _STRENGTH.get(row["polarity"], _UNKNOWN))
                if (thing := row.get("region_id") or attributes.get("osm_id")) and row["polarity"] == "present":
                    self._objects[concept].add(str(thing))
            self._rows[concept].append(fact)
            if fact.polarity != "absent":
                self.words.update(fact.words, words_of(name.replace("_", " ")).words)
            self._relate(concept, attributes, fact)
        if fact.polarity == "present" and not is_measurement:
            for concept in self._of_kinds(attributes):
                if concept not in concepts:
                    self._strength.setdefault(concept, _STRENGTH["present"])
                    self._rows[concept].append(fact)
        self._note(attributes)

    def _relate(self, concept: str, attributes: Row, fact: Fact) -> None:
        kind, other = attributes.get("relation"), attributes.get("other")
        if not kind or not other:
            return
        kind = relation_of(direction_of(str(kind)))
        for second in self._resolve(str(other)):
            self._relations[concept, second].add(kind)
            self._relations[second, concept].add(OPPOSITE.get(kind, f"{kind}{PASSIVE}"))
            if fact.polarity == "present" and second not in self.vocabulary.concepts:
                self._strength.setdefault(second, _STRENGTH["present"])  # a part of the body that only facts name
            seen_from_there = frozenset([OPPOSITE[kind]]) if kind in OPPOSITE else frozenset()
            self._rows[second].append(Fact(fact.polarity, numbers=fact.numbers, bearings=seen_from_there))

    def _note(self, attributes: Row) -> None:
        for key, value in attributes.items():
            if value is not None and str(key).lower().startswith(_DATES):
                self.dates.add(str(value))
        for leaf in leaves(attributes):
            if isinstance(leaf.value, str) and (date := _DATE.match(leaf.value)):
                self.dates.add(date.group())  # under whatever name: of the examination before
        for key in _NAMED:
            if isinstance(attributes.get(key), str):
                self.words.update(words_of(attributes[key]).words, words_for_country(attributes[key]))

    def _of_kinds(self, attributes: Row) -> Iterator[str]:
        """Concepts that an attribute names: a benign tumour of the kind leiomyoma."""
        for key in _KINDS:
            words = words_of(str(attributes.get(key) or "").replace("_", " ")).words
            found = self.vocabulary.terms.longest_at(words, 0) if words else None
            if found is not None and found[0] == len(words):
                yield from found[1]


def _day(date: str) -> int | None:
    """Number of the day of a date in ISO 8601; None where it is no whole date."""
    try:
        return Date.fromisoformat(date[:10]).toordinal()
    except ValueError:
        return None
