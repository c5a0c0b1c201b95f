"""A trained model as it speaks about images: what it is shown, and what its sentences rest on.

Shape letters: C channels, *G the grid of an image, W width of the language model, D width of the shared space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voxtile.assist.answering import Answering
from voxtile.assist.regions import GroundedAnswering
from voxtile.assist.speaking.replies import CANNOT_BE_TOLD, Claim, Reply
from voxtile.assist.writing import Answer
from voxtile.data.sentences import split_sentences
from voxtile.errors import ConfigError
from voxtile.inference.encoder_model import EncoderModel
from voxtile.types import Encoded

_SEEN_AT_ONCE = 32  # images of a study; a slide has hundreds


@dataclass(frozen=True)
class Speaker:
    """The towers and the language model of a checkpoint.

    Attributes:
        name: of the checkpoint, for messages.
        model: the towers, with the preset.
        answering: what writes.
    """

    name: str
    model: EncoderModel
    answering: Answering

    @torch.no_grad()
    def shown(self, images: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor, Encoded]:
        """[1, K, W] for the language model of N images in one prompt, and of the last of them [1, D] and the tower's.

        Raises:
            ConfigError: it never saw several.
        """
        embeddings, encoded = self.model.encoder.encode_samples(images.to(self.model.device), tokens=True)
        if not names:
            return self.answering.image(encoded), embeddings, encoded
        if not self.answering.shows_several:
            raise ConfigError(f"'{self.name}' was not trained on several images at a time; give one")
        return self.answering.images(encoded, names), embeddings[-1:], encoded.at(slice(-1, None))

    @property
    def reads_studies(self) -> bool:
        """Whether it makes as many tokens of a study of several series as of one image."""
        connector = self.answering.connector
        return connector is not None and connector.settings.kind == "hierarchy"

    @torch.no_grad()
    def shown_study(self, images: Tensor) -> tuple[Tensor, Tensor, Encoded]:
        """[1, K, W] for the language model of one study of [N, C, *G] images, [1, D] of it, and the tower's.

        Raises:
            ConfigError: it reads one image at a time.
        """
        if not self.reads_studies:
            raise ConfigError(
                f"'{self.name}' reads one image at a time; give one, or train a connector of the kind hierarchy with "
                "data.unit: study"
            )
        encoder, device = self.model.encoder, self.model.device
        parts = [encoder.encode_samples(part.to(device), tokens=True) for part in torch.split(images, _SEEN_AT_ONCE)]
        embeddings, encoded = torch.cat([part for part, _ in parts]), _joined([part for _, part in parts])
        owner = torch.zeros(len(images), dtype=torch.int64, device=device)
        study, seen = encoder.pool_items(embeddings, encoded, owner, 1, members=True)
        return self.answering.image(seen), study, seen

    @torch.no_grad()
    def read(self, image: Tensor, prompt: Sequence[int], regions: Mapping[int, Tensor] | None = None) -> Tensor:
        """[1, L, W] a prompt as it is read after [1, K, W] of an image, with [W] regions in their places."""
        tokens = torch.tensor([list(prompt)], dtype=torch.int64, device=self.model.device)
        read = self.answering.language.embedded(tokens).clone()
        for place, vector in (regions or {}).items():
            read[0, place] = vector.to(read.dtype)
        return self.answering.sight(image).added(read, [prompt])

    def marked(self, tower: Encoded, regions: Sequence[Tensor]) -> Tensor:
        """[n, W] what the language model reads of regions of one image: [*G] in 0 to 1 each, with what the tower gives.

        Raises:
            ConfigError: it was not trained on marked regions.
        """
        if not isinstance(self.answering, GroundedAnswering) or not self.answering.answers_marks:
            raise ConfigError(
                f"'{self.name}' was not trained on questions about marked regions; train one with "
                "voxtile.assist.GroundedAnswering, data.dialogues.marked and dialogues of the kind region "
                "(docs/assist.md)"
            )
        masks = torch.stack(list(regions)).to(self.model.device)
        with torch.no_grad():
            return self.answering.region_vectors(tower, torch.zeros(len(masks), dtype=torch.int64), masks)

    @torch.no_grad()
    def support(self, vector: Tensor, sentences: Sequence[str]) -> list[float | None]:
        """Probability that the contrastive model gives each sentence, by the sigmoid that it was trained with.

        Args:
            vector: [D] embedding of the image.
            sentences: of an answer.
        """
        bias = self.model.encoder.logit_bias
        if bias is None or not sentences:
            return [None for _ in sentences]
        cosines = self.model.encode_texts(list(sentences)) @ vector.cpu()
        return [float(p) for p in torch.sigmoid(self.model.logit_scale * cosines + bias.cpu()).tolist()]

    def reply(
        self, answer: Answer, vector: Tensor, least: float, image: Tensor, prompt: Sequence[int], read: Tensor
    ) -> Reply:
        """What was written as sentences with what each rests on and points at.

        Args:
            answer: as it was written.
            vector: [D] embedding of the image.
            least: confidence below which it is withheld.
            image: [1, K, W], from the connector.
            prompt: its tokens.
            read: [1, L, W] the prompt, from `read`.
        """
        said, queries = [(sentence, 0) for sentence in split_sentences(answer.text)], None
        if isinstance(self.answering, GroundedAnswering):
            said = _with_points(self.answering.parts_of(answer.written))
            if any(points for _, points in said):
                queries = self.answering.queries_of(image, prompt, read, answer.written)
        support = self.support(vector, [sentence for sentence, _ in said])
        claims, start = [], 0
        for (sentence, points), believed in zip(said, support, strict=True):
            own = slice(start, start + points)
            query = queries.at(own) if queries is not None and points else None
            claims.append(Claim(sentence, believed, self._name(sentence, query), query))
            start += points
        return self._said(answer, tuple(claims), least)

    def _name(self, sentence: str, query: Encoded | None) -> str | None:
        """The longest name of a region that a sentence has; the sentence without one."""
        if query is None:
            return None
        names = self.answering.names if isinstance(self.answering, GroundedAnswering) else ()
        held = [name for name in names if name.casefold() in sentence.casefold()]
        return max(held, key=len, default=sentence.rstrip("."))

    def _said(self, answer: Answer, claims: tuple[Claim, ...], least: float) -> Reply:
        withheld = not answer.text or answer.confidence < least
        return Reply(CANNOT_BE_TOLD if withheld else answer.text, claims, answer.confidence, withheld, answer.ended)


def _joined(parts: Sequence[Encoded]) -> Encoded:
    """What the tower gave of parts of a study, without feature maps, which studies are not read by."""
    first = parts[0]
    tokens = None if first.tokens is None else torch.cat([part.tokens for part in parts if part.tokens is not None])
    mask = None if first.mask is None else torch.cat([part.mask for part in parts if part.mask is not None])
    return Encoded(torch.cat([part.pooled for part in parts]), tokens, first.grid, mask)


def _with_points(parts: Sequence[str]) -> list[tuple[str, int]]:
    """Sentences, and how many points stand behind each; parts are the texts before, between and behind them."""
    found: list[tuple[str, int]] = []
    for number, part in enumerate(parts):
        found += [(sentence, 0) for sentence in split_sentences(part)]
        if number < len(parts) - 1:
            sentence, points = found.pop() if found else ("", 0)
            found.append((sentence, points + 1))
    return found
