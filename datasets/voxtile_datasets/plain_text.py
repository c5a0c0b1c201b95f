r"""Texts of reports without the markup of word processors and web pages, as hospital systems export them.

In RTF and HTML a letter with an accent is a code (``M\'fcller``, ``M&uuml;ller``), at which a name would end for the
rules of de-identification. RTF 1.9.1: groups, destinations, code pages, Unicode.
striprtf 0.0.35 is not used: its pattern of font tables takes time without end on a table that is not closed. Nor is
html.parser, which begins anew at each `<a` or `<!--` that is not closed: 60 kB of them took 17 s.
"""

from __future__ import annotations

import html
import re

_BLOCKS = frozenset({"br", "div", "h1", "h2", "h3", "h4", "h5", "h6", "li", "p", "table", "tr", "ul", "ol"})
_HIDDEN = ("script", "style", "head")
_TAGS = re.compile(
    rf"</?(?:html|body|span|font|pre|section|article|td|th|b|i|u|strong|em|sup|sub|{'|'.join(sorted(_BLOCKS))})"
    r"(?:\s*/?|\s+[a-z:-]+\s*=[^<>]*)>",
    re.IGNORECASE,
)
_BREAKS_ALONE = re.compile(r"<(?!/?(?:br|b|i|u|strong|em|font|span|sup|sub)\b)/?[a-z]", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:[a-z]{2,8}\d?|#\d{2,6}|#x[0-9a-f]{2,5});", re.IGNORECASE)
_ENDLESS_CODE = re.compile(r"&#\d{20,};?")  # html.unescape makes a number of it, which Python refuses
# A tag with its attributes, of which texts in quotation marks may hold a ">", or a declaration. None goes on over the
# next "<", so that what is not closed is passed over once.
_MARKUP = re.compile(
    r"""<(?P<end>/?)(?P<name>[a-z][^\s/<>]*+)(?:(?:[^<>"']|"[^"<]*"|'[^'<]*')*+|[^<>]*)>|<[!?][^<>]*>""", re.IGNORECASE
)
_WRITTEN_BREAK = re.compile(r"(?:\\r)?\\n")  # two signs, as programs print text; `nSmith` would be a word
_HL7_BREAK = re.compile(r"\\\.br\\", re.IGNORECASE)

_RTF = re.compile(
    r"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-f]{2})|\\([^a-z])|([{}])|[\r\n]+|([^\\{}\r\n]+)", re.IGNORECASE
)
# What these groups hold is no text of the report. A group that begins with \* is none, either.
_ELSEWHERE = re.compile(
    r"fonttbl|colortbl|stylesheet|info|pict|object|header|headerl|headerr|headerf|footer|footerl|"
    r"footerr|footerf|themedata|colorschememapping|listtable|listoverridetable|rsidtbl|generator|"
    r"datastore|latentstyles|xmlnstbl|fldinst|bkmkstart|bkmkend|filetbl|revtbl|private"
)
_SIGNS = {
    **dict.fromkeys(("par", "line", "row", "sect", "page"), "\n"),
    **dict.fromkeys(("tab", "cell"), "\t"),
    **{"emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘", "rquote": "’"},
    **{"ldblquote": "“", "rdblquote": "”", "~": "\xa0", "_": "-"},
    **{sign: sign for sign in "\\{}"},
}
# \fcharset of a font → code page.
_CODE_PAGES = {
    0: "cp1252",
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    134: "gbk",
    136: "big5",
    161: "cp1253",
    162: "cp1254",
}
_CODE_PAGES |= {163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250"}


RTF = b"{\\rtf"  # how such a document begins


def plain_text(text: str) -> str:
    """A report's text without RTF, HTML and line breaks that are written as signs; any other text as it is."""
    start = text.find("{\\rtf")
    if start >= 0:
        return f"{text[:start]}{_without_rtf(text[start:])}".strip()
    if "\n" not in text:
        text = _WRITTEN_BREAK.sub("\n", text)
    if _TAGS.search(text):
        return without_html(text if _BREAKS_ALONE.search(text) else text.replace("\n", "<br>"))
    text = _HL7_BREAK.sub("\n", text)
    return letters(text) if _ENTITY.search(text) else text


def without_html(page: str) -> str:
    """The lines of a page that hold text, without what no browser shows."""
    page = _without_comments(page)
    parts: list[str] = []
    hidden, end = 0, 0
    for tag in _MARKUP.finditer(page):
        parts += [] if hidden else [page[end : tag.start()]]
        name, end = (tag["name"] or "").lower(), tag.end()
        hidden = max(0, hidden + (-1 if tag["end"] else 1) * (name in _HIDDEN))
        parts += ["\n"] if name in _BLOCKS else [" "] if name in ("td", "th") and not tag["end"] else []
    parts += [] if hidden else [page[end:]]
    lines = "".join(letters(part) for part in parts).split("\n")
    return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))


