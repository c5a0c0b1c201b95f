"""A linear classifier on frozen local features that shows the phrases it was fitted for.

Each class has a logistic regression of its own on the features of patches (scikit-learn's), as features of RAD-DINO and
DINOv2 are judged (Pérez-García et al., Nature Machine Intelligence 2025; Oquab et al., TMLR 2024, section 7.4). A patch
is of a class where at least half of it is. The regression's C has the best average precision of patches on validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional

from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.kinds.grounding.overlap import Mask
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.huggingface_pair import HuggingFacePair
from voxtile.inference.similarity.gradcam import resized
from voxtile.models.rgb_pictures import BandsModel, SlicePooledModel
from voxtile.processors import algebra_of

VALUES = "patch-values"
"""Name of the control: the same classifier on the values of a patch and its place, without the model."""

Local = Callable[[Tensor], tuple[Tensor, tuple[int, ...]]]
"""From images [S, C, *G] to features [S, N, W] of their patches, and the grid of these."""

_PENALTIES = (1e-3, 1e-1, 10.0)  # C of scikit-learn, for features of variance 1
_WITHOUT_VALIDATION = 1e-1
_PATCHES = 20_000  # of each side of a class at most
_NEVER = -30.0  # logit of a class that could not be fitted
_POOLS: Mapping[int, Callable[[Tensor, Any], Tensor]] = {
    2: functional.adaptive_avg_pool2d,
    3: functional.adaptive_avg_pool3d,
}


@dataclass(frozen=True)
class Example:
    """An image with what is known of it.

    Attributes:
        image: [C, *G].
        targets: class number → [*G] where it is, all False where it is denied; classes that nothing is known of are
            left out.
    """

    image: Tensor
    targets: Mapping[int, Mask]


class TokenProbe:
    """Shows the phrases of a task by a linear classifier a class.

    Args:
        local: gives the features.
        asked: text → number of its class.
        weights: [K, W] and biases [K] on standardised features.
        centre, spread: [W] of the training patches.
        unfitted: names of classes that no patch of the training images is of, or all are; they are never shown.
    """

    grounds = True

    def __init__(
        self,
        local: Local,
        asked: Mapping[str, int],
        weights: tuple[Floats, Floats],
        centre: Floats,
        spread: Floats,
        unfitted: tuple[str, ...] = (),
    ) -> None:
        self._local, self._asked, self.unfitted = local, asked, unfitted
        scaled = weights[0] / spread
        self._weights = torch.from_numpy(scaled).float()
        self._bias = torch.from_numpy(weights[1] - scaled @ centre).float()

    @torch.no_grad()
    def ground(self, images: Tensor, phrases: list[str]) -> tuple[Tensor, Tensor]:
        """[S, C, *G] and P phrases of the task to [S, P, *G] probabilities and [S, P] the largest of each."""
        columns = [self._asked[phrase] for phrase in phrases]
        features, grid = self._local(images)
        logits = (features @ self._weights.T + self._bias).transpose(1, 2)
        maps = resized(logits.reshape(len(images), -1, *grid), images.shape[2:]).sigmoid()[:, columns]
        return maps, maps.flatten(2).amax(2)


def model_features(model: object) -> Local:
    """The features of a model's patches, as its image tower gives them before any projection.

    Raises:
        EvaluationError: the model gives none.
    """
    if isinstance(model, BandsModel) and not isinstance(model, SlicePooledModel):
        return model_features(model.pictures)
    if isinstance(model, EncoderModel):
        tower, device = model.encoder.image, model.device

        def of_tower(images: Tensor) -> tuple[Tensor, tuple[int, ...]]:
            encoded = tower(images.to(device), tokens=True)
            if encoded.tokens is None or encoded.grid is None:
                raise _without_features(model)
            return encoded.tokens.float().cpu(), encoded.grid

        return of_tower
    if isinstance(model, HuggingFacePair):
        vision = model.module.vision_model

        def of_transformers(images: Tensor) -> tuple[Tensor, tuple[int, ...]]:
            tokens = vision(images.to(model.device)).last_hidden_state.float().cpu()
            size = vision.config.patch_size
            grid = tuple(n // size for n in images.shape[2:])
            return tokens[:, tokens.shape[1] - int(np.prod(grid)) :], grid

        return of_transformers
    raise _without_features(model)


def patch_values(grid: Sequence[int]) -> Local:
    """Mean, spread and extremes of each channel in a patch, and its place: what no model is needed for.

    Args:
        grid: of the patches.
    """
    places = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, n) for n in grid), indexing="ij")).flatten(1).T

    def values(images: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        pool = _POOLS[len(grid)]
        mean = pool(images, tuple(grid))
        spread = (pool(images**2, tuple(grid)) - mean**2).clamp(min=0).sqrt()
        high = _largest(images, grid)
        low = -_largest(-images, grid)
        found = torch.cat([mean, spread, high, low], 1).flatten(2).transpose(1, 2)
        return torch.cat([found, places.expand(len(images), -1, -1)], 2), tuple(grid)

    return values


def _largest(images: Tensor, grid: Sequence[int]) -> Tensor:
    pools = {2: functional.adaptive_max_pool2d, 3: functional.adaptive_max_pool3d}
    found: Tensor = pools[len(grid)](images, tuple(grid))
    return found


def fit_token_probe(
    local: Local,
    asked: Mapping[str, int],
    training: Callable[[], Iterator[Example]],
    validation: Callable[[], Iterator[Example]],
    names: Sequence[str],
    seed: int,
) -> TokenProbe:
    """Fit a classifier a class.

    Args:
        local: gives the features.
        asked: text → number of its class.
        training: walks through the images.
        validation: likewise; may be empty, and C is fixed then.
        names: of the classes, for messages.
        seed: of the patches that are taken, at most 20,000 of each side of a class.

    Raises:
        EvaluationError: no class has both patches that are of it and others.
    """
    train = _gathered(local, training(), len(names), seed)
    val = _gathered(local, validation(), len(names), seed)
    every = np.concatenate([part.features for part in train if len(part.features)] or [np.zeros((1, 1), np.float32)])
    centre, spread = every.mean(0, dtype=np.float64), every.std(0, dtype=np.float64)
    spread = np.where(spread > 1e-6, spread, 1.0)
    rows, biases, unfitted = [], [], []
    for name, own, held in zip(names, train, val, strict=True):
        if len(np.unique(own.labels)) < 2:
            unfitted.append(name)
            row, bias = np.zeros(every.shape[1]), _NEVER
        else:
            row, bias = _fitted(own, held, centre, spread)
        rows.append(row)
        biases.append(bias)
    if len(unfitted) == len(names):
        raise EvaluationError(
            f"no class has patches in the training images that are at least half of it, beside others: "
            f"{', '.join(names)}; a probe needs regions of that size in the training split"
        )
    return TokenProbe(local, asked, (np.stack(rows), np.array(biases)), centre, spread, tuple(unfitted))


@dataclass(frozen=True)
class _Patches:
    """Features [M, W] and labels [M] of patches."""

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.bool_]


def _gathered(local: Local, examples: Iterator[Example], classes: int, seed: int) -> list[_Patches]:
    rng = np.random.default_rng([seed, 0x5E])
    features: list[list[npt.NDArray[np.float32]]] = [[] for _ in range(classes)]
    labels: list[list[npt.NDArray[np.bool_]]] = [[] for _ in range(classes)]
    with torch.inference_mode():
        for example in examples:
            found, grid = local(example.image[None])
            patches = found[0].numpy()
            for k, target in example.targets.items():
                share = _POOLS[target.ndim](torch.from_numpy(target).float()[None], grid)
                features[k].append(patches)
                labels[k].append(share.flatten().numpy() >= 0.5)
    return [_thinned(f, y, rng) for f, y in zip(features, labels, strict=True)]


def _thinned(
    features: Sequence[npt.NDArray[np.float32]], labels: Sequence[npt.NDArray[np.bool_]], rng: np.random.Generator
) -> _Patches:
    if not features:
        return _Patches(np.zeros((0, 1), np.float32), np.zeros(0, np.bool_))
    truth = np.concatenate(labels)
    kept = np.sort(
        np.concatenate([
            side if len(side) <= _PATCHES else rng.choice(side, _PATCHES, replace=False)
            for side in (np.flatnonzero(truth), np.flatnonzero(~truth))
        ])
    )  # fmt: skip
    return _Patches(np.concatenate(features)[kept], truth[kept])


def _fitted(own: _Patches, held: _Patches, centre: Floats, spread: Floats) -> tuple[Floats, float]:
    best: tuple[float, LogisticRegression] | None = None
    judged = len(np.unique(held.labels)) == 2
    for penalty in _PENALTIES if judged else (_WITHOUT_VALIDATION,):
        model = LogisticRegression(C=penalty, max_iter=200, class_weight="balanced")
        with algebra_of(own.features.size):
            model.fit((own.features - centre) / spread, own.labels)
        scores = model.decision_function((held.features - centre) / spread) if judged else None
        quality = 0.0 if scores is None else float(average_precision_score(held.labels, scores))
        if best is None or quality > best[0]:
            best = quality, model
    assert best is not None
    return best[1].coef_[0], float(best[1].intercept_[0])


def _without_features(model: object) -> EvaluationError:
    name = getattr(model, "name", type(model).__name__)
    return EvaluationError(
        f"model '{name}' gives no features of patches; take a tower with tokens (docs/towers.md), or ask for "
        "similarity-segmentation"
    )
