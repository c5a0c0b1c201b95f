"""Words that are nearly one of the reports' own: slips of the pen, which are no names."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from voxtile_datasets.deidentification.vocabulary import report_words

if TYPE_CHECKING:
    from symspellpy import SymSpell

_SHORTEST = 4  # letters
_SHORTEST_OF_TWO = 7  # letters of a word with two slips


@lru_cache(maxsize=65536)
def is_slip(word: str) -> bool:
    """Whether one or two slips make a word of reports of it.

    Args:
        word: in small letters, of no list.
    """
    from symspellpy import Verbosity  # a conversion without reports does not need it

    if len(word) < _SHORTEST or not word.isalpha():
        return False
    return bool(_near_words().lookup(word, Verbosity.TOP, max_edit_distance=2 if len(word) >= _SHORTEST_OF_TWO else 1))


@cache
def _near_words() -> SymSpell:
    from symspellpy import SymSpell

    near = SymSpell(max_dictionary_edit_distance=2, prefix_length=7)
    for word in report_words():
        if len(word) >= _SHORTEST:
            near.create_dictionary_entry(word, 1)
    return near
