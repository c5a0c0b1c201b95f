"""Any model of images and texts as one that shows phrases, by similarity alone.

Shape letters: S images, P phrases, D the shared width, *g a grid of places, *G the grid of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from voxtile.data.presets.base import Preset
from voxtile.errors import ConfigError
from voxtile.inference.similarity.gradcam import gradcam_maps, resized
from voxtile.inference.similarity.legrad import legrad_maps
from voxtile.inference.similarity.maskclip import patch_embeddings
from voxtile.inference.similarity.method import METHODS, Method
from voxtile.inference.similarity.side import ImageSide, image_side, noting_last_map, with_gradients
from voxtile.models.protocol import EvaluationModel
from voxtile.models.rgb_pictures import BandsModel

_COSINES = ("regions", "tokens", "concepts", "attributes", "maskclip")
_PART = 1 << 22  # places that are worked on at a time
_ASKED_FOR = ("attributes", "legrad")  # only where they are named: one knows few phrases, the other is dear


@runtime_checkable
class PhraseEncoder(Protocol):
    """A model that encodes phrases and refuses those that it cannot read whole."""

    def encode_phrases(self, phrases: Sequence[str]) -> Tensor:
        """P phrases to [P, D] normalised."""


class SimilarityModel:
    """Shows where in an image its similarity to a phrase lies.

    | method | map | for |
    |---|---|---|
    | `regions` | cosine of the features that `RegionContrast` aligned with phrases | checkpoints trained with it |
    | `tokens` | mean cosine of a place and the phrase's words | trained with `TokenWise` or `LocalAlignment` |
    | `concepts` | cosine of a place and the phrase, as facts were sought | trained with `ConceptPatch` |
    | `attributes` | cosine of an attribute and what its head makes of a place | trained with `RegionAttribute` |
    | `maskclip` | cosine of a patch's own value and the phrase | vision transformers, CLIP's ResNets |
    | `legrad` | positive gradients of the similarity by attention | vision transformers |
    | `gradcam` | features weighted by the similarity's gradient | any tower |

    `auto` is the first in this order that the model has, `attributes` and `legrad` left out.

    A similarity says where rather than whether: maps are scaled to 0 to 1 over an image, and the presence of a target
    is half of one plus the cosine of the whole image and the phrase. Thresholds for both come from a validation split.

    Args:
        model: gives embeddings.
        method: see above.

    Raises:
        ConfigError: the model has not what the method needs.
    """

    grounds = True

    def __init__(self, model: EvaluationModel, method: Method = "auto") -> None:
        if method not in METHODS:
            raise ConfigError(f"'{method}' is no method of similarity maps; there are {', '.join(METHODS)}")
        self._phrases = _phrase_encoder(model)
        self._model, self._side = model, image_side(model)
        has = _has(self._side)
        self.method: Method = next(m for m in has if m not in _ASKED_FOR) if method == "auto" else method
        if self.method not in has:
            raise ConfigError(
                f"model '{model.name}' has nothing for the method '{method}' to read; it can be shown with "
                f"{', '.join(has)}"
            )

    @property
    def name(self) -> str:
        """The model's own."""
        return self._model.name

    @property
    def preset(self) -> Preset:
        """The model's own."""
        return self._model.preset

    def ground(self, images: Tensor, phrases: list[str]) -> tuple[Tensor, Tensor]:
        """[S, C, *G] and P phrases to [S, P, *G] raw maps, see `scaled`, and [S, P] presence in 0 to 1.

        Raises:
            ConfigError: a phrase is empty or too long.
        """
        texts = self._phrases.encode_phrases(phrases).to(self._side.device)
        images = images.to(self._side.device)
        if self.method in _COSINES:
            with torch.no_grad():
                maps = resized(self._cosines(images, phrases, texts), images.shape[2:])
                embeddings = self._side.embed(images)
        else:
            with with_gradients(self._side.module):
                maps, embeddings = self._by_gradients(images.clone().requires_grad_(), texts.clone())
        return maps.detach().cpu(), ((1 + embeddings.detach() @ texts.T) / 2).cpu()

    def scaled(self, maps: Tensor, seen: Tensor | None = None) -> Tensor:
        """Raw maps of one image to 0 to 1.

        Args:
            maps: [P, *G] of `ground`.
            seen: [*G] bool, places that the model saw; all where left out.

        Returns:
            [P, *G] from 0 at the lowest place to 1 at the highest; 0 where a map is flat, and outside `seen`.
        """
        flat, found = maps.flatten(1), torch.empty_like(maps).flatten(1)
        inside = torch.ones_like(flat[0], dtype=torch.bool) if seen is None else seen.flatten()
        spans = [slice(start, start + _PART) for start in range(0, flat.shape[1], _PART)]
        parts = [(flat[:, span], inside[span], found[:, span]) for span in spans]
        low = torch.stack([_least(part, within) for part, within, _ in parts]).amin(0)
        high = -torch.stack([_least(-part, within) for part, within, _ in parts]).amin(0)
        for part, within, out in parts:  # some places at a time: a volume takes gigabytes otherwise
            shares = torch.where(high > low, (part - low) / (high - low).clamp(min=1e-20), 0.0).clamp(0, 1)
            out.copy_(torch.where(within, shares, 0.0))
        return found.view_as(maps)

    def shared_out(self, maps: Tensor) -> Tensor:
        """Raw maps of one image to [P, *G] in 0 to 1, each place given to the phrase that fits it best and to no other.

        What is given is the softmax over phrases at the model's scale for cosines, else the map of `scaled`.
        """
        found = (self._model.logit_scale * maps).softmax(0) if self.method in _COSINES else self.scaled(maps)
        return torch.where(found == found.amax(0), found, 0.0)

    def _cosines(self, images: Tensor, phrases: Sequence[str], texts: Tensor) -> Tensor:
        """[S, P, *g]."""
        side = self._side
        if self.method in side.learned:
            return side.learned[self.method](images, phrases)
        if side.transformer is not None:
            patches, grid = patch_embeddings(side.transformer, images), side.transformer.grid
        else:
            assert side.values is not None
            with noting_last_map(side.module.get_submodule("visual.layer4"), 2) as held:
                side.embed(images)
            patches, grid = side.values(held[0]), tuple(held[0].shape[2:])
        cosines = torch.nn.functional.normalize(patches.float(), dim=2) @ texts.T
        return cosines.transpose(1, 2).reshape(len(images), len(texts), *grid)

    def _by_gradients(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """[S, P, *G] and [S, D]."""
        side, grid = self._side, images.shape[2:]
        if self.method == "legrad":
            assert side.transformer is not None
            return resized(legrad_maps(side.transformer, images, texts), grid), side.embed(images)
        if side.levels is not None:
            levels, embeddings = side.levels(images)
            return gradcam_maps(levels, embeddings @ texts.T, grid), embeddings
        if side.transformer is not None:
            return self._token_gradcam(images, texts)
        with noting_last_map(side.module, len(grid)) as held:
            embeddings = side.embed(images)
        if not held:
            raise ConfigError(
                f"model '{self.name}' has no feature map that similarity could be laid out on; use a convolutional "
                "model or a plain vision transformer"
            )
        return gradcam_maps(held, embeddings @ texts.T, grid), embeddings

    def _token_gradcam(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Grad-CAM of what the last block's attention reads, as is usual for transformers."""
        tower = self._side.transformer
        assert tower is not None
        held: list[Tensor] = []
        hook = tower.blocks[-1].norm.register_forward_hook(lambda _, __, out: held.append(out))
        try:
            embeddings = self._side.embed(images)
        finally:
            hook.remove()
        patches, scores = held[0], embeddings @ texts.T
        maps = []
        for place in range(len(texts)):
            [slope] = torch.autograd.grad(scores[:, place].sum(), patches, retain_graph=True)
            own = slope[:, tower.prefix :].sum(1, keepdim=True) * patches[:, tower.prefix :].detach()
            maps.append(own.sum(2).clamp(min=0).view(len(own), *tower.grid))
        return resized(torch.stack(maps, 1), images.shape[2:]), embeddings


def _least(part: Tensor, within: Tensor) -> Tensor:
    """[P, 1] lowest of [P, N] where [N] is true."""
    return torch.where(within, part, torch.inf).amin(1, keepdim=True)


def methods_of(model: EvaluationModel) -> tuple[Method, ...]:
    """Methods that a model can be shown with, the one that `auto` takes first.

    Raises:
        ConfigError: it reads no phrases.
    """
    _phrase_encoder(model)
    has = _has(image_side(model))
    return (*(m for m in has if m not in _ASKED_FOR), *(m for m in has if m in _ASKED_FOR))


def _phrase_encoder(model: EvaluationModel) -> PhraseEncoder:
    own = model.pictures if isinstance(model, BandsModel) else model
    if not isinstance(own, PhraseEncoder):
        raise ConfigError(f"model '{model.name}' cannot encode phrases, so that it shows none by similarity")
    return own


def _has(side: ImageSide) -> list[Method]:
    """Methods that a model can be shown with, the most local first."""
    found: list[Method] = [method for method in METHODS if method in side.learned]
    if side.transformer is not None or side.values is not None:
        found.append("maskclip")
    found.append("gradcam")
    if side.transformer is not None:
        found.append("legrad")
    return found
