"""`voxtile score CORPUS --from safety`: how many words of a list a caption holds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.corpus.view.text import normalised
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError, cause_of
from voxtile_datasets.curation.scores.task import ScoreTask

DEFAULT_LIST = Path(__file__).parents[1] / "words" / "unsafe.txt"


@dataclass(frozen=True)
class SafetyScorer:
    """Counts listed words and phrases; whole words, whatever their case.

    Attributes:
        words: the list.
    """

    words: tuple[str, ...]
    name: str = "safety"
    version: str = "1"
    table: Literal["samples", "captions"] = "captions"
    rows_an_item: int = 50_000

    @property
    def producer(self) -> str:
        """What the scores table calls it: with a hash of the list."""
        return f"safety@{self.version}-{hashlib.sha256(chr(10).join(self.words).encode()).hexdigest()[:8]}"

    def config(self) -> Mapping[str, Any]:
        """The producer names the list."""
        return {}

    def columns(self) -> Sequence[str]:
        """Columns that it needs."""
        return ("text",)

    def score(self, root: Path, rows: Sequence[Row]) -> Sequence[Mapping[str, float]]:
        """Number of listed words in each caption."""
        pattern = _pattern(self.words)
        return [{"unsafe_words": float(len(pattern.findall(normalised(row["text"]))))} for row in rows]


@lru_cache(maxsize=4)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)")


def read_words(path: Path) -> tuple[str, ...]:
    """Words of a list, one a line; lines that begin with # are comments.

    Raises:
        ConfigError: it cannot be read, or names no word.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--words: '{path}' cannot be read as text ({cause_of(error)}); one word a line") from error
    words = tuple(sorted({normalised(line) for line in lines if not line.lstrip().startswith("#")} - {""}))
    if not words:
        raise ConfigError(f"--words: '{path}' names no word; one a line")
    return words


def score_safety(corpus: Path, *, words: Path = DEFAULT_LIST, **run: Any) -> None:  # noqa: ANN401
    """Count words of a list in each caption.

    The list that comes with voxtile is short and English, and leaves out what medicine says; give your own. Use the
    score in --where-captions of voxtile curate: "unsafe_words = 0".

    Args:
        corpus: the corpus to add to.
        words: list of words and phrases, one a line.
        run: options of the run.

    Raises:
        ConfigError: the list cannot be read.
        InputError: there are no captions.
    """
    Corpus(corpus)  # a folder that is no corpus is refused before anything is made in it
    run_task(ScoreTask(str(corpus), SafetyScorer(read_words(words))), corpus, RunOptions(**run)).raise_if_failed()
