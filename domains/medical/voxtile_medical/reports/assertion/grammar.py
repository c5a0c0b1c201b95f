"""The language of reports as a table: what denies, doubts, places, grades and compares (`english.yaml`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from voxtile.bounded_text import load_yaml
from voxtile.words.phrases import Phrases, expand
from voxtile.words.tokens import normal_form, words_of

ENGLISH = Path(__file__).with_name("english.yaml")
Modifier: TypeAlias = tuple[str, str]  # attribute, value
_NOUNS = ("aly", "yly")  # hepatomegaly, polydactyly
LOBE_SIDE = "side of the lobe"  # what the name of a lobe implies
RELATIVE_SIDE = "relative side"  # of the side that was named last: same or other


@dataclass(frozen=True)
class Grammar:
    """A compiled language table.

    Attributes:
        version: of the table.
        cues: phrases that deny, doubt, or end a statement, without adverbs; the payload is the key in the table.
        adverbs: words that are passed over where cues are looked for; so are words in -ly, but for `no_adverbs`.
        modifiers: phrases that say an attribute; the payload is (attribute, value).
        comparisons: phrases of a sentence that compares with an earlier examination.
        some_of_them: phrases that go on about some of what was just named ("the larger").
        same_thing: phrases between two names of one thing ("consistent with").
        correcting: phrases that take back a side named before them.
        strong: the breaks that part organs from what is said of them.
        numbers: words that count, and how many they say.
        verbs, tails, openers, adjectives, parts_of_things, treatments: words, see the table.
        sees, auxiliaries, gone, suggests: likewise.
    """

    version: str
    cues: Phrases[str]
    adverbs: frozenset[str]
    no_adverbs: frozenset[str]
    modifiers: Phrases[Modifier]
    comparisons: Phrases[bool]
    some_of_them: Phrases[bool]
    same_thing: Phrases[bool]
    correcting: Phrases[bool]
    strong: frozenset[tuple[str, ...]]
    verbs: frozenset[str]
    tails: frozenset[str]
    openers: frozenset[str]
    adjectives: frozenset[str]
    numbers: Mapping[str, int]
    parts_of_things: frozenset[str]
    treatments: frozenset[str]
    reasons: Phrases[bool]
    sees: frozenset[str]
    auxiliaries: frozenset[str]
    gone: frozenset[str]
    suggests: frozenset[str]

    def is_adverb(self, word: str) -> bool:
        """Whether a word says how sure or how much, and never whether."""
        return word in self.adverbs or (
            word.endswith("ly") and not word.endswith(_NOUNS) and word not in self.no_adverbs
        )


@cache
def load_grammar(path: Path = ENGLISH, further: Path | None = None) -> Grammar:
    """Read and compile a language table.

    Args:
        path: the table.
        further: a YAML file of cues by kind, as under `polarity` of the table.
    """
    data = load_yaml(path.read_text(encoding="utf-8"))
    more = load_yaml(further.read_text(encoding="utf-8")) if further is not None else {}
    breaks = data["breaks"]
    adverbs = _words(data["adverbs"])
    cues = [
        (phrase, kind) for table in (more, data["polarity"]) for kind, phrases in table.items() for phrase in phrases
    ]
    cues += [(phrase, "break") for phrase in breaks["hard"]]
    names = {f"<{name}>": f"({'|'.join(words)})" for name, words in data["words"].items()}
    return Grammar(
        version=str(data["version"]),
        cues=Phrases((found, kind) for phrase, kind in cues for found in _forms(phrase, names, adverbs)),
        adverbs=adverbs,
        no_adverbs=_words(data["no_adverbs"]),
        modifiers=Phrases(_modifiers(data)),
        comparisons=Phrases((phrase, True) for phrase in data["comparisons"]),
        some_of_them=Phrases((phrase, True) for phrase in data["some_of_them"]),
        same_thing=Phrases((phrase, True) for phrase in data["same_thing"]),
        correcting=Phrases((phrase, True) for phrase in data["correcting"]),
        strong=frozenset(words_of(phrase).words for phrase in breaks["strong"]),
        verbs=_words(breaks["verbs"]),
        tails=_words(breaks["tails"]),
        openers=_words(breaks["openers"]),
        adjectives=_words(breaks["adjectives"]),
        numbers=data["numbers"],
        parts_of_things=_words(breaks["parts_of_things"]),
        treatments=_words(breaks["treatments"]),
        reasons=Phrases((phrase, True) for phrase in breaks["reasons"]),
        auxiliaries=_words(data["auxiliaries"]),
        sees=_words([*data["words"]["see"], *data["words"]["seen"]]),
        gone=_words([phrase.split()[0] for phrase in data["words"]["gone"] if not phrase.startswith("been ")]),
        suggests=_words([phrase.split()[0] for phrase in data["words"]["suggest"]]),
    )


def _forms(phrase: str, names: Mapping[str, str], adverbs: frozenset[str]) -> Iterator[tuple[str, ...]]:
    """The forms of a phrase: the words that it names put in, with its adverbs and without, but for a first one.

    That one is what the phrase says: "rather than", "almost completely resolved".
    """
    for name, words in names.items():
        phrase = phrase.replace(f"[{name}]", f"[{words}]").replace(name, words)
    for form in dict.fromkeys(expand(phrase)):
        yield form
        bare = tuple(word for word in form if word not in adverbs)
        if bare != form and form[0] not in adverbs:
            yield bare


def _words(texts: list[str]) -> frozenset[str]:
    return frozenset(normal_form(text) for text in texts)


def _modifiers(data: dict[str, Any]) -> list[tuple[str, Modifier]]:
    tables = {"laterality": "laterality", "places": "location", "severity": "severity", "change": "change"}
    tables["number"] = "number"
    found = [
        (phrase, (attribute, value))
        for table, attribute in tables.items()
        for value, phrases in data[table].items()
        for phrase in phrases
    ]
    found += [(lobe, (LOBE_SIDE, side)) for lobe, side in data["sides_of_lobes"].items()]
    found += [(phrase, (RELATIVE_SIDE, which)) for which, some in data["relative_sides"].items() for phrase in some]
    return found
