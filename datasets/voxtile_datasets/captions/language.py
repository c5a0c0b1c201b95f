"""Which language a text is written in, with an answer only where the text is long enough to tell.

py3langid (Lui and Baldwin, langid.py, ACL 2012): naive Bayes over byte n-grams.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from voxtile.errors import MissingExtraError, required

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# Widely written languages; the rarer ones of the model are mistaken for short English noun phrases.
_CODES = "ar bg cs da de el en es fa fi fr he hi hu id it ja ko nl no pl pt ro ru sk sl sv th tr uk vi zh"
_SURE = 0.85  # short medical noun phrases of right language stay below it, whole sentences above
_UNLIKELY = 0.05
_FEWEST_LETTERS = 12


def is_other_language(text: str, lang: str) -> str | None:
    """The language that a text is surely written in, where that is not `lang`; None where it is or may be.

    Args:
        text: a sentence or more.
        lang: ISO 639-1 code that is expected.

    Raises:
        MissingExtraError: py3langid is not installed.
    """
    if sum(letter.isalpha() for letter in text) < _FEWEST_LETTERS and text.isascii():
        return None
    chances = dict(_identifier().rank(text))
    found, chance = max(chances.items(), key=lambda pair: float(pair[1]))
    if found == lang or chance < _SURE or chances.get(lang, 1.0) > _UNLIKELY:
        return None
    return str(found)


def language_of(text: str) -> str:
    """ISO 639-1 code of the language that a text is likeliest in.

    Args:
        text: some sentences.

    Raises:
        MissingExtraError: py3langid is not installed.
    """
    return str(_identifier().rank(text)[0][0])


def require_identifier() -> None:
    """Refuse to go on without what tells languages apart; its model, half a second, is read when it is asked.

    Raises:
        MissingExtraError: py3langid is not installed.
    """
    if find_spec("py3langid") is None:
        raise MissingExtraError("py3langid", "llm")


@cache
def _identifier() -> LanguageIdentifier:
    with required("py3langid", "llm"):
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_CODES.split())
    return identifier
