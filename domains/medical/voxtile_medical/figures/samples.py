"""From the figures of an article to pictures with their captions, and why others are left out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from voxtile.corpus.identity import printable
from voxtile.corpus.schema import SYNTHETIC
from voxtile.stages.ingest.picture import Picture, PictureError
from voxtile_medical.figures.article import Article, ArticleFault, Figure
from voxtile_medical.figures.article_files import ArticleFiles
from voxtile_medical.figures.jats import panel_letter
from voxtile_medical.figures.licences import ANY, licence_code
from voxtile_medical.figures.panels import Parts, take_apart, without_marks
from voxtile_medical.figures.picture_files import FileNames, panel_letters, read_figure

PHANTOM = "voxtile phantom"
"""Publisher of invented articles."""

# Words by which a caption says that others hold the rights to the picture; a patient's permission is none of rights.
_THIRD_PARTY = re.compile(
    r"\b(?:reproduced|reprinted|republished|adapted|modified|used|taken)\b.{0,120}?\b(?:with|by)\s+(?:the\s+|kind\s+)*"
    r"permissions?\b(?!\s+(?:of|from)\s+(?:the\s+|his\s+|her\s+)?(?:patient|parent|famil|guardian|participant|subject))",
    re.IGNORECASE,
)
_WHY = {
    "supplementary": "it is supplementary material",
    "table-image": "it is the picture of a table",
    "equation-image": "it is the picture of a formula",
    "sub-article": "it is of a review, a reply or a translation within the article",
    "not-a-figure": "it is a picture outside of any figure",
}


@dataclass(frozen=True)
class FigureRules:
    """What of an article is wanted.

    Attributes:
        allowed: names of licences.
        smallest: pixels of the shorter side.
        refusal, detail: reason and sentence of an article of which nothing is wanted; empty for others.
    """

    allowed: tuple[str, ...]
    smallest: int
    refusal: str = ""
    detail: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A picture, or a figure without one, that gives no sample."""

    key: str
    status: Literal["dropped", "failed"]
    reason: str
    detail: str


@dataclass(frozen=True)
class FoundFigure:
    """A picture with its caption.

    Attributes:
        key: of the figure, and of the picture in it where it has several.
        figure: that it is of.
        picture: ready to be stored.
        sha256: of its file.
        file: its name in the package.
        text: the caption of the picture.
        panel: its letter; empty where it is the whole figure, or nothing says.
        parts: the caption of the figure, taken apart.
        pictures: how many the figure has.
    """

    key: str
    figure: Figure
    picture: Picture
    sha256: str
    file: str
    text: str
    panel: str
    parts: Parts
    pictures: int

    def attributes(self, article: Article, citation: str) -> str:
        """What is known of the figure and its article, as JSON."""
        whole = self.pictures == 1 and not self.panel
        panels = [{"labels": list(panel.labels), "text": panel.text} for panel in self.parts.panels]
        known: dict[str, Any] = {
            "figure": self.key,
            "label": self.figure.label,
            "file": printable(self.file),
            "panel": self.panel,
            "panels": panels if whole else [],
            "title": article.title,
            "journal": article.journal,
            "year": article.year,
            "doi": article.doi,
            "pmid": article.pmid,
            "article_type": article.kind,
            "keywords": list(article.keywords),
            "mesh": list(article.mesh),
            "citation": citation,
            "expression_of_concern": article.concern,
            SYNTHETIC: article.publisher if article.publisher == PHANTOM else "",
        }
        return json.dumps({name: value for name, value in known.items() if value}, ensure_ascii=False, sort_keys=True)


def read_figures(article: Article, files: ArticleFiles, rules: FigureRules) -> Iterator[FoundFigure | LeftOut]:
    """The pictures of an article in its order.

    Args:
        article: the article.
        files: its package or folder.
        rules: what is wanted.
    """
    names = FileNames(files.names)
    for figure in article.figures:
        refused = (rules.refusal, rules.detail) if rules.refusal else _refusal(figure, rules.allowed)
        if refused is not None:
            yield LeftOut(figure.key, "dropped", *refused)
        else:
            yield from _pictures(figure, files, names, rules)


def _refusal(figure: Figure, allowed: tuple[str, ...]) -> tuple[str, str] | None:
    if figure.kind != "figure":
        return figure.kind, _WHY[figure.kind]
    if not without_marks(figure.caption).strip() and not without_marks(figure.above).strip():
        return "no-caption", "the figure has no caption"
    if ANY not in allowed:
        if figure.rights and licence_code(figure.rights) not in allowed:
            return "third-party", f"the figure has permissions of its own: '{figure.rights[:120]}'"
        if found := _THIRD_PARTY.search(f"{figure.above} {figure.caption}"):
            return "third-party", f"the caption says '{found[0][:120]}'"
    if not figure.graphics:
        return "no-picture", "the figure names no picture: a video, or text alone"
    return None


def _pictures(
    figure: Figure, files: ArticleFiles, names: FileNames, rules: FigureRules
) -> Iterator[FoundFigure | LeftOut]:
    found = {number: names.find(graphic.names) for number, graphic in enumerate(figure.graphics)}
    letters = _letters(figure, {number: name for number, name in found.items() if name is not None})
    parts = take_apart(figure.caption or figure.above)
    for number, graphic in enumerate(figure.graphics):
        letter = letters.get(number, "")
        key = figure.key if len(found) == 1 else f"{figure.key}/{letter or number + 1}"
        name = found[number]
        if name is None:
            called = ", ".join(f"'{printable(own)[:100]}'" for own in graphic.names) or "a picture without a name"
            yield LeftOut(key, "dropped", "missing-file", f"the package does not hold {called}")
            continue
        try:
            data = files.picture(name)
            picture = read_figure(data, rules.smallest)
        except (PictureError, ArticleFault) as error:
            detail = error.detail if isinstance(error, ArticleFault) else str(error)
            status: Literal["dropped", "failed"] = "dropped" if error.reason == "too-small" else "failed"
            yield LeftOut(key, status, error.reason, f"'{printable(name)}': {detail}")
            continue
        digest = hashlib.sha256(data).hexdigest()
        text = _text(figure, parts, letter)
        yield FoundFigure(key, figure, picture, digest, name, text, letter, parts, len(found))


def _letters(figure: Figure, names: dict[int, str]) -> dict[int, str]:
    """Number of a picture → letter of the panel that it is, where the document or the names of the files say so."""
    if len(figure.graphics) == 1:
        letter = panel_letter(figure.label) if figure.above or not _is_numbered(figure.label) else ""
        return {0: letter} if letter else {}
    labelled = {number: graphic.label for number, graphic in enumerate(figure.graphics) if graphic.label}
    if len(labelled) == len(figure.graphics) == len(set(labelled.values())):
        return labelled
    if len(names) < len(figure.graphics):
        return {}
    return panel_letters(names, take_apart(figure.caption or figure.above).labels)


def _is_numbered(label: str) -> bool:
    return re.search(r"\d", label) is not None


def _text(figure: Figure, parts: Parts, letter: str) -> str:
    """The caption of one picture: of a panel its own part, where the caption comes apart there; else all of it."""
    above = without_marks(figure.above).strip()
    own = without_marks(figure.caption).strip()
    if letter and len(figure.graphics) > 1 and (part := parts.of(letter)):
        return " ".join(filter(None, (above if own else "", part)))
    if letter and not own and (part := parts.of(letter)):
        return part
    return " ".join(filter(None, (above, own)))
