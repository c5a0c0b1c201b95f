"""The cues of a sentence: phrases that deny, affirm, doubt or date what stands before or behind them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product

from voxtile.words.phrases import Match
from voxtile_medical.reports.assertion.clauses import CLAUSE_ENDS, ENDS
from voxtile_medical.reports.assertion.grammar import Grammar

DENIES = frozenset({"negation_before", "negation_after", "negation_front", "none_of"})
# Words of denials that another denial turns round: "no lobe is free of", "none is spared by".
_FREE = frozenset(
    {"free", "clear", "devoid", "void", "bereft", "spared", "exempt", "without", "lacking", "rid", "empty"}
)
_OPEN_CLAUSES = frozenset({"that", "whether", "if", "for", "to"})
# "Hardly a lobe is free of": as good as none.
_BARELY = frozenset({"hardly", "scarcely", "barely", "not"})
# Comparisons of what could be meant, up to "than".
_WEIGHING = frozenset(
    product(
        ("more", "less"),
        ("consistent", "compatible", "suggestive", "typical", "characteristic", "indicative", "likely", "probable",
         "suspicious", "concerning", "representative", "in"),
    )
)  # fmt: skip
_VERSUS, _UNITS = frozenset(["versus", "vs"]), frozenset(["mm", "cm"])
_BEFORE_SIZES = frozenset([".", "a", "the", "about", "approximately"])
_PRIORS = frozenset(["prior", "previous", "previously", "preceding", "baseline"])
_FURTHEST_WEIGHED = 8  # words
_INSTEAD = frozenset({("rather", "than"), ("instead", "of")})
_POSSIBLE = frozenset({"could", "may", "might", "can", "possible", "possibly", "perhaps", "maybe", "conceivably"})
# Pronouns that stand for all that a list named: "A, B, C: none of these".
ALL_OF_IT = frozenset({"none", "neither", "nothing", "not"})
SHOWING = frozenset({"show", "appear", "exist", "occur"})


def cues_of(words: tuple[str, ...], grammar: Grammar) -> list[Match[str]]:
    """The cues of a sentence, in reading order.

    Args:
        words: in normal form.
        grammar: the language table.
    """
    return _denied_denials(_found(words, grammar), words, grammar)


def _found(words: tuple[str, ...], grammar: Grammar) -> list[Match[str]]:
    """The cues of a sentence, found as if adverbs were not there."""
    passed = {position for position, word in enumerate(words) if grammar.is_adverb(word)}
    found = grammar.cues.find_passing(words, passed) if passed else grammar.cues.find(words)
    found = [cue for cue in found if not _is_of_sizes(cue, words)]
    return sorted([*found, *_weighed(words, found)], key=lambda cue: cue.start)


def _is_of_sizes(cue: Match[str], words: tuple[str, ...]) -> bool:
    """Whether two sizes or dates are compared, and no two findings: "31 mm vs 25 mm", "stable vs prior"."""
    if words[cue.start] not in _VERSUS:
        return False
    following = next((word for word in words[cue.end : cue.end + 3] if word not in _BEFORE_SIZES), "")
    return words[cue.start - 1] in _UNITS or (following[:1].isdigit() and cue.start > 0) or following in _PRIORS


def _weighed(words: tuple[str, ...], found: list[Match[str]]) -> Iterator[Match[str]]:
    """What is weighed against another stays open: "more consistent with atelectasis than pneumonia"."""
    known = {at for cue in found for at in range(cue.start, cue.end)}
    for at, word in enumerate(words):
        before = words[max(0, at - _FURTHEST_WEIGHED) : at]
        if word == "than" and at not in known and any(pair in _WEIGHING for pair in pairwise(before)):
            yield Match(at, at + 1, "doubt_before")


def _denied_denials(cues: list[Match[str]], words: tuple[str, ...], grammar: Grammar) -> list[Match[str]]:
    """The cues; a denied denial ("no lobe is free of …") affirms, a doubt before a clause is said of the clause."""
    found = []
    for cue in cues:
        following = words[cue.end] if cue.end < len(words) else ""
        if cue.payload == "doubt_after" and following in _OPEN_CLAUSES:
            cue = Match(cue.start, cue.end, "doubt_before")
        elif cue.payload == "doubt_after" and following == "than":
            found.append(Match(cue.start, cue.end + 1, "doubt_before"))
        elif cue.payload == "negation_after" and words[cue.end - 1] in SHOWING and following not in ENDS | {""}:
            cue = Match(cue.start, cue.end, "negation_before")
        elif cue.payload == "negation_after" and words[cue.start] in ALL_OF_IT and "of" in words[cue.start : cue.end]:
            is_said = following in grammar.verbs or following in grammar.auxiliaries or grammar.is_adverb(following)
            if not (is_said or following in ENDS | {"", "on", "in", "at"}):
                cue = Match(cue.start, cue.start + 2, "none_of")  # "none of these nodules is enlarged"
        elif words[cue.start : cue.end] in _INSTEAD and _is_possible(found, cue, words):
            cue = Match(cue.start, cue.end, "doubt_before")
        elif cue.payload == "negation_before" and _FREE & set(words[cue.start : cue.end]):
            denied = [c for c in found if c.payload in DENIES and c.end <= cue.start]
            first = denied[-1].end if denied else next((i + 1 for i, w in enumerate(words) if w in _BARELY), cue.start)
            gap = words[first : cue.start]
            parts = denied and denied[-1].payload != "none_of" and "," in gap
            if gap and not CLAUSE_ENDS & set(gap) and not parts and _is_said(gap, grammar):
                cue = Match(cue.start, cue.end, "affirm_before")
        found.append(cue)
    return found


def _is_possible(before: list[Match[str]], cue: Match[str], words: tuple[str, ...]) -> bool:
    """Whether what something is weighed against is only possible: "could be artifact rather than a fracture"."""
    return any(
        other.payload == "doubt_before"
        and not _POSSIBLE.isdisjoint(words[other.start : other.end])
        and CLAUSE_ENDS.isdisjoint(words[other.end : cue.start])
        for other in before
    )


def _is_said(gap: tuple[str, ...], grammar: Grammar) -> bool:
    """Whether the last word is a verb that says of the words before it what follows."""
    last = next((word for word in reversed(gap) if not grammar.is_adverb(word)), "")
    return last in grammar.auxiliaries or last in grammar.verbs
