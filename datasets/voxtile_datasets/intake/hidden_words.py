"""Whether de-identification hid so much of report texts that their findings went with it.

Its rules know English. A German noun begins with a capital, as names do, and many findings are such nouns.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from voxtile.words.other_languages import is_of_another

_WORD = re.compile(r"[^\W\d_]+")
_MUCH = 1 / 6  # of its words; of 300 reports of IU none loses more than a fiftieth, German ones a third
_FEWEST = 10  # words of a text that tells


@dataclass
class HiddenWords:
    """Counts texts, each once, however many series have it.

    Attributes:
        texts: hash of a text → much of it was hidden.
        others: hashes of texts of which a word or letter is of another language than English.
    """

    texts: dict[int, bool] = field(default_factory=dict)
    others: set[int] = field(default_factory=set)

    def add(self, text: str, left: str) -> None:
        """Compare a text with what de-identification left of it."""
        before, after = Counter(_WORD.findall(text)), Counter(_WORD.findall(left))
        hidden = (before - after).total()
        self.texts[hash(text)] = before.total() >= _FEWEST and hidden >= _MUCH * before.total()
        if is_of_another(text):
            self.others.add(hash(text))

    def sentence(self) -> str:
        """What to know of it; empty where no text lost much, and all are in English as far as one can tell."""
        much = sum(self.texts.values())
        if not much:
            return self._of_other_languages()
        return (
            f"of {much} of {len(self.texts)} report texts a sixth of the words or more is hidden as names and places: "
            "the rules know English, and take nouns of other languages for names (docs/de-identification.md); read "
            "some in 'voxtile inspect' before you train on them"
        )

    def _of_other_languages(self) -> str:
        if not self.others:
            return ""
        return (
            f"{len(self.others)} of {len(self.texts)} report texts are in another language than English, at least in "
            "part: names, places and days that no header holds may stay in them (docs/de-identification.md); read some "
            "in 'voxtile inspect' before you hand them on"
        )
