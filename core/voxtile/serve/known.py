"""Everything that is known of one sample, without what never leaves: files, their names and keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from voxtile.corpus.schema import ROLE
from voxtile.serve.explored import Explored
from voxtile.serve.tables import HIDDEN
from voxtile.stages.inspect.regions import COLOURS
from voxtile.stages.inspect.texts import PLACES, marked

_MOST_OTHERS = 48


class TextPiece(BaseModel):
    """Part of a text, with the polarity of the facts whose evidence it is."""

    text: str
    polarity: str | None
    concepts: str


class Verdict(BaseModel):
    """What a checker said of a caption."""

    verdict: str
    detail: str | None
    checker: str | None
    version: str | None


class Caption(BaseModel):
    """A text of the sample or of its study."""

    caption_id: str
    kind: str
    lang: str | None
    origin: str
    of_study: bool
    pieces: list[TextPiece]
    verdicts: list[Verdict]


class Fact(BaseModel):
    """A fact, with who says so."""

    concept: str
    polarity: str
    value: float | None
    unit: str | None
    details: str
    region_id: str | None
    source: str | None


class Region(BaseModel):
    """A region: a box in array order, a mask, or both."""

    region_id: str
    phrase: str
    box: list[float] | None
    has_mask: bool
    colour: str


class Known(BaseModel):
    """One sample."""

    uid: str
    number: int
    sample: dict[str, Any]
    split: str | None
    captions: list[Caption]
    facts: list[Fact]
    regions: list[Region]
    scopes: list[dict[str, Any]]
    ledger: list[dict[str, Any]]
    study: list[str]
    subject: list[str]


def known(explored: Explored, uid: str) -> Known:
    """Gather it.

    Raises:
        NoSuchSampleError: no sample has this uid.
    """
    number, row = explored.number(uid), explored.row(uid)
    others = explored.tables.rows(
        "SELECT uid, study FROM samples WHERE subject = ? AND uid <> ? AND kind <> 'overview' "
        f"ORDER BY study IS DISTINCT FROM ?, datetime, uid LIMIT {2 * _MOST_OTHERS}",
        row["subject"], uid, row["study"],
    )  # fmt: skip
    study = [one["uid"] for one in others if row["study"] is not None and one["study"] == row["study"]]
    facts = _of(explored, "facts", [uid])
    return Known(
        uid=uid,
        number=number,
        sample=_shown_row(row),
        split=_split(explored, row["subject"]),
        captions=_captions(explored, uid, study, facts),
        facts=[_fact(fact) for fact in sorted(facts, key=_fact_order)],
        regions=_regions(_of(explored, "regions", [uid])),
        scopes=[{k: v for k, v in s.items() if k not in ("uid", "corpus")} for s in _of(explored, "scopes", [uid])],
        ledger=explored.tables.of_samples("ledger", [number], "status, reason")[:20],
        study=study[:_MOST_OTHERS],
        subject=[one["uid"] for one in others if one["uid"] not in study][:_MOST_OTHERS],
    )


def _of(explored: Explored, table: str, uids: Sequence[str]) -> list[dict[str, Any]]:
    return explored.tables.of_samples(table, explored.index.numbers(pa.array(uids, pa.string())).tolist())


def _shown_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the sample for people; attributes are opened, the footprint has a page of its own."""
    left_out = HIDDEN | {"uid", "geometry", "corpus", "attributes"}
    shown = {name: value for name, value in row.items() if name not in left_out and value is not None}
    return shown | {"attributes": _opened(row.get("attributes"))}


def _split(explored: Explored, subject: str) -> str | None:
    found = explored.tables.rows("SELECT split FROM splits WHERE scheme = 'default' AND subject = ? LIMIT 1", subject)
    return str(found[0]["split"]) if found else None


def _captions(explored: Explored, uid: str, study: Sequence[str], facts: Sequence[Mapping[str, Any]]) -> list[Caption]:
    """Of the sample; where it has none, of the others of its study, whose report speaks of it."""
    rows = _of(explored, "captions", [uid])
    told = rows or _of(explored, "captions", study)
    evidence = [*facts, *(_of(explored, "facts", study) if study else [])]
    verdicts = _of(explored, "verdicts", sorted({caption["uid"] for caption in told}))
    return [
        Caption(
            caption_id=caption["caption_id"],
            kind=caption["kind"],
            lang=caption["lang"],
            origin=" ".join(part for part in (caption["provider"], caption["model"]) if part),
            of_study=not rows,
            pieces=[TextPiece(text=p.text, polarity=p.polarity, concepts=p.concepts)
                    for p in marked(str(caption["text"]), evidence)],
            verdicts=[
                Verdict(verdict=v["verdict"], detail=v["detail"], checker=v["checker"], version=v["checker_version"])
                for v in verdicts if v["caption_id"] == caption["caption_id"]
            ],
        )
        for caption in sorted(told, key=lambda c: (c["kind"] != "raw", c["kind"], c["caption_id"]))
    ]  # fmt: skip


def _fact_order(fact: Mapping[str, Any]) -> tuple[bool, bool, str, str]:
    order = {"present": "0", "uncertain": "1", "absent": "2"}
    return fact["region_id"] is not None, fact["concept"] == ROLE, order.get(fact["polarity"], "3"), fact["concept"]


def _fact(row: Mapping[str, Any]) -> Fact:
    attributes = _opened(row["attributes"])
    details = "; ".join(
        f"{name.replace('_', ' ')}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in attributes.items()
        if name not in PLACES
    )
    names = ("concept", "polarity", "value", "unit", "region_id", "source")
    return Fact(details=details, **{name: row[name] for name in names})


def _regions(rows: Sequence[Mapping[str, Any]]) -> list[Region]:
    return [
        Region(
            region_id=row["region_id"],
            phrase=str(row["phrase"] or "region"),
            box=row["box"] or None,
            has_mask=row["mask_shard"] is not None,
            colour="#{:02x}{:02x}{:02x}".format(*COLOURS[place % len(COLOURS)]),
        )
        for place, row in enumerate(rows)
    ]


def _opened(attributes: str | None) -> dict[str, Any]:
    """A JSON object; what is none is shown as it stands."""
    try:
        found = json.loads(attributes or "{}")
    except ValueError:
        return {"as written": attributes}
    return found if isinstance(found, dict) else {"as written": found}
