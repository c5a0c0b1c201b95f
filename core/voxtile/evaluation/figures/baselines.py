"""The trivial baseline: logistic regression on an intensity histogram and coarse block means, no learning of images.

A model that does not beat it has learnt nothing that a thumbnail does not show. It sees the same preprocessed tensors
and is trained with the labels of the training split; its regularisation is chosen on the validation split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from voxtile.evaluation.figures.metrics import Floats, auroc

BINS = 64
EXAMPLES = 32
"""Images that fix the range of the histograms."""

BLOCKS = 8
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""C (as in scikit-learn) for standardised features, strong to weak; tried until validation says that it gets worse."""

WITHOUT_VALIDATION = 1e-2
"""The penalty where there is nothing to choose it on."""

NAME = "histogram-and-blocks"
SPECTRUM = "mean-spectrum"
"""The same regression on nothing but the mean of each band, for pictures of other than one or three channels."""
TRIVIALS = (NAME, SPECTRUM)
_WORSE = 0.005  # of the macro AUROC
_CONSTANT = 1e-6  # features that vary less carry nothing (coordinate channels, empty bins)
_ITERATIONS = 100
_VOXELS = 65_536  # beyond this many the histogram takes every second voxel along each axis

# By the number of spatial axes.
_POOLS: Mapping[int, Callable[[Tensor, int], Tensor]] = {
    1: functional.adaptive_avg_pool1d,
    2: functional.adaptive_avg_pool2d,
    3: functional.adaptive_avg_pool3d,
}


