"""Lines of a report: paragraphs, lists, labels ("Liver: …") and tables, as sentences with what they stand under."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from voxtile.data.sentences import sentence_spans

Span: TypeAlias = tuple[int, int]  # characters of the report, half-open
# "1. ", "2)", "3 - ", "1.2 Liver", "(a) ", "- ", "• ": what numbers or marks an item of a list.
_ITEM = re.compile(
    r"[ \t]*(?:(?:[-*•·–—▪●>+]|\(?(?:\d{1,2}(?:\.\d{1,2}){0,2}[.)]|[a-h]\)|\([a-h]\)|#\d{1,2}[:.)]?"
    r"|[ivx]{1,4}[.)]|[IVX]{1,4}[.)](?! ?a\.)))[ \t]+"
    r"|\d{1,2}[ \t]*[-–—][ \t]+(?=\D)|\d{1,2}(?:\.\d{1,2}){1,2}[ \t]+(?=[A-Z?]))"
)
# "LUNGS: Clear." names the organ that the line is about; so do "Right kidney – …" and "Lines = …".
_LABEL = re.compile(
    r"[ \t]*(?P<label>[A-Z][A-Z0-9 /&,()\-]{2,60}"
    r"|[A-Za-z0-9][^\W_]*(?:[ /&,'-]{1,2}[^\W_]+|[ ]?\([^()\n]{1,30}\)){0,5})"
    r"(?P<mark>\s*:=?(?=\s|[a-z]{3})|[ \t]+=|[ \t]+[-–—](?=[ \t])|[ \t]*\.{3,})[ \t]*(?=\S)"
)
_CELL = re.compile(r"[ \t]{2,}|\t|[ \t]*\.{3,}[ \t]*")
_RULE = re.compile(r"[\s|:=+_*-]*$")
_CONTINUES = re.compile(r"(?:,|\b(?:and|or|of|the|with|without|in|at|to|a|an|no|is|are|for|by|on|than|from))$", re.I)
_BOX = "\xa0"  # stands where a box of a form is not ticked, see `sections.flattened`
DENIED = "¬"  # before what a box stands for that is alone in its line and not ticked; a denial of english.yaml
# Heads of columns that say where, how large, of which side or when, and name no finding.
_OF_ROWS = re.compile(r"\b(?:site|location|side|size|level|place|lobe|segment|region|diameter|position|organ)\b", re.I)
_OF_TIME = re.compile(
    r"\b(?:(?:19|20)\d\d|\d{1,2}[./-]\d{1,2}|current|today|now|prior|previous|baseline|last|before|then|earlier|nadir"
    r"|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*\b",
    re.I,
)
_OF_TODAY = re.compile(r"\b(?:current|today|now|this (?:study|exam|scan)|present)\b", re.I)
_OF_NUMBER = re.compile(r"\W*(?:no|nr|number|lesion|nodule|id|target|#)?\W*$", re.I)
_LONGEST_TITLE = 8  # words
_LONGEST_NAME = 5  # words of the first cell of a row
_SHORT_LINE = 55  # characters; a shorter one was ended by whoever wrote it, not by the width of the page
_LONGEST_LABEL = 60
_NOT_LABELS = re.compile(
    r"\b(?:is|are|was|were|has|have|shows?|there|measur\w+|seen|noted|which|with|compared)\b", re.I
)


@dataclass(frozen=True)
class Block:
    """A sentence, with the spans of what it stands under; `is_carried` where an earlier sentence stands between."""

    start: int
    end: int
    context: tuple[Span, ...] = ()
    is_carried: bool = False


def blocks(report: str, start: int, end: int) -> Iterator[Block]:
    """The sentences of report[start:end] in reading order."""
    lines = list(_lines(report, start, end))
    width = max((last - first for first, last in lines), default=0)
    position = 0
    while position < len(lines):
        table = _table(report, lines, position)
        title = None if table else _title(report, lines, position)
        table = table or (_table(report, lines, position + 1) if title else [])
        if table:
            yield from _of_title(report, title, table) if title else _cells(report, table)
            position += len(table) + (title is not None)
            continue
        last = _paragraph(report, lines, position, width)
        yield from _of_paragraph(report, lines[position][0], lines[last - 1][1])
        position = last


def _lines(report: str, start: int, end: int) -> Iterator[Span]:
    position = start
    while position < end:
        stop = report.find("\n", position, end)
        stop = end if stop < 0 else stop
        yield position, stop
        position = stop + 1


def _paragraph(report: str, lines: Sequence[Span], first: int, width: int) -> int:
    """The line at which the paragraph ends that begins at a line: lines that only the page's width has broken."""
    last = first + 1
    while last < len(lines) and _goes_on(report, lines[last - 1], lines[last], width):
        last += 1
    return last


