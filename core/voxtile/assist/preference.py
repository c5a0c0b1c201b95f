"""Preference: an assistant is tuned by pairs of answers, of which the facts speak for one.

Shape letters: B items, P pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from voxtile.assist.answering import Answering
from voxtile.assist.answering.objective import Told
from voxtile.assist.sequences import padded
from voxtile.data.sentences import split_sentences
from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.tower import ImageTower, TextTower
from voxtile.types import Features, Preferred, Turn

Answers = list[tuple[int, tuple[Turn, ...]]]


class Preference(Answering):
    """Direct preference optimisation (Rafailov et al., NeurIPS 2023, eq. 7) of a trained assistant.

    With x the image and what is asked, y⁺ the answer that the facts speak for and y⁻ the other one, π what is trained
    and π₀ the assistant as it was when tuning began,

        L = − 1/P Σ log σ( β [ log π(y⁺|x)/π₀(y⁺|x) − log π(y⁻|x)/π₀(y⁻|x) ] ) + ν · ( − log π(y⁺|x) / |y⁺| ),

    the second term, the likelihood of a token of the better answer, as in Pang et al. (NeurIPS 2024, eq. 1). Pairs are
    of `data.preferences`. The run begins with the assistant that `model.pretrained` names; π₀ is kept in the
    checkpoint, so that a run resumes, and reads the same images as π: the towers stand still (`model.freeze_encoder`).
    A pair with a token that the assistant cannot write is left out.

    Two drafts that differ in a sentence differ in the likelihood of all that follows it, too, of which the facts say
    nothing. So sentences that both have can count less, as segments do in RLHF-V (Yu et al., CVPR 2024, eq. 5).

    Args:
        beta: β, how hard it is held to what it was: a small one lets it go far.
        nll: ν.
        shared: how much sentences that both answers have count in the first term, from 0 to 1; the one that follows
            what differs counts as that does, since it was begun in its place.
        answering: settings of `Answering`, those of the assistant that is tuned.

    Raises:
        ConfigError: a setting that does not exist.
    """

    def __init__(self, *, beta: float = 0.1, nll: float = 0.0, shared: float = 1.0, **answering: Any) -> None:  # noqa: ANN401
        super().__init__(**answering)
        if not beta > 0 or not nll >= 0:
            raise ConfigError(f"Preference: beta must be above 0 and nll at least 0, not {beta} and {nll}")
        if not 0 <= shared <= 1:
            raise ConfigError(f"Preference: shared must be from 0 to 1, not {shared}")
        self.beta, self.nll, self.shared = beta, nll, shared
        self.reference = nn.Module()
        self.register_buffer("has_begun", torch.zeros((), dtype=torch.bool))
        self._start = ""
        self._watched: list[DualEncoder] = []  # in a list, so that its weights are not the objective's

    # What it begins with

    def setup_encoder(self, encoder: DualEncoder) -> None:
        """The same with the encoder at hand."""
        self._watched = [encoder]
        super().setup_encoder(encoder)

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """As the assistant, with room for what it was when tuning began."""
        super().setup_towers(image, text)
        self.reference = nn.Module()
        for name, part in self.named_parameters():
            self.reference.register_buffer(_flat(name), part.detach().clone())

    def state_from(self, data: object) -> dict[str, Any]:
        """Nothing: words and all else are those of the assistant that is tuned.

        Raises:
            ConfigError: there are no pairs, or the towers are trained.
        """
        if not getattr(data, "has_preferences", False):
            raise ConfigError(
                "no item of the training split has a pair of answers for the objective Preference; make some with "
                "'voxtile prefer CORPUS MODEL', and set data.preferences"
            )
        if any(part.requires_grad for encoder in self._watched for part in encoder.image.parameters()):
            raise ConfigError(
                "Preference compares the assistant with what it was, which sees by the same towers: set "
                "model.freeze_encoder to true"
            )
        return {}

    def take_state(self, state: Mapping[str, Any]) -> None:
        """Take what a checkpoint has."""
        if state:
            super().take_state(state)

    def begin_with_states(self, states: Mapping[str, Any]) -> None:
        """Take words and what else is kept beside weights from the assistant that is tuned.

        Raises:
            CheckpointError: the checkpoint has no assistant, or several.
        """
        found = [name for name, state in states.items() if isinstance(state, Mapping) and "template" in state]
        if len(found) != 1:
            raise CheckpointError(
                f"the checkpoint of model.pretrained has {', '.join(found) or 'no objective'} that answers, and "
                "Preference tunes one assistant; name a checkpoint that was trained with the Answering objective"
            )
        self._start = f"{found[0]}."
        super().take_state(states[found[0]])

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take the assistant that is tuned, and keep it as the one to compare with.

        Raises:
            CheckpointError: it has other sizes.
        """
        own = dict(self.named_parameters())
        for name, part in own.items():
            stored = weights.get(self._start + name)
            if stored is None or stored.shape != part.shape:
                raise CheckpointError(
                    f"the assistant of model.pretrained is not the one that the objective describes ('{name}' "
                    "differs); give Preference the settings that it was trained with"
                )
        with torch.no_grad():
            for name, part in own.items():
                part.copy_(weights[self._start + name])
                self.reference.get_buffer(_flat(name)).copy_(part)
            cast(Tensor, self.has_begun).fill_(True)

    def train(self, mode: bool = True) -> Preference:
        """As any module, but for dropout: both answers are read alike, now and by the assistant as it was."""
        super().train(mode)
        if self.connector is not None:
            self.connector.eval()
        return self

    # The loss

    def rows(self, features: Features) -> Tensor:
        """Return [B, 2]: the summed loss of an item's pairs, and how many they are.

        Raises:
            ConfigError: no assistant was named to begin with, or a dialogue is longer than the language model reads.
        """
        if not cast(Tensor, self.has_begun):
            raise ConfigError("Preference tunes a trained assistant; name its checkpoint in model.pretrained")
        pairs = self._pairs(features.batch.preferences or ())
        answers: Answers = [(item, (turn,)) for item, pair in pairs for turn in turns_of(pair, self.shared)]
        now = self.told(features, answers)
        if not pairs:
            return now.losses
        before = self.losses_before(features, answers)
        gained = (before - now.each)[:, 0].view(-1, 2)  # log π/π₀ of both answers
        losses = -F.logsigmoid(self.beta * (gained[:, 0] - gained[:, 1]))
        if self.nll:
            told = self.likelihood(now)[0::2]
            losses = losses + self.nll * told[:, 0] / told[:, 1]
        made = torch.stack([losses, torch.ones_like(losses)], 1)
        return torch.zeros_like(now.losses).index_add(0, now.owners[0::2], made)

    def likelihood(self, told: Told) -> Tensor:
        """[R, 2] cross-entropy of answers as they were told and their tokens, all of which count alike."""
        rows = [replace(row, weights=()) for row in told.rows]
        tokens, is_told, _ = (part.to(told.states.device) for part in padded(rows))
        return self._losses(told.states, rows, tokens, is_told)

    @torch.no_grad()
    def losses_before(self, features: Features, answers: Answers) -> Tensor:
        """[R, 2]: summed cross-entropy and number of tokens of answers, by the assistant as it was.

        Args:
            features: of their images.
            answers: with their items, ascending.
        """
        was = {id(part): self.reference.get_buffer(_flat(name)) for name, part in self.named_parameters()}
        reader = _Reader(self)
        every = reader.named_parameters(remove_duplicate=False)  # a weight may be an embedding and a head
        weights = {name: was[id(part)] for name, part in every if id(part) in was}
        losses: Tensor = functional_call(reader, weights, (features, answers))
        return losses

    def _pairs(self, drawn: Sequence[Sequence[Preferred]]) -> list[tuple[int, Preferred]]:
        """Pairs with their items, all of whose tokens can be written."""
        return [
            (item, pair)
            for item, pairs in enumerate(drawn)
            for pair in pairs
            if self._can_write(pair.question, pair.chosen) and self._can_write(pair.question, pair.rejected)
        ]

    def _can_write(self, question: str, answer: str) -> bool:
        if self._allowed is None:
            return True
        row = self.sequence((Turn(question, answer),))
        told = [token for token, is_told in zip(row.tokens, row.told, strict=True) if is_told]
        return bool(torch.isin(torch.tensor(told), self._allowed.cpu()).all())


