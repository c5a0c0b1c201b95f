"""Scores of an image and a text beyond the cosine: by the tokens of both, as an objective taught a model to compare.

`late-interaction` is FILIP's (Yao et al., ICLR 2022, section 3.1) of a model trained with `TokenWise`: to a text for an
image the mean over patches of the best word, to an image for a text the mean over words of the best patch. `matching`
is the logit of the head of `ImageTextMatching` (ALBEF, Li et al., NeurIPS 2021, section 3.2), the same both ways.

Shape letters: S images, T texts, P pairs, N tokens of an image, L tokens of a text, W features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.evaluation.inputs.encode import PairLogits
from voxtile.evaluation.tasks.choices import LATE_INTERACTION, MATCHING, checked_scorers
from voxtile.inference.encoder_model import EncoderModel
from voxtile.models.protocol import EvaluationModel
from voxtile.objectives.generative.cross_attention import require_tokens
from voxtile.objectives.generative.image_text_matching import ImageTextMatching
from voxtile.objectives.local.local_tokens import projected
from voxtile.objectives.local.token_wise import TokenWise, paired_similarities
from voxtile.types import Encoded

_PAIRS = 64  # at a time
_TEXTS = 256


@dataclass(frozen=True)
class Local:
    """What is kept of some images, or of some texts.

    Attributes:
        tokens: [S, N, W] on the CPU.
        real: [S, N] bool, False where there is only padding.
    """

    tokens: Tensor
    real: Tensor

    def at(self, places: Tensor, device: torch.device) -> Local:
        """Some of them, on a device."""
        return Local(self.tokens[places].to(device), self.real[places].to(device))


class PairScorer(Protocol):
    """Compares images and texts by their tokens.

    Attributes:
        name: of the scorer.
    """

    name: str

    def local(self, encoded: Encoded, side: str) -> Local:
        """What it reads of what a tower gave; side is `image` or `text`."""

    def logits(self, image: Local, text: Local) -> Tensor:
        """[2, P] of P pairs: of the text for the image, and of the image for the text; times the model's scale."""


class LateInteraction:
    """Best words of patches and best patches of words, in the space that `TokenWise` learned."""

    name = LATE_INTERACTION

    def __init__(self, model: EncoderModel, term: TokenWise) -> None:
        self._scale = model.logit_scale
        self._projections: Mapping[str, nn.Linear | None] = MappingProxyType(
            {"image": term.image_projection, "text": term.text_projection}
        )

    def local(self, encoded: Encoded, side: str) -> Local:
        """Projected, normalised tokens."""
        return Local(*(part.cpu() for part in projected(encoded, self._projections[side], side, "TokenWise")))

    def logits(self, image: Local, text: Local) -> Tensor:
        """[2, P]."""
        return self._scale * paired_similarities(image.tokens, image.real, text.tokens, text.real)


class Matching:
    """The head of `ImageTextMatching`."""

    name = MATCHING

    def __init__(self, model: EncoderModel, term: ImageTextMatching) -> None:
        self._term = term.eval()

    def local(self, encoded: Encoded, side: str) -> Local:
        """The tower's own tokens."""
        tokens, padding = require_tokens(encoded, "ImageTextMatching", side)
        real = torch.ones(tokens.shape[:2], dtype=torch.bool) if padding is None else ~padding.cpu()
        return Local(tokens.cpu(), real)

    def logits(self, image: Local, text: Local) -> Tensor:
        """[2, P], both alike."""
        seen, said = (Encoded(part.tokens[:, 0], part.tokens, None, part.real) for part in (image, text))
        return self._term.match(seen, said).expand(2, -1)


_MADE: Mapping[str, tuple[type[nn.Module], Callable[..., PairScorer]]] = MappingProxyType(
    {LATE_INTERACTION: (TokenWise, LateInteraction), MATCHING: (ImageTextMatching, Matching)}
)


