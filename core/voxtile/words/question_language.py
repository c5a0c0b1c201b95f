"""Questions in a language that a model was not trained on are refused: it would answer them all the same.

Which language its questions are in, the questions themselves say (py3langid of the extra llm; Lui and Baldwin,
langid.py, ACL 2012); where that is not installed, a question in letters that none of them has is told all the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from voxtile.domain import Command
from voxtile.errors import ConfigError, MissingExtraError

OTHER = Command("voxtile_datasets.captions.language:is_other_language", "tells languages apart")
LANGUAGE = Command("voxtile_datasets.captions.language:language_of", "names the language of a text")
_WORD = re.compile(r"[^\W\d_]+")
_KNOWN = 0.5  # share of the words from which on a question is one that the model may read
_SPANISH = set("¿¡")
_TOLD_BY = 4000  # letters of training questions that tell their language


class OtherLanguageError(ConfigError):
    """A question in a language that the model was not trained on."""


def require_language(question: str, trained: Sequence[str]) -> None:
    """Refuse a question in another language than those of the training; one that may be in theirs passes.

    Args:
        question: what is asked.
        trained: questions of the training; none says nothing.

    Raises:
        OtherLanguageError: names the language where that is known.
    """
    words = [word.casefold() for word in _WORD.findall(unicodedata.normalize("NFC", question))]
    if not trained or not words:
        return
    known, scripts, text = _read(tuple(trained))
    if sum(word in known for word in words) >= _KNOWN * len(words):
        return
    strange = {_script(letter) for word in words for letter in word} - scripts
    found = next(iter(sorted(strange)), None) or _by_marks(question, words, trained) or _other(question, text)
    if found:
        raise OtherLanguageError(
            f"the question is in another language ({found}) than this model was trained on; ask as it was asked in "
            f"training, e.g. '{trained[0]}'"
        )


@lru_cache(maxsize=8)
def _read(trained: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str], str]:
    """Words, scripts, and a text of training questions."""
    words = frozenset(word.casefold() for one in trained for word in _WORD.findall(one))
    return words, frozenset(_script(letter) for word in words for letter in word), " ".join(trained)[:_TOLD_BY]


def _script(letter: str) -> str:
    """LATIN, CYRILLIC, CJK, ARABIC, …: how Unicode names letters."""
    return unicodedata.name(letter, "UNKNOWN").split()[0].split("-")[0]


def _by_marks(question: str, words: Sequence[str], trained: Sequence[str]) -> str | None:
    """What marks and accents of a short question say that no question of the training has."""
    if _SPANISH & set(question):
        return "es"
    known, _, _ = _read(tuple(trained))
    if len(words) < 2 or not known.isdisjoint(words):  # a name alone ("Sjögren?") is of any language
        return None
    accents = [letter for letter in "".join(words) if not letter.isascii()]
    return f"letters such as {accents[0]}" if accents and all(map(str.isascii, trained)) else None


def _other(question: str, trained: str) -> str | None:
    """ISO 639-1 code of the language that a question is surely in, where training questions are in another one."""
    try:
        own = LANGUAGE.load()(trained)
        found: str | None = OTHER.load()(question, own)
    except MissingExtraError:
        return None
    return found
