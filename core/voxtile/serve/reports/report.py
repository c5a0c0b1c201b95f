"""A report's figures, and the cases behind them by how wrong a model is about them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.bounded_text import read_json
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.comparison.scores_file import read_scores

Order = Literal["false-positives", "false-negatives", "disagreements"]
_RESULTS, _PAGE = "results.json", "index.html"
_CASE = re.compile(r'<code class="case">([0-9A-Za-z._-]{1,200})</code>')
_PROVENANCE = re.compile(r'<section class="provenance".*?</section>', re.DOTALL)
_FIGURES = ("auroc", "average_precision", "balanced_accuracy", "sensitivity", "specificity")


@dataclass(frozen=True)
class Figure:
    """A figure of one class, or the mean over classes, with its 95 % interval."""

    task: str
    model: str
    kind: str
    class_name: str | None
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    positives: int


@dataclass(frozen=True)
class Case:
    """A unit of an evaluation.

    Attributes:
        uid: of its first sample.
        label: 1 where the class is there, 0 where it is not.
        score: of the model; comparable within its class alone.
        rank: share of all known units that score lower, 0 to 1.
        other_score, other_rank: of a second model.
    """

    uid: str
    label: int
    score: float
    rank: float
    other_score: float | None = None
    other_rank: float | None = None


class Report:
    """The folder of a report.

    Args:
        folder: as `voxtile evaluate --out` wrote it.

    Raises:
        ConfigError: it holds no report.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            content = read_json(folder / _RESULTS)
            self.figures = _figures(content["rows"])
        except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"'{folder}' is no report of voxtile evaluate: it has no {_RESULTS} that can be read; name the folder "
                "that was given as --out"
            ) from error
        try:
            self._scores: pa.Table | None = read_scores(folder)
        except EvaluationError:  # of tasks without classes; figures are shown without cases
            self._scores = None

    @property
    def has_cases(self) -> bool:
        """Whether scores are kept unit by unit."""
        return self._scores is not None

    @property
    def models(self) -> list[str]:
        """Models with scores, the trivial baseline among them."""
        return [] if self._scores is None else pc.unique(self._scores["model"]).to_pylist()

    @property
    def has_page(self) -> bool:
        """Whether its page is there, as this version writes it."""
        return (self._folder / _PAGE).is_file()

    def named_cases(self) -> list[str]:
        """Uids that its page lists.

        Raises:
            ConfigError: there is no page.
        """
        return sorted(set(_CASE.findall(self._html())))

    def page(self, address_of: Callable[[str], str | None]) -> str:
        """Its page, with cases as links and without what it says of files.

        Args:
            address_of: where a case is shown, by its uid; None where it is not.

        Raises:
            ConfigError: there is no page, or one of another version.
        """
        kept, removed = _PROVENANCE.subn("", self._html())
        if removed != 1:
            raise ConfigError("the page of this report is of another version of voxtile; evaluate the model again")

        def linked(found: re.Match[str]) -> str:
            address = address_of(found[1])
            return found[0] if address is None else f'<a href="{address}">{found[0]}</a>'

        return _CASE.sub(linked, kept)

    def _html(self) -> str:
        try:
            return (self._folder / _PAGE).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError("this report has no page that can be read; evaluate the model again") from error

    def cases(self, task: str, model: str, name: str, order: Order, other: str | None = None) -> list[Case]:
        """Cases of a class, the worst first.

        False positives are units without the class by falling score, false negatives units with it by rising score.
        Disagreements are all, by how far the ranks of two models lie apart.

        Raises:
            ConfigError: the report has no such scores, or disagreements are asked for without a second model.
        """
        if order == "disagreements" and other is None:
            raise ConfigError("disagreements are between two models; choose a second one")
        table = self._chosen(task, model, name)
        second = None if other is None else _ranked(self._chosen(task, other, name))
        cases = []
        for uid, (label, score, rank) in _ranked(table).items():
            theirs = None if second is None else second.get(uid)
            cases.append(Case(uid, label, score, rank, *(() if theirs is None else theirs[1:])))
        if order == "disagreements":
            shared = [case for case in cases if case.other_rank is not None]
            return sorted(shared, key=lambda c: (-abs(c.rank - (c.other_rank or 0.0)), c.uid))
        positive = order == "false-negatives"
        sign = 1 if positive else -1
        return sorted((c for c in cases if c.label == positive), key=lambda c: (sign * c.score, c.uid))

    def _chosen(self, task: str, model: str, name: str) -> pa.Table:
        if self._scores is None:
            raise ConfigError("this report keeps no scores unit by unit; evaluate the model again")
        table = self._scores
        is_it = pc.and_(pc.equal(table["task"], task), pc.equal(table["model"], model))
        found = table.filter(pc.and_(is_it, pc.equal(table["class"], name)))
        if not found.num_rows:
            raise ConfigError("this report has no scores of this task, model and class")
        return found


def open_reports(folders: Sequence[Path]) -> tuple[Report, ...]:
    """Reports by number, from 0.

    Raises:
        ConfigError: a folder holds none.
    """
    return tuple(Report(folder) for folder in folders)


def _figures(rows: Sequence[dict[str, Any]]) -> list[Figure]:
    names = ("task", "model", "kind", "metric", "value", "low", "high", "n", "positives")
    return [
        Figure(class_name=row["class"], **{name: row[name] for name in names})
        for row in rows if row["metric"] in _FIGURES and row["average"] in ("none", "macro")
    ]  # fmt: skip


def _ranked(table: pa.Table) -> dict[str, tuple[int, float, float]]:
    """Label, score and rank of the units whose label is known."""
    known = table.filter(pc.greater_equal(table["label"], 0))
    scores = known["score"].to_numpy()
    ordered = np.sort(scores)
    ranks = np.searchsorted(ordered, scores) / max(1, len(scores))
    uids, labels = known["unit"].to_pylist(), known["label"].to_pylist()
    return {uid: (int(label), float(s), float(r)) for uid, label, s, r in zip(uids, labels, scores, ranks, strict=True)}