def _goes_on(report: str, above: Span, below: Span, width: int) -> bool:
    upper, lower = report[slice(*above)].strip(), report[slice(*below)].strip()
    if not upper or not lower or _RULE.match(lower) or _BOX in lower or DENIED in lower:
        return False
    if _ITEM.match(lower) or (_LABEL.match(lower) and not upper.endswith((",", ";"))):
        return False
    if _CONTINUES.search(upper) or lower[0].islower():
        return True
    if upper.endswith((".", "!", "?", ":", ";")):
        return False
    first = lower.split()[0]
    return above[1] - above[0] >= max(_SHORT_LINE, width - len(first))


def _of_paragraph(report: str, start: int, end: int) -> Iterator[Block]:
    """Sentences of a paragraph; its label goes with each of them."""
    item = _ITEM.match(report, start, end)
    start = item.end() if item else start
    label = _label(report, start, end)
    begin = label[1] if label else start
    text = report[begin:end].replace("\n", " ")
    context: tuple[Span, ...] = (label[0],) if label else ()
    found = list(sentence_spans(text))
    if label and not found and text.strip():
        found = [(0, len(text.rstrip()))]  # "Necrosis: 0."
    for number, (first, last) in enumerate(found):
        yield from _inner(report, begin + first, begin + last, context, is_carried=number > 0)


def _inner(report: str, start: int, end: int, context: tuple[Span, ...], *, is_carried: bool) -> Iterator[Block]:
    """A sentence, which may bring a label of its own ("Spleen – normal.")."""
    own = _label(report, start, end) if context and is_carried else None
    if own is not None:
        yield Block(own[1], end, (own[0],))
    else:
        yield Block(start, end, context, is_carried=is_carried and bool(context))


def _label(report: str, start: int, end: int) -> tuple[Span, int] | None:
    """The label that a text opens with, and where what it labels begins."""
    match = _LABEL.match(report, start, end)
    if match is None or match.end() >= end or len(match["label"]) > _LONGEST_LABEL:
        return None
    name = match["label"]
    if not name.isupper() and (_NOT_LABELS.search(name) or not name[0].isupper()):
        return None
    return match.span("label"), match.end()


def _table(report: str, lines: Sequence[Span], first: int) -> list[list[Span]]:
    """The rows of a table that begins at a line, each as its cells; empty where there is none."""
    rows: list[list[Span]] = []
    are_named = True
    for line in map(lines.__getitem__, range(first, len(lines))):
        cells = _row(report, line)
        if not cells:
            break
        are_named = are_named and _is_named(report, cells)
        # Another row has as many cells as the first, or all have a name.
        if rows and len(cells) != len(rows[0]) and not are_named and not _RULE.match(report[slice(*line)]):
            break
        rows.append(cells)
    has_columns = len(rows) > 1 and len(rows[0]) > 1
    return rows if has_columns or (rows and "..." in report[slice(*lines[first])] and len(rows[0]) > 1) else []


def _is_named(report: str, row: Sequence[Span]) -> bool:
    """Whether a row begins with a short name without a mark."""
    name = report[slice(*row[0])]
    return len(name.split()) <= _LONGEST_NAME and name[-1:] not in ".;:"


