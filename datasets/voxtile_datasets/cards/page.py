"""A card as one HTML page that needs nothing else, and as Markdown with the header that dataset hubs read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import yaml
from jinja2 import Environment
from markupsafe import Markup

import voxtile
from voxtile.pages import page_environment
from voxtile.stages.inspect.formatting import bytes_text, shape_text, share_text
from voxtile.stages.inspect.previews import Preview
from voxtile.stages.inspect.summary import Concept
from voxtile_datasets.cards.card import Card

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_CELL_BREAKS = re.compile(r"[|\r\n]+")
# What Markdown or the HTML in it would take for markup, as entities, which both show as the character.
_MARKUP = {ord(sign): f"&#{ord(sign)};" for sign in "&<>[]`\\"}


def render_html(card: Card, croissant: Mapping[str, Any], previews: Sequence[Preview] = ()) -> str:
    """The page, with the Croissant description in it where search engines look for one.

    Args:
        card: its content.
        croissant: JSON-LD of the same corpus.
        previews: pictures to show.
    """
    embedded = json.dumps(croissant, ensure_ascii=False).replace("<", "\\u003c")  # text must not end the script
    return (
        _environment(escape=True)
        .get_template("card.html.j2")
        .render(**_values(card), previews=previews, croissant=Markup(embedded))
    )


def render_markdown(card: Card) -> str:
    """The card as Markdown; its header follows the dataset cards of Hugging Face."""
    header = yaml.safe_dump(_hub_header(card), sort_keys=False, allow_unicode=True)
    return _environment(escape=False).get_template("card.md.j2").render(**_values(card), header=header)


@cache
def _environment(*, escape: bool) -> Environment:
    environment = page_environment("voxtile_datasets.cards", escape=escape)
    environment.filters |= {
        "bytes": bytes_text,
        "share": share_text,
        "dollars": _dollars,
        "prevalence": _prevalence,
        "cell": _cell,
        "when": lambda text: text[:16].replace("T", " "),
    }
    environment.globals["shape"] = shape_text
    return environment


def _values(card: Card) -> dict[str, Any]:
    summary = card.summary
    return {
        "card": card,
        "s": summary,
        "concepts": card.concepts,
        "schemes": sorted({split.scheme for split in summary.splits}),
        "total_bytes": sum(summary.sizes.values()),
        "version": voxtile.__version__,
    }


def _cell(value: object) -> str:
    """A text of the corpus for a Markdown page: in one line, and shown as it is written."""
    return _CELL_BREAKS.sub(" ", str(value)).translate(_MARKUP)


def _prevalence(concept: Concept) -> str:
    """Share of the present among the known; where only presence is ever stated, there is no share."""
    return share_text(concept.prevalence) if concept.absent or concept.implied else "presence only"


def _dollars(value: float) -> str:
    if not value:
        return "–"
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"


def _hub_header(card: Card) -> dict[str, Any]:
    """Fields of Hugging Face's dataset card metadata; a licence that its list lacks is `other` with its name."""
    known = {licence.spdx for licence, _ in card.licence.counts}
    single = known.pop() if len(known) == 1 else None
    licence: dict[str, Any] = {"license": single.lower()} if single and " " not in single else {"license": "other"}
    if licence["license"] == "other":
        licence["license_name"] = re.sub(r"[^a-z0-9]+", "-", card.licence.headline.lower()).strip("-")
    size = next((name for limit, name in _SIZES if card.summary.samples < limit), "n>10M")
    header: dict[str, Any] = {"pretty_name": card.about.name, **licence}
    spoken = [tag for tag, _ in card.languages if tag]
    if spoken:
        header["language"] = spoken
    tags = ["voxtile", "webdataset", "croissant", *(name.lower() for name, _ in card.modalities)]
    return header | {"size_categories": [size], "tags": tags}
