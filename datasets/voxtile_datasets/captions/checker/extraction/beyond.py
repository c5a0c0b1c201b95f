"""What no picture shows by itself: causes, advice, prognosis, what changed since another day, what happened before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.extraction.mentions import Mention
from voxtile_datasets.captions.checker.extraction.statements import Statement


def beyond_the_picture(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Claim]:
    """Claims of a sentence of the kind `beyond`; of a cause `others` are the concepts named after its words.

    Args:
        statement: the sentence.
        mentions: the concepts that it names.
    """
    words, kinds = statement.words, statement.grammar.beyond
    for match in kinds.find(words.words):
        named: list[str] = []
        if match.payload == "cause":
            named = [c for m in mentions if m.start >= match.end and not m.is_normality for c in m.concepts]
        first, last = words.starts[match.start], words.ends[match.end - 1]
        yield Claim("beyond", words.text[first:last], first, last, others=tuple(named), text=match.payload)
