"""Means and 95 % intervals of the trainings, and their differences from raw texts and from templates.

Intervals count subjects (bootstrap of the test split, the same draws for all) and seeds, see
`voxtile.evaluation.interval_over_seeds`. Differences are paired by subject and by seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import judging
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from voxtile.evaluation import SubjectBootstrap, interval_over_seeds

DRAWS = 200
FIGURES = ("task", "own", "sentences")
Floats = npt.NDArray[np.float64]


def interval(values: Sequence[float], drawn: Floats, subjects: int) -> tuple[float, float, float]:
    """Mean with its bounds.

    Args:
        values: of S seeds.
        drawn: [S, R] the same under R draws of subjects.
        subjects: how many there are.
    """
    return float(np.mean(values)), *interval_over_seeds(values, drawn, subjects)


def show(names: Sequence[str], work: Path, rows: Sequence[dict[str, Any]], bench: Callable[..., Any]) -> None:
    """Print the tables."""
    for name in names:
        own = [row for row in rows if row["corpus"] == name]
        if own:
            _of_corpus(bench(name, work), own)


def _of_corpus(bench: Any, rows: Sequence[dict[str, Any]]) -> None:
    units = bench.judge.units
    weights = np.concatenate(list(SubjectBootstrap(units.subjects, replicates=DRAWS, seed=0).weights()), axis=1)
    subjects = len(np.unique(units.subjects))
    for row in (row for row in rows if row["tower"] == "none"):
        Console(width=170).print(f"{bench.name}, {row['source']}: {row['task']:.3f} (task)")
    for source, pools in bench.sources().items():
        of_task, of_others = judging.words_known(
            bench.judge, [t for pool in pools for said in pool.values() for t in said]
        )
        others = "" if of_others is None else f", {of_others:.2f} of other people's sentences"
        Console(width=170).print(
            f"{bench.name}, {source}: knows {of_task:.2f} of the words of the task's prompts{others}"
        )
    trained = [row for row in rows if row["tower"] != "none"]
    for part in FIGURES:
        if all(row[part] is None for row in trained):
            continue
        found: dict[tuple[str, str], dict[int, tuple[float, Floats]]] = {}
        for row in trained:
            if row[part] is not None:
                drawn = bench.kept(row).figures(bench.judge, weights)[part]
                found.setdefault((row["tower"], row["source"]), {})[row["seed"]] = (row[part], drawn)
        table = Table(title=f"{bench.name}: {part}, {len(units)} images of {subjects} subjects")
        for column in ("texts", "source", "images", "different texts", "mean (95 %)", "less raw", "less template"):
            table.add_column(column)
        for (tower, source), seeds in found.items():
            one = next(row for row in trained if (row["tower"], row["source"]) == (tower, source))
            cells = [tower, source, str(one["images"]), str(one["texts"])]
            cells.append(_said(interval(*_stacked(seeds), subjects), sign=""))
            for against in ("raw", "template"):
                other = found.get((tower, against), {})
                both = sorted(set(seeds) & set(other))
                if against == source or not both:
                    cells.append("")
                    continue
                values = [seeds[s][0] - other[s][0] for s in both]
                drawn = np.stack([seeds[s][1] - other[s][1] for s in both])
                cells.append(_said(interval(values, drawn, subjects), sign="+"))
            table.add_row(*cells)
        Console(width=170).print(table)


def _stacked(seeds: dict[int, tuple[float, Floats]]) -> tuple[list[float], Floats]:
    return [value for value, _ in seeds.values()], np.stack([drawn for _, drawn in seeds.values()])


def _said(bounds: tuple[float, float, float], sign: str) -> str:
    mean, low, high = bounds
    return f"{mean:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"
