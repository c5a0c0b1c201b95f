"""What no picture shows by itself: causes, advice, prognosis, what changed since another day, what happened before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.extraction.mentions import Mention
from voxtile_datasets.captions.checker.extraction.statements import Statement
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

# After these "from" parts or tells, and names no cause.
_NO_SOURCE = frozenset(
    ["free", "apart", "aside", "away", "clear", "different", "differ", "differs", "separate", "separated", "far",
     "distinct", "range", "ranging", "seen", "spared", "distinguished", "delineated", "extending", "extends", "taken",
     "told", "view", "image", "slide", "tissue", "biopsy", "section", "specimen", "sample", "piece", "picture",
     "patch", "tile"]
)  # fmt: skip
_NEAR = 3  # words between "from" and what follows it
_FURTHEST = 5  # words between those for a cause and the cause
_DENIABLE = frozenset(["unseen", "time"])  # "without tourists" invents nobody


def beyond_the_picture(statement: Statement, mentions: Sequence[Mention], vocabulary: Vocabulary) -> Iterator[Claim]:
    """Claims of a sentence of the kind `beyond`; of a cause `others` are the concepts named after its words.

    Args:
        statement: the sentence.
        mentions: the concepts that it names; their own names ("a fish pond") say nothing more.
        vocabulary: further phrases of the domain.
    """
    words = statement.words
    if vocabulary.is_about_patients and vocabulary.has_sides:
        yield from _sources(statement, mentions)
    names = {position for mention in mentions for position in range(mention.start, mention.end)}
    for match in (*statement.grammar.beyond.find(words.words), *vocabulary.beyond.find(words.words)):
        if match.payload == "nothing" or names.issuperset(range(match.start, match.end)):
            continue
        if match.payload == "place" and not words.text[words.starts[match.start]].isupper():
            continue  # china, java
        if match.payload in _DENIABLE and statement.polarity(match.start, match.end) == "absent":
            continue
        named: list[str] = []
        if match.payload == "cause":
            named = [c for m in mentions if _follows(statement, match.end, m) for c in m.concepts]
        first, last = words.starts[match.start], words.ends[match.end - 1]
        yield Claim("beyond", words.text[first:last], first, last, others=tuple(named), text=match.payload)


def _sources(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Claim]:
    """What a finding is said to come from: "oedema from heart failure"; it is a cause unless the facts have it."""
    words = statement.words
    for position in range(1, len(words.words) - 1):
        if words.words[position] != "from" or words.words[position - 1] in _NO_SOURCE:
            continue
        whence = next((m for m in mentions if position < m.start <= position + _NEAR), None)
        whose = any(m.end <= position and m.polarity == "present" and not m.is_normality for m in mentions)
        if whence is not None and whose and whence.polarity == "present" and not whence.is_normality:
            first, last = words.starts[position], words.ends[whence.end - 1]
            yield Claim("beyond", words.text[first:last], first, last, others=whence.concepts, text="cause")


def _follows(statement: Statement, end: int, mention: Mention) -> bool:
    """Whether a name is what the words for a cause stand before: "due to a large stone", not "due to X there is Y"."""
    gap = statement.words.words[end : mention.start]
    is_near = end <= mention.start and len(gap) <= _FURTHEST and not mention.is_normality
    return is_near and not any(word in statement.grammar.verbs or word in ("there", ",", ":", ";") for word in gap)
