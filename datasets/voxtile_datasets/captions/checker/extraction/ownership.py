"""Which concept of a sentence a side, place, size, count, colour or grade is said of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from voxtile_datasets.captions.checker.extraction.claims import Detail
from voxtile_datasets.captions.checker.extraction.common_words import is_of_unknown
from voxtile_datasets.captions.checker.extraction.denied_details import is_denied_at
from voxtile_datasets.captions.checker.extraction.details import Found
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.numbers.amount import COUNT, SHARE
from voxtile_datasets.captions.checker.extraction.scenes.owners import owner_in_scene
from voxtile_datasets.captions.checker.extraction.share_owners import is_of_unnamed, share_owner, sole_owner
from voxtile_datasets.captions.checker.extraction.statements import Statement
from voxtile_datasets.captions.checker.extraction.telegraphic import head_of_compound, level_behind, owner_of_short_form
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

_JOINING = frozenset(["and", "or", ",", "nor", "/", "&", "+", ":", "(", ")"])
_FURTHEST = 7  # words between a detail and the name that it stands before
_BESIDE_STRUCTURE = 2
_NOTING = frozenset(["(", "=", ":", "×"])
_AFTER_NOTE = frozenset([")", ",", ";", ".", "!", "(", "and"])
_STAINED = frozenset(
    ["stain", "stained", "staining", "picked", "out", "turn", "turned", "come", "up", "in", "a", "strong", "strongly",
     "deep", "deeply", "pale", "vivid", "intense", "intensely", "weakly", "appear", "look", "shine", "glow", "cell",
     "nucleus"]
)  # fmt: skip
_COLOURED = (("painted",), ("colored",), ("coloured",), ("sprayed",), ("dyed",))
_TALLIES = frozenset(["count", "number", "total", "tally", "sum"])
_ORDINALS = frozenset(["first", "second", "third"])  # "wheat comes third, after grass"
_LONGEST_NOTE = 6  # words in brackets before a detail
_PARTITIVE = frozenset(
    ["focus", "cluster", "group", "deposit", "pool", "nest", "island", "area", "patch", "piece", "fragment", "strip",
     "site", "lake", "aggregate", "spot", "case", "kind", "row", "set", "band"]
)  # fmt: skip
_ADJECTIVES = 4
_PREDICATED = 5
_PREDICATING = frozenset(
    ["painted", "colored", "all", "mostly", "light", "dark", "bright", "mainly", ",", "(", ":", "still", "only",
     "quite", "rather", "just", "also", "now", "very", "mildly", "has", "been", "and", "present"]
)  # fmt: skip
_DENYING = frozenset(["not"])
_AMOUNTS = frozenset(
    ["amount", "quantity", "volume", "degree", "level", "bit", "deal", "extent", "pool", "collection", "load", "burden"]
)
_MEASURING = frozenset(
    [",", "with", "its", "a", "an", "the", "their", "greatest", "largest", "longest", "maximum", "maximal", "max",
     "dimension", "diameter", "size", "sized", "measuring", "measures", "axis", "long", "short", "length", "width",
     "thickness", "height", "in", "of", "about", "up", "to", "is", "and", "extent", "across", "caliber", "at",
     "approximately", "which"]
)  # fmt: skip
_SET_OFF = 3  # words between a name and its size
_PARTING = frozenset([",", ";", ".", ":", "(", ")", "and", "with", "plus"])
_PLACES = frozenset(["on", "in", "at", "beside", "near", "behind", "over", "under", "by", "within", "along", "off"])
_PLACING = frozenset(["beside", "near", "along", "around", "by", "on", "in", "at", "over", "with", "between", "of"])
_ONLY_BEFORE: frozenset[str] = frozenset([COUNT])  # said of nothing but the name that follows
_ONLY_BESIDE = frozenset(["colour", "severity", "shape"])  # said of the name that follows, or after "is"
_OPENING = frozenset(["to", "on", "in", "at", "the", "and", "while", "then"])
_INTRODUCING = (("a",), ("an",), ("another",), ("one",), ("two",), ("several",), ("some",), ("there",))
_EQUALS = frozenset([":", "=", "-", "is", "are", "n"])
_BESIDE = frozenset(["near", "above", "below", "adjacent", "next", "towards", "toward"])


def given(
    statement: Statement, details: Sequence[Found], mentions: Sequence[Mention], vocabulary: Vocabulary
) -> tuple[Mapping[int, list[Detail]], list[Detail]]:
    """Each detail with the mention it is said of.

    Returns:
        Index of the mention → details; and details that no mention of the sentence takes.
    """
    owned: dict[int, list[Detail]] = defaultdict(list)
    loose: list[Detail] = []
    names = {p for m in mentions for p in range(m.start, m.end)}
    known = vocabulary.concepts
    recorded = [m.concepts != () and all(c in known and known[c].is_recorded for c in m.concepts) for m in mentions]
    owning = [i for i, is_recorded in enumerate(recorded) if not is_recorded]
    for item in details:
        if item.detail.kind == "severity" and (inner := _inside(item, mentions)) is not None:
            owned[inner].append(item.detail)  # "the liver is mildly fatty"
            continue
        if item.start in names and item.detail.kind in ("colour", "severity", "change", "count", "shape"):
            continue  # "extensive necrosis" and "blue lagoon" are names
        owner = _owner(statement, item, [mentions[i] for i in owning], vocabulary)
        if owner is not None and item.detail.dimension == SHARE and vocabulary.natural:
            owner = sole_owner(statement, item, [mentions[i] for i in owning], owner)
        if owner is not None:
            is_apart = statement.item_around(item.start) != statement.item_around(mentions[owning[owner]].start)
            owned[owning[owner]].append(replace(item.detail, is_apart=is_apart))
        elif item.detail.kind in ("side", "place", "number", "position"):
            loose.append(item.detail)
    return owned, loose


def _inside(item: Found, mentions: Sequence[Mention]) -> int | None:
    """The mention in whose name a grade stands after a verb."""
    return next(
        (i for i, m in enumerate(mentions) if m.start < item.start - 1 and item.end < m.end and not m.is_normality),
        None,
    )


def normal_places(
    statement: Statement, details: Sequence[Found], mentions: Sequence[Mention]
) -> dict[int, list[Detail]]:
    """Sides and places of what is said to be normal: "the left lung is clear".

    Returns:
        Index of the mention → details.
    """
    found: dict[int, list[Detail]] = {}
    for index, mention in enumerate(mentions):
        if not mention.is_normality or mention.structure is None:
            continue
        first, last = mention.structure
        near = [
            item.detail
            for item in details
            if item.detail.kind in ("side", "place")
            and statement.clause_of(item.start) == statement.clause_of(first)
            and first - _BESIDE_STRUCTURE <= item.end
            and item.start <= last + _BESIDE_STRUCTURE
        ]
        if near:
            found[index] = near
    return found


def _owner(statement: Statement, item: Found, mentions: Sequence[Mention], vocabulary: Vocabulary) -> int | None:
    clause = statement.clause_of(item.start)
    if statement.words.words[item.start - 1 : item.start] == ("(",):
        bracketed = next((i for i, m in enumerate(mentions) if m.end == item.start - 1 and not m.is_normality), None)
        if bracketed is not None:
            return bracketed  # "emphysema (severe)"
    inside = [
        i
        for i, m in enumerate(mentions)
        if not m.is_normality
        and (statement.clause_of(m.start) == clause or _goes_on_after_brackets(statement, m, item))
    ]
    if _opens_for_unnamed(statement, item, mentions):
        return None
    if (noted := _noted_after(statement, item, mentions)) is not None:
        return noted
    if (short := owner_of_short_form(statement, item, mentions)) is not None:
        return short
    if is_of_unknown(statement, item, mentions, vocabulary):
        return None
    if vocabulary.natural and (told := owner_in_scene(statement, item, mentions, inside)) is not None:
        return told
    for index in inside:
        if item.detail.kind in ("side", "place") and _is_within(statement, item, mentions[index]):
            return index
    if not inside and item.detail.kind in ("side", "place", "number"):
        earlier = [i for i, m in enumerate(mentions) if m.end <= item.start and not m.is_normality]
        if item.detail.kind != "number" and _speaks_of_another(statement, item.start):
            return None
        return earlier[-1] if earlier and statement.clause_of(mentions[earlier[-1]].start) == clause - 1 else None
    if item.detail.dimension == SHARE and is_of_unnamed(statement, item, mentions):
        return None
    if item.detail.kind == "colour" and statement.words.words[max(0, item.start - 1) : item.start] in _COLOURED:
        painted = next((i for i in reversed(inside) if mentions[i].end <= item.start), None)
        if painted is not None and item.start - mentions[painted].end <= _SET_OFF:
            return painted  # "cranes painted red line the dock"
    if item.detail.kind == "rank" and item.detail.value in _ORDINALS:
        return next((i for i in reversed(range(len(mentions))) if mentions[i].end <= item.start), None)
    if (item.detail.dimension == SHARE or item.detail.kind == "rank") and (
        shared := share_owner(statement, item, mentions, inside)
    ) is not None:
        return shared
    if item.detail.kind == "number" and statement.words.words[item.start - 1 : item.start] == ("of",):
        whose = next((i for i in inside if mentions[i].end == item.start - 1), None)
        if whose is not None:
            return whose  # a plant of 1.25 hectares and some grass
    if item.detail.kind == "place" and (named := level_behind(statement, item, mentions, inside)) is not None:
        return named
    following = next((i for i in inside if mentions[i].start > item.start and mentions[i].end > item.end), None)
    before = next((i for i in reversed(inside) if mentions[i].end <= item.start), None)
    if item.detail.kind == "number" and before is not None and _is_set_off(statement, item, mentions[before]):
        return _topic(statement, item, mentions, before)
    if item.detail.kind == "number" and following is not None and _measures(statement, item, mentions[following]):
        return following
    if following is not None and _stands_before(statement, item, mentions[following], vocabulary):
        return head_of_compound(mentions, following) if item.detail.kind == "count" else following
    if following is not None and _counts_subject(statement, item, mentions[following], vocabulary):
        return following
    kind = item.detail.kind
    if kind == "count" and before is not None:
        gap = statement.words.words[mentions[before].end : item.start]
        is_none = item.detail.bounds == ((0.0, 0.0),)
        if not gap and statement.words.words[item.start] == "×":
            return before  # "aggregates ×5"
        if set(gap) <= _EQUALS and (is_none or {":", "="} & set(gap)):
            return before  # "necrosis 0", "foci: five"
    if kind in _ONLY_BEFORE:
        is_apposed = statement.words.words[item.end : item.end + 2] == ("in", "number")  # bridges, three in number
        return (
            next((i for i in reversed(range(len(mentions))) if mentions[i].end <= item.start), None)
            if is_apposed
            else None
        )
    if kind == "change" and before is not None and _goes_on_to(statement, mentions[before].end, item.start):
        return before
    if kind in _ONLY_BESIDE or kind == "change":
        is_said = before is not None and _is_predicate(
            statement, mentions[before].end, item.start, may_be_denied=kind == "severity"
        )
        return before if is_said else None
    if before is not None and "than" in statement.words.words[mentions[before].end : item.start]:
        return None  # "more tracer than the node at the left hilum"
    if before is not None or following is None:
        return before if before is None or not _is_elsewhere(statement, item, mentions[before]) else None
    return following if kind == "number" or _introduces(statement, item, mentions[following]) else None


def _counts_subject(statement: Statement, item: Found, mention: Mention, vocabulary: Vocabulary) -> bool:
    """Whether a count is of the part of the body whose state a name tells: "four vertebrae are fractured"."""
    gap = statement.words.words[item.end : mention.start]
    is_of_part = item.detail.kind == "count" and mention.structure is not None and 1 < len(gap) <= _PREDICATED
    return is_of_part and gap[0] in vocabulary.field_words and gap[1] in ("is", "are", "was", "were", "have", "has")


def _goes_on_after_brackets(statement: Statement, mention: Mention, item: Found) -> bool:
    """Whether only a remark in brackets parts a name from a detail: "muscle (85 %), in the lower part"."""
    words = statement.words.words
    gap = words[mention.end : item.start]
    if "(" not in gap or ")" not in gap:
        return False
    first, last = gap.index("("), len(gap) - 1 - gap[::-1].index(")")
    rest = (*gap[:first], *gap[last + 1 :])
    return len(rest) <= _FURTHEST and not {";", ":", "(", ")"} & set(rest) and not statement.grammar.verbs & set(rest)


def _opens_for_unnamed(statement: Statement, item: Found, mentions: Sequence[Mention]) -> bool:
    """Whether a side opens a part of the sentence about what no vocabulary knows: ", to the right a thing"."""
    if item.detail.kind not in ("side", "place"):
        return False
    words = statement.words.words
    first, last = statement.item_around(item.start)
    if any(first <= m.start < last for m in mentions) or not set(words[first : item.start]) <= _OPENING:
        return False
    return words[item.end : item.end + 1] in _INTRODUCING


def _noted_after(statement: Statement, item: Found, mentions: Sequence[Mention]) -> int | None:
    """The name after which a number or a colour is only noted: "tanks: nine", "ships=7", "cranes (5, red)"."""
    words = statement.words.words
    if item.detail.kind not in ("count", "number", "colour"):
        return None
    begin = item.start - 1
    while begin > 0 and words[begin] not in _NOTING and item.start - begin < _LONGEST_NOTE:
        begin -= 1
    if begin < 1 or words[begin] not in _NOTING:
        return None
    following = words[item.end : item.end + 1]
    if following and following[0] not in _AFTER_NOTE:
        return None
    within = any(begin < m.start < item.end for m in mentions)
    is_bare = words[begin] == "(" or begin == item.start - 1
    first, _ = statement.item_around(begin - 1)
    if _TALLIES & set(words[first:begin]):  # "number of boxes at the port: 52"
        return next((i for i, m in enumerate(mentions) if m.start >= first and m.end <= begin), None)
    owner = next((i for i, m in enumerate(mentions) if m.end == begin), None)
    return None if within or not is_bare else owner


def _is_set_off(statement: Statement, item: Found, mention: Mention) -> bool:
    """Whether a size follows a name and is parted from what comes next: "a mass, 31 mm, and …", "a mass of 4 cm, …"."""
    words = statement.words.words
    end = mention.end if mention.structure is None else max(mention.end, mention.structure[1])
    gap = words[end : item.start]
    closing = words[item.end : item.end + 1]
    parted = not closing or closing[0] in _PARTING
    if parted and gap and set(gap) <= _MEASURING:
        return True
    return parted and len(gap) <= _SET_OFF and not set(gap) & (statement.grammar.verbs | {"and", "with", "or"})


def _topic(statement: Statement, item: Found, mentions: Sequence[Mention], before: int) -> int:
    """Of "oil on still water, 2 km²" the oil: what a size set off by a comma is of, and not where that is."""
    words = statement.words.words
    while before and words[item.start - 1] == "," and not item.detail.is_vague:
        gap = words[mentions[before - 1].end : mentions[before].start]
        if not _PLACES & set(gap) or set(gap) & {",", "and", "with", ";", ":"}:
            break
        before -= 1
    return before


def _speaks_of_another(statement: Statement, position: int) -> bool:
    """Whether a clause brings up something of its own, which the vocabulary does not know: "there is water …"."""
    words = statement.words.words
    clause = [i for i in range(len(words)) if statement.clause_of(i) == statement.clause_of(position)]
    return any(words[i] == "there" and words[i + 1 : i + 2] in (("is",), ("are",)) for i in clause)


def _measures(statement: Statement, item: Found, mention: Mention) -> bool:
    """Whether a size is of the name that follows: "6 mm of midline shift"."""
    return statement.words.words[item.end : mention.start] in (("of",), ("of", "the"))


def _is_within(statement: Statement, item: Found, mention: Mention) -> bool:
    """Whether a side or place is part of a name, or stands before the structure of it: "elevated left diaphragm"."""
    if mention.start <= item.start < mention.end:
        return True
    if mention.structure is None or mention.structure[0] < item.end:
        return False
    gap = statement.words.words[item.end : mention.structure[0]]
    parting = statement.grammar.verbs | statement.grammar.prepositions | _JOINING
    return len(gap) <= 1 and not parting & set(gap)


def _is_elsewhere(statement: Statement, item: Found, mention: Mention) -> bool:
    """Whether a side or place is of something that the mention is only near: "a nodule near the right hilum"."""
    gap = statement.words.words[mention.end : item.start]
    return item.detail.kind in ("side", "place") and bool(_BESIDE & set(gap))


def _introduces(statement: Statement, item: Found, mention: Mention) -> bool:
    """Whether a place opens the clause of a name after it: "on the left there is …", "right lung: …"."""
    gap = statement.words.words[item.end : mention.start]
    return any(word in statement.grammar.verbs or word in (":", ",", "there") for word in gap)


def _stands_before(statement: Statement, item: Found, mention: Mention, vocabulary: Vocabulary) -> bool:
    """Whether a detail stands in the noun phrase of a mention, before its name."""
    words, grammar = statement.words.words, statement.grammar
    gap = words[item.end : mention.start]
    if len(gap) > _FURTHEST:
        return False
    if item.detail.kind == "count" and _counts_another(statement, item.end, mention.start):
        return False
    if item.detail.kind == "severity":
        gap = _beyond_an_amount(gap)
        gap = gap[1:] if gap[:1] == ("only",) else gap
    is_place = item.detail.kind in ("side", "place")
    if item.detail.kind == "severity" and gap[:1] == (",",) and len(gap) <= _ADJECTIVES and not _JOINING & set(gap[1:]):
        gap = gap[1:]  # "marked, end-stage atrophy"
    for position, word in enumerate(gap):
        if word in grammar.verbs or (word in grammar.prepositions and item.detail.dimension != SHARE):
            partitive = word == "of" and position and gap[position - 1] in _PARTITIVE
            if not (item.detail.kind in ("count", "colour") and partitive):
                return False
        if word in _JOINING:
            goes_on = is_place and any(p.longest_at(gap, position + 1) for p in (vocabulary.places, grammar.sides))
            if item.detail.kind not in ("count", "number") and not goes_on:
                return False
            if gap[position + 1 : position + 2] == ("a",):
                return False
        if word in ("a", "an", "the", "no") and item.detail.kind == "count":
            return False
    return True


def _counts_another(statement: Statement, start: int, end: int) -> bool:
    """Whether a number is of a noun that no list knows: "140 ppl, 33 cars", "22 holes and 3 ponds"."""
    words = statement.words
    for position in range(start + 1, end):
        if words.words[position - 1] in _JOINING and (
            words.words[position][0].isdecimal() or words.words[position] in statement.grammar.numbers
        ):
            return True
    return False


def _beyond_an_amount(gap: tuple[str, ...]) -> tuple[str, ...]:
    """Words between a grade and a name without those for an amount: "a trace of", "a large amount of free"."""
    of = next((i for i, word in enumerate(gap[:3]) if word == "of"), None)
    return gap[of + 1 :] if of == 0 or (of is not None and gap[of - 1] in _AMOUNTS) else gap


def _goes_on_to(statement: Statement, end: int, start: int) -> bool:
    """Whether a place alone stands between a name and a change: "the patch in the left lower lobe has grown"."""
    gap = statement.words.words[end:start]
    return bool(gap) and gap[0] in _PLACING and len(gap) <= _FURTHEST and not _JOINING & set(gap)


def _is_predicate(statement: Statement, end: int, start: int, *, may_be_denied: bool = False) -> bool:
    """Whether a detail is said after a verb: "the effusion is small", "the roof is red", "opacity, unchanged".

    Args:
        statement: the sentence.
        end: of the name.
        start: of the detail.
        may_be_denied: "the effusion is not small" says something of it, too.
    """
    gap = statement.words.words[end:start]
    if not gap:
        return True
    denying = _DENYING if may_be_denied and is_denied_at(statement, start) else frozenset()
    allowed = statement.grammar.verbs | _STAINED | _PREDICATING | denying
    return len(gap) <= _PREDICATED and all(word in allowed for word in gap)
