"""The facts of a report from what its clauses say: the firmest statement of each, and what follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from voxtile_pathology.reports.fact import FIRMEST_FIRST, SlideFact
from voxtile_pathology.reports.lexicon import Lexicon

# Not implied: the tasks ask it of each patch, and a report is of the whole case.
_CLASSES_OF_PATCHES = frozenset(["tumour"])
# Carcinomas that are named by their organ, and those that name none.
_CARCINOMAS = {
    r"breast": "breast_carcinoma",
    r"colon|rect|c[ae]+cum|sigmoid": "colorectal_carcinoma",
    r"stomach|gastric": "gastric_carcinoma",
    r"esophagus": "esophageal_carcinoma",
    r"prostat": "prostatic_adenocarcinoma",
    r"lung|bronch": "lung_carcinoma",
    r"^thyroid": "thyroid_carcinoma",
    r"endometri": "endometrial_carcinoma",
    r"ovar": "ovarian_carcinoma",
    r"gallbladder": "gallbladder_carcinoma",
}
# A general word that means the thing of an organ: a polyp in endometrial curettings.
_THINGS = {
    ("polyp", r"endometri|uter"): "endometrial_polyp",
    ("polyp", r"cervi"): "endocervical_polyp",
    ("polyp", r"nos|nasal|sinus"): "nasal_polyp",
    ("cyst", r"ovar"): "ovarian_cyst",
    ("cyst", r"kidney"): "renal_cyst",
}
# What findings of an organ are called after it: hyperplasia of the endometrium is "endometrial_hyperplasia".
_CALLED = {
    r"endometri": ("endometrial",),
    r"uter": ("uterine", "endometrial"),
    r"cervi": ("cervical", "endocervical"),
    r"ovar": ("ovarian",),
    r"kidney|renal": ("renal",),
    r"breast": ("breast", "mammary"),
    r"prostat": ("prostatic", "prostate"),
    r"lung|bronch": ("pulmonary", "lung", "bronchial"),
    r"^thyroid": ("thyroid",),
    r"parathyroid": ("parathyroid",),
    r"adrenal": ("adrenal",),
    r"colon|rect|c[ae]+cum|sigmoid": ("colonic", "colorectal"),
    r"stomach|gastric|antr": ("gastric",),
    r"esophag": ("esophageal",),
    r"liver|hepat": ("hepatic", "liver"),
    r"pancrea": ("pancreatic",),
    r"bladder": ("bladder", "urothelial"),
    r"skin": ("cutaneous", "skin"),
    r"nose|nasal|sinus": ("nasal", "sinonasal"),
    r"testi": ("testicular",),
    r"placenta": ("placental",),
}
_UNNAMED = frozenset(["carcinoma", "invasive_carcinoma", "adenocarcinoma"])
# Concepts that a report may affirm at one place and deny at another.
_BY_PLACE = frozenset(["margin_involvement", "lymph_node_metastasis", "tumour_invasion"])


def settled(found: Sequence[SlideFact], lexicon: Lexicon) -> Iterator[SlideFact]:
    """The firmest statements about each concept, and what follows from what kinds of things they are."""
    found = [*found, *_denied(found, lexicon)]
    stated = list(_firmest(found))
    stated = _joined(stated, lexicon)
    above = frozenset().union(*(lexicon.ancestors(fact.concept) for fact in stated if fact.polarity == "present"))
    # "Serosa free of tumour" denies none where there is a carcinoma.
    stated = [fact for fact in stated if not (fact.polarity == "absent" and fact.implied_by and fact.concept in above)]
    names = {fact.concept for fact in stated}
    yield from stated
    for fact in sorted(stated, key=lambda fact: fact.polarity != "present"):
        if fact.polarity == "absent":
            continue  # "no carcinoma" leaves it open whether there is a tumour
        for kind in sorted(lexicon.ancestors(fact.concept) - names - _CLASSES_OF_PATCHES):
            names.add(kind)
            yield replace(fact, concept=kind, implied_by=fact.implied_by or fact.concept)
    yield from _of_organs(stated, names, lexicon)
    for fact in [*stated]:
        for other in lexicon.concepts[fact.concept].also:
            if other not in names:
                names.add(other)
                yield replace(fact, concept=other, implied_by=fact.concept)


def _of_organs(stated: Sequence[SlideFact], names: set[str], lexicon: Lexicon) -> Iterator[SlideFact]:
    """The carcinoma of an organ, where a carcinoma is said to be in it: "carcinoma of the right breast"."""
    for fact in stated:
        for (general, place), closer in _THINGS.items():
            is_there = fact.concept == general and re.search(place, fact.attributes.location or "") is not None
            if is_there and closer in lexicon.concepts and closer not in names:
                names.add(closer)
                yield replace(fact, concept=closer, implied_by=general)
    for fact in stated:
        organ = fact.attributes.location or ""
        called = (
            f"{name}_{fact.concept}" for place, all_ in _CALLED.items() if re.search(place, organ) for name in all_
        )
        own = next((name for name in called if name in lexicon.concepts), None)
        if own is not None and own not in names and lexicon.is_kind_of(own, frozenset([fact.concept])):
            names.add(own)
            yield replace(fact, concept=own, implied_by=fact.concept)
    if "metastasis" in names:
        return
    for fact in stated:
        site = fact.attributes.location or ""
        cancer = next((concept for word, concept in _CARCINOMAS.items() if re.search(word, site)), None)
        is_carcinoma = fact.concept in _UNNAMED and fact.polarity != "absent" and fact.implied_by is None
        if is_carcinoma and cancer is not None and cancer in lexicon.concepts and cancer not in names:
            names.add(cancer)
            yield replace(fact, concept=cancer, implied_by=fact.concept)


def _denied(found: Sequence[SlideFact], lexicon: Lexicon) -> Iterator[SlideFact]:
    for fact in found:
        if fact.polarity == "absent" and fact.implied_by is None:
            for concept in lexicon.concepts[fact.concept].denies:
                yield SlideFact(
                    concept,
                    "absent",
                    words=fact.words,
                    evidence=fact.evidence,
                    implied_by=fact.concept,
                    addendum=fact.addendum,
                )


def _firmest(found: Sequence[SlideFact]) -> Iterator[SlideFact]:
    ordered = sorted(found, key=lambda fact: fact.concept)
    for concept, group in groupby(ordered, key=lambda fact: fact.concept):
        facts = list(group)
        latest = max((fact.addendum for fact in facts if fact.implied_by is None), default=0)
        if latest:
            facts = [fact for fact in facts if fact.addendum == latest] or facts
        stated = [fact for fact in facts if fact.implied_by is None]
        if concept in _BY_PLACE:
            yield from _by_place(stated or facts)
            continue
        polarity = next(p for p in FIRMEST_FIRST if any(fact.polarity == p for fact in facts))
        chosen = [fact for fact in facts if fact.polarity == polarity]
        yield from _merged([fact for fact in chosen if fact.implied_by is None] or chosen)


def _by_place(facts: Sequence[SlideFact]) -> Iterator[SlideFact]:
    for polarity in FIRMEST_FIRST:
        yield from _merged([fact for fact in facts if fact.polarity == polarity])


def _merged(facts: Sequence[SlideFact]) -> list[SlideFact]:
    """Statements of one finding become one; those that differ in side, place, size or what they grade stay apart."""
    merged: list[SlideFact] = []
    for fact in sorted(facts, key=lambda f: -len(f.attributes.as_json())):
        place = next((i for i, other in enumerate(merged) if _agree(fact, other)), None)
        if place is None:
            merged.append(fact)
            continue
        one = merged[place]
        merged[place] = replace(
            one,
            attributes=one.attributes.completed(fact.attributes),
            value=one.value if one.value is not None else fact.value,
            unit=one.unit if one.value is not None else fact.unit,
            evidence=tuple(dict.fromkeys((*one.evidence, *fact.evidence))),
        )
    return merged


def _agree(fact: SlideFact, other: SlideFact) -> bool:
    one, two = fact.attributes.as_json(), other.attributes.as_json()
    return all(one[name] == two[name] for name in one.keys() & two.keys())


def _joined(facts: Sequence[SlideFact], lexicon: Lexicon) -> list[SlideFact]:
    """A general word for a finding that the report names more closely is implied by it."""
    present = [fact for fact in facts if fact.polarity == "present" and fact.implied_by is None]
    joined = []
    for fact in facts:
        closer = next(
            (other for other in present if fact.concept in lexicon.ancestors(other.concept)),
            None,
        )
        is_present = fact.polarity == "present" and fact.implied_by is None
        joined.append(replace(fact, implied_by=closer.concept) if is_present and closer is not None else fact)
    return joined
