"""Names of organs and findings in a sentence, where words stand within them or are left out of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxtile.words.phrases import Match, Phrases
from voxtile_medical.reports.assertion.grammar import Modifier
from voxtile_medical.reports.lexicon import Lexicon
from voxtile_medical.reports.quantities.levels import is_sequence

SIDES = frozenset(["left", "right"])
_OF_TIME = frozenset(["acute", "subacute", "chronic", "old", "fresh", "recent"])
# What operations leave behind: "cholecystectomy clips".
_TRACES = frozenset(["surgical_clips", "scar", "surgical_material", "postoperative_change", "seroma"])
_WITH_POLES = frozenset(["testis", "spleen", "thyroid", "patella", "ovary", "parathyroid", "brain", "tonsil"])
_MOST_BEFORE_SIDE = 3  # words of a name before the side that stands within it


def organs_of(words: Sequence[str], lexicon: Lexicon) -> list[Match[str]]:
    """The organs that words name; a pole is the kidney's only where no other organ is named that has one."""
    found = [organ for organ in lexicon.organs.find(words) if not is_sequence(words, organ.start)]
    if not any(organ.payload in _WITH_POLES for organ in found):
        return found
    return [organ for organ in found if words[organ.end - 1] != "pole" or organ.payload in _WITH_POLES]


def with_sides_within(
    words: tuple[str, ...], lexicon: Lexicon, said: Phrases[Modifier], named: list[Match[str]]
) -> list[Match[str]]:
    """The names of findings, those within which a side stands in place of the shorter ones: "dense left MCA sign"."""
    found = list(named)
    for position, word in enumerate(words):
        if word not in SIDES or not 0 < position < len(words) - 1:
            continue
        without = (*words[max(0, position - _MOST_BEFORE_SIDE) : position], *words[position + 1 :])
        at = min(position, _MOST_BEFORE_SIDE)
        for first in range(at):
            longest = lexicon.terms.longest_at(without, first)
            if longest is None or longest[0] <= at:
                continue
            start, end = position - at + first, position - at + longest[0] + 1
            if said.longest_at(words, start) is not None or words[start] in _OF_TIME:
                break  # "new left lacunar infarct": an attribute is no part of the name
            after = lexicon.terms.longest_at(words, position + 1)
            if after is not None and after[0] == end and set(after[1]) & set(longest[1]):
                break  # "small left lacunar infarct": what stands before the side is no part of the name
            within = [match for match in found if match.start < end and start < match.end]
            if any(
                match.end - match.start >= longest[0] - first
                or match.start < start
                or match.start <= position < match.end
                for match in within
            ):
                break
            found = [match for match in found if match not in within]
            found += [Match(start, end, concept) for concept in longest[1]]
            break
    return sorted(found, key=lambda match: match.start)


def completed_by_head(words: tuple[str, ...], names: Phrases[str], named: list[Match[str]]) -> Iterator[Match[str]]:
    """The first name of "pleural or pericardial effusion", "popliteal and peroneal vein": their head completes it."""
    covered = {position for match in named for position in range(match.start, match.end)}
    for match in named:
        head = words[match.end - 1]
        before = match.start - 1
        if match.end - match.start < 2 or before < 1 or words[before] not in ("or", "and", "/", ","):
            continue
        if before - 1 in covered:
            continue
        for width in (2, 1):
            start = before - width
            if start < 0:
                continue
            found = names.longest_at((*words[start:before], head), 0)
            if found is not None and found[0] == width + 1:
                yield from (Match(start, before, concept) for concept in found[1])
                break


def operations_in(words: tuple[str, ...], lexicon: Lexicon, named: list[Match[str]]) -> Iterator[Match[str]]:
    """The operation that says of which kind its traces are: "cholecystectomy clips", "lumpectomy scar"."""
    for match in named:
        if match.payload not in _TRACES or match.end - match.start < 2:
            continue
        for end in range(match.end - 1, match.start, -1):
            found = lexicon.terms.longest_at(words[:end], match.start)
            if found is not None and found[0] == end:
                yield from (Match(match.start, end, c) for c in found[1] if lexicon.concepts[c].region == "surgery")
                break
