"""English of reports, as readers of other domains' reports use it."""

from __future__ import annotations

from pathlib import Path

from voxtile.words.tokens import words_of
from voxtile_medical.reports.assertion.grammar import ENGLISH, load_grammar
from voxtile_medical.reports.assertion.statements import Statement
from voxtile_medical.reports.text.language import other_language


class English:
    """How sentences of reports affirm, deny and doubt what they name.

    Args:
        cues: YAML file of further cues of a field, by kind as under `polarity` of `english.yaml`; None for none.

    Examples:
        >>> said = English().statement("No evidence of malignancy.")
        >>> said.polarity(3, 4)
        'absent'
    """

    def __init__(self, cues: Path | None = None) -> None:
        self._grammar = load_grammar(ENGLISH, cues)

    def statement(self, text: str) -> Statement:
        """A sentence or a part of one, with the polarity of any of its words."""
        return Statement(words_of(text), self._grammar)

    def other_language(self, text: str, known: frozenset[str]) -> str | None:
        """Name of the language of a text that is not English, else None; words in `known` count for English."""
        return other_language(text, known)
