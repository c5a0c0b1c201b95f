"""Facts of a corpus as phrases that a text tower reads."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from voxtile.errors import ConfigError, nearest
from voxtile.models.tower import TextTower


class ConceptPhrases:
    """One phrase a concept.

    Args:
        phrases: what a concept is called where its name would not do; the others are their names, with spaces.
        objective: name of the objective, for messages.

    Attributes:
        names: of the concepts.
        phrases: one each.
    """

    def __init__(self, phrases: Mapping[str, str], objective: str) -> None:
        self.objective = objective
        self._given = dict(phrases)
        self.names: tuple[str, ...] = ()
        self.phrases: list[str] = []
        self._tokens: Tensor | None = None

    def setup(self, fact_names: tuple[str, ...]) -> None:
        """Take the concepts of the corpus view.

        Raises:
            ConfigError: there are none, or a phrase is of none of them, or empty.
        """
        if not fact_names:
            raise ConfigError(
                f"the {self.objective} objective needs facts with evidence; run 'voxtile facts --from reports' on the "
                "corpus, or remove the objective"
            )
        unknown = sorted(set(self._given) - set(fact_names))
        if unknown:
            raise ConfigError(
                f"{self.objective} has a phrase for '{unknown[0]}', of which the corpus view has no facts; there are "
                f"{', '.join(fact_names)}"
            )
        self.names = tuple(fact_names)
        self.phrases = [self._given.get(name, name.replace("_", " ")) for name in fact_names]
        empty = [name for name, phrase in zip(fact_names, self.phrases, strict=True) if not phrase.strip()]
        if empty:
            raise ConfigError(f"the phrase of '{empty[0]}' in {self.objective} is empty; say what it looks like")
        self._tokens = None

    def place(self, phrase: str) -> int:
        """Which concept a phrase is: its phrase or its name, whatever the case.

        Raises:
            ConfigError: none; names those that there are.
        """
        wanted = " ".join(phrase.split()).casefold()
        for at, (name, own) in enumerate(zip(self.names, self.phrases, strict=True)):
            if wanted in (own.casefold(), name.casefold(), name.replace("_", " ").casefold()):
                return at
        raise ConfigError(
            f"'{phrase}' is none of what {self.objective} learned: {', '.join(self.phrases)}"
            f"{nearest(phrase, self.phrases)}"
        )

    def tokens(self, tower: TextTower, device: torch.device) -> Tensor:
        """[F, L] int64 tokens of the phrases.

        Raises:
            ConfigError: a phrase is longer than the tower reads.
        """
        if self._tokens is None:
            tokens, cut = tower.tokenizer.encode(self.phrases)
            if cut:
                raise ConfigError(
                    f"{cut} phrases of {self.objective} are longer than the text tower reads; shorten them in phrases"
                )
            self._tokens = tokens
        self._tokens = self._tokens.to(device)
        return self._tokens
