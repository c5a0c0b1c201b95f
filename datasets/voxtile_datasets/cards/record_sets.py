"""Record sets of a Croissant description: what a record of each table holds, and the pictures beside them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from voxtile.bounded_text import load_yaml
from voxtile.corpus.schema import TABLES
from voxtile_datasets.cards.card import Card

_COLUMNS = Path(__file__).with_name("columns.yaml")
_SPLITS = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}


def table_records(name: str) -> dict[str, Any]:
    """A record for each row of a table, with a field for each column that Croissant has a type for."""
    descriptions = descriptions_of_tables()[name]
    records: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": descriptions["_"],
        "field": [field for column in TABLES[name] if (field := _field(name, column, descriptions)) is not None],
    }
    keys = {"samples": "uid", "captions": "caption_id", "regions": "region_id"}
    return records | ({"key": {"@id": f"{name}/{keys[name]}"}} if name in keys else {})


def _field(table: str, column: pa.Field, descriptions: Mapping[str, str]) -> dict[str, Any] | None:
    """A column as a field; None for those that Croissant has no type for (structs, bytes)."""
    is_list = pa.types.is_list(column.type)
    kind = _data_type(column.type.value_type if is_list else column.type)
    if kind is None:
        return None
    if (table, column.name) == ("splits", "split"):
        kind = ["sc:Text", "cr:Split"]
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{table}/{column.name}",
        "name": column.name,
        "description": descriptions[column.name],
        "dataType": kind,
        "source": {"fileSet": {"@id": f"{table}-parts"}, "extract": {"column": column.name}},
    }
    if is_list:
        field |= {"isArray": True, "arrayShape": "-1"}
    return field


def _data_type(kind: pa.DataType) -> Any:  # noqa: ANN401
    for matches, name in (
        (pa.types.is_string, "sc:Text"),
        (pa.types.is_integer, "cr:Int64"),
        (pa.types.is_float64, "cr:Float64"),
        (pa.types.is_boolean, "sc:Boolean"),
    ):
        if matches(kind):
            return name
    return None


def picture_records(codec: str) -> dict[str, Any]:
    """A record for each picture of a codec: its sample's uid, and the picture."""
    source = {"fileSet": {"@id": f"{codec}-pictures"}}
    name = f"{codec}-images"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The pictures that are stored as {codec}, as they came.",
        "key": {"@id": f"{name}/uid"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/uid",
                "name": "uid",
                "description": "Sample that the picture is of.",
                "dataType": "sc:Text",
                "source": {
                    **source,
                    "extract": {"fileProperty": "filename"},
                    "transform": {"regex": rf"^([^.]+)\.{codec}$"},
                },
            },
            {
                "@type": "cr:Field",
                "@id": f"{name}/image",
                "name": "image",
                "description": "The picture.",
                "dataType": "sc:ImageObject",
                "source": {**source, "extract": {"fileProperty": "content"}},
            },
        ],
    }


def split_names(card: Card) -> dict[str, Any]:
    """What the names of the splits stand for, in Croissant's words."""
    names = sorted({split.split for split in card.summary.splits})
    return {
        "@type": "cr:RecordSet",
        "@id": "split_names",
        "name": "split_names",
        "description": "What the names of splits stand for.",
        "dataType": "cr:Split",
        "key": {"@id": "split_names/name"},
        "field": [
            {
                "@type": "cr:Field", "@id": "split_names/name", "name": "name", "description": "Name of a split.",
                "dataType": "sc:Text",
            },
            {
                "@type": "cr:Field", "@id": "split_names/url", "name": "url", "description": "What it is for.",
                "dataType": ["sc:URL", "cr:Split"],
            },
        ],
        "data": [
            {"split_names/name": name, "split_names/url": _SPLITS.get(name, "cr:Split")} for name in names
        ],
    }  # fmt: skip


@cache
def descriptions_of_tables() -> dict[str, dict[str, str]]:
    """Table → column → description; `_` is the table itself."""
    content: dict[str, dict[str, str]] = load_yaml(_COLUMNS.read_text("utf-8"))
    return content