class _Reader(nn.Module):
    """The objective with its language model as modules of one, so that weights of both can be exchanged for a call."""

    def __init__(self, answering: Preference) -> None:
        super().__init__()
        self.answering, self.language = answering, answering.language.model

    def forward(self, features: Features, answers: Answers) -> Tensor:
        return self.answering.told(features, answers).each


def turns_of(pair: Preferred, shared: float) -> tuple[Turn, Turn]:
    """Both answers to the question of a pair, in which sentences that both have count by `shared`."""
    chosen, rejected = (split_sentences(text) for text in (pair.chosen, pair.rejected))
    counts = [[shared] * len(sentences) for sentences in (chosen, rejected)]
    for kind, *ranges in SequenceMatcher(None, chosen, rejected, autojunk=False).get_opcodes():
        if kind != "equal":
            for own, start, end in zip(counts, ranges[0::2], ranges[1::2], strict=True):
                own[start : end + 1] = [1.0] * len(own[start : end + 1])
    first, second = (
        Turn(pair.question, text, pieces=tuple(zip(sentences, own, strict=True)) if shared < 1 else ())
        for text, sentences, own in zip((pair.chosen, pair.rejected), (chosen, rejected), counts, strict=True)
    )
    return first, second


def _flat(name: str) -> str:
    """A name of a parameter as one of a buffer."""
    return name.replace(".", "|")
