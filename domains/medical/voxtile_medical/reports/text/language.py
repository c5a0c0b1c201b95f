"""Is a text in English? By its small words; enough to refuse a report that the English rules would misread."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

from voxtile.bounded_text import load_yaml
from voxtile.words.tokens import words_of

LANGUAGES = Path(__file__).with_name("languages.yaml")
_FEWEST_WORDS = 6
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
    if len(words) < _FEWEST_WORDS:
        return None
    small, others = _small_words()
    counts = Counter(words)
    foreign_words = frozenset().union(*others.values())  # "la" is a left atrium, too
    english = sum(n for word, n in counts.items() if word in small or (word in known and word not in foreign_words))
    scores = {language: sum(counts[word] for word in theirs - small) for language, theirs in others.items()}
    language = max(scores, key=lambda name: scores[name])
    return language if scores[language] > english and scores[language] >= 0.08 * len(words) else None


@cache
def _small_words() -> tuple[frozenset[str], dict[str, frozenset[str]]]:
    data = load_yaml(LANGUAGES.read_text(encoding="utf-8"))
    return frozenset(data["english"].split()), {k: frozenset(words.split()) for k, words in data["others"].items()}
