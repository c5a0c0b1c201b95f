"""Of which organ a sentence says a quality: the nearest of its clause, those listed with it, or that of a pronoun."""

from __future__ import annotations

from voxtile.words.phrases import Match
from voxtile_medical.reports.assertion.statements import Statement
from voxtile_medical.reports.lexicon import Lexicon

SEPARATING = frozenset([",", "and", "or", "nor", "/"])
PREPOSITIONS = frozenset(["in", "of", "within", "on", "at", "to", "from", "near", "over", "along", "overlying"])

# What lies beside an organ is not in it: "the nodule abuts the pleura", "a mass adjacent to the kidney".
_BESIDE = frozenset(
    ["abut", "abuts", "abutting", "touch", "touches", "touching", "reach", "reaches", "reaching", "contact", "contacts",
     "contacting", "adjacent", "near", "close", "beside", "toward", "towards", "away"]
)  # fmt: skip

_ENUMERATING = frozenset([",", "and", "or", "/", "the", "both", "&", "nor"])
# Between a finding and the organ that it is in these only say which of them: "fractures of the third and fourth rib".
_WHICH = frozenset(
    ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
     "twelfth", "th", "st", "nd", "rd", "left", "right", "the", "both", "to", "through", "-", "–", "and", "&", ","]
)  # fmt: skip
_FURTHEST_BEFORE, _FURTHEST_AFTER = 16, 7
_LONGEST_LABEL = 7  # words and the colon: "Ovaries: left, a cyst; right, none" is all of the ovaries
_OPENS = 2  # words before the organ that a clause is about: "both kidneys", "the left kidney"
# Subjects that stand for the organs of the clause before: "the vertebrae are sclerotic, though none has collapsed".
_PRONOUNS = frozenset(["none", "it", "they", "both", "neither", "all", "each", "which", "these", "this", "one"])
_SUBJECT_WORDS = 3
# These are things of their own, however much is said of the organ before: "no stone, and at its lower pole a cyst".
THINGS = frozenset(["cystic", "cystic_mass", "stone", "lesion", "nodular", "polyp", "hemangioma", "metastatic"])


def organs_said_of(
    statement: Statement, organs: list[Match[str]], quality: Match[str], lexicon: Lexicon, named: list[Match[str]]
) -> list[Match[str]]:
    """The organ of which a quality is said, and those enumerated with it; empty where there is none near.

    Args:
        statement: the sentence.
        organs: that it names, in reading order.
        quality: as dilatation, or that all is normal.
        lexicon: which qualities of which organs are findings.
        named: findings that the sentence names.
    """
    words, clauses = statement.words.words, statement.clauses
    clause = clauses[quality.start]
    label = next((i for i, word in enumerate(words[:_LONGEST_LABEL]) if word == ":"), 0)
    inside = [o for o in organs if clauses[o.start] == clause or o.end <= label]
    if not inside and clause:
        return _of_clause_before(statement, organs, quality, lexicon)
    before = [o for o in inside if o.end <= quality.start]
    after = [o for o in inside if o.start >= quality.end]
    gap_before = words[before[-1].end : quality.start] if before else ()
    gap_after = _without_numbers(words[quality.end : after[0].start]) if after else ()
    if after and (len(gap_after) > _FURTHEST_AFTER or _is_beside(gap_after) or _blocks(gap_after, statement, lexicon)):
        after = []
    is_subject = bool(before) and before[-1].start <= _OPENS and words[before[-1].end] in statement.grammar.verbs
    is_thing = is_subject and quality.payload in THINGS  # "the gallbladder is distended and there is a stone"
    is_named = any(n.start <= before[-1].start < n.end for n in named) if before and not is_thing else False
    if is_named and SEPARATING & set(gap_before):
        before = []  # of "degenerative change of the spine, fracture" the fracture is not said to be of the spine
    if before and len(gap_before) + 4 * gap_before.count(",") > _FURTHEST_BEFORE:
        before = []
    verbs = statement.grammar.verbs
    said_of_before = bool(before) and (not gap_before or any(word in verbs for word in gap_before))
    ordered = [(before, -1), (after, 1)] if said_of_before else [(after, 1), (before, -1)]
    for candidates, direction in ordered:
        chosen = _enumerated(words, candidates[::direction], direction)
        if any(_fits(lexicon, organ, quality) for organ in chosen):
            return chosen
    return _only_one(lexicon, inside, quality, named)


