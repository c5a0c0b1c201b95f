"""`voxtile score CORPUS --from language`: the probability that a caption is written in a language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError, required
from voxtile_datasets.curation.scores.task import ScoreTask


@dataclass(frozen=True)
class LanguageScorer:
    """Naive Bayes over byte n-grams (Lui and Baldwin, "langid.py", 2012), of 97 languages.

    Attributes:
        languages: codes of ISO 639-1.
    """

    languages: tuple[str, ...]
    name: str = "language"
    version: str = "1"
    table: Literal["samples", "captions"] = "captions"
    rows_an_item: int = 20_000

    @property
    def producer(self) -> str:
        """What the scores table calls it."""
        return f"langid@{self.version}"

    def config(self) -> Mapping[str, Any]:
        """Settings that change scores."""
        return {"languages": list(self.languages)}

    def columns(self) -> Sequence[str]:
        """Columns that it needs."""
        return ("text",)

    def score(self, root: Path, rows: Sequence[Row]) -> Sequence[Mapping[str, float]]:
        """Probabilities by language."""
        identify = _identifier()
        scores = []
        for row in rows:
            ranked = dict(identify.rank(row["text"]))
            scores.append({f"lang_{code}": float(ranked[code]) for code in self.languages})
        return scores


@cache
def _identifier() -> Any:  # noqa: ANN401 - untyped
    with required("py3langid", "curation"):
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def score_languages(corpus: Path, *, languages: str = "en", **run: Any) -> None:  # noqa: ANN401
    """Score captions by language: lang_en is the probability that one is English.

    Use the scores in --where-captions of voxtile curate, such as "lang_en > 0.9".

    Args:
        corpus: the corpus to add to.
        languages: codes of ISO 639-1, separated by commas.
        run: options of the run.

    Raises:
        ConfigError: an unknown code.
        MissingExtraError: py3langid is not installed.
    """
    Corpus(corpus)  # a folder that is no corpus is refused before anything is made in it
    codes = tuple(dict.fromkeys(code.strip() for code in languages.split(",") if code.strip()))
    known = sorted(_identifier().labels)
    unknown = [code for code in codes if code not in known]
    if unknown or not codes:
        raise ConfigError(f"--languages: there is no language '{', '.join(unknown)}'; there are: {', '.join(known)}")
    run_task(ScoreTask(str(corpus), LanguageScorer(codes)), corpus, RunOptions(**run)).raise_if_failed()
