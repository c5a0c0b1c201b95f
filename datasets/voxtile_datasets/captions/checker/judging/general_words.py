"""General words for findings, which deny less than they name: "no mass" where there is a nodule."""

from __future__ import annotations

import re

from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.extraction.naming.diseases import is_tumour_word
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts

_MASSES = frozenset(["mass", "tumor", "tumour", "neoplasm", "growth"])
_NAMED_MASS = re.compile(r"mass|tumou?r|malignan|cancer|metasta")
_GENERAL = frozenset(["lesion"])
# What is called a lesion and no mass: Fleischner Society (Radiology 246:697-722, 2008): a nodule is 3 cm at most.
_NO_MASSES = re.compile(
    r"nodul|cyst|granuloma|calcifi|plaque|haemangioma|hemangioma|white_matter|ganglion|polyp|scar|dermoid|endometrioma"
)


def is_tumour(name: str) -> bool:
    """Whether a concept's name says that it is a kind of tumour.

    Args:
        name: of a concept, with underlines.
    """
    return any(map(is_tumour_word, name.split("_")))


def is_mass_of_none(claim: Claim, concept: str, facts: Facts) -> bool:
    """Whether a tumour is claimed where closed scopes looked for kinds of it and facts state no lesion of any kind."""
    if concept not in _GENERAL or not facts.closed or not _MASSES & set(words_of(claim.words).words):
        return False
    kinds = facts.vocabulary.below(concept)
    return bool(facts.closed & kinds) and not facts.present() & kinds


def is_no_mass(claim: Claim, concept: str, facts: Facts) -> bool:
    """Whether a denial is of masses alone, and all that the facts state of the kind are nodules, cysts and the like."""
    if concept not in _GENERAL or not _MASSES & set(words_of(claim.words).words):
        return False
    kinds = facts.vocabulary.below(concept)
    there = facts.present() & kinds
    named_masses = any(facts.strength(name) == "absent" and _NAMED_MASS.search(name) for name in kinds)
    if there and named_masses and not any(_NAMED_MASS.search(name) or is_tumour(name) for name in there):
        return True  # the facts deny the masses that they looked for, and state lesions of other kinds
    return bool(there) and all(_NO_MASSES.search(name) for name in there)
