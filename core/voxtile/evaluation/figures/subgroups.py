"""Figures of parts of the units: by sex, age band, scanner, place, season, or any other property that a corpus has.

A part has a figure of a class only with ten positives and ten negatives, each from as many subjects, like every figure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.bootstrap import SubjectBootstrap
from voxtile.evaluation.figures.figures import FigureTable, LabelMatrix, Scores
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.tasks.place import nearest

COLUMNS = ("modality", "licence", "kind", "units")
"""Columns of the samples table by whose value units can be split."""

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "scanner": ("vendor", "scanner_vendor", "scanner", "platform", "instrument"),
    "place": ("country", "centre", "site", "institution", "place"),
    "age": ("age_band",),
}
"""Names that stand for several keys of `attributes`, the first that is there counts."""

KINDS: Mapping[str, str] = {"season": "season", "place": "place"}
"""Properties that facts state: those whose attributes hold this `kind`; the concept is the group."""

_MOST = 30  # groups of one property


@dataclass(frozen=True)
class Subgroup:
    """The figure of one class, or the mean of all, over one part of the units.

    Attributes:
        attribute: the property, e.g. `sex`.
        group: its value, e.g. `F`.
        model: whose scores.
        metric: auroc.
        class_name: None for the mean of the classes that have a figure in this part.
        value, low, high: the figure and its 95 % interval; None where it is refused.
        n, positives, subjects: units that count, positive ones (summed over classes in a mean), and subjects.
    """

    attribute: str
    group: str
    model: str
    metric: str
    class_name: str | None
    value: float | None
    low: float | None
    high: float | None
    n: int
    positives: int
    subjects: int

    def to_json(self, task: str) -> dict[str, Any]:
        """For `results.json`."""
        values = {("class" if key == "class_name" else key): value for key, value in asdict(self).items()}
        return {"task": task, **values}


def group_names(corpus: Corpus, units: Units, attribute: str) -> list[str | None]:
    """The group of each unit, None where the corpus does not say; of several samples the first that says so decides.

    Raises:
        EvaluationError: no unit has the property, or it has more than thirty values.
    """
    known = _of_samples(corpus, units, attribute)
    names: list[str | None] = [None] * len(units)
    for uid, owner in zip(units.uids, units.owner.tolist(), strict=True):
        names[owner] = names[owner] or known.get(uid)
    found = {name for name in names if name}
    if not found:
        there = sorted({*COLUMNS, *ATTRIBUTES, *KINDS, *_keys(corpus)})
        raise EvaluationError(f"no unit of the split has the property '{attribute}'; {nearest(attribute, there)}")
    if len(found) > _MOST:
        raise EvaluationError(
            f"the property '{attribute}' has {len(found)} values, which is no grouping; take one with at most {_MOST}"
        )
    return names


def subgroup_figures(
    attribute: str,
    names: Sequence[str | None],
    units: Units,
    labels: LabelMatrix,
    scores: Mapping[str, Floats],
    classes: Sequence[str],
    *,
    replicates: int,
    seed: int,
) -> list[Subgroup]:
    """AUROC of every part, model and class.

    Args:
        attribute: the property.
        names: [N] group of each unit.
        units: the N units.
        labels: [N, K].
        scores: [N, K] by model.
        classes: names of the K classes.
        replicates: of the bootstrap.
        seed: of it.
    """
    found = []
    values = np.array([name or "" for name in names])
    for group in sorted({name for name in names if name}):
        kept = np.flatnonzero(values == group)
        drawn = SubjectBootstrap(units.subjects[kept], replicates=replicates, seed=seed)
        table = FigureTable("", classes, labels[kept], units.subjects[kept], drawn, exclusive=False)
        for model, score in scores.items():
            found += _of_group(table, attribute, group, model, score[kept], units.subjects[kept], classes)
    return found


def _of_group(
    table: FigureTable,
    attribute: str,
    group: str,
    model: str,
    scores: Floats,
    subjects: npt.NDArray[np.str_],
    classes: Sequence[str],
) -> list[Subgroup]:
    count = len(np.unique(subjects))
    called = np.zeros((1, *scores.shape), np.bool_)
    rows = {
        row.class_name: row
        for row in table.rows(Scores(model, "model", scores[None], called, frozenset(classes)))
        if row.metric == "auroc" and row.average != "micro"
    }
    found = []
    for name in (None, *classes) if len(classes) > 1 else classes:
        row = rows.get(name)
        parts = [table.counts[name]] if name else list(table.counts.values())
        n = row.n if row else max(part.n for part in parts)
        positives = row.positives if row else sum(part.positives for part in parts)
        figures = (row.value, row.low, row.high) if row else (None, None, None)
        found.append(Subgroup(attribute, group, model, "auroc", name, *figures, n, positives, count))
    return found


def _of_samples(corpus: Corpus, units: Units, attribute: str) -> dict[str, str]:
    wanted = set(units.uids)
    if attribute in COLUMNS:
        table = corpus.table("samples", columns=["uid", attribute])
        pairs = zip(table["uid"].to_pylist(), table[attribute].to_pylist(), strict=True)
        return {uid: str(value) for uid, value in pairs if uid in wanted and value is not None}
    table = corpus.table("samples", columns=["uid", "attributes"])
    keys = (attribute, *ATTRIBUTES.get(attribute, ()))
    found: dict[str, str] = {}
    for uid, text in zip(table["uid"].to_pylist(), table["attributes"].to_pylist(), strict=True):
        content = json.loads(text) if text and uid in wanted else {}
        value = next((content[key] for key in keys if isinstance(content.get(key), str | int | bool)), None)
        if value is not None:
            found[uid] = str(value)
    return found or _of_facts(corpus, wanted, attribute)


def _of_facts(corpus: Corpus, wanted: set[str], attribute: str) -> dict[str, str]:
    """Facts whose attributes call them this kind (season, place), or whose concept the property is and has a value."""
    facts = corpus.table("facts", columns=["uid", "concept", "polarity", "value", "attributes"])
    found: dict[str, str] = {}
    for row in facts.to_pylist():
        if row["uid"] not in wanted or row["polarity"] != "present":
            continue
        if row["attributes"] and json.loads(row["attributes"]).get("kind") == KINDS.get(attribute, attribute):
            found.setdefault(row["uid"], row["concept"])
        elif row["concept"] == attribute and row["value"] is not None:
            found.setdefault(row["uid"], f"{row['value']:g}")
    return found


def _keys(corpus: Corpus) -> set[str]:
    """Keys of `attributes` in the first thousand samples."""
    with closing(corpus.connection()) as connection:
        rows = connection.execute("SELECT attributes FROM samples WHERE attributes IS NOT NULL LIMIT 1000").fetchall()
    return {key for (text,) in rows for key in json.loads(text)}
