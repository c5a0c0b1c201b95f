"""What a sentence says changed between two pictures of one place: "the forest lost ground", "nine houses are new"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from voxtile.bounded_text import load_yaml
from voxtile.words.phrases import Match, Phrases
from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.statements import Statement

_FILE = Path(__file__).with_name("changes.yaml")
# Kinds of change that agree: what is new has increased, what was removed has decreased.
ALIKE = {"new": frozenset(["new", "increased"]), "increased": frozenset(["new", "increased"]),
         "removed": frozenset(["removed", "decreased"]), "decreased": frozenset(["removed", "decreased"]),
         "stable": frozenset(["stable"])}  # fmt: skip
_DENIED = {"new": "stable", "increased": "stable", "removed": "stable", "decreased": "stable"}
_ADJECTIVES = frozenset(["new", "growing", "shrinking", "expanding", "retreating", "unchanged", "demolished", "removed",
                         "vanished", "receding", "dwindling", "increased", "decreased", "added", "enlarged", "reduced",
                         "rising", "disappeared"])  # fmt: skip
_BEFORE_NAMES = frozenset(["of", "in", "more", "less", "fewer"])
_PLACING = frozenset(
    ["in", "at", "on", "behind", "beside", "near", "along", "by", "around", "of", "to", "between", "over", "across",
     "within", "above", "below", "under", "from", "for", "with", "outside", "inside"]
)  # fmt: skip
_DENYING = frozenset(
    ["not", "never", "no", "none", "neither", "nor", "without", "hardly", "barely", "nothing", "nobody"]
)
_FURTHEST, _NEAR = 12, 3  # words between a name and what is said of it after, before
_ADVERBS = frozenset(
    ["yet", "really", "at", "all", "visibly", "been", "be", "any", "the", "of", "has", "have", "is", "are"]
)
# Of another date: what was, what is no longer.
_OTHER_DATE = frozenset(
    ["yet", "was", "were", "had", "did", "first", "earlier", "before", "former", "formerly", "initially", "then",
     "older", "gone", "vanished", "removed", "demolished", "disappeared", "longer", "previous", "prior",
     "originally", "beginning", "once", "until", "ago", "start"]
)  # fmt: skip


@cache
def change_phrases() -> Phrases[str]:
    """The table of `changes.yaml`: phrase → increased, decreased, stable, new or removed."""
    table = load_yaml(_FILE.read_text(encoding="utf-8"))
    return Phrases((str(phrase), str(kind)) for kind, phrases in table.items() for phrase in phrases)


def changes_named(text: str) -> frozenset[str]:
    """The kinds of change that a fact's words mean: `removed`, "has shrunk"."""
    return frozenset(match.payload for match in change_phrases().find(words_of(text.replace("_", " ")).words))


def changes(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Claim]:
    """Claims of the kind `change`: what is said of a thing between two dates; facts of one date alone do not judge it.

    Args:
        statement: the sentence.
        mentions: the concepts that it names.
    """
    words = statement.words
    for match in _chosen(change_phrases().find(words.words)):
        owner = _owner(statement, match, mentions)
        if owner is None:
            continue
        kind = match.payload
        if (kind != "stable" and kind != "new" and _is_denied(words.words, match.start)) or (
            kind == "new"
            and words.words[match.start] not in ("was", "were", "did", "had")
            and _is_denied(words.words, match.start)
        ):
            kind = _DENIED[kind]
        first, last = words.starts[match.start], words.ends[match.end - 1]
        yield Claim("change", words.text[first:last], first, last, mentions[owner].concepts, relation=kind)


def _chosen(matches: Sequence[Match[str]]) -> list[Match[str]]:
    """The longest of the matches that overlap."""
    chosen: list[Match[str]] = []
    for match in sorted(matches, key=lambda m: (m.start, -m.end)):
        if not chosen or match.start >= chosen[-1].end:
            chosen.append(match)
    return chosen


def _owner(statement: Statement, match: Match[str], mentions: Sequence[Mention]) -> int | None:
    """Index of the thing of which a change is said."""
    words = statement.words.words
    first = words[match.start]
    following = next((i for i, m in enumerate(mentions) if m.start >= match.end), None)
    gap = words[match.end : mentions[following].start] if following is not None else ()
    near = following is not None and len(gap) <= _NEAR and not {",", ";", ".", "for", "by", "to"} & set(gap)
    is_noun = words[match.end - 1] in _BEFORE_NAMES and match.end - match.start > 1
    is_adjective = (
        match.end - match.start == 1 and first in _ADJECTIVES and not set(gap) & statement.grammar.prepositions
    )
    if near and (is_noun or (is_adjective and words[match.start - 1 : match.start] not in (("is",), ("are",)))):
        return following
    before = [i for i, m in enumerate(mentions) if m.end <= match.start and match.start - m.end <= _FURTHEST]
    before = [i for i in before if _joined(statement, mentions[i], match)]
    if not before:
        return None
    chosen = before[-1]
    for index in reversed(before[:-1]):
        between = words[mentions[index].end : mentions[chosen].start]
        if not between or between[0] not in _PLACING or set(between) & (statement.grammar.verbs | {",", "and", ";"}):
            break
        chosen = index  # "the lake behind the dam has dwindled"
    return chosen


def _joined(statement: Statement, mention: Mention, match: Match[str]) -> bool:
    return statement.clause_of(mention.start) == statement.clause_of(match.start) or not (
        {";", ".", ":", "while", "whereas", "but"} & set(statement.words.words[mention.end : match.start])
    )


def _is_denied(words: tuple[str, ...], start: int) -> bool:
    """Whether a denial stands before a change: "none of the tanks has gone", "has not grown"."""
    position = start - 1
    while position >= 0 and start - position <= _FURTHEST // 2:
        if words[position] in _DENYING:
            return True
        if words[position] in (",", ";", ".", "and", "but"):
            return False
        position -= 1
    return False


def dated(claim: Claim, statement: Statement, changed: Sequence[Claim]) -> Claim:
    """A denied concept with what its denial is of: of a change ("no new houses"), or of another date ("was not there").

    Args:
        claim: of the kind `concept`.
        statement: its sentence.
        changed: the changes that the sentence tells.
    """
    if claim.kind != "concept" or claim.polarity != "absent":
        return claim
    if any(change.concepts == claim.concepts and change.relation == "stable" for change in changed):
        return replace(claim, text="change")
    text = statement.words.text
    is_dated = "_" in text or bool(_OTHER_DATE & set(statement.words.words))
    return replace(claim, text="past") if is_dated else claim
