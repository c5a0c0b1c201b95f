"""A dual encoder with its preprocessing, as evaluation wants it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from voxtile.data.presets.base import Preset
from voxtile.data.seen_samples import TrainingMarks
from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.grounding_decoder import require_levels
from voxtile.models.tower import WritingTokenizer, require_phrases
from voxtile.objectives.facts.head import FactHead
from voxtile.objectives.local.grounding import Grounding
from voxtile.types import Encoded

_SPECIAL = re.compile(r"[<\[].*[>\]]")  # <start_of_text>, [UNK]


class EncoderModel:
    """A dual encoder, its preset and its auxiliary head, as evaluation wants them.

    Args:
        name: how tables call it.
        encoder: the towers, on the device where they shall run.
        preset: their preprocessing.
        head: auxiliary fact head for samples, if there is one.
        study_head: likewise for whole studies.
        grounding: shows phrases in images, if it was trained to.
        objectives: all that it was trained with, for what they learned.
    """

    def __init__(
        self,
        name: str,
        encoder: DualEncoder,
        preset: Preset,
        head: FactHead | None = None,
        study_head: FactHead | None = None,
        grounding: Grounding | None = None,
        objectives: Sequence[nn.Module] = (),
    ) -> None:
        self.name = name
        self.preset = preset
        self.objectives = tuple(objectives)
        self._encoder = encoder.eval()
        self._head = head.eval() if head is not None else None
        self._study_head = study_head.eval() if study_head is not None else None
        self._grounding = grounding.eval() if grounding is not None else None
        self.training_marks: TrainingMarks | None = None  # what it was trained on, where a checkpoint says so

    @property
    def encoder(self) -> DualEncoder:
        """The towers and their projections."""
        return self._encoder

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._encoder.log_scale.device

    @property
    def logit_scale(self) -> float:
        """Multiplier of the cosine similarity."""
        return self._encoder.logit_scale.item()

    @property
    def fact_names(self) -> tuple[str, ...]:
        """Concepts of the auxiliary head."""
        return self._head.fact_names if self._head is not None else ()

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """[S, C, *G] float32 to [S, D] normalised embeddings."""
        return self._encoder.encode_samples(images.to(self.device))[0].cpu()

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """T texts to [T, D] normalised embeddings."""
        tokens, _ = self._encoder.text.tokenizer.encode(texts)
        return self._encoder.encode_texts(tokens.to(self.device), local=False)[0].cpu()

    def reads(self, text: str) -> bool:
        """Whether any token of a text stands for a letter or digit, rather than for a byte of one or for nothing known.

        Towers give a vector for every text; that of one in an alphabet that no caption had says nothing.
        """
        tokenizer = self._encoder.text.tokenizer
        if not isinstance(tokenizer, WritingTokenizer):
            return True
        tokens, _ = tokenizer.encode([text])
        pieces = (tokenizer.decode([token]).strip() for token in tokens[0].tolist())
        return any(character.isalnum() for piece in pieces if not _SPECIAL.fullmatch(piece) for character in piece)

    @torch.no_grad()
    def encode_phrases(self, phrases: Sequence[str]) -> Tensor:
        """P phrases to [P, D] normalised embeddings.

        Raises:
            ConfigError: a phrase is empty or too long.
        """
        return self.encoded_phrases(phrases)[0].cpu()

    @torch.no_grad()
    def encoded_phrases(self, phrases: Sequence[str]) -> tuple[Tensor, Encoded]:
        """P phrases to [P, D] normalised embeddings and the text tower's own output, where the model runs.

        Raises:
            ConfigError: a phrase is empty or too long.
        """
        encode = self._encoder.text.tokenizer.encode
        require_phrases(phrases, lambda phrase: encode([phrase])[1] > 0)
        tokens, _ = encode(phrases)
        return self._encoder.encode_texts(tokens.to(self.device))

    @torch.no_grad()
    def fact_logits(self, images: Tensor) -> Tensor:
        """[S, C, *G] to [S, F] logits of the auxiliary head.

        Raises:
            ConfigError: the model has none.
        """
        return self.encode_images_with_facts(images)[1]

    @torch.no_grad()
    def encode_images_with_facts(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[S, C, *G] to [S, D] normalised embeddings and [S, F] logits, the tower run once.

        Raises:
            ConfigError: the model has no auxiliary head.
        """
        if self._head is None:
            raise ConfigError(f"model '{self.name}' has no fact head; train it with the FactHead objective")
        embeddings, encoded = self._encoder.encode_samples(images.to(self.device))
        return embeddings.cpu(), self._head.logits(encoded.pooled).cpu()

    @property
    def grounds(self) -> bool:
        """Whether it was trained to show phrases in images."""
        return self._grounding is not None

    @torch.no_grad()
    def ground(self, images: Tensor, phrases: list[str]) -> tuple[Tensor, Tensor]:
        """[S, C, *G] and P phrases to [S, P, *G] probability of each voxel and [S, P] of there being a target.

        Raises:
            ConfigError: the model was not trained to ground, or a phrase is empty or too long.
        """
        if not self.grounds:
            raise ConfigError(f"model '{self.name}' cannot show phrases; train it with the Grounding objective")
        return self.ground_encoded(images, self.encoded_phrases(phrases)[1])

    @torch.no_grad()
    def ground_encoded(self, images: Tensor, texts: Encoded) -> tuple[Tensor, Tensor]:
        """The same for P phrases as the text tower, or what stands in for it, encodes them.

        Raises:
            ConfigError: the model was not trained to ground.
        """
        if self._grounding is None or self._grounding.decoder is None:
            raise ConfigError(f"model '{self.name}' cannot show phrases; train it with the Grounding objective")
        images = images.to(self.device)
        _, encoded = self._encoder.encode_samples(images, tokens=True)
        count, asked = len(images), len(texts.pooled)
        places = torch.arange(asked, device=self.device).repeat(count)
        item = torch.arange(count, device=self.device).repeat_interleave(asked)
        found = self._grounding.decoder(require_levels(encoded), texts.at(places), item, images.shape[2:])
        masks = found.mask.sigmoid().view(count, asked, *images.shape[2:])
        return masks.cpu(), found.presence.float().sigmoid().view(count, asked).cpu()

    @property
    def pools_studies(self) -> bool:
        """Whether a study tower embeds the samples of a study together."""
        return self._encoder.study.learned

    @property
    def reads_dates(self) -> bool:
        """Whether the study tower reads the dates of samples."""
        return self._encoder.study.reads_dates

    @property
    def study_fact_names(self) -> tuple[str, ...]:
        """Concepts of the auxiliary head for whole studies."""
        return self._study_head.fact_names if self._study_head is not None else ()

    @torch.no_grad()
    def encode_vectors(self, images: Tensor) -> Tensor:
        """[S, C, *G] to the tower's own [S, W] float32 vectors."""
        return self._encoder.encode_samples(images.to(self.device))[1].pooled.float().cpu()

    @torch.no_grad()
    def encode_studies(
        self, vectors: Tensor, owner: Tensor, count: int, days: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """[S, W] vectors and the study of each, to [N, D] normalised embeddings and [N, F] logits, or None.

        `days` [S] since the latest sample of the study, NaN where unknown, count where the model `reads_dates`.
        """
        days = None if days is None else days.to(self.device)
        embeddings, pooled = self._encoder.encode_studies(
            vectors.to(self.device), owner.to(self.device), count, days=days
        )
        logits = None if self._study_head is None else self._study_head.logits(pooled).cpu()
        return embeddings.cpu(), logits


def best_device() -> torch.device:
    """A GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
