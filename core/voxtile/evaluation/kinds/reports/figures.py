"""Figures of read drafts: ratios of sums over reports, so that they can be drawn again subject by subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voxtile.evaluation.figures.bootstrap import MINIMUM, SubjectBootstrap
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Average
from voxtile.evaluation.kinds.reports.reading import DETAILS, ERRORS, DraftReading

FINDINGS = ("finding_f1", "finding_precision", "finding_recall")


@dataclass(frozen=True)
class Ratio:
    """A figure that is one sum over reports by another.

    Attributes:
        metric, average, class_name: as in its row.
        above, below: [N] what each report adds to the sums.
        counted: [N] how many things of a report count; the subjects with any carry the figure.
        positives: of the things that count, how many are positive.
    """

    metric: str
    average: Average
    class_name: str | None
    above: Floats
    below: Floats
    counted: Floats
    positives: int

    @classmethod
    def of(cls, metric: str, above: Sequence[float], below: Sequence[float]) -> Ratio:
        """A pooled figure whose things that count are what is summed below."""
        top, bottom = np.asarray(above, float), np.asarray(below, float)
        return cls(metric, "micro", None, top, bottom, bottom, int(top.sum()))

    def values(self, drawn: SubjectBootstrap) -> Floats:
        """[1 + R] the figure and its replicates; NaN where the sum below is 0."""
        return np.concatenate([_share(self.above.sum(), self.below.sum())] + [
            _share(self.above @ weights, self.below @ weights) for weights in drawn.weights()
        ])  # fmt: skip


def _share(above: Floats, below: Floats) -> Floats:
    top, bottom = np.atleast_1d(np.asarray(above, float)), np.atleast_1d(np.asarray(below, float))
    shares: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return shares


def ratios_of(readings: Sequence[DraftReading], findings: Sequence[str]) -> list[Ratio]:
    """All figures of some drafts, those of each finding among them.

    Args:
        readings: one a report.
        findings: that get figures of their own.
    """
    counts = [_decisions(reading) for reading in readings]
    found = [*_of_findings([_pooled(one) for one in counts], "micro", None)]
    for name in findings:
        found += _of_findings([one.get(name, _NONE) for one in counts], "none", name)
    spoken = [
        [(reading.truth[name], said) for name, said in reading.said.items() if name in reading.truth]
        for reading in readings
    ]
    clear = [[(true, said) for true, said in pairs if said != "uncertain"] for pairs in spoken]
    found.append(Ratio.of("polarity_accuracy", [sum(a == b for a, b in p) for p in clear], [len(p) for p in clear]))
    for detail in DETAILS:
        told = [list(reading.details.get(detail, {}).values()) for reading in readings]
        found.append(Ratio.of(f"{detail}_accuracy", [sum(one) for one in told], [len(one) for one in told]))
    found.append(Ratio.of("hallucination_rate", [r.invented for r in readings], [r.statements for r in readings]))
    found.append(
        Ratio.of("contradicted_sentences", [r.contradicted for r in readings], [r.sentences for r in readings])
    )
    for error in ERRORS:
        found.append(Ratio.of(error, [r.errors.get(error, 0) > 0 for r in readings], [1] * len(readings)))
    return found


def frequent(readings: Sequence[DraftReading]) -> list[str]:
    """Findings of which enough cases have it and enough have not, so that they get figures of their own."""
    names = sorted({name for reading in readings for name in reading.truth})
    there = {name: sum(r.truth.get(name) == "present" for r in readings) for name in names}
    return [name for name in names if there[name] >= MINIMUM]


Counts = tuple[int, int, int]
"""True positives, false positives, false negatives."""
_NONE: Counts = (0, 0, 0)


def _decisions(reading: DraftReading) -> dict[str, Counts]:
    """A finding that nothing decides is no decision, whatever the draft says of it."""
    found: dict[str, Counts] = {}
    for name, truth in reading.truth.items():
        is_said = reading.said.get(name) == "present"
        if truth == "present":
            found[name] = (int(is_said), 0, int(not is_said))
        elif is_said:
            found[name] = (0, 1, 0)
    return found


def _pooled(counts: Mapping[str, Counts]) -> Counts:
    hits, false, missed = (sum(one[place] for one in counts.values()) for place in range(3))
    return hits, false, missed


def _of_findings(counts: Sequence[Counts], average: Average, name: str | None) -> list[Ratio]:
    hits, false, missed = np.asarray(counts, float).reshape(-1, 3).T
    above = {"finding_f1": 2 * hits, "finding_precision": hits, "finding_recall": hits}
    below = {
        "finding_f1": 2 * hits + false + missed,
        "finding_precision": hits + false,
        "finding_recall": hits + missed,
    }
    counted = below | {"finding_f1": hits + false + missed}
    there = {"finding_f1": hits + missed, "finding_precision": hits, "finding_recall": hits + missed}
    return [
        Ratio(metric, average, name, above[metric], below[metric], counted[metric], int(there[metric].sum()))
        for metric in FINDINGS
    ]
