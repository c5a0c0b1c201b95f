"""Is a text in English? By its small words; enough to refuse a report that the English rules would misread."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

from voxtile.bounded_text import load_yaml
from voxtile.words.other_languages import is_of_another
from voxtile.words.tokens import words_of
from voxtile_medical.reports.text.spelling import Speller, english_words

LANGUAGES = Path(__file__).with_name("languages.yaml")
_FEWEST_WORDS = 6
_LONG, _FEWEST_LONG = 4, 3  # letters of a long word; fewest words of so many that tell a language
_MOST_ACCENTED = 2  # words with accents that an English text of no small words may have is one less
_STRANGE, _STRANGE_BESIDE = 0.5, 0.85  # share of them that neither English nor the field knows; beside words of English
_LONG_WORD = re.compile(rf"[^\W\d_]{{{_LONG},}}")
_LAST_LATIN_LETTER = 0x24F


def other_language(text: str, known: frozenset[str]) -> str | None:
    """Name of the language if a text is not in English, else None.

    Args:
        text: a report; only its first 20,000 characters are looked at.
        known: words of the lexicon, which count for English.
    """
    sample = text[:20_000]
    letters = [character for character in sample if character.isalpha()]
    if not letters:
        return None
    foreign = sum(1 for character in letters if ord(character) > _LAST_LATIN_LETTER)
    if foreign > 0.3 * len(letters):
        return "a language of another script"
    words = [word for word in words_of(sample.lower()).words if word.isalpha()]
    small, others, sure = _small_words()
    said = sum(word in small for word in words)
    surest = max(sure, key=lambda name: sum(word in sure[name] for word in words))
    if sum(word in sure[surest] for word in words) > said:
        return surest
    long = [word for word in words if len(word) >= _LONG]
    strange = sum(_is_strange(word, known) for word in long)
    share = _STRANGE if said == 0 else _STRANGE_BESIDE  # "in", "a" and "no" are words of other languages, too
    accented = sum(not word.isascii() for word in long)
    if (len(long) >= _FEWEST_LONG and strange >= share * len(long)) or (said == 0 and accented >= _MOST_ACCENTED):
        return "a language other than English"
    if len(words) < _FEWEST_WORDS:
        return None
    counts = Counter(words)
    foreign_words = frozenset().union(*others.values())  # "la" is a left atrium, too
    english = sum(n for word, n in counts.items() if word in small or (word in known and word not in foreign_words))
    scores = {language: sum(counts[word] for word in theirs - small) for language, theirs in others.items()}
    language = max(scores, key=lambda name: scores[name])
    return language if scores[language] > english and scores[language] >= 0.08 * len(words) else None


def is_foreign(sentence: str, known: frozenset[str], speller: Speller) -> bool:
    """Whether a sentence of a report is in another language, though the whole of the report may be in English.

    Args:
        sentence: one of a report.
        known: words of the lexicon.
        speller: corrects slips, which are no words of another language.
    """
    if is_of_another(sentence):
        return True
    strange = {word for word in _LONG_WORD.findall(sentence.lower()) if _is_strange(word, known)}
    shortened = {word for word in strange if any(name.startswith(word) for name in known)}  # "chr microvasc isch dz"
    if strange == shortened:
        return False
    corrected = " ".join(speller.corrected(words_of(sentence)).words)
    return other_language(corrected, known | shortened) is not None


def _is_strange(word: str, known: frozenset[str]) -> bool:
    """Whether neither English nor a field knows a word or what it is a plural of."""
    return not (word in known or word in english_words() or word.rstrip("s") in english_words())


@cache
def _small_words() -> tuple[frozenset[str], dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Small words of English, of other languages, and those that tell the language of a text of a few words."""
    data = load_yaml(LANGUAGES.read_text(encoding="utf-8"))
    english = frozenset(data["english"].split())
    others, sure = ({k: frozenset(words.split()) for k, words in data[key].items()} for key in ("others", "sure"))
    return english, others, sure