def _is_beside(gap: tuple[str, ...]) -> bool:
    """Whether what stands between a finding and an organ parts them: "abuts the", "5 mm from the"."""
    is_away = "from" in gap and bool({"mm", "cm"} & set(gap))
    return (is_away or bool(_BESIDE & set(gap))) and not {"in", "of", "within"} & set(gap[-2:])


def _of_clause_before(
    statement: Statement, organs: list[Match[str]], quality: Match[str], lexicon: Lexicon
) -> list[Match[str]]:
    """The organs of the clause before, for which a pronoun is the subject of the quality's clause."""
    words, clauses = statement.words.words, statement.clauses
    clause = clauses[quality.start]
    first = clauses.index(clause)
    if not _PRONOUNS & set(words[first : min(first + _SUBJECT_WORDS, quality.start)]):
        return []
    before = [organ for organ in organs if clauses[organ.start] == clause - 1 and _fits(lexicon, organ, quality)]
    return [organ for organ in before if organ.payload == before[-1].payload]


def _without_numbers(gap: tuple[str, ...]) -> tuple[str, ...]:
    """What stands between a finding and an organ, without the list that says which of the organs: "third to fifth"."""
    end = len(gap)
    while end and (gap[end - 1] in _WHICH or gap[end - 1].isdecimal()):
        end -= 1
    return gap[:end]


def _only_one(
    lexicon: Lexicon, organs: list[Match[str]], quality: Match[str], named: list[Match[str]]
) -> list[Match[str]]:
    """The organ that opens a clause which names no other organ or finding before the quality, however far it is."""
    fitting = {organ.payload for organ in organs if organ.end <= quality.start}
    if len(fitting) != 1 or len({organ.payload for organ in organs}) != 1 or organs[0].start > _OPENS:
        return []
    if quality.payload not in THINGS and any(name.end <= quality.start for name in named):
        return []
    return [organs[0]] if _fits(lexicon, organs[0], quality) else []


def _fits(lexicon: Lexicon, organ: Match[str], quality: Match[str]) -> bool:
    pair = (organ.payload, quality.payload)
    return (
        pair in lexicon.pairs or pair in lexicon.borderline or quality.payload in lexicon.closes.get(organ.payload, {})
    )


def _blocks(gap: tuple[str, ...], statement: Statement, lexicon: Lexicon) -> bool:
    """Whether what stands between a quality and the next organ parts them; "calcification is seen in" does not."""
    grammar = statement.grammar
    for position, word in enumerate(gap):
        following = gap[position + 1] if position + 1 < len(gap) else ""
        if word in ";:" or (word in grammar.verbs and following not in grammar.tails):
            return True
    return any(word in (",", "and", "or") for word in gap) and not lexicon.qualities.find(gap)


def _enumerated(words: tuple[str, ...], candidates: list[Match[str]], direction: int) -> list[Match[str]]:
    """The first candidate, and the following ones as long as only commas and the like stand between."""
    chosen: list[Match[str]] = []
    for organ in candidates:
        if chosen:
            if organ.start == chosen[-1].start:
                chosen.append(organ)
                continue
            left, right = (organ, chosen[-1]) if direction < 0 else (chosen[-1], organ)
            gap = words[left.end : right.start]
            if len(gap) > 3 or not all(word in _ENUMERATING for word in gap) or not gap:
                break
            if direction < 0 and _after_preposition(words, organ.start):
                break
        chosen.append(organ)
    return chosen


def _after_preposition(words: tuple[str, ...], start: int) -> bool:
    position = start - 1
    while position >= 0 and words[position] in ("the", "left", "right", "both"):
        position -= 1
    return position >= 0 and words[position] in PREPOSITIONS
