"""Figures of an article that there is as a PDF alone: pictures that stand just above their captions.

A PDF does not say what belongs together. A caption is a paragraph that begins with `Figure 1` or `Fig. 1`, in one size
of letters; its picture is the only one above it, and what stands beside that has a caption of its own. Where that is
not so the figure is left out. Drawings made of lines, as plots are, are no pictures.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from voxtile.corpus.shards.codecs import MAX_PICTURE_PIXELS
from voxtile_medical.figures.article import Article, ArticleFault, Figure, Graphic

_MOST_PAGES = 500
_MOST_PICTURES = 40  # a page; a scan in strips or a page of icons has more, and none of them is a figure
_SMALLEST_SHARE = 0.01  # of the area of the page
_CAPTION = re.compile(r"\s*((?i:fig(?:ure|\.)?)\s*(S?\d+))\s*(?:[.:|]|\s(?=[A-Z(]))\s*")
_GAP, _CHANGE = 0.9, 0.35  # of a line's height: the largest gap to the next line, and change of the letters' height
_REACH = 0.12  # of the page's height between a picture and its caption
_OVERLAP = 0.5  # of the narrower of both, above each other
_TOUCHES = 0.1
_NAME = "page-{page}-{number}.png"


@dataclass(frozen=True)
class _Box:
    """In points of the page, from its lower left corner."""

    left: float
    bottom: float
    right: float
    top: float

    def beside(self, other: _Box) -> float:
        """Share of the narrower one over which both stand in one column."""
        shared = min(self.right, other.right) - max(self.left, other.left)
        return shared / max(min(self.right - self.left, other.right - other.left), 1e-6)


@dataclass(frozen=True)
class _Line:
    text: str
    box: _Box

    @property
    def height(self) -> float:
        return self.box.top - self.box.bottom


@dataclass(frozen=True)
class _Caption:
    key: str
    label: str
    text: str
    box: _Box


def read_pdf(data: bytes) -> tuple[Article, dict[str, bytes]]:
    """Figures with captions, and the pictures as PNG by the names that the figures have for them.

    Raises:
        ArticleFault: `not-a-pdf`, `encrypted` or `too-large`.
        ImportError: pypdfium2 is not installed.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        detail = "it is encrypted; save it without its password" if locked else "the file is no PDF that can be read"
        raise ArticleFault("encrypted" if locked else "not-a-pdf", detail) from error
    found: dict[str, list[Figure]] = {}
    pictures: dict[str, bytes] = {}
    try:
        if len(document) > _MOST_PAGES:
            raise ArticleFault("too-large", f"it has {len(document)} pages, more than the {_MOST_PAGES} of an article")
        title = " ".join(document.get_metadata_dict().get("Title", "").split())
        for number in range(len(document)):
            for figure, own in _page(document[number], number + 1):
                found.setdefault(figure.key, []).append(figure)
                pictures.update(own)
    except pypdfium2.PdfiumError as error:
        raise ArticleFault("not-a-pdf", "a page of the PDF is damaged; copy it again") from error
    finally:
        document.close()
    return Article(pmcid="", figures=tuple(map(_one, found.values())), title=title), pictures


def _one(figures: list[Figure]) -> Figure:
    """The figure of a number: a sentence of the text may begin like a caption, and has no picture above it."""
    shown = [figure for figure in figures if figure.graphics]
    return shown[0] if len(shown) == 1 else replace(figures[0], graphics=())


