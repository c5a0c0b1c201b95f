"""Formulae as one line of text: MathML and TeX, with raised and lowered digits as Unicode has them."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from lxml import etree
from pylatexenc.latex2text import LatexNodes2Text, MacroTextSpec, get_default_latex_context_db
from pylatexenc.latexwalker import LatexWalkerParseError

UNREADABLE = "[formula]"
"""What stands for a formula that is a picture alone."""

_RAISED = str.maketrans("0123456789+-−=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ")
_LOWERED = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
_INVISIBLE = dict.fromkeys(range(0x2061, 0x2065))  # function application, invisible times, separator and plus
_SIMPLE = re.compile(r"[\w.′∞*%]+", re.UNICODE)
_DOCUMENT = re.compile(r"\\begin\s*\{document\}(.*?)\\end\s*\{document\}", re.DOTALL)
_MATH_SIGNS = re.compile(r"^\s*(\$\$|\$|\\\[|\\\()|(\$\$|\$|\\\]|\\\))\s*$")


def raised(text: str) -> str:
    """An exponent: `⁻³`, or `^max` where Unicode has no such characters."""
    return _script(text, _RAISED, "^")


def lowered(text: str) -> str:
    """An index: `₂`, or `_max`."""
    return _script(text, _LOWERED, "_")


def tex_text(source: str) -> str:
    """A formula in TeX, with or without the preamble of a document; the source where it cannot be read.

    Args:
        source: content of `tex-math`.
    """
    found = _DOCUMENT.search(source)
    body = (found.group(1) if found else source).strip()
    while (bare := _MATH_SIGNS.sub("", body)) != body:
        body = bare
    try:
        text = _reader().latex_to_text(body).strip()
    except (LatexWalkerParseError, ValueError, IndexError, RecursionError):
        text = ""
    return " ".join((text or body).split())


def mathml_text(element: Any) -> str:  # noqa: ANN401 - lxml's elements have no public type
    """A formula in MathML 3, presentation markup."""
    return " ".join(_math(element).translate(_INVISIBLE).split())


@cache
def _reader() -> LatexNodes2Text:
    context = get_default_latex_context_db()
    divided = [MacroTextSpec(name, simplify_repl=r"(%s)/(%s)") for name in ("frac", "dfrac", "tfrac")]
    context.add_context_category("divided", prepend=True, macros=divided)
    return LatexNodes2Text(latex_context=context, math_mode="text", strict_latex_spaces=False)


def _script(text: str, table: dict[int, int], sign: str) -> str:
    text = text.strip()
    if text and all(ord(c) in table for c in text):
        return text.translate(table)
    return f"{sign}{text}" if not text or _SIMPLE.fullmatch(text) else f"{sign}({text})"


def _math(element: Any) -> str:  # noqa: ANN401
    if not isinstance(element.tag, str):
        return ""
    name = etree.QName(element).localname
    parts = [_math(child) for child in element if isinstance(child.tag, str)]
    if name in ("mi", "mn", "mo", "mtext", "ms"):
        return "".join(element.itertext()).strip(" \t\r\n")  # other spaces are meant
    if name in ("mphantom", "annotation", "annotation-xml"):
        return ""
    if name == "mspace":
        return " "
    if name == "mfrac" and len(parts) == 2:
        return f"{_grouped(parts[0])}/{_grouped(parts[1])}"
    if name == "msqrt":
        return f"√({''.join(parts)})"
    if name == "mroot" and len(parts) == 2:
        return f"{raised(parts[1])}√({parts[0]})"
    if name in ("msup", "mover") and len(parts) == 2:
        return parts[0] + raised(parts[1])
    if name in ("msub", "munder") and len(parts) == 2:
        return parts[0] + lowered(parts[1])
    if name in ("msubsup", "munderover") and len(parts) == 3:
        return parts[0] + lowered(parts[1]) + raised(parts[2])
    if name == "mfenced":
        inner = element.get("separators", ",").strip()[:1].join(parts)
        return f"{element.get('open', '(')}{inner}{element.get('close', ')')}"
    if name == "mtr":
        return ", ".join(parts)
    if name == "mtable":
        return f"[{'; '.join(parts)}]"
    return (element.text or "").strip() + "".join(parts)


def _grouped(text: str) -> str:
    return text if _SIMPLE.fullmatch(text) else f"({text})"
