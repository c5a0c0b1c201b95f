"""What an article says of its figures, whatever format it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

FigureKind: TypeAlias = Literal[
    "figure", "supplementary", "table-image", "equation-image", "sub-article", "not-a-figure"
]


@dataclass(frozen=True)
class Graphic:
    """One picture of a figure.

    Attributes:
        names: of its file as the article has them, in the order of preference; several are the same picture.
        label: letter of the panel that it is; empty where nothing says so.
    """

    names: tuple[str, ...]
    label: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure, or another element of the article that holds pictures.

    Attributes:
        key: its id in the article; unique there.
        kind: `figure`, or why its pictures are none.
        label: as printed: `Figure 2`.
        caption: readable text; letters of panels in bold stand between the marks of `panels.BOLD`.
        above: caption of the group of figures that it belongs to.
        graphics: its pictures.
        mentions: sentences of the text that cite it.
        rights: what it says of its own permissions, where it says anything.
        language: of the caption, as a code of BCP 47.
    """

    key: str
    kind: FigureKind
    label: str = ""
    caption: str = ""
    above: str = ""
    graphics: tuple[Graphic, ...] = ()
    mentions: tuple[str, ...] = ()
    rights: str = ""
    language: str = ""


@dataclass(frozen=True)
class Article:
    """An article and its figures.

    Attributes:
        pmcid: `PMC` and digits; empty where the document has none.
        pmid, doi, title, journal, publisher, year, kind: as stated; `kind` is the article type of JATS.
        licence: text or address of the licence; empty where none is stated.
        retracted: what says that it was retracted; empty where nothing does.
        concern: an expression of concern was published.
        keywords, mesh: terms of its authors, and of MeSH.
        figures: in the order of the document.
    """

    pmcid: str
    figures: tuple[Figure, ...]
    pmid: str = ""
    doi: str = ""
    title: str = ""
    journal: str = ""
    publisher: str = ""
    year: str = ""
    kind: str = ""
    licence: str = ""
    retracted: str = ""
    concern: bool = False
    keywords: tuple[str, ...] = ()
    mesh: tuple[str, ...] = ()


class ArticleFault(Exception):
    """A document that cannot be read.

    Args:
        reason: short machine-readable name.
        detail: one sentence for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
