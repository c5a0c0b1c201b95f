"""What a conversation about one image says both ways: "No pleural effusion." and "Is there an effusion?", "Yes."."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from voxtile.data.sentences import split_sentences
from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.extraction.extract import claims_of
from voxtile_datasets.captions.checker.vocabulary import Vocabulary, installed_vocabularies

# Beside these words a denial leaves room ("no other nodule", "no large effusion"), and a statement may be of another
# time ("resolved", "history of"): neither is held against anything.
_LEAVES_ROOM = re.compile(
    r"\b(?:other|others|further|additional|else|elsewhere|except|apart|besides|only|remaining|new|more|longer|"
    r"large|larger|sizeable|significant|relevant|major|definite|obvious|convincing|suspicious|acute|"
    r"prior|previous|previously|earlier|former|formerly|history|resolved|removed|before)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Statement:
    """A claim of one turn, and its words as they are quoted."""

    claim: Claim
    words: str


def said_both_ways(before: Sequence[tuple[str, str]], now: tuple[str, str]) -> list[tuple[str, str]]:
    """Findings that an answer affirms and an earlier one denied, or the other way round, with what was said earlier.

    Denials are held against what they surely deny: "no effusion on the left" against an effusion on the left, and not
    against one on the right or one of which no side is said. What is said with doubt is neither.

    Args:
        before: questions and answers so far, about the same image as the last.
        now: the last question and its answer.

    Returns:
        (finding, question and answer or the sentence that was said), each finding once.
    """
    vocabularies = installed_vocabularies()
    vocabulary = vocabularies[_spoken(vocabularies, [*before, now])]
    new = list(_statements(now, vocabulary))
    found: dict[str, str] = {}
    for turn in before if new else ():
        for old in _statements(turn, vocabulary):
            for one in new:
                if finding := _excluded(old.claim, one.claim, vocabulary):
                    found.setdefault(finding, old.words)
    return [(finding.replace("_", " "), words) for finding, words in found.items()]


def _spoken(vocabularies: Mapping[str, Vocabulary], turns: Sequence[tuple[str, str]]) -> str:
    """The domain whose vocabulary knows most of what is said."""
    known = Counter({name: 0 for name in vocabularies})
    for name, vocabulary in vocabularies.items():
        known[name] += sum(1 for turn in turns for _ in _statements(turn, vocabulary))
    return known.most_common(1)[0][0]


def _statements(turn: tuple[str, str], vocabulary: Vocabulary) -> Iterator[_Statement]:
    """What a turn says of findings, a question's words with the answer "Yes." among it."""
    question, answer = (" ".join(part.split()) for part in turn)
    asked = f"Q: {question} A: "
    for claim in claims_of(asked + answer, vocabulary):
        if claim.kind != "concept" or claim.text is not None:
            continue
        place = claim.start - len(asked)
        sentence = _sentence(answer, max(0, place))
        words = sentence if place >= 0 else f"{question} {sentence}"
        if not _LEAVES_ROOM.search(words):
            yield _Statement(claim, words)


def _sentence(text: str, place: int) -> str:
    """The sentence of a text in which a place lies."""
    end = 0
    for sentence in split_sentences(text):
        end = text.find(sentence, end) + len(sentence)
        if place < end:
            return sentence
    return text


def _excluded(old: Claim, new: Claim, vocabulary: Vocabulary) -> str | None:
    """What one of two claims affirms and the other leaves no room for."""
    if {old.polarity, new.polarity} != {"present", "absent"}:
        return None
    denied, affirmed = (old, new) if old.polarity == "absent" else (new, old)
    if not _details(denied) <= _details(affirmed):
        return None
    is_denied = [bool(vocabulary.above(concept) & {*denied.concepts}) for concept in affirmed.concepts]
    return affirmed.concepts[0] if is_denied and all(is_denied) else None


def _details(claim: Claim) -> frozenset[tuple[object, ...]]:
    return frozenset((detail.kind, detail.value, detail.bounds) for detail in claim.details)
