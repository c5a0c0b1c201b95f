"""The document of an invented article, in JATS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from voxtile_medical.figures.samples import PHANTOM

_LICENCE_WORDS = "This is an open access article; see the list of files for its licence."
BY = "https://creativecommons.org/licenses/by/4.0/"
NC = "https://creativecommons.org/licenses/by-nc/4.0/"


@dataclass(frozen=True)
class Document:
    """What an article says; texts that hold markup are XML.

    Attributes:
        pmcid: PMC and digits.
        title: of the article.
        body: paragraphs, figures and tables.
        licence: address; empty for words alone, None for no permissions at all.
        kind: article type.
        related: type of a related article.
        keywords, mesh: terms.
        after: what follows the body: other articles, floating figures.
        head: before the root element: a document type.
        language: of the article.
    """

    pmcid: str
    title: str
    body: str
    licence: str | None = BY
    kind: str = "research-article"
    related: str = ""
    keywords: Sequence[str] = ()
    mesh: Sequence[str] = ()
    after: str = ""
    head: str = ""
    language: str = "en"

    def to_xml(self) -> bytes:
        """The document, UTF-8."""
        digits = self.pmcid.removeprefix("PMC")
        groups = [("author", self.keywords), ("MeSH", self.mesh)]
        keywords = "".join(
            f'<kwd-group kwd-group-type="{name}">{"".join(f"<kwd>{escape(word)}</kwd>" for word in words)}</kwd-group>'
            for name, words in groups
            if words
        )
        related = (
            f'<related-article related-article-type="{self.related}" id="r1" ext-link-type="pmc" xlink:href="PMC1"/>'
            if self.related
            else ""
        )
        return f"""<?xml version="1.0" encoding="UTF-8"?>
{self.head}<article xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:mml="http://www.w3.org/1998/Math/MathML"
 article-type="{self.kind}" xml:lang="{self.language}"><front><journal-meta><journal-title-group>
<journal-title>Journal of Invented Imaging</journal-title></journal-title-group><publisher>
<publisher-name>{PHANTOM}</publisher-name></publisher></journal-meta><article-meta>
<article-id pub-id-type="pmid">3{digits}</article-id><article-id pub-id-type="pmc">{digits}</article-id>
<article-id pub-id-type="doi">10.5555/invented.{digits}</article-id><title-group><article-title>{escape(self.title)}
</article-title></title-group><pub-date pub-type="epub"><year>2024</year></pub-date>{self._permissions()}{related}
{keywords}</article-meta></front><body><sec><title>Results</title>{self.body}</sec></body>{self.after}</article>
""".encode()

    def _permissions(self) -> str:
        if self.licence is None:
            return ""
        address = f" xlink:href={quoteattr(self.licence)}" if self.licence else ""
        words = f"<license{address}><license-p>{_LICENCE_WORDS}</license-p></license>"
        return f"<permissions><copyright-statement>© 2024 Nobody</copyright-statement>{words}</permissions>"


def fig(key: str, label: str, caption: str, graphics: str, extra: str = "") -> str:
    """Element `fig`; the caption is XML, or empty for none."""
    held = f"<caption>{caption}</caption>" if caption else ""
    return f'<fig id="{key}" position="float"><label>{label}</label>{held}{extra}{graphics}</fig>'


def graphic(name: str, label: str = "") -> str:
    """Element `graphic`."""
    return f'<graphic xlink:href="{name}">{f"<label>{label}</label>" if label else ""}</graphic>'


def cite(key: str, words: str) -> str:
    """A reference to a figure."""
    return f'<xref ref-type="fig" rid="{key}">{words}</xref>'
