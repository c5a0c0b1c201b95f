"""A target as it is put to a reader, who is not told what a checker says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from voxtile.formats.pictures.planes import is_volume
from voxtile.serve.explored import Explored
from voxtile.serve.reviews.claims import claims_of
from voxtile.serve.reviews.targets import TARGETS
from voxtile.serve.reviews.verdicts import Kind
from voxtile.stages.inspect.texts import PLACES


class Item(BaseModel):
    """What is to be judged.

    Attributes:
        words: a caption's text, what a fact says, or a region's phrase.
        claims: parts of a caption that can be judged for themselves.
        region_id: of the region to be shown.
        hangs: its picture is of planes that hang as radiologists hang them.
    """

    kind: Kind
    target: str
    uid: str
    origin: str
    words: str
    claims: list[str]
    region_id: str | None
    hangs: bool


def item(explored: Explored, kind: Kind, uid: str, target: str) -> tuple[Item, int] | None:
    """A target, with the index of the corpus that holds it; None where there is none.

    Args:
        explored: the corpus.
        kind: of the target.
        uid: of its sample.
        target: its name.
    """
    found = explored.tables.rows(f"SELECT * FROM ({TARGETS[kind]}) WHERE uid = ? AND target = ? LIMIT 1", uid, target)
    if not found:
        return None
    row = found[0]
    words = {"caption": _caption, "fact": _fact, "region": _region}[kind](row)
    claims = claims_of(words, _details(explored, target)) if kind == "caption" else []
    sample = explored.row(uid)
    hangs = is_volume(sample) and bool(sample.get("affine"))
    shown = {
        "kind": kind,
        "target": target,
        "uid": uid,
        "origin": row["origin"],
        "region_id": row.get("region_id"),
        "hangs": hangs,
    }
    return Item(words=words, claims=claims, **shown), int(row["corpus"])


def _details(explored: Explored, caption: str) -> list[str | None]:
    return [row["detail"] for row in explored.tables.rows("SELECT detail FROM verdicts WHERE caption_id = ?", caption)]


def _caption(row: Mapping[str, Any]) -> str:
    return str(row["text"])


def _region(row: Mapping[str, Any]) -> str:
    return str(row["concept"])


def _fact(row: Mapping[str, Any]) -> str:
    """`nodule: present, 12 mm, laterality: left`."""
    value = "" if row["value"] is None else f"{row['value']:.5g} {row['unit'] or ''}".strip()
    parts = [str(row["polarity"]), value, *_attributes(row["attributes"])]
    return f"{str(row['name']).replace('_', ' ')}: {', '.join(part for part in parts if part)}"


def _attributes(text: str | None) -> list[str]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return [str(text)]
    if not isinstance(found, dict):
        return [str(text)]
    return [
        f"{name.replace('_', ' ')}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in found.items()
        if name not in PLACES
    ]
