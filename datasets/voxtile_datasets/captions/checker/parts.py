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
# Organs that a place may name; what is in one is not in another.
_ORGANS: Mapping[str, str] = {
    "liver": "liver hepatic", "spleen": "spleen splenic", "kidney": "kidney renal", "pancreas": "pancreas pancreatic",
    "gallbladder": "gallbladder", "adrenal": "adrenal", "thyroid": "thyroid", "prostate": "prostate prostatic",
    "lung": "lung pulmonary", "stomach": "stomach gastric", "uterus": "uterus uterine", "ovary": "ovary ovarian",
    "testis": "testis testicular", "brain": "brain",
}  # fmt: skip
_WITHIN = frozenset(["in", "of", "within", "inside"])
_WHICH = frozenset(["the", "a", "an", "left", "right", "both", "her", "his"])
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


def organs_in(words: Sequence[str]) -> frozenset[str]:
    """The organs that words name, in normal form."""
    return frozenset(organ for organ, forms in _ORGANS.items() for word in words if word in forms.split())


def named_organs(words: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Where words say in which organ something is: "in the left kidney"."""
    for position in range(1, len(words)):
        before = position - 1
        while before and words[before] in _WHICH:
            before -= 1
        if words[before] in _WITHIN and organs_in(words[position : position + 1]):
            yield position, position + 1


def are_apart(said: Sequence[str], known: Sequence[str]) -> bool | None:
    """Whether words for a part name another one than other words do; None where neither says so.

    Args:
        said: words of a text in normal form.
        known: words of a row in normal form.
    """
    organs, others = organs_in(said), organs_in(known)
    if organs and others and (organs - others or len(said) == 1):
        return bool(organs - others)
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
