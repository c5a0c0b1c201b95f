"""Whole captions: which facts are said, in which order, as a function of the sample and the caption's number alone.

The generator is `osm-captions@1`; docs/osm-captions.md has its rules. Every caption row names the facts it states.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from voxtile.corpus.records import Row
from voxtile_remote_sensing.osm.facts import MapFact
from voxtile_remote_sensing.osm.sentences import Claim, Sentence, Writer, digest
from voxtile_remote_sensing.osm.tag_table import TagTable
from voxtile_remote_sensing.osm.visible_features import Scene
from voxtile_remote_sensing.osm.wordings import Wordings

GENERATOR = "osm-captions@1"
_T = TypeVar("_T")
_MOST_LED = 3  # concepts that the opening sentence names
_MOST_DETAILS = 2
_RELATION_SHARE = 0.6  # of captions that state a relation where there is one
_ABSENCE_SHARE = 0.25
# Absences that are worth saying: kinds that people ask about. Others are true too, and said by the scope.
_ASKED_ABOUT = (
    "building", "forest", "water", "river", "road", "railway", "parking_lot", "swimming_pool", "farmland",
    "residential_area", "industrial_area", "bridge",
)  # fmt: skip


@dataclass(frozen=True)
class Caption:
    """A caption with its sentences."""

    sentences: tuple[Sentence, ...]

    @property
    def text(self) -> str:
        """The sentences as one text."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All claims, in order."""
        return tuple(claim for sentence in self.sentences for claim in sentence.claims)


def write_captions(
    scene: Scene,
    facts: Sequence[MapFact],
    table: TagTable,
    wordings: Wordings,
    *,
    modality: str | None,
    count: int,
    closed: bool = True,
) -> list[Caption]:
    """Captions of one tile, without repeats; none where nothing is visible.

    Args:
        scene: what is visible.
        facts: of the scene.
        table: names of the concepts.
        wordings: sentence patterns.
        modality: of the sample.
        count: how many, at most.
        closed: whether what was looked for and not found may be called absent.
    """
    if not scene.objects:
        return []
    captions: dict[str, Caption] = {}
    for number in range(count):
        writer = Writer(scene, facts, table, wordings, modality, f"{scene.frame.uid}|{number}")
        caption = _compose(writer, closed=closed)
        captions.setdefault(caption.text, caption)
    return list(captions.values())


def caption_row(scene: Scene, caption: Caption, table: TagTable, wordings: Wordings) -> Row:
    """The row of the captions table; `parents` are the ids of the facts that it states."""
    identity = "\0".join((scene.frame.uid, GENERATOR, table.identity, wordings.identity, caption.text))
    return {
        "caption_id": hashlib.sha256(identity.encode()).hexdigest()[:32],
        "uid": scene.frame.uid,
        "text": caption.text,
        "lang": "en",
        "kind": "template",
        "parents": list(dict.fromkeys(claim.fact_id for claim in caption.claims)),
        "provider": GENERATOR,
        "model": f"{table.identity}+{wordings.identity}",
    }


def _compose(writer: Writer, *, closed: bool) -> Caption:
    ranked = _ranked(writer)
    led = ranked[: 1 + digest(f"{writer.key}|led") % min(_MOST_LED, len(ranked))]
    lead = writer.lead(led)
    sentences = [lead] if lead is not None else []
    sentences += _details(writer, ranked)
    relations = [fact for fact in writer.facts if fact.relation is not None]
    if relations and _chance(f"{writer.key}|relation") < _RELATION_SHARE:
        sentences.append(writer.relation(_shuffled(relations, f"{writer.key}|which")[0]))
    missing = [c for c in _ASKED_ABOUT if closed and c in writer.scene.looked_for and c not in _implied(writer)]
    if missing and _chance(f"{writer.key}|absence") < _ABSENCE_SHARE:
        sentences.append(writer.absent(_shuffled(missing, f"{writer.key}|missing")[0]))
    return Caption(tuple(sentences))


def _ranked(writer: Writer) -> list[str]:
    """Concepts to lead with: those that cover or count most, a special one before the general one it is of."""
    scene, table = writer.scene, writer.table
    tile = scene.frame.area_m2

    def weight(concept: str) -> float:
        objects = scene.objects[concept]
        line = sum(o.length_m for o in objects) / math.sqrt(tile)
        rarity = 0.3 if table.rules[concept].counted and len(objects) <= 3 else 0.0
        return scene.cover(concept) / tile + 0.2 * min(line, 2.0) + rarity + 0.02 * min(len(objects), 20)

    special = {table.rules[c].is_a for c in scene.objects if table.rules[c].is_a}
    general = {g for g in special if g and _all_special(scene, table, g)}
    noise = {concept: 0.5 + _chance(f"{writer.key}|{concept}|rank") for concept in scene.objects}
    candidates = [c for c in scene.objects if c not in general]
    return sorted(candidates, key=lambda c: (-weight(c) * noise[c], c))


def _all_special(scene: Scene, table: TagTable, general: str) -> bool:
    """Whether every object of a general concept also has a special name here."""
    ids = {o.osm_id for o in scene.objects.get(general, ())}
    named = {o.osm_id for c, objects in scene.objects.items() if table.rules[c].is_a == general for o in objects}
    return ids <= named


def _details(writer: Writer, ranked: Sequence[str]) -> list[Sentence]:
    scene, rules = writer.scene, writer.table.rules
    options: list[Callable[[], Sentence | None]] = []
    for concept in ranked[:6]:
        objects = scene.objects[concept]
        options += [_bound(writer.cover, concept)] if scene.cover(concept) > 0 else []
        options += [_bound(writer.length, concept)] if any(o.length_m for o in objects) else []
        if rules[concept].counted:
            options.append(_bound(writer.count, concept))
            options += [_bound(writer.place, concept)] if len(objects) == 1 else []
            options += [_bound(writer.area, concept)] if len(objects) == 1 and objects[0].area_m2 else []
    wanted = digest(f"{writer.key}|details") % (_MOST_DETAILS + 1)
    said: dict[tuple[str, str], Sentence] = {}
    for option in _shuffled(options, f"{writer.key}|options"):
        sentence = option() if len(said) < wanted else None
        if sentence is not None:
            claim = sentence.claims[0]
            said.setdefault((claim.kind, claim.concept), sentence)
    return list(said.values())


def _bound(method: Callable[[str], Sentence | None], concept: str) -> Callable[[], Sentence | None]:
    return lambda: method(concept)


def _implied(writer: Writer) -> set[str]:
    """Concepts that nobody would call absent: those that are there, those that they are of, and their kin."""
    rules = writer.table.rules
    there = set(writer.scene.objects)
    parents = {parent for c in there if (parent := rules[c].is_a) is not None}
    return there | parents | {kin for c in there for kin in rules[c].kin}


def _chance(key: str) -> float:
    return digest(key) / 2**64


def _shuffled(items: Sequence[_T], key: str) -> list[_T]:
    return [items[i] for i in sorted(range(len(items)), key=lambda i: digest(f"{key}|{i}"))]
