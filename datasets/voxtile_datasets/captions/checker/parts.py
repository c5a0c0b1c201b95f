"""Parts of an organ or of the picture by words that mean one only beside others: head and tail, inner and outer.

Each axis is a closed class after the general terms of Terminologia Anatomica (FIPAT, 2nd edition) and of anatomy of
the pancreas, the stomach and the large bowel. Two words of one axis contradict each other; words of two axes do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from voxtile.words.tokens import normal_form

_AXES: Mapping[str, Mapping[str, str]] = {
    "depth": {"medial": "medial inner internal mesial", "lateral": "lateral outer external"},
    "front": {"front": "anterior front ventral", "back": "posterior back dorsal rear"},
    "height": {
        "upper": "upper superior cranial top superiormost uppermost",
        "middle": "middle mid median interpolar",
        "lower": "lower inferior caudal bottom lowermost",
    },
    "course": {"proximal": "proximal", "mid": "mid middle", "distal": "distal"},
    "centre": {"central": "central centre", "peripheral": "peripheral periphery rim"},
    "surface": {"superficial": "superficial", "deep": "deep"},
    "gland": {
        name: name for name in ("head", "neck", "body", "tail", "uncinate", "fundus", "antrum", "cardia", "pylorus")
    },
    "bowel": {
        "caecum": "caecum cecum caecal cecal", "ascending": "ascending", "transverse": "transverse",
        "descending": "descending", "sigmoid": "sigmoid", "rectum": "rectum rectal",
    },
    "lung": {"apex": "apex apical", "base": "base basal basilar"},
}  # fmt: skip
_NOUNS = frozenset(
    ["part", "portion", "third", "half", "compartment", "aspect", "segment", "wall", "zone", "surface", "section",
     "division", "horn", "layer", "end", "border", "margin", "chamber", "facet", "limb", "root",
     "meniscus", "condyle", "epicondyle", "malleolus", "plateau", "cruciate", "collateral", "gyrus", "column", "fossa",
     "labrum", "cuff", "cortex", "fornix", "rib", "circumference"]
)  # fmt: skip
_WHOLES = frozenset(["pancreas", "gland", "organ", "stomach", "gallbladder", "uterus", "epididymis", "caudate", "womb"])
_JOINING = frozenset(["and", "or", "/", ","])
_NEAR = 3  # words of "of the whole gland"


def parts_in(words: Sequence[str]) -> frozenset[tuple[str, str]]:
    """Axis and value of each word that names a part.

    Args:
        words: in normal form.
    """
    return frozenset(part for word in words for part in _table().get(word, ()))


def are_apart(said: Sequence[str], known: Sequence[str]) -> bool | None:
    """Whether words for a part name another one than other words do; None where neither says so.

    Args:
        said: words of a text in normal form.
        known: words of a row in normal form.
    """
    there = parts_in(known)
    shared = [(axis, value) for axis, value in parts_in(said) if any(axis == other for other, _ in there)]
    if not shared:
        return None
    return any((axis, value) not in there for axis, value in shared)


def named_parts(words: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Where words name a part: "the lateral compartment", "the head of the gland", "body and tail of the pancreas"."""
    position = 0
    while position < len(words):
        if words[position] not in _table():
            position += 1
            continue
        end = position + 1
        while end < len(words) and (
            words[end] in _table()
            or (words[end] in _JOINING and words[end + 1 : end + 2] and words[end + 1] in _table())
        ):
            end += 1
        of = end + 1 if words[end : end + 1] == ("of",) else None
        whole = _WHOLES & set(words[of : of + _NEAR]) if of else frozenset()
        if words[end : end + 1] and words[end] in _NOUNS:
            yield position, end + 1
        elif whole:
            yield position, end
        position = end


@cache
def _table() -> dict[str, tuple[tuple[str, str], ...]]:
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for axis, values in _AXES.items():
        for value, forms in values.items():
            for form in forms.split():
                found[normal_form(form)] = (*found.get(normal_form(form), ()), (axis, value))
    return found
