"""Figures of referring expressions, over all of them and by group, with intervals over subjects.

`pr@0.5` is the share of expressions whose predicted box overlaps the true one by at least 0.5, as visual grounding is
judged (RSVG, Sun et al., ACM MM 2022; DIOR-RSVG, Zhan et al., TGRS 2023); `rotated_pr@0.5` the same of boxes of least
area at any angle; `box_iou` the mean overlap of upright boxes (there meanIoU); `pointing` the share whose most probable
pixel lies in the true box.

Where a phrase may have several boxes, maps are judged against the pixels of all of them, as on MS-CXR (Boecking et al.,
ECCV 2022): `map_iou` is the mean overlap of what a map holds from 0.1, 0.2, 0.3, 0.4 and 0.5 on (there mIoU), `cnr` the
contrast-to-noise ratio |mean inside - mean outside| / sqrt(variance inside + variance outside).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.figures.bootstrap import MINIMUM, Interval, SubjectBootstrap, logit_interval, normal_interval
from voxtile.evaluation.figures.figures import Difference
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Average, Row, ScoreKind

UNBOUNDED = ("cnr",)
_STEPS = (0.1, 0.2, 0.3, 0.4, 0.5)


def map_scores(found: npt.NDArray[np.float32], target: npt.NDArray[np.bool_]) -> dict[str, float]:
    """`map_iou` and `cnr` of a map [Y, X] against the pixels that are meant; NaN where the ratio has no meaning."""
    overlaps = [float((held & target).sum() / max((held | target).sum(), 1)) for held in (found >= s for s in _STEPS)]
    inside, outside = found[target].astype(np.float64), found[~target].astype(np.float64)
    ratio = float("nan")
    if inside.size and outside.size and (spread := inside.var() + outside.var()) > 0:
        ratio = abs(inside.mean() - outside.mean()) / float(np.sqrt(spread))
    return {"map_iou": float(np.mean(overlaps)), "cnr": ratio}


class ShareTable:
    """Makes the rows of one task; every model and control on the same draws of subjects.

    Args:
        task: its name.
        subjects: [Q] of each expression.
        groups: [Q] its group, or None.
        names: of the groups, in order.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """

    def __init__(
        self,
        task: str,
        subjects: npt.NDArray[np.str_],
        groups: Sequence[str | None],
        names: Sequence[str],
        *,
        replicates: int,
        seed: int,
    ) -> None:
        self._task, self._subjects = task, subjects
        self._members: dict[str | None, npt.NDArray[np.bool_]] = {None: np.ones(len(subjects), np.bool_)}
        self._members |= {name: np.array([group == name for group in groups], np.bool_) for name in names}
        self._draws = SubjectBootstrap(subjects, replicates=replicates, seed=seed)
        self._drawn: dict[tuple[str, str], Floats] = {}

    def rows(self, model: str, kind: ScoreKind, scores: Mapping[str, Floats]) -> list[Row]:
        """Rows of every metric: all expressions, then each group; [Q] scores each, NaN where one does not count."""
        return [
            self._row(model, kind, metric, name, values)
            for metric, values in scores.items()
            for name in self._members
        ]  # fmt: skip

    def difference(self, model: str, baseline: str, metric: str) -> Difference | None:
        """A figure of the model less a control's, with an interval from the same draws."""
        pair = self._drawn.get((f"{model}/model", metric)), self._drawn.get((f"{baseline}/trivial", metric))
        if pair[0] is None or pair[1] is None:
            return None
        values = pair[0] - pair[1]
        found = normal_interval(float(values[0]), values[1:], effective=len(np.unique(self._subjects)))
        return Difference(model, baseline, float(values[0]), found.low, found.high, metric, "micro")

    def _row(self, model: str, kind: ScoreKind, metric: str, name: str | None, values: Floats) -> Row:
        counts = (self._members[name] & np.isfinite(values)).astype(np.float64)
        effective = len(np.unique(self._subjects[counts > 0]))
        figure, interval = None, Interval(None, None)
        if effective >= MINIMUM:
            above = np.where(counts > 0, values, 0.0)
            drawn = [np.array([above.sum() / counts.sum()])]
            with np.errstate(invalid="ignore", divide="ignore"):
                drawn += [(weights.T @ above) / (weights.T @ counts) for weights in self._draws.weights()]
            measured = np.concatenate(drawn)
            figure = float(measured[0])
            interval = (
                normal_interval(figure, measured[1:], effective=effective)
                if metric in UNBOUNDED
                else logit_interval(figure, measured[1:], effective=effective)
            )
            if name is None:
                self._drawn[f"{model}/{kind}", metric] = measured
        n = int(counts.sum())
        average: Average = "micro" if name is None else "none"
        return Row(self._task, model, kind, metric, average, name, figure, interval.low, interval.high, n, n)
