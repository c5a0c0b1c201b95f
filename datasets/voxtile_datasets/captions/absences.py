"""Which absences a caption may name, and whether a model's text tower can tell a denial from what it denies."""

from __future__ import annotations

from collections.abc import Iterable

from voxtile.errors import ConfigError
from voxtile.listed_classes import listed_class
from voxtile.short_class_names import full_name
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

LIKELY = 2  # absences of a caption for a text tower that reads the order of words


def likely_confusions(found: Iterable[str], asked: Iterable[str], vocabulary: Vocabulary) -> frozenset[str]:
    """Those of some concepts that are easily taken for what is there: kin, and other kinds of the same.

    Args:
        found: concepts that are present or uncertain.
        asked: concepts that can be denied.
        vocabulary: which concepts are kin, and kinds of which.
    """
    present = {name for concept in found for name in vocabulary.resolve(concept)}
    near = {name for own in present for name in vocabulary.kin(own) | _siblings(own, vocabulary)}
    above = {name for own in present for name in vocabulary.above(own)}
    resolved = {concept: set(vocabulary.resolve(concept)) for concept in asked}
    return frozenset(concept for concept, names in resolved.items() if names & near and not names & above)


def _siblings(name: str, vocabulary: Vocabulary) -> frozenset[str]:
    concept = vocabulary.concepts.get(name)
    parents = concept.is_a if concept else ()
    return frozenset(other for other, known in vocabulary.concepts.items() if set(parents) & set(known.is_a)) - {name}


def absences_for(absent: int | None, text_tower: str | None) -> int:
    """How many absences a caption names.

    A text tower that adds up words puts "no effusion" beside "effusion", so that a denial teaches it the opposite.

    Args:
        absent: as the user says; None for what suits the tower.
        text_tower: class of the tower that will read the captions, as a config names it; None where nobody says.

    Raises:
        ConfigError: there is no such tower.
    """
    if text_tower is None:
        return absent or 0
    from voxtile.models.tower import TextTower

    path = text_tower if "." in text_tower else full_name(text_tower)
    if path is None:
        raise ConfigError(
            f"there is no text tower '{text_tower}'; give the class path that the config has under model.network.text, "
            "e.g. TextBag or voxtile.models.TextTransformer"
        )
    tower = listed_class(path, TextTower)
    if absent is not None:
        return absent
    return LIKELY if tower.reads_word_order else 0
