"""Facts about a tile from what is visible in it, each with an id, the OSM ids and dates behind it, and its rule."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxtile.corpus.records import Row
from voxtile_remote_sensing.osm.relations import Relation, measure_relations
from voxtile_remote_sensing.osm.visible_features import MapObject, Scene

RULE = "osm@1"  # version of the rules of this package; the tag table has its own
_LISTED_IDS = 200  # ids that one fact lists; the object facts have them all


@dataclass(frozen=True)
class MapFact:
    """A fact.

    Attributes:
        fact_id: 16 hexadecimal digits; captions name the facts they state by it (`parents`).
        kind: `object`, `count`, `cover`, `length` or `relation`.
        concept, value, unit: as in the facts table; null for an object without size, and for a relation, whose number
            is in the attributes, since it is no size of the concept.
        attributes: OSM ids, dates, the rule, and what the kind needs.
        region_id: of an object that has a box.
        relation: the relation that the fact states.
    """

    fact_id: str
    kind: str
    concept: str
    value: float | None
    unit: str | None
    attributes: Mapping[str, Any]
    region_id: str | None = None
    relation: Relation | None = None

    def row(self, uid: str) -> Row:
        """The row of the facts table."""
        attributes = {"fact": self.fact_id, "kind": self.kind, **self.attributes}
        return {
            "uid": uid,
            "concept": self.concept,
            "polarity": "present",
            "value": self.value,
            "unit": self.unit,
            "attributes": json.dumps(attributes, sort_keys=True, ensure_ascii=False),
            "region_id": self.region_id,
            "source": RULE,
        }


def scene_facts(scene: Scene, table: str, regions: Mapping[tuple[str, str], str]) -> list[MapFact]:
    """All facts of a scene, in a fixed order.

    Args:
        scene: what is visible.
        table: identity of the tag table.
        regions: (concept, OSM id) → region id, for objects that have a box.
    """
    facts: list[MapFact] = []
    tile_m2 = scene.frame.area_m2
    for concept, objects in scene.objects.items():
        rule = f"{table}:{concept}"
        for found in objects:
            facts.append(_object_fact(scene, found, rule, regions.get((concept, found.osm_id))))
        common = {"rule": rule, **_origin(objects)}
        if objects[0].rule.counted:
            whole = sum(o.is_whole for o in objects)
            facts.append(_fact(scene, "count", concept, float(len(objects)), "count", common | {"whole": whole}))
        cover = scene.cover(concept)
        if cover > 0:
            facts.append(_fact(scene, "cover", concept, cover / tile_m2, "fraction", common | {"area_m2": cover}))
        length = sum(o.length_m for o in objects)
        if length > 0:
            facts.append(_fact(scene, "length", concept, length, "m", common))
    dates = {(c, o.osm_id): o.date for c, objects in scene.objects.items() for o in objects}
    facts += [_relation_fact(scene, relation, table, dates) for relation in measure_relations(scene)]
    return facts


def scope_row(scene: Scene, vocabulary: str, *, closed: bool) -> Row:
    """The scope: what was looked for in a tile that the map covers."""
    return {"uid": scene.frame.uid, "vocabulary": vocabulary, "closed": closed, "concepts": list(scene.looked_for)}


def _object_fact(scene: Scene, found: MapObject, rule: str, region_id: str | None) -> MapFact:
    value, unit = (found.area_m2, "m2") if found.form == "area" else (found.length_m, "m")
    attributes = {"rule": rule, "osm_id": found.osm_id, "osm_date": found.date, "whole": found.is_whole}
    if found.form == "point":
        return _fact(scene, "object", found.concept, None, None, attributes, region_id)
    return _fact(scene, "object", found.concept, value, unit, attributes, region_id)


def _relation_fact(
    scene: Scene, relation: Relation, table: str, dates: Mapping[tuple[str, str], str | None]
) -> MapFact:
    known = [d for i in relation.subject_ids if (d := dates[relation.subject, i])]
    known += [d for i in relation.other_ids if (d := dates[relation.other, i])]
    attributes = {
        "rule": f"{table}:{relation.subject}",
        "relation": relation.kind,
        "other": relation.other,
        "measured": relation.value,
        "measured_unit": relation.unit,
        "osm_ids": list(relation.subject_ids[:_LISTED_IDS]),
        "other_osm_ids": list(relation.other_ids[:_LISTED_IDS]),
        "osm_date": max(known, default=None),
    }
    fact = _fact(scene, "relation", relation.subject, None, None, attributes)
    return MapFact(fact.fact_id, "relation", fact.concept, None, None, attributes, None, relation)


def _fact(
    scene: Scene,
    kind: str,
    concept: str,
    value: float | None,
    unit: str | None,
    attributes: Mapping[str, Any],
    region_id: str | None = None,
) -> MapFact:
    key = json.dumps([scene.frame.uid, kind, concept, attributes], sort_keys=True)
    return MapFact(hashlib.sha256(key.encode()).hexdigest()[:16], kind, concept, value, unit, attributes, region_id)


def _origin(objects: Sequence[MapObject]) -> dict[str, Any]:
    return {"osm_ids": [o.osm_id for o in objects[:_LISTED_IDS]], "osm_date": latest(o.date for o in objects)}


def latest(dates: Iterable[str | None]) -> str | None:
    """The newest of some ISO 8601 dates; None where none is known."""
    return max((date for date in dates if date), default=None)
