"""Which concept of a sentence has a share: "wheat 50 %, maize 20 %", "half is wheat"."""

from __future__ import annotations

from collections.abc import Sequence

from voxtile_datasets.captions.checker.extraction.details import Found
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.statements import Statement

_SCARCE = frozenset(["hardly", "scarcely", "barely"])
# Between a name and its share.
_LINKS = frozenset(
    ["is", "are", "was", "at", "on", "with", "to", "for", "over", "of", "has", "hold", "holds", ":", "=", "(", "in",
     "cover", "covers", "occupy", "occupies", "make", "makes", "take", "takes", "account", "form", "forms", "fill",
     "fills", "amount", "total", "reach", "reaches", "constitute", "comprise", "represent", "lies", "lie"]
)  # fmt: skip
_COVERS = frozenset(["cover", "covers", "occupy", "occupies", "make", "makes", "take", "takes", "fill", "fills"])
_PICTURE = 4  # words of "of the whole slide"
_HOLDING = frozenset(
    ["covering", "occupying", "taking", "making", "holding", "accounting", "filling", "forming", "claiming",
     "totalling", "totaling", "comprising", "constituting", "spanning", "using", "together", "which", "that"]
)  # fmt: skip
_PLACING = frozenset(["beside", "near", "along", "around", "by", "on", "in", "at", "over", "with", "between", "of"])


def is_of_unnamed(statement: Statement, item: Found, mentions: Sequence[Mention]) -> bool:
    """Whether a share is of something that no list knows: ", and about a fifth lies idle"."""
    first, last = statement.item_around(item.start)
    words = statement.words.words
    following = words[item.end : item.end + 1]
    if words[item.start] in _SCARCE:
        return not any(item.end <= m.start < last for m in mentions)  # "hardly anything green"
    if any(first <= m.start < last for m in mentions) or not following or item.end >= last:
        return False
    opens = all(
        word in ("about", "another", "a", "the", "further", "some", "and") for word in words[first : item.start]
    )
    return opens and following[0] in statement.grammar.verbs


def share_owner(statement: Statement, item: Found, mentions: Sequence[Mention], inside: Sequence[int]) -> int | None:
    """Whose share it is, as far as its own part of an enumeration says: "wheat 50 %, maize 20 %", "half is wheat".

    A part that begins with a participle ("covering 12 %") is of what the sentence is about: its first name.
    """
    first, last = statement.item_around(item.start)
    own = [i for i in inside if first <= mentions[i].start < last]
    before = [i for i in own if mentions[i].end <= item.start]
    after = [i for i in own if mentions[i].start >= item.end]
    words = statement.words.words
    if (
        after
        and words[item.end : item.end + 1]
        and words[item.end] in ("under", "in")
        and not (before and _COVERS & set(words[mentions[before[-1]].end - 1 : item.start]))
    ):
        return after[0]  # "in the mountains: seven tenths under snow"
    if before and (not after or _LINKS & set(words[mentions[before[-1]].end - 1 : item.start])):
        return _head(words, mentions, before, item.start)
    if after:
        return after[0]
    earlier = [i for i in inside if mentions[i].end <= first]
    rest = words[item.end : last]
    of_picture = rest[:1] in (("of",), ("in")) and bool(statement.grammar.pictures.find(rest)) and len(rest) <= _PICTURE
    is_alone = item.start == first and (not rest or of_picture) and words[first - 1 : first] == (",",)
    if is_alone and earlier:
        before_it, _ = statement.item_around(first - 2)
        own = [i for i in earlier if mentions[i].start >= before_it]
        return own[-1] if own else None  # "tumour is the smallest part, 8 %, …"
    return earlier[0] if earlier and item.start > first and words[first] in _HOLDING else None


def sole_owner(statement: Statement, item: Found, mentions: Sequence[Mention], owner: int) -> int | None:
    """The owner of a share, if it is not that of two names together: "shrubs and bare soil share nine tenths"."""
    words = statement.words.words
    if _is_of_itself(statement, item, mentions[owner]):
        return None
    if not owner or item.start < mentions[owner].end or words[item.end : item.end + 1] == ("each",):
        return owner
    gap = words[mentions[owner - 1].end : mentions[owner].start]
    has_share = any(word[0].isdecimal() or word in statement.grammar.fractions for word in gap)
    together = {"and", "or"} & set(gap) and len(gap) <= 2 and not has_share and "," not in gap
    first, _ = statement.item_around(mentions[owner - 1].start)
    return None if together and not any(w[0].isdecimal() for w in words[first : mentions[owner - 1].start]) else owner


def _is_of_itself(statement: Statement, item: Found, mention: Mention) -> bool:
    """Whether a share is one of the thing and not of the picture: "seven tenths of the sea is frozen"."""
    words = statement.words.words
    gap = words[item.end : mention.start + (words[mention.start] == "the")]
    is_part = gap in (("of", "the"), ("of", "this"), ("of", "its"), ("of", "these"))
    return is_part and words[mention.end : mention.end + 1] in (("is",), ("are",), ("was",), ("were",))


def _head(words: tuple[str, ...], mentions: Sequence[Mention], before: Sequence[int], end: int) -> int:
    """The name before a share that is no place of another: "trees beside the road cover half" is of the trees."""
    chosen = before[-1]
    for index in reversed(before[:-1]):
        gap = words[mentions[index].end : mentions[chosen].start]
        verbs = set(words[mentions[chosen].end : end]) & _COVERS
        if not verbs or not gap or gap[0] not in _PLACING:
            break
        chosen = index
    return chosen