def _page(page: Any, number: int) -> Iterator[tuple[Figure, dict[str, bytes]]]:  # noqa: ANN401 - pypdfium2 has no types
    captions = list(_captions(_lines(page.get_textpage())))
    if not captions:
        return
    images = _images(page)
    reach = _REACH * page.get_height()
    owners = {
        index: [caption.key for caption in captions if _is_above(box, caption.box, reach) >= _OVERLAP]
        for index, (box, _) in enumerate(images)
    }
    for caption in captions:
        graphics: tuple[Graphic, ...] = ()
        own: dict[str, bytes] = {}
        near = [index for index, (box, _) in enumerate(images) if _is_near(box, caption.box, reach)]
        mine = [index for index in near if caption.key in owners[index]]
        # A picture beside it that has no caption of its own may be another panel of the figure.
        if (
            len(mine) == 1
            and all(len(owners[index]) == 1 for index in near)
            and not any(images[index][0].beside(caption.box) > _TOUCHES for index in near if index not in mine)
        ):
            name = _NAME.format(page=number, number=mine[0] + 1)
            own[name] = _png(images[mine[0]][1])
            graphics = (Graphic((name,)),)
        yield Figure(caption.key, "figure", caption.label, caption.text, graphics=graphics), own


def _is_near(picture: _Box, caption: _Box, reach: float) -> bool:
    """It ends just above the caption, in whatever column."""
    return -0.2 * reach <= picture.bottom - caption.top <= reach


def _is_above(picture: _Box, caption: _Box, reach: float) -> float:
    """Share of the narrower of both over which a picture that ends just above the caption stands in its column."""
    return picture.beside(caption) if _is_near(picture, caption, reach) else 0.0


def _images(page: Any) -> list[tuple[_Box, Any]]:  # noqa: ANN401
    """Pictures of a page that are large enough, from the top down."""
    import pypdfium2.raw

    area = page.get_width() * page.get_height()
    found: list[tuple[_Box, Any]] = []
    for image in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        box = _Box(*image.get_bounds())
        width, height = image.get_px_size()
        if width * height > MAX_PICTURE_PIXELS:
            continue
        if (box.right - box.left) * (box.top - box.bottom) >= _SMALLEST_SHARE * area:
            found.append((box, image))
    return sorted(found, key=lambda one: -one[0].top) if len(found) <= _MOST_PICTURES else []


def _png(image: Any) -> bytes:  # noqa: ANN401
    out = io.BytesIO()
    picture = image.get_bitmap(render=False).to_pil()
    picture.convert("L" if picture.mode in ("1", "L") else "RGB").save(out, "PNG", compress_level=1)
    return out.getvalue()


def _lines(text: Any) -> list[_Line]:  # noqa: ANN401
    """Lines of a page's text in its reading order."""
    lines: list[_Line] = []
    at = 0
    for line in text.get_text_range().split("\n"):
        places = [at + index for index, character in enumerate(line) if not character.isspace()]
        at += len(line) + 1
        if places:
            boxes = [text.get_charbox(place) for place in places if place < text.count_chars()]
            left, bottom, right, top = (zip(*boxes, strict=True)) if boxes else ((0.0,),) * 4
            lines.append(_Line(" ".join(line.split()), _Box(min(left), min(bottom), max(right), max(top))))
    return lines


def _captions(lines: list[_Line]) -> Iterator[_Caption]:
    index = 0
    while index < len(lines):
        first = lines[index]
        index += 1
        if (begin := _CAPTION.match(first.text)) is None:
            continue
        held = [first]
        while index < len(lines) and _goes_on(held, lines[index]):
            held.append(lines[index])
            index += 1
        text = " ".join([first.text[begin.end() :], *(line.text for line in held[1:])]).strip()
        edges = [line.box for line in held]
        box = _Box(min(e.left for e in edges), edges[-1].bottom, max(e.right for e in edges), max(e.top for e in edges))
        yield _Caption(
            f"F{begin[2].upper()}", " ".join(begin[1].split()), re.sub(r"(?<=[a-z])- (?=[a-z])", "", text), box
        )


def _goes_on(held: list[_Line], line: _Line) -> bool:
    """The line belongs to the caption: below its last one, in its column and of its size, and no other caption."""
    last, usual = held[-1], max(one.height for one in held)
    gap = last.box.bottom - line.box.top
    return (
        _CAPTION.match(line.text) is None
        and -0.5 * usual < gap < _GAP * usual
        and abs(line.height - usual) <= _CHANGE * usual
        and line.box.beside(held[0].box) >= _OVERLAP
    )
