"""What a text speaks of, token by token: the last of the names that the connector has readings of.

Shape letters: R rows, L tokens, N names, W width of the language model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.assist.language import Words

Found = list[tuple[int, int, int]]
"""(Where it ends, its length, its number) of each name in a text."""

NONE = -1
"""Of tokens before any name."""

_REMEMBERED = 1 << 14  # rows of tokens


class Finder:
    """Names in texts, without regard to case or to what follows them.

    Args:
        names: casefolded, each with its number.
    """

    def __init__(self, names: Sequence[tuple[str, int]]) -> None:
        self._patterns = [(re.compile(rf"\b{re.escape(name)}"), len(name), number) for name, number in names]

    def of(self, text: str) -> Found:
        """Those of a text."""
        text = text.casefold()
        return [
            (match.end(), length, number)
            for pattern, length, number in self._patterns
            for match in pattern.finditer(text)
        ]


class Names:
    """Which name a text speaks of after each of its tokens: the one that it had last, to its end.

    What follows does not matter: so it is known while a text is being written, and the ending of a plural changes
    nothing. Of two names that end alike the longer one counts.

    Args:
        words: of the language model.
        names: casefolded, each with its number.
    """

    def __init__(self, words: Words, names: Sequence[tuple[str, int]]) -> None:
        self.words = words
        self._finder = Finder(names)
        self.of_tokens = lru_cache(_REMEMBERED)(self._of_tokens)

    def last(self, tokens: Sequence[int]) -> int:
        """Number of the name after the last token; `NONE` before any."""
        return max(self._finder.of(self._text(tokens)), default=(0, 0, NONE))[2]

    def _of_tokens(self, tokens: tuple[int, ...]) -> tuple[int, ...]:
        """Number of the name after each token."""
        found, held, reached = sorted(self._finder.of(self._text(tokens))), [], 0
        for length in self._lengths_of(tokens):
            while reached < len(found) and found[reached][0] <= length:
                reached += 1
            held.append(found[reached - 1][2] if reached else NONE)
        return tuple(held)

    def _lengths_of(self, tokens: tuple[int, ...]) -> list[int]:
        """Letters of the text up to each token, this one included."""
        lengths, total = [], 0
        for part in (parts := [self._text([token]) for token in tokens]):
            total += len(part)
            lengths.append(total)
        if "".join(parts) == self._text(tokens):
            return lengths
        return [len(self._text(tokens[: count + 1])) for count in range(len(tokens))]  # letters of several tokens

    def _text(self, tokens: Sequence[int]) -> str:
        return self.words.decode(list(tokens)).casefold()


@dataclass(frozen=True)
class NamedSight:
    """What images show of what a text speaks of; nothing where the connector has no readings.

    Attributes:
        names: which.
        readings: [R, N, W] of the image of each row.
    """

    names: Names | None = None
    readings: Tensor | None = None

    def of(self, rows: Tensor) -> NamedSight:
        """The same for other rows: [R'] int64, which of these each is of."""
        return self if self.readings is None else NamedSight(self.names, self.readings[rows])

    def added(self, embedded: Tensor, rows: Sequence[Sequence[int]], starts: Sequence[int] = ()) -> Tensor:
        """[R, L, W] embeddings of texts, each token with the reading of what the text speaks of.

        Args:
            embedded: of the tokens, padded at the end.
            rows: tokens of each text.
            starts: where each begins in `embedded`; at 0 where left out.
        """
        if self.names is None or self.readings is None:
            return embedded
        held = torch.full(embedded.shape[:2], NONE, dtype=torch.int64)
        for row, (start, tokens) in enumerate(zip(starts or [0] * len(rows), rows, strict=True)):
            held[row, start : start + len(tokens)] = torch.tensor(
                self.names.of_tokens(tuple(tokens)), dtype=torch.int64
            )
        return self._with(embedded, held)

    def added_after(self, embedded: Tensor, before: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """[1, L, W] embeddings of the tokens of one text that follow others, likewise."""
        return self.added(F.pad(embedded, (0, 0, len(before), 0)), [[*before, *tokens]])[:, len(before) :]

    def added_to_last(self, embedded: Tensor, rows: Sequence[Sequence[int]]) -> Tensor:
        """[R, 1, W] the embedding of the last token of each text, likewise."""
        if self.names is None or self.readings is None:
            return embedded
        return self._with(embedded, torch.tensor([[self.names.last(tokens)] for tokens in rows]))

    def _with(self, embedded: Tensor, held: Tensor) -> Tensor:
        """[R, L, W] with the reading of [R, L] names; a gradient of 0 reaches those that no text has."""
        assert self.readings is not None
        held = held.to(embedded.device)
        rows = torch.arange(len(held), device=held.device)[:, None]
        read = self.readings[rows, held.clamp(min=0)] * (held != NONE)[..., None]
        return embedded + read.to(embedded.dtype)
