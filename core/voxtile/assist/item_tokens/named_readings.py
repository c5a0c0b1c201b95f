"""Readings of an image by name: what a sentence says of something is read where the image shows that.

Shape letters: B images, N names, P phrases, D numbers of an image, F of a phrase's profile, R of a reading, H within,
W width of the language model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class NamedReadings:
    """Names in questions and answers, each with a reading of the image of its own.

    Attributes:
        names: as texts have them, without the ending of a plural, and the number of the phrase of `connector.regions`
            whose maps the reading sees too; null for none.
        also: other words for some of these names, which have the same reading.
        rank: numbers that are read linearly of all tokens of the image, for each name.
        dropout: share of the tokens' numbers that training leaves out of them.

    Raises:
        ConfigError: no name, an empty one, one that stands for two readings, or a number out of range.
    """

    names: Mapping[str, int | None] = field(default_factory=dict)
    also: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rank: int = 8
    dropout: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", {_plain(name): at for name, at in self.names.items()})
        object.__setattr__(
            self, "also", {_plain(name): [_plain(w) for w in words] for name, words in self.also.items()}
        )
        if not self.names or not all(self.names) or any(at is not None and at < 0 for at in self.names.values()):
            raise ConfigError("connector.named needs names, each with the number of a phrase or null")
        if unknown := [name for name in self.also if name not in self.names]:
            raise ConfigError(
                f"connector.named.also has words for '{unknown[0]}', which is none of its names; add it there"
            )
        texts = [text for text, _ in self.texts]
        if not all(texts) or len(set(texts)) < len(texts):
            raise ConfigError("connector.named: each of the words in also stands for one name, and none is empty")
        if self.rank < 1 or not 0 <= self.dropout < 1:
            raise ConfigError(f"connector.named: rank {self.rank} or dropout {self.dropout} is out of range")

    @property
    def texts(self) -> list[tuple[str, int]]:
        """Names and other words for them, casefolded, each with the number of its reading."""
        return [(text, at) for at, name in enumerate(self.names) for text in (name, *self.also.get(name, ()))]


def _plain(name: str) -> str:
    return str(name).strip().casefold()


class NamedReadingTokens(nn.Module):
    """A token for each name.

    A language model tells what is there from what it keeps of the image as a whole. Where it is, it must look up under
    the right name, and attention learns that from many more reports than there are of most findings. Here each name has
    a linear reading of the image's tokens, as a classifier has, and sees its phrase's maps; the language model gets it
    with each token from where the name ends (`voxtile.assist.item_tokens.naming`).

    Args:
        settings: which names.
        numbers: D; 0 where the phrases' maps are all that is seen.
        profile: F; 0 without `connector.regions`.
        hidden: H.
        language: W.
    """

    def __init__(self, settings: NamedReadings, numbers: int, profile: int, hidden: int, language: int) -> None:
        super().__init__()
        count, rank = len(settings.names), settings.rank
        self.dropout = nn.Dropout(settings.dropout)
        self.linear: nn.Parameter | None = None
        if numbers:
            self.norm = nn.LayerNorm(numbers, elementwise_affine=False)
            self.linear = nn.Parameter(torch.randn(count, numbers, rank) / math.sqrt(numbers))
            self.from_linear = nn.Linear(rank, hidden)
        self.own = nn.Parameter(torch.randn(count, hidden))
        self.from_profile = nn.Linear(profile, hidden) if profile else None
        self.write = nn.Sequential(nn.GELU(), nn.Linear(hidden, language))
        phrases = [-1 if at is None or not profile else at for at in settings.names.values()]
        self.register_buffer("phrases", torch.tensor(phrases, dtype=torch.int64), persistent=False)

    def forward(self, tokens: Tensor | None, profiles: Tensor | None) -> Tensor:
        """[B, N, W] of [B, D] numbers of images and [B, P, F] profiles of phrases."""
        parts = []
        if self.linear is not None and tokens is not None:
            read = torch.einsum("bd,ndr->bnr", self.dropout(self.norm(tokens)), self.linear)
            parts.append(self.from_linear(read))
        if self.from_profile is not None and profiles is not None:
            parts.append(self.of_phrases(self.from_profile(profiles)))
        written: Tensor = self.write(self.own + sum(parts))
        return written

    def of_phrases(self, values: Tensor) -> Tensor:
        """[B, N, …] of the phrase of each name, of [B, P, …]; 0 where it has none."""
        phrases = self.get_buffer("phrases")
        return values[:, phrases.clamp(min=0)] * (phrases >= 0)[:, None]
