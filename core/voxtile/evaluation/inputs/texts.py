"""Embeddings of texts, as every kind of task needs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from voxtile.errors import EvaluationError
from voxtile.models.protocol import EvaluationModel

_TEXTS_AT_ONCE = 256
Embeddings: TypeAlias = npt.NDArray[np.float64]


def embed_texts(model: EvaluationModel, texts: Sequence[str]) -> Embeddings:
    """[T, D] normalised embeddings of texts.

    Raises:
        EvaluationError: an embedding is not finite; names the text.
    """
    parts = [model.encode_texts(texts[i : i + _TEXTS_AT_ONCE]) for i in range(0, len(texts), _TEXTS_AT_ONCE)]
    embedded = normalised(torch.cat(parts).detach().cpu().double().numpy())
    wrong = np.flatnonzero(~np.isfinite(embedded).all(axis=1))
    if len(wrong):
        raise EvaluationError(
            f"model '{model.name}' gives an embedding that is not finite for the text {texts[wrong[0]]!r}; "
            f"the checkpoint is damaged or its training diverged"
        )
    return embedded


def normalised(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Vectors of length one along the last axis."""
    result: npt.NDArray[np.float64] = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return result