def _without_comments(page: str) -> str:
    parts, end = [], 0
    while (start := page.find("<!--", end)) >= 0 and (close := page.find("-->", start + 4)) >= 0:
        parts.append(page[end:start])
        end = close + 3
    return "".join([*parts, page[end:]])


def letters(text: str) -> str:
    """A text with the letters that its entities stand for."""
    return html.unescape(_ENDLESS_CODE.sub("\ufffd", text)) if "&" in text else text


def _without_rtf(text: str) -> str:
    """The text of an RTF document, and what stands behind it."""
    reader = _Rtf()
    end = len(text)
    for match in _RTF.finditer(text):
        reader.take(*match.groups())
        if not reader.depth:
            end = match.end()
            break
    written = "".join(reader.text()).encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # pairs of \\u
    lines = written.split("\n")
    return "\n".join(line.strip() for line in lines).strip() + text[end:]


class _Rtf:
    """What is read of an RTF document so far."""

    def __init__(self) -> None:
        self.depth = 0
        self._parts: list[str] = []
        self._bytes = bytearray()
        self._page = "cp1252"
        self._fonts: dict[int, str] = {}
        self._font = 0  # that is described, or that is written in
        self._stack: list[tuple[bool, bool, str, int]] = []
        self._is_left_out, self._is_fonts, self._coding, self._fallback = False, False, "", 1
        self._skipped = 0  # characters that stand for a Unicode one where it is not known

    def text(self) -> list[str]:
        """Pieces of the text."""
        self._flush()
        return self._parts

    def take(
        self,
        word: str | None,
        number: str | None,
        code: str | None,
        sign: str | None,
        brace: str | None,
        run: str | None,
    ) -> None:
        """The next token."""
        if brace == "{":
            self._stack.append((self._is_left_out, self._is_fonts, self._coding, self._fallback))
            self.depth += 1
        elif brace == "}":
            self._flush()
            self._is_left_out, self._is_fonts, self._coding, self._fallback = self._stack.pop()
            self.depth -= 1
            self._skipped = 0
        elif word is not None:
            self._flush()
            self._command(word, int(number) if number else None)
        elif sign == "*":
            self._is_left_out = True
        elif code is not None:
            if self._skipped:
                self._skipped -= 1
            elif not self._is_left_out:
                self._bytes.append(int(code, 16))
        elif sign is not None or run is not None:
            self._flush()
            shown = _SIGNS.get(sign, "") if sign is not None else (run or "")[self._skipped :]
            self._skipped = max(0, self._skipped - len(run or ""))
            self._parts += [] if self._is_left_out else [shown]

    def _command(self, word: str, number: int | None) -> None:
        if _ELSEWHERE.fullmatch(word):
            self._is_left_out, self._is_fonts = True, word == "fonttbl"
        elif word == "ansicpg" and number:
            self._page = f"cp{number}"
        elif word == "f" and number is not None:
            self._font = number
            if not self._is_fonts:
                self._coding = self._fonts.get(number, "")
        elif word == "fcharset" and self._is_fonts:
            self._fonts[self._font] = _CODE_PAGES.get(number or 0, "")
        elif word == "uc":
            self._fallback = number or 0
        elif word == "u" and number is not None:
            self._parts += [] if self._is_left_out else [chr(number % 0x10000)]
            self._skipped = self._fallback
        elif not self._is_left_out:
            self._parts += [_SIGNS.get(word, "")]

    def _flush(self) -> None:
        """Bytes that stand together, of which two may be one letter."""
        if self._bytes:
            raw, self._bytes = bytes(self._bytes), bytearray()
            try:
                self._parts.append(raw.decode(self._coding or self._page, "replace"))
            except LookupError:
                self._parts.append(raw.decode("cp1252", "replace"))
