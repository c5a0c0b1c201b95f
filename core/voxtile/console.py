"""Where commands print their answers, and how much libraries say beside them."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# Control characters but line ends and tabs, and codes for terminals but colours and the moves of progress bars.
_CODES = re.compile(
    "\x1b(?!\\[[0-9;?]*[ABGJKhlm])|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
_PIPED, _NARROWEST = 1000, 80  # columns: more than any table needs, and what they are made to fit into


def output() -> Console:
    """Standard output; where it is no terminal, so wide that no table is squeezed, unless COLUMNS says how wide it is.

    Rich takes a pipe for 80 columns wide, and gives up the names of rows first. A narrow terminal breaks the lines.
    """
    from rich.console import Console  # processes that only say a sentence do without it

    console = Console()
    if not console.is_terminal and not console.is_jupyter and not os.environ.get("COLUMNS", "").isdigit():
        return Console(width=_PIPED)
    return console if console.width >= _NARROWEST else Console(width=_NARROWEST)


def harmless(text: str, *, colours: bool = False) -> str:
    """A text whose codes for terminals are shown as JSON's escapes: names and texts of files may hold some.

    Args:
        text: what is to be written.
        colours: whether codes for colours and for moves of the cursor stay.
    """
    shown = _CODES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return shown if colours else shown.replace("\x1b", "\\u001b")


def note(sentence: str) -> None:
    """Say on standard error what a user should know though nothing is wrong; --quiet leaves it out.

    Args:
        sentence: begins with a small letter, and has no full stop.
    """
    sys.stderr.write(f"note: {sentence}\n")


def print_json(answer: Mapping[str, object]) -> None:
    """Print an answer as one JSON object on one line; a number that is none (NaN, infinite) is null."""
    sys.stdout.write(json.dumps(_plain(answer), ensure_ascii=False, allow_nan=False, default=str) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def logging_level(level: int, logger: str | None = None) -> Iterator[None]:
    """Messages below `level` of a logger, the root logger by default, are dropped within."""
    at = logging.getLogger(logger)
    before = at.level
    at.setLevel(level)
    try:
        yield
    finally:
        at.setLevel(before)
