"""Similarities of places and phrases that objectives taught a model: of regions, words, concepts and attributes.

Shape letters: S images, P phrases, N tokens of an image, L words of a phrase, D the shared width, *g a grid of places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.inference.encoder_model import EncoderModel
from voxtile.models.grounding_decoder import require_levels
from voxtile.models.tower import full_precision
from voxtile.objectives.local.concept_patch import ConceptPatch
from voxtile.objectives.local.local_alignment import LocalAlignment
from voxtile.objectives.local.local_tokens import projected
from voxtile.objectives.local.region_attribute import RegionAttribute
from voxtile.objectives.local.region_contrast import RegionContrast
from voxtile.objectives.local.token_wise import TokenWise

LocalSimilarity = Callable[[Tensor, Sequence[str]], Tensor]
"""Images and P phrases to [S, P, *g] cosines of places and phrases."""


def learned_similarities(model: EncoderModel) -> Mapping[str, LocalSimilarity]:
    """By the name of their method, the most local first; none of a model that learned none."""
    found: dict[str, LocalSimilarity] = {}
    for method, (kinds, make) in _METHODS.items():
        term = next((part for part in model.objectives if isinstance(part, kinds)), None)
        if term is not None:
            found[method] = make(model, term)
    return found


def _by_region(model: EncoderModel, term: RegionContrast) -> LocalSimilarity:
    def similar(images: Tensor, phrases: Sequence[str]) -> Tensor:
        assert term.project is not None
        level = require_levels(model.encoder.encode_samples(images, tokens=True)[1])[term.level]
        places = F.normalize(full_precision(term.project(level.movedim(1, -1))), dim=-1)
        return (places @ model.encode_phrases(phrases).to(places.device).T).movedim(-1, 1)

    return similar


def _by_word(model: EncoderModel, term: TokenWise | LocalAlignment) -> LocalSimilarity:
    """Mean over the phrase's words, or the phrase as a whole where whole texts were compared."""

    def similar(images: Tensor, phrases: Sequence[str]) -> Tensor:
        whole, texts = model.encoded_phrases(phrases)
        if term.text_projection is None:
            return _cosines(model, term, images, whole)
        said, real = projected(texts, term.text_projection, "text", type(term).__name__)
        mean = said.sum(1) / real.sum(1, keepdim=True).clamp(min=1)
        return _cosines(model, term, images, mean)

    return similar


def _by_concept(model: EncoderModel, term: ConceptPatch) -> LocalSimilarity:
    """⟨x_in, u_c⟩ of `ConceptPatch`, for any phrase."""

    def similar(images: Tensor, phrases: Sequence[str]) -> Tensor:
        return _cosines(model, term, images, model.encoded_phrases(phrases)[0])

    return similar


def _by_attribute(model: EncoderModel, term: RegionAttribute) -> LocalSimilarity:
    """q_ina of `RegionAttribute`: of the attributes that it learned, or of any phrase where one head serves all."""

    def similar(images: Tensor, phrases: Sequence[str]) -> Tensor:
        heads = [0] * len(phrases) if term.shared else [term.attributes.place(phrase) for phrase in phrases]
        asked = phrases if term.shared else [term.attributes.phrases[place] for place in heads]
        encoded = model.encoder.encode_samples(images, tokens=True)[1]
        if encoded.tokens is None or encoded.grid is None:
            raise ConfigError(f"the image tower of '{model.name}' gives no places to lay attributes out on")
        texts = F.normalize(full_precision(model.encoded_phrases(asked)[1].pooled), dim=1)
        maps = [
            F.normalize(full_precision(term.heads[head](encoded.tokens)), dim=2) @ text
            for head, text in zip(heads, texts, strict=True)
        ]
        stacked = torch.stack(maps, 1)
        return stacked.reshape(*stacked.shape[:2], *encoded.grid)

    return similar


def _cosines(
    model: EncoderModel, term: TokenWise | LocalAlignment | ConceptPatch, images: Tensor, vectors: Tensor
) -> Tensor:
    """[S, P, *g] of projected places with [P, D] vectors."""
    encoded = model.encoder.encode_samples(images, tokens=True)[1]
    places, _ = projected(encoded, term.image_projection, "image", type(term).__name__)
    if encoded.grid is None:
        raise ConfigError(f"the image tower of '{model.name}' gives no grid of places to lay a map out on")
    similar: Tensor = (places @ vectors.to(places.device, places.dtype).T).transpose(1, 2)
    return similar.reshape(*similar.shape[:2], *encoded.grid)


_METHODS: Mapping[str, tuple[type[nn.Module] | tuple[type[nn.Module], ...], Callable[..., LocalSimilarity]]] = (
    MappingProxyType({
        "regions": (RegionContrast, _by_region),
        "tokens": ((TokenWise, LocalAlignment), _by_word),
        "concepts": (ConceptPatch, _by_concept),
        "attributes": (RegionAttribute, _by_attribute),
    })
)  # fmt: skip
