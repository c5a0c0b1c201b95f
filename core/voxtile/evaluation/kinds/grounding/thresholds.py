"""From which probability on something is shown: chosen on the validation split alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.kinds.grounding.overlap import Mask, PartsOf, extent, shown_parts
from voxtile.evaluation.kinds.grounding.similarity import quantile_cuts
from voxtile.evaluation.kinds.grounding.task import GroundingTask

_MASK_CUTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_PRESENCE_CUTS = tuple(np.round(np.arange(0.1, 0.95, 0.05), 2).tolist())
_PART_CUTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
_PEAK_CUTS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9)
# A phrase's own targets and silences decide its threshold beside those of all phrases, which count as so many.
_COMMON = 10.0


class Judged(NamedTuple):
    """One answer of which the truth is known: number of the phrase, [*G] of the mask, of the presence, [*G] target."""

    k: int
    mask: npt.NDArray[np.float32]
    presence: float
    target: Mask


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What is shown of an answer.

    Attributes:
        mask: probability from which a voxel is shown.
        presence: probability from which a target is said to be there, of each phrase.
        least_part: parts of a mask that are smaller than this share of its largest are not shown.
        least_peak: nor those whose probability reaches this nowhere.
    """

    mask: float
    presence: tuple[float, ...]
    least_part: float = 0.0
    least_peak: float = 0.0

    def shown(self, k: int, mask: npt.NDArray[np.float32], presence: float) -> Mask:
        """[*G] bool of an answer to phrase k."""
        cut: Mask = np.logical_and(mask >= self.mask, presence >= self.presence[k])
        return shown_parts(cut, self.least_part, mask, self.least_peak)


def choose_cuts(judged: Iterable[Judged], task: GroundingTask) -> tuple[Thresholds, tuple[str, ...]]:
    """Thresholds of voxels and presence, and what is to be said about them.

    The mask's is chosen by mean Dice, then those of presence by Dice and silence: by those of a phrase and, as if it
    had a few more, by those of all, for few validation images show a phrase.
    """
    count = len(task.classes)
    there: list[list[float]] = [[] for _ in range(count)]
    dice: list[list[Floats]] = [[] for _ in range(count)]
    silent: list[list[float]] = [[] for _ in range(count)]
    empty = True
    for k, mask, presence, target in judged:
        empty = False
        if not target.any():
            silent[k].append(presence)
        elif extent(target) >= task.least_extent:
            there[k].append(presence)
            dice[k].append(_dice_at(mask, target))
    if not any(dice):
        reason = "there is no validation split to choose them on" if empty else (
            "no target of the validation split is large enough")  # fmt: skip
        return Thresholds(mask=0.5, presence=(0.5,) * count), (f"all thresholds are 0.5: {reason}",)
    best = int(np.stack([d for own in dice for d in own]).mean(0).argmax())
    if task.compete:
        return Thresholds(mask=_MASK_CUTS[best], presence=(0.0,) * count), ()
    seen = [p for own in (*there, *silent) for p in own]
    choices = _PRESENCE_CUTS if task.method is None else quantile_cuts(seen)
    shown = [_kept(own, [float(d[best]) for d in values], choices) for own, values in zip(there, dice, strict=True)]
    quiet = [1 - _kept(own, [1.0] * len(own), choices) for own in silent]
    scores = _with_common(shown) + _with_common(quiet)
    presences = tuple(float(choices[place]) for place in scores.argmax(1))
    return Thresholds(mask=_MASK_CUTS[best], presence=presences), ()


def choose_parts(judged: Iterable[Judged], task: GroundingTask, cuts: Thresholds) -> Thresholds:
    """The same with the least share and the least peak of parts, by the mean F1 of lesions over phrases.

    It is a share since what is a crumb beside an effusion is a whole gallstone. Maps of similarity are shown whole.
    """
    if task.method is not None:
        return cuts
    choices = [(least, peak) for least in _PART_CUTS for peak in _PEAK_CUTS]
    counts = np.zeros((len(choices), len(task.classes), 2))
    for k, mask, presence, target in judged:
        if target.any() and extent(target) < task.least_extent:
            continue
        predicted = cuts.shown(k, mask, presence)
        if not predicted.any() and not target.any():
            continue
        parts = PartsOf(predicted, target, mask, task.least_extent)
        for place, (least, peak) in enumerate(choices):
            found, missed, false = parts.lesions(task.overlap, least, peak)
            counts[place, k] += 2 * found, 2 * found + missed + false
    f1 = counts[..., 0] / np.maximum(counts[..., 1], 1)
    least, peak = choices[int(f1.mean(1).argmax())]
    return replace(cuts, least_part=least, least_peak=peak)


def _kept(presence: Sequence[float], values: Sequence[float], cuts: Sequence[float]) -> Floats:
    """[n, cuts]: each value where the presence reaches the cut, else 0."""
    reached = np.asarray(presence, float)[:, None] >= np.asarray(cuts)
    return np.asarray(reached * np.asarray(values, float)[:, None])


def _with_common(values: Sequence[Floats]) -> Floats:
    """[K, cuts]: the mean of each phrase's values, with that of all phrases as if it were of so many more."""
    pooled = np.concatenate(values)
    common = pooled.mean(0) if len(pooled) else np.zeros(pooled.shape[1])
    return np.stack([(own.sum(0) + _COMMON * common) / (len(own) + _COMMON) for own in values])


def _dice_at(mask: npt.NDArray[np.float32], target: Mask) -> Floats:
    found = []
    for cut in _MASK_CUTS:
        predicted = mask >= cut
        total = np.count_nonzero(predicted) + np.count_nonzero(target)
        found.append(2 * np.count_nonzero(predicted & target) / total)
    return np.array(found)
