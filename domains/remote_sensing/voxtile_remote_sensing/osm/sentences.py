"""Sentences that state facts, each with the claims it makes, so that every one can be computed again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from voxtile_remote_sensing.osm.english import (
    VAGUE_COUNTS,
    area_text,
    joined,
    length_text,
    number_word,
    place_word,
    rounded,
    sentence,
    share_percent,
    vague_words,
    with_article,
)
from voxtile_remote_sensing.osm.facts import MapFact
from voxtile_remote_sensing.osm.tag_table import TagTable
from voxtile_remote_sensing.osm.visible_features import Scene
from voxtile_remote_sensing.osm.wordings import Wordings

# Shares in words: the lowest and highest share that they are said of.
SHARES: Mapping[str, tuple[float, float]] = {
    "nearly all": (0.9, 1.0), "most": (0.6, 0.95), "about half": (0.43, 0.57), "about a third": (0.29, 0.38),
    "about a quarter": (0.21, 0.29), "a small part": (0.02, 0.12),
}  # fmt: skip
_LEAST_PERCENT = 2  # less rounds by a third and more
_T = TypeVar("_T")


@dataclass(frozen=True)
class Claim:
    """What a sentence says, in numbers.

    Attributes:
        kind: `present`, `count`, `cover`, `area`, `length`, `place`, `absent`, or a relation's kind.
        concept: what it is about.
        low, high: bounds of the value that make the sentence true (count, share, m², m); equal for an exact number.
        other: the other concept of a relation, or the place.
        fact_id: the fact that it states; for an absence, `scope:CONCEPT`.
    """

    kind: str
    concept: str
    fact_id: str
    low: float = 0.0
    high: float = 0.0
    other: str | None = None


@dataclass(frozen=True)
class Sentence:
    """A sentence and its claims."""

    text: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Writer:
    """Words facts of one scene; all choices are functions of `key`.

    Attributes:
        scene: what is visible.
        facts: of the scene.
        table: names of the concepts.
        wordings: sentence patterns.
        modality: of the sample.
        key: of all choices, e.g. the uid and the number of the caption.
    """

    scene: Scene
    facts: Sequence[MapFact]
    table: TagTable
    wordings: Wordings
    modality: str | None
    key: str
    _fields: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        image = pick(self.wordings.images_of(self.modality, self.scene.frame.gsd_m), f"{self.key}|image")
        self._fields.update(image=image, an_image=with_article(image))

    def lead(self, concepts: Sequence[str]) -> Sentence | None:
        """The opening sentence: what there is."""
        parts, claims = [], []
        for concept in concepts:
            text, claim = self.phrase(concept)
            parts.append(text)
            claims.append(claim)
        plural = len(parts) > 1 or claims[0].low > 1 or self._is_plural(concepts[0], parts[0]) if parts else False
        if not parts:
            return None
        text = self._fill("lead", "lead", list=joined(parts), **{"is": "are" if plural else "is"})
        return Sentence(text, tuple(claims))

    def phrase(self, concept: str) -> tuple[str, Claim]:
        """A noun phrase for all objects of a concept, and its claim."""
        rule, count = self.table.rules[concept], len(self.scene.objects[concept])
        key = f"{self.key}|{concept}|phrase"
        singular, plural = pick(rule.names, key)
        if not rule.counted:
            return self._mass_phrase(concept, singular, plural), Claim("present", concept, self._any_fact(concept))
        fact = self._fact("count", concept)
        if count == 1:
            return with_article(singular), Claim("count", concept, fact.fact_id, 1, 1)
        vague = vague_words(count)
        if count > 12 or (vague and digest(key) % 2):
            word = pick(vague, key)
            low, high = VAGUE_COUNTS[word]
            return f"{word} {plural}", Claim("count", concept, fact.fact_id, low, high)
        return f"{number_word(count)} {plural}", Claim("count", concept, fact.fact_id, count, count)

    def count(self, concept: str) -> Sentence:
        """How many there are, exactly."""
        fact = self._fact("count", concept)
        n = len(self.scene.objects[concept])
        singular, plural = pick(self.table.rules[concept].names, f"{self.key}|{concept}|count")
        kind = "count_one" if n == 1 else "count_many"
        text = self._fill(
            kind, concept, number=number_word(n), name=singular, names=plural, a_name=with_article(singular)
        )
        return Sentence(text, (Claim("count", concept, fact.fact_id, n, n),))

    def place(self, concept: str) -> Sentence:
        """Where the only object of a concept lies in the tile."""
        found = self.scene.objects[concept][0]
        word = place_word(*self.scene.frame.place(found.clipped))
        fact = self._object_fact(concept, found.osm_id)
        text = self._fill("place", concept, place=word, **self._names(concept, "place"))
        return Sentence(text, (Claim("place", concept, fact.fact_id, other=word),))

    def cover(self, concept: str) -> Sentence | None:
        """Which share of the tile it covers."""
        fact = self._fact("cover", concept)
        share = fact.value or 0.0
        options = {word: span for word, span in SHARES.items() if span[0] <= share <= span[1]}
        percent, half = share_percent(share)
        if _LEAST_PERCENT <= percent <= 100 - _LEAST_PERCENT:
            options[f"about {percent} %"] = ((percent - half) / 100, (percent + half) / 100)
        if not options:
            return None
        word = pick(list(options), f"{self.key}|{concept}|share")
        singular, plural = pick(self.table.rules[concept].names, f"{self.key}|{concept}|cover")
        phrase = self._mass_phrase(concept, singular, plural)
        one = len(self.scene.objects[concept]) == 1 or singular == plural
        kind = "cover" if self.table.rules[concept].counted else "cover_land"
        text = self._fill(kind, concept, np=phrase, mass=singular, covers="covers" if one else "cover", share=word)
        return Sentence(text, (Claim("cover", concept, fact.fact_id, *options[word]),))

    def area(self, concept: str) -> Sentence:
        """The visible area of the only object of a concept."""
        found = self.scene.objects[concept][0]
        fact = self._object_fact(concept, found.osm_id)
        text = self._fill("area", concept, size=area_text(found.area_m2), **self._names(concept, "area"))
        return Sentence(text, (Claim("area", concept, fact.fact_id, *_about(found.area_m2)),))

    def length(self, concept: str) -> Sentence:
        """The visible length of all lines of a concept."""
        fact = self._fact("length", concept)
        names = pick(self.table.rules[concept].names, f"{self.key}|{concept}|length")[1]
        text = self._fill("length", concept, size=length_text(fact.value or 0.0), names=names)
        return Sentence(text, (Claim("length", concept, fact.fact_id, *_about(fact.value or 0.0)),))

    def relation(self, fact: MapFact) -> Sentence:
        """A relation between two kinds of objects."""
        relation = fact.relation
        if relation is None:
            raise ValueError(f"the fact {fact.fact_id} states no relation")
        many = relation.kind == "in" and relation.value > 1
        subject, other = self._names(relation.subject, "rel"), self._names(relation.other, "rel")
        number = int(relation.value)
        first = f"{number_word(number)} {subject['names']}" if many else subject["a_name"]
        kinds = {"in": "in_many" if many else "in_one", "beside": "beside", "crossing": "crossing"}
        pattern = kinds.get(relation.kind, "compass")
        text = self._fill(pattern, fact.fact_id, subject=first, other=other["a_name"], direction=relation.kind)
        low = float(number) if relation.kind == "in" else 0.0
        return Sentence(text, (Claim(relation.kind, relation.subject, fact.fact_id, low, low, relation.other),))

    def absent(self, concept: str) -> Sentence:
        """That there is none, where a closed scope says that it was looked for."""
        singular, plural = pick(self.table.rules[concept].names, f"{self.key}|{concept}|absent")
        kind = "absent_mass" if singular == plural else "absent"
        fields = {"name": singular} if singular == plural else {"name": singular, "names": plural}
        return Sentence(self._fill(kind, concept, **fields), (Claim("absent", concept, f"scope:{concept}"),))

    def _fill(self, kind: str, topic: str, **fields: str) -> str:
        pattern = pick(self.wordings.patterns[kind], f"{self.key}|{kind}|{topic}")
        return sentence(pattern.format_map({**self._fields, **fields}))

    def _names(self, concept: str, use: str) -> dict[str, str]:
        singular, plural = pick(self.table.rules[concept].names, f"{self.key}|{concept}|{use}")
        mass = singular == plural
        return {"name": singular, "names": plural, "a_name": singular if mass else with_article(singular)}

    def _is_plural(self, concept: str, phrase: str) -> bool:
        """Whether a phrase is the bare plural of a name."""
        return any(phrase == plural and singular != plural for singular, plural in self.table.rules[concept].names)

    def _mass_phrase(self, concept: str, singular: str, plural: str) -> str:
        if singular == plural:
            return singular
        return with_article(singular) if len(self.scene.objects[concept]) == 1 else plural

    def _fact(self, kind: str, concept: str) -> MapFact:
        return next(fact for fact in self.facts if fact.kind == kind and fact.concept == concept)

    def _object_fact(self, concept: str, osm_id: str) -> MapFact:
        return next(
            fact
            for fact in self.facts
            if fact.kind == "object" and fact.concept == concept and fact.attributes["osm_id"] == osm_id
        )

    def _any_fact(self, concept: str) -> str:
        return next(fact.fact_id for fact in self.facts if fact.kind == "object" and fact.concept == concept)


def digest(key: str) -> int:
    """A number that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def pick(options: Sequence[_T], key: str) -> _T:
    """One of some options, by a key."""
    return options[digest(key) % len(options)]


def _about(value: float) -> tuple[float, float]:
    """The values that round to the same two digits lie within 5 % of the rounded one."""
    return 0.95 * rounded(value), 1.05 * rounded(value)