class PairScores:
    """The scorers of a model that were asked for; none where none was.

    Args:
        model: any.
        names: of `SCORERS`.

    Raises:
        ConfigError: the model was not trained with the objective of a scorer, or embeds studies as wholes.
    """

    def __init__(self, model: EvaluationModel, names: Sequence[str]) -> None:
        self._model = model
        self.scorers: list[PairScorer] = [_scorer(model, name) for name in checked_scorers(names)]

    def __bool__(self) -> bool:
        return bool(self.scorers)

    @torch.no_grad()
    def of_images(self, images: Tensor) -> list[Local]:
        """What each scorer reads of [S, C, *G] images, the tower run once."""
        assert isinstance(self._model, EncoderModel)
        encoded = self._model.encoder.encode_samples(images.to(self._model.device), tokens=True)[1]
        return [scorer.local(encoded, "image") for scorer in self.scorers]

    @torch.no_grad()
    def of_texts(self, texts: Sequence[str]) -> list[Local]:
        """What each scorer reads of T texts."""
        assert isinstance(self._model, EncoderModel)
        parts: list[list[Local]] = [[] for _ in self.scorers]
        for start in range(0, len(texts), _TEXTS):
            tokens, _ = self._model.encoder.text.tokenizer.encode(texts[start : start + _TEXTS])
            encoded = self._model.encoder.encode_texts(tokens.to(self._model.device))[1]
            for part, scorer in zip(parts, self.scorers, strict=True):
                part.append(scorer.local(encoded, "text"))
        return [joined(part) for part in parts]

    @torch.no_grad()
    def logits(self, number: int, images: Local, image: Tensor, texts: Local, text: Tensor) -> Tensor:
        """[2, P] float64 on the CPU of pairs, a few at a time.

        Args:
            number: of the scorer.
            images: what it reads of all images.
            image: [P] int64 which of them each pair has.
            texts: what it reads of all texts.
            text: [P] likewise.
        """
        assert isinstance(self._model, EncoderModel)
        device, scorer = self._model.device, self.scorers[number]
        made = [
            scorer.logits(images.at(one, device), texts.at(other, device)).double().cpu()
            for one, other in zip(torch.split(image, _PAIRS), torch.split(text, _PAIRS), strict=True)
        ]
        return torch.cat(made, 1) if made else torch.zeros(2, 0, dtype=torch.float64)


def prompt_scores(model: EvaluationModel, prompts: Sequence[str], names: Sequence[str]) -> PairLogits | None:
    """What scores images with the prompts of a task; None where nothing is asked for.

    Raises:
        ConfigError: as for `PairScores`.
    """
    scores = PairScores(model, names)
    if not scores:
        return None
    texts, count = scores.of_texts(prompts), len(prompts)

    def logits(images: Tensor) -> dict[str, npt.NDArray[np.float64]]:
        image, text = torch.arange(len(images)).repeat_interleave(count), torch.arange(count).repeat(len(images))
        return {
            scorer.name: scores.logits(number, own, image, texts[number], text)[0].view(-1, count).numpy()
            for number, (scorer, own) in enumerate(zip(scores.scorers, scores.of_images(images), strict=True))
        }

    return logits


def joined(parts: Sequence[Local]) -> Local:
    """Several as one, padded to the longest.

    Raises:
        ValueError: there are none.
    """
    if not parts:
        raise ValueError("nothing to join")
    longest = max(part.tokens.shape[1] for part in parts)
    more = [longest - part.tokens.shape[1] for part in parts]
    return Local(
        torch.cat([F.pad(part.tokens, (0, 0, 0, n)) for part, n in zip(parts, more, strict=True)]),
        torch.cat([F.pad(part.real, (0, n)) for part, n in zip(parts, more, strict=True)]),
    )


def _scorer(model: EvaluationModel, name: str) -> PairScorer:
    kind, made = _MADE[name]
    terms = model.objectives if isinstance(model, EncoderModel) else ()
    term = next((part for part in terms if isinstance(part, kind)), None)
    if term is None:
        raise ConfigError(
            f"model '{model.name}' has nothing to score pairs by {name} with: that needs a checkpoint that was trained "
            f"with the {kind.__name__} objective; leave {name} out"
        )
    if isinstance(model, EncoderModel) and model.pools_studies:
        raise ConfigError(
            f"model '{model.name}' embeds studies as wholes, which have no tokens to score pairs by {name} with; leave "
            "it out"
        )
    return made(model, term)
