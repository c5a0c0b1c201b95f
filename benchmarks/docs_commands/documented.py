"""The commands that README and docs show: lines of fenced blocks, and code spans that hold a whole command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("voxtile", "lightning", "python", "pip", "make", "apt-get")
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ +(?P<title>.+?) *$", re.MULTILINE)
_SPAN = re.compile(r"`(?P<text>(?:(?:voxtile|lightning|make|pip|apt-get) |python benchmarks/)[^`]+)`")
_MENTION = re.compile(r"…|\.\.\.|\bNAME\b|\\\|")  # a form of commands, not one that can be typed
_LEAST_WORDS = 3  # `voxtile inspect CORPUS` names a command; a span of fewer words is no more than its name


@dataclass(frozen=True)
class Documented:
    """One command of the docs.

    Attributes:
        page: file, relative to the root.
        line: in the file, from 1.
        section: the heading that it stands under.
        text: the command without its comment, continued lines joined.
        inline: whether it is a code span in a text, and not a line of a block.
    """

    page: str
    line: int
    section: str
    text: str
    inline: bool = False

    @property
    def place(self) -> str:
        """Where it stands, as `page:line`."""
        return f"{self.page}:{self.line}"


def documented(root: Path) -> list[Documented]:
    """All commands of README.md and docs/, in the order of the pages."""
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return [command for page in pages for command in _of_page(page, root)]


def _of_page(path: Path, root: Path) -> Iterator[Documented]:
    text = path.read_text(encoding="utf-8")
    page = path.relative_to(root).as_posix()
    headings = [(match.start(), match["title"]) for match in _HEADING.finditer(_without_blocks(text))]
    found = []
    for start, command in [*_in_blocks(text), *_in_spans(_without_blocks(text))]:
        section = next((title for place, title in reversed(headings) if place < start), "")
        inline = text[start - 1 : start] == "`"
        found.append((start, Documented(page, text.count("\n", 0, start) + 1, section, command, inline)))
    yield from (command for _, command in sorted(found, key=lambda pair: pair[0]))


def _without_blocks(text: str) -> str:
    """The text with blocks blanked, so that places stay and comments in blocks are no headings."""
    return _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def _in_blocks(text: str) -> Iterator[tuple[int, str]]:
    for block in _FENCE.finditer(text):
        if block["language"] not in ("", "bash"):
            continue
        joined = re.sub(r"\\\n", "\0\0", block["body"])  # of the same length, so that places stay
        start = block.start("body")
        for line in joined.splitlines(keepends=True):
            command = without_comment(line.replace("\0\0", " "))
            if command.split(" ")[0] in PROGRAMS:
                yield start, " ".join(command.split())
            start += len(line)


def _in_spans(text: str) -> Iterator[tuple[int, str]]:
    for span in _SPAN.finditer(text):
        command = " ".join(span["text"].split())
        if len(command.split()) >= _LEAST_WORDS and not _MENTION.search(command):
            yield span.start("text"), command


def without_comment(line: str) -> str:
    """A line of a block without what follows ` #` outside quotes."""
    quoted = ""
    for place, letter in enumerate(line):
        if letter in "\"'" and quoted in ("", letter):
            quoted = "" if quoted else letter
        if letter == "#" and not quoted and line[place - 1 : place] in ("", " "):
            return line[:place].strip()
    return line.strip()
