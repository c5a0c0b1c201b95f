"""Articles in BioC, XML or JSON, as the BioC service of PubMed Central gives them.

Format: https://bioc.sourceforge.net; names of the infons as the service writes them
(https://www.ncbi.nlm.nih.gov/research/bionlp/APIs/BioC-PMC/). BioC has no licence of its own in older files; where an
infon `license` stands, it counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.data.sentences import sentence_spans
from voxtile_medical.figures.article import Article, ArticleFault, Figure, Graphic
from voxtile_medical.figures.jats_text import local_name

_CAPTIONS = frozenset(["fig_caption", "fig_title_caption", "fig", "fig_footnote", "fig_footnote_caption"])
_NUMBER = re.compile(r"\bFig(?:ure|s|ures)?\b\.?\s*(S?\d+)", re.IGNORECASE)
_RETRACTED = re.compile(r"^\W*(?:retract(?:ed|ion)|withdrawn)\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Passage:
    infons: Mapping[str, str]
    text: str


def is_bioc(root: Any) -> bool:  # noqa: ANN401 - lxml's elements have no public type
    """The document is a BioC collection."""
    return local_name(root) == "collection"


def read_bioc_xml(root: Any) -> Article:  # noqa: ANN401
    """The first article of a collection in XML."""
    document = next(root.iter("document"), None)
    if document is None:
        raise ArticleFault("not-an-article", "the BioC collection holds no document; take it from the service again")
    passages = [
        _Passage({n.get("key", ""): n.text or "" for n in node.findall("infon")}, node.findtext("text") or "")
        for node in document.findall("passage")
    ]
    return _article(document.findtext("id") or "", passages)


def read_bioc_json(data: bytes) -> Article | None:
    """The first article of a collection in JSON; None where the JSON is something else.

    Raises:
        ArticleFault: `not-xml`: it is no JSON within bounds.
    """
    try:
        found: Any = load_json(data)
    except (ValueError, json.JSONDecodeError) as error:
        raise ArticleFault("not-xml", "the article is no JSON that can be read; copy it again") from error
    collection = found[0] if isinstance(found, list) and found else found
    documents = collection.get("documents") if isinstance(collection, dict) else None
    if not isinstance(documents, list) or not documents or not isinstance(documents[0], dict):
        return None
    listed = documents[0].get("passages")
    passages = [
        _Passage({str(k): str(v) for k, v in (passage.get("infons") or {}).items()}, str(passage.get("text") or ""))
        for passage in (listed if isinstance(listed, list) else ())
        if isinstance(passage, dict) and isinstance(passage.get("infons") or {}, dict)
    ]
    return _article(str(documents[0].get("id") or ""), passages)


def _article(name: str, passages: Sequence[_Passage]) -> Article:
    first: dict[str, str] = {}
    for passage in passages:
        first = {**passage.infons, **first}
    title = next((" ".join(p.text.split()) for p in passages if p.infons.get("section_type") == "TITLE"), "")
    digits = re.search(r"\d+", first.get("article-id_pmc", "") or name)
    return Article(
        pmcid=f"PMC{digits[0]}" if digits else "",
        figures=tuple(_figures(passages)),
        pmid=first.get("article-id_pmid", ""),
        doi=first.get("article-id_doi", ""),
        title=title,
        year=first.get("year", ""),
        licence=first.get("license", ""),
        retracted="its title says so" if _RETRACTED.match(title) else "",
        keywords=tuple(filter(None, (word.strip() for word in re.split(r"[;\n]", first.get("kwd", ""))))),
    )


def _figures(passages: Sequence[_Passage]) -> list[Figure]:
    texts: dict[str, list[str]] = {}
    files: dict[str, str] = {}
    for passage in passages:
        if passage.infons.get("type") in _CAPTIONS or passage.infons.get("section_type") == "FIG":
            key = passage.infons.get("id") or passage.infons.get("file") or ""
            if key:
                texts.setdefault(key, []).append(" ".join(passage.text.split()))
                files.setdefault(key, passage.infons.get("file", ""))
    bodies = [p for p in passages if p.infons.get("section_type") not in ("FIG", "REF", "TABLE", "TITLE")]
    figures = []
    for key, parts in texts.items():
        digits = re.search(r"(\d+)\D*$", key)
        number = (digits[1].lstrip("0") or "0") if digits else ""
        graphics = (Graphic((files[key],)),) if files[key] else ()
        caption = " ".join(filter(None, parts))
        figures.append(Figure(key, "figure", "", caption, graphics=graphics, mentions=_citing(bodies, number)))
    return figures


def _citing(bodies: Sequence[_Passage], number: str) -> tuple[str, ...]:
    """Sentences that name a figure by the number of its id: BioC has no links."""
    found: dict[str, None] = {}
    for passage in bodies:
        text = " ".join(passage.text.split())
        if number and "ig" in text:
            for start, end in sentence_spans(text):
                if number in _NUMBER.findall(text[start:end]):
                    found[text[start:end]] = None
    return tuple(found)
