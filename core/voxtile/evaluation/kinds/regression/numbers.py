"""The numbers of units, from facts that have a value or from attributes of samples."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from voxtile.corpus.reader import Corpus
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.kinds.regression.task import RegressionTask, Several, Target
from voxtile.words.names import name_key

_OF_SEVERAL: Mapping[Several, Callable[[Sequence[float]], float]] = {
    "largest": max,
    "sum": math.fsum,
    "mean": lambda values: math.fsum(values) / len(values),
}


def unit_numbers(corpus: Corpus, task: RegressionTask, units: Mapping[str, Units]) -> dict[str, Floats]:
    """[N, T] by role: the number of each unit and target, NaN where the corpus has none.

    A number is that of the facts that say the concept is present; a denied finding has none, and what is measured of a
    region that the edge of the image cuts off (`cut_off`) does not count.
    """
    by_target = [_by_uid(corpus, task, target) for target in task.targets]
    return {
        role: np.array(
            [[_of(found, uids, target) for found, target in zip(by_target, task.targets, strict=True)]
             for uids in part.members().values()]
        ).reshape(len(part), len(task.targets))
        for role, part in units.items()
    }  # fmt: skip


def _of(found: Mapping[str, Sequence[float]], uids: Sequence[str], target: Target) -> float:
    values = [value for uid in uids for value in found.get(uid, ())]
    return _OF_SEVERAL[target.several](values) if values else math.nan


def _is_whole(attributes: Mapping[str, Any], of: str) -> bool:
    """Whether it is of that region, all of which is in the image."""
    wanted = not of or name_key(str(attributes.get("region") or "")) == name_key(of)
    return wanted and not attributes.get("cut_off")


def _by_uid(corpus: Corpus, task: RegressionTask, target: Target) -> Mapping[str, Sequence[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    if target.attribute is not None:
        rows = corpus.table("samples", columns=["uid", "attributes"])
        for uid, text in zip(rows["uid"].to_pylist(), rows["attributes"].to_pylist(), strict=True):
            value = json.loads(text or "{}").get(target.attribute)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                found[uid].append(float(value))
        return found
    for row in corpus.table("facts").to_pylist():
        told = (row["source"] or "").partition("@")[0]
        if (
            row["polarity"] == "present"
            and row["value"] is not None
            and math.isfinite(row["value"])
            and name_key(row["concept"]) == name_key(target.fact or "")
            and target.unit in ("", row["unit"] or "")
            and _is_whole(json.loads(row["attributes"] or "{}"), target.of)
            and task.facts_source in (None, told, row["source"])
        ):
            found[row["uid"]].append(row["value"])
    return found
