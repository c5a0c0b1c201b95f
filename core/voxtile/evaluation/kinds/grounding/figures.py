"""Figures of a grounding task: ratios of counts, by phrase and as their mean, with intervals over subjects.

`dice` and `iou` are means over the phrases that have a target (of the least extent); `giou` takes in those without one,
which count 1 where the answer is empty and 0 where it is not, and `ciou` pools all voxels (GRES, Liu et al., CVPR 2023,
section 4.1); `n_acc` is the share of phrases without target that are answered so (there N-acc.); `lesion_f1` is
2·found / (2·found + missed + false); `pointing` is the share of targets that hold the mask's peak (Zhang et al., IJCV
2018, section 5.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.figures.bootstrap import MINIMUM, Interval, SubjectBootstrap, logit_interval, normal_interval
from voxtile.evaluation.figures.figures import Difference
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Average, Row, ScoreKind

METRICS = ("dice", "iou", "giou", "ciou", "lesion_f1", "n_acc", "pointing")
HEADLINE = "dice"

Ratios = Mapping[str, tuple[Floats, Floats]]
"""Metric to above and below of a ratio, each [N, K]."""


class RatioTable:
    """Makes the rows of one task; every model and control on the same draws of subjects.

    Args:
        task: its name.
        classes: the K names.
        subjects: [N].
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """

    def __init__(
        self, task: str, classes: Sequence[str], subjects: npt.NDArray[np.str_], *, replicates: int, seed: int
    ) -> None:
        self._task, self._classes, self._subjects = task, tuple(classes), subjects
        self._draws = SubjectBootstrap(subjects, replicates=replicates, seed=seed)
        self._means: dict[tuple[str, ScoreKind], Floats] = {}
        self._carrying = 0  # subjects of the phrase that fewest have, of those in the mean

    def rows(self, model: str, kind: ScoreKind, ratios: Ratios) -> list[Row]:
        """Rows of every metric given: a class each where enough subjects have evidence, then the mean of those."""
        rows = []
        for metric, (above, below) in ratios.items():
            measured = self._measured(above, below)
            effective = [len(np.unique(self._subjects[below[:, k] > 0])) for k in range(len(self._classes))]
            kept = [k for k, n in enumerate(effective) if n >= MINIMUM]
            for k, name in enumerate(self._classes):
                values = measured[:, k] if k in kept else None
                rows.append(self._row(model, kind, metric, name, values, effective[k], below[:, k]))
            mean = measured[:, kept].mean(1) if kept else None
            n = min((effective[k] for k in kept), default=0)
            rows.append(self._row(model, kind, metric, None, mean, n, below[:, kept]))
            if metric == HEADLINE and mean is not None:
                self._carrying = n
                self._means[model, kind] = mean
        return rows

    def difference(self, model: str, baseline: str) -> Difference | None:
        """Mean Dice of a model less a control's, with an interval from the same draws."""
        pair = self._means.get((model, "model")), self._means.get((baseline, "trivial"))
        if pair[0] is None or pair[1] is None:
            return None
        values = pair[0] - pair[1]
        found = normal_interval(float(values[0]), values[1:], effective=self._carrying)
        return Difference(model, baseline, float(values[0]), found.low, found.high, HEADLINE, "macro")

    def _measured(self, above: Floats, below: Floats) -> Floats:
        """[1 + R, K] the figures and their replicates; NaN where nothing counts."""
        drawn = [np.stack([above.sum(0), below.sum(0)])[None]]
        for weights in self._draws.weights():
            drawn.append(np.stack([weights.T @ above, weights.T @ below], axis=1))
        sums = np.concatenate(drawn)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio: Floats = sums[:, 0] / sums[:, 1]
        return ratio

    def _row(
        self,
        model: str,
        kind: ScoreKind,
        metric: str,
        name: str | None,
        values: Floats | None,
        effective: int,
        below: Floats,
    ) -> Row:
        figure, interval = None, Interval(None, None)
        if values is not None and np.isfinite(values[0]):
            figure = float(values[0])
            interval = logit_interval(figure, values[1:], effective=effective)
        counted = int((below > 0).sum())
        average: Average = "macro" if name is None else "none"
        return Row(
            self._task, model, kind, metric, average, name, figure, interval.low, interval.high, counted, counted
        )  # fmt: skip