class SimpleFeatures:
    """A 64-bin histogram and 8, 8×8 or 8×8×8 block means of every channel.

    Args:
        examples: [S, C, *G] some images that fix the histogram's range; later values outside it fall into the end bins.
            Channels that are the same in all of them (coordinates) are left out.
    """

    def __init__(self, examples: Tensor) -> None:
        same = (examples == examples[:1]).flatten(2).all(dim=2).all(dim=0)
        self._channels = torch.arange(examples.shape[1]) if same.all() else torch.nonzero(~same).flatten()
        values = examples[:, self._channels].flatten(2)
        self._low = values.amin(dim=(0, 2))[None, :, None]
        self._width = (values.amax(dim=(0, 2))[None, :, None] - self._low).clamp_min(1e-6)

    def __call__(self, images: Tensor) -> npt.NDArray[np.float32]:
        """[S, C, *G] to [S, C · (64 + 8^n)] float32, n the number of spatial axes."""
        images = images.detach().float().cpu()
        if len(self._channels) < images.shape[1]:
            images = images[:, self._channels]
        blocks = _POOLS[images.ndim - 2](images, BLOCKS).flatten(1)
        joined = torch.cat([self._histogram(images).flatten(1), blocks], dim=1)
        result: npt.NDArray[np.float32] = joined.numpy()
        return result

    def spectrum(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """The mean of each band from the block means: [N, P] to [N, C]; None for volumes, grey and RGB pictures.

        Where the side is no multiple of 8 pixels, blocks overlap and their mean is that of the picture nearly.
        """
        channels = len(self._channels)
        if channels in (1, 3) or features.shape[1] != channels * (BINS + BLOCKS**2):
            return None
        blocks = features[:, channels * BINS :].reshape(len(features), channels, BLOCKS**2)
        result: npt.NDArray[np.float32] = blocks.mean(axis=2)
        return result

    def _histogram(self, images: Tensor) -> Tensor:
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
        validation: of the validation units; may be empty.
        reported: features of the units to be scored.

    Returns:
        Scores [N, K].
    """
    mean, spread = train[0].mean(axis=0), train[0].std(axis=0)
    varying = spread > _CONSTANT
    scaled = [
        torch.from_numpy((part.reshape(len(part), len(varying))[:, varying] - mean[varying]) / spread[varying])
        for part in (train[0], validation[0], reported)
    ]
    best: tuple[float, TrivialScores] | None = None
    weights = torch.zeros(int(varying.sum()) + 1, train[1].shape[1])
    for penalty in PENALTIES if len(validation[0]) else (WITHOUT_VALIDATION,):
        weights = fit_logistic(scaled[0], torch.from_numpy(train[1]), penalty, weights)
        scores = [torch.sigmoid(_logits(part, weights)).double().numpy() for part in scaled[1:]]
        quality = macro_auroc(validation[1], scores[0])
        if best is None or quality > best[0]:
            best = quality, TrivialScores(reported=scores[1], validation=scores[0], penalty=penalty)
        elif quality < best[0] - _WORSE:
            break
    assert best is not None
    return best[1]


def fit_logistic(features: Tensor, labels: Tensor, penalty: float, start: Tensor, tolerance: float = 1e-5) -> Tensor:
    """L2-regularised logistic regressions of all classes at once, by L-BFGS.

    Each column solves min ½‖w‖² + C Σ log(1 + exp(−y (w·x + b))) over the units that have a label, b unpenalised.
    Together the columns need one matrix product a step; scikit-learn, a class at a time, takes several times as long at
    2,000 units and 1,728 features.

    Args:
        features: [N, P] float32, standardised.
        labels: [N, K], 1, 0 or -1 (left out).
        penalty: C.
        start: [1 + P, K] where to start; intercepts in the first row.
        tolerance: largest gradient of the objective divided by C·N at which to stop.

    Returns:
        [1 + P, K].
    """
    known, positive = (labels >= 0).float(), (labels == 1).float()
    weights = start.clone()
    optimizer = torch.optim.LBFGS(
        [weights],
        max_iter=_ITERATIONS,
        tolerance_grad=tolerance,
        tolerance_change=1e-9,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def closure() -> (
        Tensor
    ):  # the gradient is written out: Lightning tests in inference mode, where there is no autograd
        logits = _logits(features, weights)
        slopes = (torch.sigmoid(logits) - positive) * known / len(features)
        shrunk = weights[1:] / (penalty * len(features))
        weights.grad = torch.cat([slopes.sum(dim=0, keepdim=True), features.T @ slopes + shrunk])
        losses = functional.softplus(logits) - positive * logits
        return (losses * known).sum() / len(features) + (weights[1:] * shrunk).sum() / 2

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weights


def _logits(features: Tensor, weights: Tensor) -> Tensor:
    return features @ weights[1:] + weights[0]


def macro_auroc(labels: npt.NDArray[np.int8], scores: Floats) -> float:
    """Mean AUROC over the classes that have both labels; 0 where none has.

    Args:
        labels: [N, K] 1 present, 0 absent, -1 unknown.
        scores: [N, K].
    """
    values = [auroc(y[y >= 0] == 1, s[y >= 0])[0] for y, s in zip(labels.T, scores.T, strict=True)]
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else 0.0


PERMUTATIONS = 20
_TRIES = 100


def permutations(
    subjects: npt.NDArray[np.str_], *, seed: int, count: int = PERMUTATIONS
) -> list[npt.NDArray[np.int64]]:
    """Permutations [N] of units, in which a unit gets the image of another subject (as far as there is one).

    Args:
        subjects: [N].
        seed: fixes the permutations.
        count: how many.

    Examples:
        >>> import numpy as np
        >>> from voxtile.evaluation import permutations
        >>> subjects = np.array(["a", "a", "b", "b", "c"])
        >>> (shuffled,) = permutations(subjects, seed=0, count=1)
        >>> bool((subjects[shuffled] != subjects).all())  # each unit gets another subject's image
        True
    """
    rng = np.random.default_rng([seed, 0x5F])
    return [_permutation(subjects, rng) for _ in range(count)]


def _permutation(subjects: npt.NDArray[np.str_], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    order = rng.permutation(len(subjects))
    for _ in range(_TRIES):
        own = np.flatnonzero(subjects[order] == subjects)
        if not len(own):
            break
        for place in own:
            other = rng.integers(len(order))
            order[place], order[other] = order[other], order[place]
    return order
