"""Which of a viewer's own classes a sample is of, with a temperature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from voxtile.api.inputs import check_metas
from voxtile.corpus.source import StoredSample
from voxtile.data.presets.roles import StudyReader, not_a_study
from voxtile.errors import ConfigError, EvaluationError, PresetError
from voxtile.evaluation.inputs.texts import embed_texts, normalised
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.huggingface_pair import HuggingFacePair
from voxtile.models.flattening import Flattening
from voxtile.models.protocol import EvaluationModel
from voxtile.models.rgb_pictures import flattened
from voxtile.objectives import Contrastive

Kind = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class ClassScore:
    """One class.

    Attributes:
        name: of the class.
        cosine: of the image and the mean of the class's prompts.
        probability: among the classes by softmax, of the class alone by sigmoid.
    """

    name: str
    cosine: float
    probability: float


def trained_by(model: EvaluationModel) -> Kind:
    """How the model learned which texts are of an image: one among many (softmax), or each by itself (sigmoid)."""
    return "softmax" if _bias(model) is None else "sigmoid"


def class_scores(
    model: EvaluationModel, source: StoredSample, classes: Mapping[str, Sequence[str]], temperature: float
) -> list[ClassScore]:
    """Scores of classes, in their order.

    Cosines are those of `voxtile.api.model.Model.classify`, whose probabilities these are at temperature 1 where the
    model was trained by softmax. Where it was trained by sigmoid (Zhai et al., ICCV 2023), a class's probability is
    that of the pair by itself, and they do not sum to 1.

    Args:
        model: of images and texts.
        source: the sample.
        classes: prompts by class.
        temperature: what logits are divided by; above 1 the answers are less sure.

    Raises:
        ConfigError: no class, an empty prompt, or a sample that the model does not read.
        CorpusError: the sample cannot be read.
    """
    kind = trained_by(model)
    _check_classes(classes, kind)
    try:
        seen = _embedding(model, source)
        rows = [normalised(embed_texts(model, list(said)).mean(0, keepdims=True))[0] for said in classes.values()]
    except (PresetError, EvaluationError) as error:
        raise ConfigError(str(error)) from error
    cosines = [float(seen @ row) for row in rows]
    offset = _offset(model)
    shifted = cosines if offset is None else [float((seen + offset) @ row) for row in rows]
    logits = [(model.logit_scale * cosine + (_bias(model) or 0.0)) / temperature for cosine in shifted]
    probabilities = _softmax(logits) if kind == "softmax" else [_sigmoid(logit) for logit in logits]
    return [ClassScore(*one) for one in zip(classes, cosines, probabilities, strict=True)]


def _check_classes(classes: Mapping[str, Sequence[str]], kind: Kind) -> None:
    if not classes or (kind == "softmax" and len(classes) < 2):
        raise ConfigError("name at least two classes: among one alone every image is of it; add its opposite")
    if empty := [name for name, said in classes.items() if not said or not all(text.strip() for text in said)]:
        raise ConfigError(f"the class '{empty[0]}' has no prompt, or an empty one; give at least one text")


def _embedding(model: EvaluationModel, source: StoredSample) -> Any:  # noqa: ANN401 - [D] float64
    if isinstance(model.preset, StudyReader):
        raise not_a_study(model.preset.role_names)
    reads = flattened(model, [source.meta], Flattening())
    check_metas(reads.preset, [source.meta])
    vector = reads.encode_images(reads.preset(source, None)[None]).double().numpy()
    if not np.isfinite(vector).all():
        raise ConfigError("the image's embedding is not finite, so that it is of no class")
    return normalised(vector)[0]


def _contrastive(model: EvaluationModel) -> Contrastive | None:
    objectives = model.objectives if isinstance(model, EncoderModel) else ()
    return next((one for one in objectives if isinstance(one, Contrastive)), None)


def _bias(model: EvaluationModel) -> float | None:
    """The bias of a model that was trained by sigmoid; None of others."""
    if isinstance(model, HuggingFacePair):
        found = getattr(model.module, "logit_bias", None)  # SigLIP has one, CLIP has none
        return None if found is None else float(found.detach())
    if not isinstance(model, EncoderModel) or model.encoder.logit_bias is None:
        return None
    objective = _contrastive(model)
    if objective is not None and objective.kind != "sigmoid":
        return None
    return float(model.encoder.logit_bias.detach())


def _offset(model: EvaluationModel) -> Any:  # noqa: ANN401 - [D] float64, or None
    """What was learned of texts that are true of most images, see `Contrastive.text_bias`."""
    objective = _contrastive(model)
    if _bias(model) is None or objective is None or objective.offset is None:
        return None
    return objective.offset.detach().double().cpu().numpy()


def _softmax(logits: Sequence[float]) -> list[float]:
    raised = np.exp(np.asarray(logits) - max(logits))
    return [float(value) for value in raised / raised.sum()]


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))
