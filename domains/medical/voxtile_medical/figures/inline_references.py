"""Sentences of an article's text that cite its figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from voxtile.data.sentences import sentence_spans
from voxtile_medical.figures.jats_text import readable
from voxtile_medical.figures.panels import without_marks

_FIRST_MARK = 0xF0000  # supplementary private use: one character a figure, where a sentence cites it


def sentences_citing(article: Any, keys: Collection[str]) -> dict[str, list[str]]:  # noqa: ANN401 - lxml
    """Sentences of the body by the figure that they cite, each once, in their order.

    A reference counts by its link (`xref`), so that `Figs 1–3` cites those that it links to.

    Args:
        article: element `article`.
        keys: ids of figures and of groups of them.
    """
    marks = {key: chr(_FIRST_MARK + number) for number, key in enumerate(sorted(filter(None, keys)))}
    found: dict[str, list[str]] = {}
    if not marks:
        return found
    known = {mark: key for key, mark in marks.items()}
    for paragraph in _citing_paragraphs(article, marks):
        text, cited = _taken_out(without_marks(readable(paragraph, marks)), known)
        for start, end in sentence_spans(text):
            for key in dict.fromkeys(key for at, key in cited if start <= at < end):
                if text[start:end] not in found.setdefault(key, []):
                    found[key].append(text[start:end])
    return found


def _citing_paragraphs(article: Any, keys: Collection[str]) -> list[Any]:  # noqa: ANN401
    """Paragraphs of the body that cite one of the figures; captions and other articles within are none."""
    found: dict[Any, None] = {}
    for reference in article.iter("xref"):
        if not set(reference.get("rid", "").split()) & set(keys):
            continue
        above = list(reference.iterancestors())
        names = {node.tag for node in above}
        paragraph = next((node for node in above if node.tag == "p"), None)
        if paragraph is not None and names.isdisjoint(("caption", "sub-article", "response")):
            found[paragraph] = None
    return list(found)


def _taken_out(text: str, known: Mapping[str, str]) -> tuple[str, list[tuple[int, str]]]:
    """A text without its marks, and where each of them stood: they would hide an abbreviation such as `Fig.`."""
    plain: list[str] = []
    cited: list[tuple[int, str]] = []
    for character in text:
        if character in known:
            cited.append((len(plain), known[character]))
        else:
            plain.append(character)
    return "".join(plain), cited
