"""The trivial baseline: logistic regression on an intensity histogram and coarse block means, no learning of images.

A model that does not beat it has learnt nothing that a thumbnail does not show. It sees the same preprocessed tensors
and is trained with the labels of the training split; its regularisation is chosen on the validation split.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from voxtile.evaluate.metrics import Floats, auroc

BINS = 64
BLOCKS = 8
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""scikit-learn's C for standardised features, from strong to weak; tried until validation says that it gets worse."""

NAME = "histogram-and-blocks"
_WORSE = 0.005  # of the macro AUROC
_VOXELS = 65_536  # beyond this many the histogram takes every second voxel along each axis


class SimpleFeatures:
    """A 64-bin histogram and 8×8 or 8×8×8 block means of every channel.

    The histogram's range is that of the first images seen; later values outside it fall into the end bins.
    """

    def __init__(self) -> None:
        self._low: Tensor | None = None
        self._width: Tensor | None = None

    def __call__(self, images: Tensor) -> npt.NDArray[np.float32]:
        """[S, C, *G] to [S, C · (64 + 8^n)] float32, n the number of spatial axes."""
        images = images.detach().float().cpu()
        flat = images.flatten(2)
        if self._low is None or self._width is None:
            self._low = flat.amin(dim=(0, 2))[None, :, None]
            self._width = (flat.amax(dim=(0, 2))[None, :, None] - self._low).clamp_min(1e-6)
        pool = functional.adaptive_avg_pool3d if images.ndim == 5 else functional.adaptive_avg_pool2d
        blocks = pool(images, BLOCKS).flatten(1)
        joined = torch.cat([self._histogram(images).flatten(1), blocks], dim=1)
        result: npt.NDArray[np.float32] = joined.numpy()
        return result

    def _histogram(self, images: Tensor) -> Tensor:
        assert self._low is not None
        assert self._width is not None
        if images[0, 0].numel() > _VOXELS:
            images = images[(slice(None), slice(None), *[slice(None, None, 2)] * (images.ndim - 2))]
        samples, channels = images.shape[:2]
        flat = images.flatten(2)
        bins = ((flat - self._low) * (BINS / self._width)).clamp_(0, BINS - 1).long()
        bins += torch.arange(samples * channels).view(samples, channels, 1) * BINS
        counts = torch.bincount(bins.flatten(), minlength=samples * channels * BINS)
        return counts.view(samples, channels, BINS).float() / flat.shape[2]


@dataclass(frozen=True)
class TrivialScores:
    """Scores of the baseline on the reported and on the validation units, and the penalty that validation chose."""

    reported: Floats
    validation: Floats
    penalty: float


def trivial_scores(
    train: tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]],
    validation: tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]],
    reported: npt.NDArray[np.float32],
) -> TrivialScores:
    """Train the baseline for each class by itself.

    Args:
        train: features [N, P] and labels [N, K] (-1 left out) of the training units.
        validation: of the validation units.
        reported: features of the units to be scored.

    Returns:
        Scores [N, K]; a class without positives or negatives in training scores 0.5 throughout.
    """
    mean, spread = train[0].mean(axis=0), np.maximum(train[0].std(axis=0), 1e-6)
    scaled = [((part - mean) / spread).astype(np.float32) for part in (train[0], validation[0], reported)]
    best: tuple[float, TrivialScores] | None = None
    for penalty in PENALTIES:
        fitted = [_fit(scaled[0], train[1][:, k], penalty) for k in range(train[1].shape[1])]
        scores = [np.stack([_score(model, part) for model in fitted], axis=1) for part in scaled[1:]]
        quality = _macro(validation[1], scores[0])
        if best is None or quality > best[0]:
            best = quality, TrivialScores(reported=scores[1], validation=scores[0], penalty=penalty)
        elif quality < best[0] - _WORSE:
            break
    assert best is not None
    return best[1]


def _fit(features: npt.NDArray[np.float32], labels: npt.NDArray[np.int8], penalty: float) -> LogisticRegression | None:
    known = labels >= 0
    if len(set(labels[known].tolist())) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a not quite converged fit is one of the candidates too
        return LogisticRegression(C=penalty, max_iter=200, tol=1e-3).fit(features[known], labels[known])


def _score(model: LogisticRegression | None, features: npt.NDArray[np.float32]) -> Floats:
    if model is None or not len(features):
        return np.full(len(features), 0.5)
    result: Floats = model.predict_proba(features)[:, 1].astype(np.float64)
    return result


def _macro(labels: npt.NDArray[np.int8], scores: Floats) -> float:
    """Mean AUROC over the classes that have both labels; 0 where none has."""
    values = [auroc(y[y >= 0] == 1, s[y >= 0])[0] for y, s in zip(labels.T, scores.T, strict=True)]
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else 0.0