def _row(report: str, line: Span) -> list[Span]:
    text = report[slice(*line)]
    if text.count("|") > 1 or (text.count("|") == 1 and " | " in text):
        bounds = [m.start() for m in re.finditer(r"\|", text)]
        edges = [-1, *bounds, len(text)]
        cells = [(a + 1, b) for a, b in itertools.pairwise(edges)]
        is_framed = not text[: bounds[0]] or (not text[: bounds[0]].strip() and text.rstrip().endswith("|"))
        cells = cells[1 if is_framed else 0 : -1 if not text[bounds[-1] + 1 :].strip() else None]
    else:
        cells, position = [], len(text) - len(text.lstrip())
        for gap in _CELL.finditer(text, position):
            cells.append((position, gap.start()))
            position = gap.end()
        cells.append((position, len(text)))
    kept = [_trimmed(report, line[0] + a, line[0] + b) for a, b in cells]
    return kept if len(kept) > 1 and all(report[a:b].count(". ") == 0 for a, b in kept) else []


def _title(report: str, lines: Sequence[Span], position: int) -> Span | None:
    """The line before a table whose rows are of what it names, and not named in a cell: "THYROID NODULES"."""
    start, end = lines[position]
    text = report[start:end].strip()
    if not text or len(text.split()) > _LONGEST_TITLE or text.endswith((".", ":")) or position + 1 >= len(lines):
        return None
    rows = _table(report, lines, position + 1)
    if len(rows) < 2 or len(rows[0]) < 3 or not _is_header(report, [c for c in rows[0] if not _is_date(report, c)]):
        return None
    head = " ".join(report[a:b] for a, b in rows[0])
    comma = report.find(",", start, end)
    return _trimmed(report, start, comma if comma > 0 else end) if _OF_ROWS.search(head) else None


def _is_date(report: str, cell: Span) -> bool:
    return _OF_TIME.search(report[slice(*cell)]) is not None


def _of_title(report: str, title: Span, rows: Sequence[list[Span]]) -> Iterator[Block]:
    """The rows of a table under the title that names what they are; of columns by date the one of today."""
    header, body = rows[0], [row for row in rows[1:] if not all(_RULE.match(report[a:b]) for a, b in row)]
    names = [report[a:b] for a, b in header]
    dated = [i for i, cell in enumerate(header) if _is_date(report, cell)]
    for row in body:
        if len(row) != len(header):
            continue
        if len(dated) > 1:
            now = next((i for i in dated if _OF_TODAY.search(names[i])), dated[-1])
            yield Block(row[now][0], row[now][1], (title, *(row[i] for i in range(len(row)) if i not in dated)))
        else:
            first = 1 if _OF_NUMBER.match(names[0]) else 0
            yield Block(row[first][0], row[-1][1], (title,))


def _cells(report: str, rows: Sequence[list[Span]]) -> Iterator[Block]:
    """Each cell under its row and column; a table of two columns, or without a header, has labels in the first."""
    rows = [row for row in rows if not all(_RULE.match(report[a:b]) for a, b in row)]
    has_header = len(rows) > 1 and len(rows[0]) > 2 and _is_header(report, rows[0])
    header = rows[0] if has_header else []
    for row in rows[1 if has_header else 0 :]:
        if not has_header:
            yield Block(row[1][0], row[-1][1], (row[0],))
            continue
        if len(row) > len(header):
            yield Block(row[1][0], row[-1][1], (row[0],))  # no column of the header is sure to be that of a cell
            continue
        for column, (start, end) in enumerate(row[1:], start=1):
            if report[start:end].strip(" -–—"):
                yield Block(start, end, (row[0], header[column]))


def _is_header(report: str, row: Sequence[Span]) -> bool:
    """Whether a row names columns: few words and no number in each."""
    return all(len(report[a:b].split()) <= 3 and not re.search(r"\d", report[a:b]) for a, b in row)


def _trimmed(report: str, start: int, end: int) -> Span:
    text = report[start:end]
    return start + len(text) - len(text.lstrip()), start + len(text.rstrip())
