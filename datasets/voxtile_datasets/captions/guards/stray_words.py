"""Words of the field that a sentence about one fact has no business with: an organ, a tissue or a place of its own.

The checker judges what it can read as a claim. A small model also names things beside the point ("a consolidation of
the liver"), which no rule about the concept covers. A sentence may use the words of all that the model was told of its
fact (side, size, lobe, level) and other words for the same side and place, of the bank's wordings of it, of what the
picture is called, and of the examples' phrases; of all other words, only those that the claim vocabulary does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache

from voxtile.words.tokens import normal_form, words_of
from voxtile_datasets.captions.checker.choose import choose
from voxtile_datasets.captions.checker.extraction.grammar import load_grammar
from voxtile_datasets.captions.checker.vocabulary import Vocabulary, installed_vocabularies
from voxtile_datasets.captions.context.prompts import Prompt
from voxtile_datasets.captions.context.sample import SampleContext
from voxtile_datasets.captions.sentences import picture_names, wordings_of
from voxtile_datasets.captions.stated_facts import Fact
from voxtile_datasets.captions.wordings import POLARITIES, bank_for, installed_banks

_WORD = re.compile(r"[^\W\d_]+")


def stray_word(text: str, fact: tuple[str, str], prompt: Prompt, sample: SampleContext) -> str | None:
    """The first word of the field that has nothing to do with a fact, or None.

    Args:
        text: a sentence that is to say a fact.
        fact: its concept, and all that the model was told of it: `8 mm left nodule, upper lobe`.
        prompt: that asked for it, with its examples.
        sample: whose fact it is.
    """
    vocabulary = _vocabularies()[choose(_vocabularies(), sample.modality, [fact[0]])]
    allowed = _own(fact[0], sample.modality, sample.body) | _forms([*fact, sample.body or ""])
    allowed |= _of_same_place(f"{fact[0]} {fact[1]}", vocabulary)
    for example in prompt.examples:
        allowed |= _forms([example["sentence"]]) - _forms([example["finding"], example["concept"]])
    allowed |= load_grammar().prepositions | load_grammar().verbs | {"and"}
    known = vocabulary.field_words
    return next(
        (word for word in _WORD.findall(text) if (form := normal_form(word)) in known and form not in allowed), None
    )


@lru_cache(maxsize=10_000)
def _of_same_place(told: str, vocabulary: Vocabulary) -> frozenset[str]:
    """Words of every phrase for the sides, organs and places that a text names, and for places that are nearly those.

    Whether they stand together as they should ("lower lobe" for "upper lobe") is for the checker to say.
    """
    words, sides = words_of(told.replace("_", " ")).words, load_grammar().sides
    meant = {side.payload for side in sides.find(words)}
    named = {place.payload for place in vocabulary.places.find(words)}
    organs = {organ.payload for organ in vocabulary.structures.find(words)}
    near = named.union(*(vocabulary.near.get(place, ()) for place in named))
    phrases = [phrase for phrase, side in sides if side in meant]
    phrases += [phrase for phrase, organ in vocabulary.structures if organ in organs and len(phrase) == 1]
    phrases += [phrase for phrase, place in vocabulary.places if place in near]
    return frozenset(word for phrase in phrases for word in phrase)


@cache
def _own(concept: str, modality: str | None, body: str | None) -> frozenset[str]:
    """Words of a concept's name, of the bank's wordings of it, and of the picture."""
    bank = bank_for(installed_banks(), modality)
    texts = [concept.replace("_", " "), *picture_names(bank, modality, body)]
    for polarity in POLARITIES:
        texts += wordings_of(Fact(concept, polarity), bank, modality, body)
    return _forms(texts)


@cache
def _vocabularies() -> Mapping[str, Vocabulary]:
    return installed_vocabularies()


def _forms(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(normal_form(word) for text in texts for word in _WORD.findall(text))
