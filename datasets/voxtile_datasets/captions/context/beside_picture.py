"""Texts that stood beside a picture where it was published: titles, alternative texts, captions, paragraphs.

They come from the samples' attributes (what a recipe kept of a web page) and from a JSONL or Parquet file with a row a
sample: `uid` and any of `title`, `alt_text`, `caption`, `text`, each a text or a list of texts. They are no facts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voxtile.errors import InputError
from voxtile_datasets.captions.context.sample import Row
from voxtile_datasets.captions.context.side_file import side_rows
from voxtile_datasets.captions.stated_facts import mapping_of
from voxtile_datasets.plain_text import letters

KINDS: Mapping[str, str] = MappingProxyType(
    {"title": "title of the page", "alt_text": "alternative text", "caption": "caption", "text": "text around it"}
)
"""The columns of a file, and what they are called to a model."""

# Names under which attributes of samples hold such texts; `image_alt` is GAIA's, the others are those of web corpora
# (title, alt, caption and text nodes of OBELICS and MINT-1T).
ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        "page_title": "title", "image_alt": "alt_text", "alt_text": "alt_text", "image_caption": "caption",
        "figure_caption": "caption", "surrounding_text": "text", "page_text": "text",
    }
)  # fmt: skip

LONGEST = 1000  # characters of one text that are told
_MOST = 6  # texts of one picture
_TAG = re.compile(r"<[^<>]{1,2000}>")


def without_context(attributes: str | None) -> str | None:
    """A sample's attributes (JSON) without these texts, which no device recorded."""
    values = mapping_of(attributes)
    if not values.keys() & ATTRIBUTES.keys():
        return attributes
    return json.dumps({name: value for name, value in values.items() if name not in ATTRIBUTES})


def context_of(attributes: str | None, told: tuple[Row, ...] = ()) -> tuple[Row, ...]:
    """The texts beside one picture, each once: `kind` (see `KINDS`) and `text`, six at most.

    Args:
        attributes: of the sample (JSON).
        told: rows of a file, see `read_context`.
    """
    values = mapping_of(attributes)
    rows = [*told, *({"kind": kind, "text": text} for name, kind in ATTRIBUTES.items()
                     for text in _texts(values.get(name)))]  # fmt: skip
    order = list(KINDS)
    rows.sort(key=lambda row: order.index(row["kind"]))
    found: dict[str, Row] = {}
    for row in rows:
        if plain := _plain(row["text"]):
            found.setdefault(plain.casefold(), {"kind": row["kind"], "text": plain})
    return tuple(found.values())[:_MOST]


def read_context(path: Path) -> Mapping[str, tuple[Row, ...]]:
    """The texts by the samples' uid; several rows of one add up.

    Args:
        path: `.jsonl` or `.parquet`.

    Raises:
        InputError: the file is missing or malformed, or a row has no uid or no text; the sentence names it.
    """
    found: dict[str, tuple[Row, ...]] = {}
    for number, row in enumerate(side_rows(path, ("uid", *KINDS), "texts beside pictures"), start=1):
        place = f"the texts beside pictures '{path}', row {number}"
        uid = row.get("uid")
        if not isinstance(uid, str) or not uid:
            raise InputError(f"{place}: 'uid' must be the uid of a sample")
        texts = tuple({"kind": kind, "text": text} for kind in KINDS for text in _texts(row.get(kind)))
        if not texts:
            raise InputError(f"{place}: needs a text in one of the columns {', '.join(KINDS)}")
        found[uid] = (*found.get(uid, ()), *texts)
    if not found:
        raise InputError(f"the texts beside pictures '{path}' hold no row; give columns uid, {', '.join(KINDS)}")
    return found


def _texts(value: Any) -> list[str]:  # noqa: ANN401
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str) and text.strip()]


def _plain(text: str) -> str:
    """A text without the marks of a page, on one line."""
    return " ".join(_TAG.sub(" ", letters(text)).split())[:LONGEST]
