"""From the answers of a study to one result: both figures, their difference with its interval, and its cost in time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from judging import FIGURES
from runs import Runs
from study import Study

from voxtile.evaluation import SubjectBootstrap, interval_over_seeds

RESULTS = Path(__file__).with_name("results")
DRAWS = 400
HELPS, HARMS, NEITHER = "helps", "harms", "no difference seen"


def file_of(study: Study) -> Path:
    """Where its result is kept."""
    return RESULTS / f"{re.sub(r'[^a-z0-9]+', '-', study.name.lower())}.json"


def compared(study: Study, runs: Runs, seeds: int) -> dict[str, Any]:
    """Run both sides and compare them, paired by seed and subject.

    Args:
        study: which.
        runs: where trainings are kept.
        seeds: how many.
    """
    subjects = runs.subjects(study)
    weights = np.concatenate(list(SubjectBootstrap(subjects, replicates=DRAWS, seed=0).weights()), axis=1)
    without, with_ = ([runs.answer(study, seed, with_=side) for seed in range(seeds)] for side in (False, True))
    values = [[float(answer.judged.figure()[0]) for answer in side] for side in (without, with_)]
    drawn = np.stack([b.judged.figure(weights) - a.judged.figure(weights) for a, b in zip(without, with_, strict=True)])
    differences = [b - a for a, b in zip(*values, strict=True)]
    low, high = interval_over_seeds(differences, drawn, len(set(subjects)))
    seconds = [float(np.median([answer.seconds for answer in side])) for side in (without, with_)]
    return {
        "term": study.term,
        "set": study.corpus,
        "sides": study.said,
        "metric": FIGURES[study.figure.partition(":")[0]][0],
        "asked": [study.figure, study.figure_with or study.figure],
        "epochs": study.with_.epochs,
        "without": float(np.mean(values[0])),
        "with": float(np.mean(values[1])),
        "of_seeds": {"without": [round(v, 3) for v in values[0]], "with": [round(v, 3) for v in values[1]]},
        "difference": [float(np.mean(differences)), low, high],
        "subjects": len(set(subjects)),
        "seconds": seconds[0],
        "cost": seconds[1] / max(seconds[0], 1e-9),
        "verdict": HELPS if low > 0 else HARMS if high < 0 else NEITHER,
    }
