"""Words of reports, which are nobody's name: those in the files that installed domains name for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from voxtile.domain import discover

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@cache
def report_words() -> frozenset[str]:
    """The words of all installed domains' reports, in small letters."""
    return words_of(path for domain in discover()[0].values() for path in domain.report_words)


def words_of(paths: Iterable[Path]) -> frozenset[str]:
    """The words of YAML files, or of all of a folder; keys and comments are words too.

    Args:
        paths: of files and folders; one that is not there has no words.
    """
    files = [file for path in paths for file in (sorted(path.rglob("*.yaml")) if path.is_dir() else [path])]
    texts = (file.read_text(encoding="utf-8") for file in files if file.is_file())
    return frozenset(word.lower() for text in texts for word in _WORD.findall(text))
