"""`voxtile score CORPUS --from text`: how much a caption looks like a sentence, by counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile_datasets.curation.scores.task import ScoreTask

_WORD = re.compile(r"\w+(?:[.,'’-]\w+)*", re.UNICODE)
_MARKS = re.compile(r"<[^>]+>|https?://|www\.|[{}\\|_#@]|&[a-z]+;|\.(?:jpe?g|png|tiff?|dcm)\b", re.IGNORECASE)


@dataclass(frozen=True)
class TextScorer:
    """Counts of a caption, and the share of simple rules that it keeps.

    The rules follow those of Gopher's data (Rae et al. 2021, appendix A.1.1), with bounds for captions.
    """

    name: str = "text"
    version: str = "1"
    table: Literal["samples", "captions"] = "captions"
    rows_an_item: int = 50_000

    @property
    def producer(self) -> str:
        """What the scores table calls it."""
        return f"text@{self.version}"

    def config(self) -> Mapping[str, Any]:
        """There is nothing to set."""
        return {}

    def columns(self) -> Sequence[str]:
        """Columns that it needs."""
        return ("text",)

    def score(self, root: Path, rows: Sequence[Row]) -> Sequence[Mapping[str, float]]:
        """Scores of captions."""
        return [text_scores(row["text"]) for row in rows]


def text_scores(text: str) -> dict[str, float]:
    """Counts and quality of one text.

    Returns:
        `text_words`; `text_letters`, the share of letters among what is not a space; `text_repeats`, the share of pairs
        of neighbouring words that were there before; `text_quality`, the share of six rules that hold, 0 to 1.
    """
    words = _WORD.findall(text)
    visible = [character for character in text if not character.isspace()]
    letters = sum(map(str.isalpha, visible)) / max(len(visible), 1)
    pairs = Counter(pairwise(word.casefold() for word in words))
    repeats = 1 - len(pairs) / max(sum(pairs.values()), 1) if pairs else 0.0
    mean = sum(map(len, words)) / max(len(words), 1)
    spoken = sum(any(map(str.isalpha, word)) for word in words) / max(len(words), 1)
    rules = (
        3 <= len(words) <= 400,
        2 <= mean <= 12,
        letters >= 0.6,
        spoken >= 0.7,
        repeats <= 0.2,
        not _MARKS.search(text),
    )
    quality = sum(rules) / len(rules)
    return {"text_words": len(words), "text_letters": letters, "text_repeats": repeats, "text_quality": quality}


def score_texts(corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Score captions as texts: words, letters, repetition, and the share of simple rules that they keep.

    Use the scores in --where-captions of voxtile curate: text_words, text_letters, text_repeats, text_quality.

    Args:
        corpus: the corpus to add to.
        run: options of the run.

    Raises:
        InputError: there are no captions.
    """
    Corpus(corpus)  # a folder that is no corpus is refused before anything is made in it
    run_task(ScoreTask(str(corpus), TextScorer()), corpus, RunOptions(**run)).raise_if_failed()
