"""`voxtile calibrate`: below which confidence answers are to be withheld, from those about a held-out split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, EvaluationError

if TYPE_CHECKING:
    from voxtile.evaluation.figures.metrics import Floats
    from voxtile.evaluation.kinds.answers.selective import RiskCoverage

_SHOWN = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


def calibrate(
    corpus: Path, answers: Path, *, risk: float = 0.1, split: str = "val", scheme: str = "default", kinds: str = ""
) -> None:
    """Choose below which confidence an assistant's answers are withheld (--least of ask, chat and draft).

    It is the lowest confidence from which answers of the validation split are wrong at most so often as --risk says.
    An answer to what no image tells is wrong unless it refuses.

    Args:
        corpus: with the questions (voxtile instruct).
        answers: file of answers with their confidence, from: voxtile draft CORPUS MODEL --questions true --split val.
        risk: share of wrong ones among the answers that are given, 0 to 1.
        split: of the images that were asked about: val or train, never test.
        scheme: of the splits.
        kinds: of questions, separated by commas; all where left out.

    Raises:
        ConfigError: an option that cannot be used.
        EvaluationError: the file is none of answers to these questions, or has no confidence.
    """
    if split not in ("val", "train"):
        raise ConfigError(f"--split {split}: a threshold is never chosen on what a model is judged by; take val")
    if not 0 < risk < 1:
        raise ConfigError(f"--risk must lie between 0 and 1, not {risk:g}")
    if not answers.is_file():
        raise EvaluationError(f"there is no file '{answers}' of answers; make it: voxtile draft … --questions true")
    store = Corpus(corpus)
    from voxtile.evaluation.figures.bootstrap import MINIMUM  # late: what is wrong with names is said before
    from voxtile.evaluation.kinds.answers.figures import Figures
    from voxtile.evaluation.kinds.answers.questions import asked
    from voxtile.evaluation.kinds.answers.selective import least_confidence, risk_coverage
    from voxtile.evaluation.kinds.answers.task import AnswerTask
    from voxtile.evaluation.options import Options

    wanted = tuple(name.strip() for name in kinds.split(",") if name.strip())
    task = AnswerTask(
        name="calibrate", title="", kind="question-answering", unit="sample", scheme=scheme, answers=answers,
        kinds=wanted,
    )  # fmt: skip
    found = asked(store, task, split)
    if found.confidence is None:
        raise EvaluationError(f"'{answers}' has no column confidence; draft the answers anew: voxtile draft")
    if (subjects := len(np.unique(found.units.subjects))) < MINIMUM:
        raise EvaluationError(f"{subjects} subjects are asked about, and a threshold needs {MINIMUM}; take more images")
    texts = [found.given[question.dialogue_id] for question in found.own]
    good = Figures(task, found, Options()).good(texts)
    curve = risk_coverage(found.confidence, good, np.ones((len(good), 1)))
    output().print(_table(curve, len(good), subjects))
    _say(least_confidence(found.confidence, good, risk), found.confidence, good, risk)


def _table(curve: RiskCoverage, answers: int, subjects: int) -> Table:
    table = Table(title=f"{answers:,} answers about {subjects:,} subjects, the surest first", title_justify="left")
    for heading in ("answered", "wrong of these", "--least"):
        table.add_column(heading, justify="right")
    for share in _SHOWN:
        place = int(np.argmax(curve.coverage[:, 0] >= share - 1e-12))
        numbers = curve.coverage[place, 0], curve.risk[place, 0], curve.least[place]
        table.add_row(*(f"{number:.3f}" for number in numbers))
    return table


def _say(least: float | None, confidence: Floats, good: Floats, risk: float) -> None:
    if least is None:
        output().print(f"even the surest answers are wrong more often than {risk:g}; raise --risk, or train longer")
        return
    floor = np.floor(least * 1000) / 1000  # three digits, and no answer fewer
    given = confidence >= floor
    output().print(
        f"--least {floor:.3f}: {given.mean():.0%} of the questions are answered, and {1 - good[given].mean():.1%} of "
        "the answers are wrong",
        soft_wrap=True,
    )
