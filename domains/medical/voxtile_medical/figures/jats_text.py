"""Elements of JATS as readable text: formulae, raised and lowered characters, letters of panels in bold.

Tags: JATS Archiving and Interchange 1.3, https://jats.nlm.nih.gov/archiving/tag-library/1.3/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lxml import etree

from voxtile_medical.figures.formulae import UNREADABLE, lowered, mathml_text, raised, tex_text
from voxtile_medical.figures.panels import BOLD, is_panel_letters

_MATHML = "{http://www.w3.org/1998/Math/MathML}math"
# Elements that a line of text does not continue through.
_BLOCKS = frozenset(
    ["p", "title", "break", "list", "list-item", "def-list", "def-item", "disp-quote", "sec", "caption", "label"]
) | {"subtitle", "verse-group", "disp-formula", "disp-formula-group", "statement", "boxed-text"}
# What stands inside a text and is none of it; the text of pictures is read with their own element.
_LEFT_OUT = frozenset(
    ["fig", "fig-group", "table-wrap", "table-wrap-group", "graphic", "media", "supplementary-material", "alt-text"]
) | {"long-desc", "object-id", "permissions", "fn", "private-char"}
_FORMULAE = frozenset(["inline-formula", "disp-formula", "tex-math", _MATHML])
_ENDED = re.compile(r"[.!?:;,…。؟۔！？：]\W*$")


def local_name(element: Any) -> str:  # noqa: ANN401 - lxml's elements have no public type
    """The tag without its namespace; empty for comments and processing instructions."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def readable(element: Any, marks: Mapping[str, str] | None = None) -> str:  # noqa: ANN401
    """The text of an element in one line.

    Args:
        element: of JATS; None gives an empty text.
        marks: id of a figure → character that is put before a reference to it.
    """
    if element is None:
        return ""
    found: list[str] = []
    _collect(element, found, marks or {})
    return " ".join("".join(found).split())


def caption_text(element: Any) -> str:  # noqa: ANN401
    """The text of a caption: its title as a sentence, then its paragraphs."""
    if element is None:
        return ""
    parts = [text for child in element if isinstance(child.tag, str) and (text := readable(child))]
    for index, child in enumerate(parts[:-1]):
        if not _ENDED.search(child.replace(BOLD[1], "")):
            parts[index] = child + "."
    loose = " ".join((element.text or "").split())
    return " ".join([loose, *parts] if loose else parts)


def formula_text(element: Any) -> str:  # noqa: ANN401
    """A formula once, of the ways in which it is written: MathML, TeX, or characters."""
    math = element if element.tag == _MATHML else next(element.iter(_MATHML), None)
    if math is not None and (text := mathml_text(math)):
        return text
    tex = element if element.tag == "tex-math" else next(element.iter("tex-math"), None)
    if tex is not None and (text := tex_text("".join(tex.itertext()))):
        return text
    if next(element.iter("graphic", "inline-graphic"), None) is not None:
        return _alternative(element) or UNREADABLE
    found: list[str] = []
    _inside(element, found, {})
    return "".join(found)


def _collect(element: Any, found: list[str], marks: Mapping[str, str]) -> None:  # noqa: ANN401
    """The element's text, without its tail."""
    if not isinstance(element.tag, str) or element.tag in _LEFT_OUT:
        return
    tag = element.tag
    if tag in _FORMULAE:
        found.append(f" {formula_text(element)} " if tag == "disp-formula" else formula_text(element))
    elif tag in ("sup", "sub"):
        _script(element, found, marks)
    elif tag in ("bold", "b") and is_panel_letters("".join(element.itertext())):
        inner = "".join(element.itertext())
        found.append(f"{BOLD[0]}{inner.strip()}{BOLD[1]}{' ' if inner[-1:].isspace() else ''}")
    elif tag == "inline-graphic":
        found.append(_alternative(element))
    else:
        if tag == "xref":
            found.append("".join(marks.get(key, "") for key in element.get("rid", "").split()))
        found.append(" " if tag in _BLOCKS else "")
        _inside(element, found, marks)
        found.append(" " if tag in _BLOCKS else "")


def _inside(element: Any, found: list[str], marks: Mapping[str, str]) -> None:  # noqa: ANN401
    found.append(element.text or "")
    for child in element:
        _collect(child, found, marks)
        found.append(child.tail or "")


def _script(element: Any, found: list[str], marks: Mapping[str, str]) -> None:  # noqa: ANN401
    inner: list[str] = []
    _inside(element, inner, marks)
    whole = "".join(inner)
    text = whole.strip()
    if next(element.iter("xref"), None) is not None:
        found.append(f" [{text}]")  # the number of a reference, which is no exponent
    elif text:
        found.append(raised(text) if element.tag == "sup" else lowered(text))
    found.append(" " if whole[-1:].isspace() else "")


def _alternative(element: Any) -> str:  # noqa: ANN401
    return " ".join("".join(next(element.iter("alt-text"), etree.Element("none")).itertext()).split())
