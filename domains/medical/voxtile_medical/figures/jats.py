"""Articles in JATS (nXML), as PubMed Central packs them, with their figures.

Tags: JATS Archiving and Interchange 1.3, https://jats.nlm.nih.gov/archiving/tag-library/1.3/; how PubMed Central uses
them: https://www.ncbi.nlm.nih.gov/pmc/pmcdoc/tagging-guidelines/article/style.html. XML from outside is read without
its DTD, without the network, and refused where it brings entities of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lxml import etree

from voxtile_medical.figures.article import Article, ArticleFault, Figure, FigureKind, Graphic
from voxtile_medical.figures.inline_references import sentences_citing
from voxtile_medical.figures.jats_text import caption_text, local_name, readable
from voxtile_medical.figures.panels import letters_of, without_marks

HREF = "{http://www.w3.org/1999/xlink}href"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_LICENCE_REF = "{http://www.niso.org/schemas/ali/1.0/}license_ref"
_OWNERS: dict[str, FigureKind] = {
    "table-wrap": "table-image",
    "disp-formula": "equation-image",
    "inline-formula": "equation-image",
    "chem-struct-wrap": "equation-image",
    "supplementary-material": "supplementary",
    "sub-article": "sub-article",
    "response": "sub-article",
}
_RETRACTIONS = frozenset(
    [
        "retraction",
        "retracted",
        "retraction-forward",
        "retracted-article-forward",
        "partial-retraction",
        "partial-retraction-forward",
        "removed-article",
        "removal",
        "withdrawal",
    ]
)
_RETRACTED_KINDS = frozenset(["retraction", "retracted-article", "partial-retraction", "removal", "withdrawal"])
_RETRACTED_TITLE = re.compile(r"^\W*(?:retract(?:ed|ion)|withdrawn)\b", re.IGNORECASE)
_CONCERN = frozenset(["expression-of-concern", "object-of-concern", "concern-forward"])
_PANEL_LABEL = re.compile(r"(?:^|[\s\d(.\-])\(?([A-Za-z])\)?[.:]?$")


def is_jats(root: Any) -> bool:  # noqa: ANN401 - lxml's elements have no public type
    """The document is an article in JATS, or a response of a service that holds one."""
    return local_name(root) == "article" or next(root.iter("article"), None) is not None


def parse_xml(data: bytes) -> Any:  # noqa: ANN401
    """The root of an XML document from outside.

    Raises:
        ArticleFault: `not-xml`, or `entities`.
    """
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f" at line {line}" if line else ""
        raise ArticleFault("not-xml", f"the article is no well-formed XML{where}; copy the package again") from error
    if next(root.iter(etree.Entity), None) is not None:
        raise ArticleFault("entities", "the article defines entities of its own, which are not read; resolve them")
    return root


def read_jats(root: Any) -> Article:  # noqa: ANN401
    """What a document says of itself and its figures.

    Args:
        root: of the document.
    """
    article = root if local_name(root) == "article" else next(root.iter("article"))
    meta = article.find("front/article-meta")
    ids = {node.get("pub-id-type", ""): readable(node) for node in _each(meta, "article-id")}
    title = readable(_first(meta, "title-group/article-title"))
    kind = article.get("article-type", "")
    related = {node.get("related-article-type", "") for node in article.iter("related-article")}
    return Article(
        pmcid=_pmcid(ids.get("pmc") or ids.get("pmcid") or ids.get("pmc-uid") or ""),
        pmid=ids.get("pmid", ""),
        doi=ids.get("doi", ""),
        title=title,
        journal=readable(article.find("front/journal-meta//journal-title")),
        publisher=readable(article.find("front/journal-meta/publisher/publisher-name")),
        year=min((readable(node) for node in _each(meta, "pub-date/year")), default=""),
        kind=kind,
        licence=licence_text(_first(meta, "permissions")),
        retracted=_retraction(kind, related, title),
        concern=bool(related & _CONCERN) or kind == "expression-of-concern",
        keywords=tuple(readable(kwd) for group in _keyword_groups(meta, mesh=False) for kwd in group.iter("kwd")),
        mesh=tuple(readable(kwd) for group in _keyword_groups(meta, mesh=True) for kwd in group.iter("kwd")),
        figures=tuple(_figures(article)),
    )


def licence_text(permissions: Any) -> str:  # noqa: ANN401
    """The address of a licence where there is one, else its words; empty where nothing is stated."""
    if permissions is None:
        return ""
    addresses = [" ".join("".join(node.itertext()).split()) for node in permissions.iter(_LICENCE_REF)]
    licences = list(permissions.iter("license"))
    addresses += [node.get(HREF, "") for node in licences]
    addresses += [link.get(HREF, "") for node in licences for link in node.iter("ext-link", "uri")]
    found = next((text for text in addresses if "creativecommons.org" in text), "")
    words = [readable(node) or node.get("license-type", "") for node in licences]
    return found or next((text for text in words if text), "")


def _retraction(kind: str, related: set[str], title: str) -> str:
    if kind in _RETRACTED_KINDS:
        return f"its type is '{kind}'"
    if found := sorted(related & _RETRACTIONS):
        return f"it has a related article of the type '{found[0]}'"
    return "its title says so" if _RETRACTED_TITLE.match(title) else ""


def _keyword_groups(meta: Any, *, mesh: bool) -> Iterator[Any]:  # noqa: ANN401
    for group in _each(meta, "kwd-group"):
        named = " ".join([group.get("kwd-group-type", ""), group.get("vocab", ""), readable(group.find("title"))])
        if ("mesh" in named.lower()) == mesh:
            yield group


def _figures(article: Any) -> Iterator[Figure]:  # noqa: ANN401
    """Figures, then the other elements that hold pictures, each once, in the order of the document."""
    keys: set[str] = set()
    handled: set[Any] = set()
    figures = list(article.iter("fig"))
    mentions = sentences_citing(article, {fig.get("id", "") for fig in figures} | _group_ids(article))
    for element in article.iter("fig", "fig-group", "graphic"):
        if element in handled:
            continue
        if element.tag == "fig-group":
            figure = _grouped_captions(element, mentions)
            if figure is None:
                continue
            handled.update(element.iter("fig", "graphic"))
        elif element.tag == "fig":
            figure = _figure(element, mentions)
            handled.update(element.iter("graphic"))
        else:
            if any(parent in handled for parent in element.iterancestors("alternatives")):
                continue
            handled.update(element.iterancestors("alternatives"))
            kind = _kind(element) or "not-a-figure"
            figure = Figure(_own_id(element), kind, graphics=(Graphic(_names([element])),))
        key, number = figure.key or f"{figure.kind}-{len(keys) + 1}", 1
        while (own := key if number == 1 else f"{key}-{number}") in keys:
            number += 1
        keys.add(own)
        yield _with_key(figure, own)


def _figure(fig: Any, mentions: dict[str, list[str]]) -> Figure:  # noqa: ANN401
    group = next(fig.iterancestors("fig-group"), None)
    key = fig.get("id", "")
    above = caption_text(group.find("caption")) if group is not None else ""
    cited = list(mentions.get(key, ()))
    cited += [text for text in mentions.get(group.get("id", ""), ()) if text not in cited] if group is not None else []
    caption = fig.find("caption")
    around = [*(caption.iter() if caption is not None else ()), *_upwards(fig)]
    return Figure(
        key,
        _kind(fig) or "figure",
        label=readable(fig.find("label")),
        caption=caption_text(caption),
        above=above,
        graphics=tuple(_graphics(fig)),
        mentions=tuple(cited),
        rights=_rights(fig),
        language=next((code for node in around if (code := node.get(_LANGUAGE))), ""),
    )


def _grouped_captions(group: Any, mentions: dict[str, list[str]]) -> Figure | None:  # noqa: ANN401
    """A group whose picture is of all its figures, which have captions alone: one figure with panels."""
    own = [node for node in group.iter("graphic") if next(node.iterancestors("fig"), None) is None]
    figs = list(group.iter("fig"))
    if not own or any(next(fig.iter("graphic"), None) is not None for fig in figs):
        return None
    whole = _figure(group, mentions)
    parts = [" ".join(filter(None, (readable(fig.find("label")), caption_text(fig.find("caption"))))) for fig in figs]
    cited = [text for fig in figs for text in mentions.get(fig.get("id", ""), ())]
    return Figure(
        whole.key,
        whole.kind,
        whole.label,
        " ".join(filter(None, (whole.caption, *parts))),
        graphics=tuple(_graphics(group)),
        mentions=tuple(dict.fromkeys([*whole.mentions, *cited])),
        rights=whole.rights,
        language=whole.language,
    )


def _graphics(fig: Any) -> Iterator[Graphic]:  # noqa: ANN401
    done: set[Any] = set()
    for node in fig.iter("graphic"):
        if node in done or any(_kind_of(parent) == "equation-image" for parent in node.iterancestors()):
            continue
        together = next(node.iterancestors("alternatives"), None)
        same = [node] if together is None else list(together.iter("graphic"))
        done.update(same)
        yield Graphic(_names(same), panel_letter(readable(node.find("label")) or readable(node.find("caption/title"))))


def panel_letter(label: str) -> str:
    """`A` of `(A)` or `Figure 2A`; empty where a label ends in no single letter."""
    found = _PANEL_LABEL.search(without_marks(label).strip())
    return letters_of(found[1])[0] if found else ""


def _names(nodes: list[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for node in nodes if (name := node.get(HREF, "").strip())))


def _rights(fig: Any) -> str:  # noqa: ANN401
    permissions = fig.find("permissions")
    if permissions is None:
        return ""
    return licence_text(permissions) or readable(permissions) or "stated without words"


def _kind(element: Any) -> FigureKind | None:  # noqa: ANN401
    """What an element inside of which it stands makes of it; the outermost of articles, else the nearest."""
    kinds = [kind for parent in _upwards(element) if (kind := _kind_of(parent)) is not None]
    return "sub-article" if "sub-article" in kinds else kinds[0] if kinds else None


def _kind_of(element: Any) -> FigureKind | None:  # noqa: ANN401
    if element.tag == "sec" and "supplementary" in element.get("sec-type", ""):
        return "supplementary"
    return _OWNERS.get(local_name(element))


def _upwards(element: Any) -> Iterator[Any]:  # noqa: ANN401
    yield element
    yield from element.iterancestors()


def _group_ids(article: Any) -> set[str]:  # noqa: ANN401
    return {group.get("id", "") for group in article.iter("fig-group")}


def _own_id(element: Any) -> str:  # noqa: ANN401
    return next((key for node in _upwards(element) if local_name(node) != "article" and (key := node.get("id"))), "")


def _with_key(figure: Figure, key: str) -> Figure:
    return replace(figure, key=key)


def _first(element: Any, path: str) -> Any:  # noqa: ANN401
    return None if element is None else element.find(path)


def _each(element: Any, path: str) -> list[Any]:  # noqa: ANN401
    return [] if element is None else element.findall(path)


def _pmcid(text: str) -> str:
    digits = re.search(r"\d+", text)
    return f"PMC{digits[0]}" if digits else ""
