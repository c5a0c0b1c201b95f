"""What kind of word a word is: an ordinary one, a name, either, or unknown.

Names are those of the US census of 1990 (package `names`), ordinary words those of symspellpy's dictionary, whose
counts come from books and pages and so hold names too: of a word in both lists, the share of people who bear it, beside
how often it is written, says which it mostly is. "Martin" is written as often as its bearers explain, "White" seven
times as often, "Page" three hundred times.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from enum import Enum
from functools import cache
from importlib.resources import files

from voxtile.bounded_text import load_yaml

_MOSTLY_NAME = 200e6  # uses in the dictionary's corpus for each per cent of the population that bears the name
_EITHER = 2000e6
_SELDOM = 2e6  # uses; the dictionary has names of people and places of other countries among its seldom words
_FEWEST_GIVEN = 0.004  # per cent of women or men
_FEWEST_LETTERS = 2
_ENDINGS = re.compile(
    r"(?:osis|oses|itis|oma|omas|omata|ectasis|ectasia|a?emia|emic|pathy|pathic|plasia|plastic|trophy|trophic"
    r"|ology|ologic|logical|scopy|scopic|graphy|graphic|grams?|tomy|ectomy|stomy|plasty|oid|oidal|eous|eal|ial"
    r"|ical|ular|aris"
    r"|ations?|itions?|i[sz]ed|i[sz]ation|mab|tinib|nib|vir|cillin|mycin|statin|prazole|sartan|olol|azole|idine"
    r"|amide|cycline|philic|philia|phobic|cytes?|cytic|blasts?|blastic|genic|genous|lysis|lytic|stasis|static"
    r"|itic|utic|optic|eptic|copal|derma"
    r"|algia|uria|pnoea|pnea|rrhages?|rrhagic|rrh[o]?ea|megaly|sclerosis|phagia|plegia|paresis|kinesia"
    r"|a?esthesia|tropin|coeles?|celes?|form|iform|ptosis|malacia|penia|grade|lateral|ventricular|thoracic"
    r"|ability|ness|ment|ments|ities|ity|ates?)$"
)


_PREFIXES = re.compile(
    r"(?:pre|post|peri|para|re|hyper|hypo|intra|inter|supra|infra|sub|retro|trans|anti|non|un|pseudo|micro|macro"
    r"|multi|poly|uni"
    r"|endo|epi|extra|meso|thrombo|ha?emo|cardio|pneumo|neuro|osteo|chondro|hepato|chole|nephro|de|dis|mid|over"
    r"|under|auto|immuno"
    r"|radio|ultra|uro|broncho|vaso|lympho|cranio|spondylo|fibro|angio|antero|postero|medio|latero|supero|infero|arterio|veno|xeno|electro|semi|super"
    r"|hydro|lipo|myo|cysto)-?"
)


class WordClass(Enum):
    """What a word is by itself, whatever stands around it."""

    WORD = "ordinary"
    NAME = "mostly a name"
    EITHER = "a name and a word"
    UNKNOWN = "in no list"
    MEDICAL = "of the reports' own vocabulary"
    EPONYM = "a name that findings are called after, too"
    PROTECTED = "written with a capital, and nobody's name"


@cache
def closed(name: str) -> frozenset[str]:
    """A closed class of words (`words.yaml`), in small letters."""
    return frozenset(str(word) for word in _closed_classes()[name])


def word_class(word: str, vocabulary: frozenset[str]) -> WordClass:
    """The class of a word.

    Args:
        word: letters, apostrophes and hyphens; of a compound, a part that is ordinary makes the whole ordinary.
        vocabulary: words of the domain, in small letters.
    """
    return _word_class(re.sub(r"['’](?:s|d|m|ll|ve|re|t)?$", "", word).replace("’", "'").lower(), vocabulary)


@cache
def _word_class(word: str, vocabulary: frozenset[str]) -> WordClass:
    if word in closed("protected"):
        return WordClass.PROTECTED
    if "-" in word:
        return _of_compound([part for part in word.split("-") if part], vocabulary)
    kind = _by_lists(word, vocabulary)
    if word not in vocabulary or len(word) < _FEWEST_LETTERS:
        return kind
    return WordClass.EPONYM if kind is WordClass.NAME else WordClass.MEDICAL


def _by_lists(word: str, vocabulary: frozenset[str]) -> WordClass:
    plain = _plain(word).replace("'", "")
    borne, written = _borne().get(plain, 0.0), _written().get(word, 0)
    if not borne and not written:
        return WordClass.WORD if _is_formed(word, vocabulary) else WordClass.UNKNOWN
    if not written or (borne and written / borne < _MOSTLY_NAME):
        return WordClass.NAME
    if (borne and (written / borne < _EITHER or written < _SELDOM * 5)) or (
        written < _SELDOM and not _ENDINGS.search(word)
    ):
        return WordClass.EITHER
    return WordClass.WORD


def _is_formed(word: str, vocabulary: frozenset[str]) -> bool:
    """A word of no list is made of ones that are: a plural, a prefix, an ending of medicine."""
    if _ENDINGS.search(word):
        return True
    stems = [re.sub(ending, "", word) for ending in (r"(?:es|s)$", r"(?:ings?|ed|ly|al)$", r"(?<=a)e$")]
    stems.append(re.sub(r"ies$", "y", word))
    prefix = _PREFIXES.match(word)
    if prefix:
        stems.append(word[prefix.end() :])
    return any(len(stem) > _FEWEST_LETTERS and (stem in vocabulary or stem in _written()) for stem in stems)


def _of_compound(parts: list[str], vocabulary: frozenset[str]) -> WordClass:
    """A compound is a name where no part is a word of reports and one is a name."""
    kinds = {_word_class(part, vocabulary) for part in parts if part not in closed("particles")}
    letter_last = len(parts[-1]) < _FEWEST_LETTERS and WordClass.NAME not in kinds if parts else False
    if parts and (letter_last or len(parts[0]) < _FEWEST_LETTERS):
        return WordClass.WORD  # X-ray, Melan-A
    if not kinds or kinds & {WordClass.MEDICAL, WordClass.PROTECTED}:
        return WordClass.WORD
    if kinds <= {WordClass.EPONYM}:
        return WordClass.EPONYM
    if WordClass.NAME in kinds or WordClass.EPONYM in kinds:
        return WordClass.NAME
    return WordClass.WORD if WordClass.WORD in kinds else WordClass.UNKNOWN


@cache
def _closed_classes() -> Mapping[str, list[str]]:
    data: Mapping[str, list[str]] = load_yaml((files(__package__) / "words.yaml").read_text(encoding="utf-8"))
    return data


@cache
def given_names() -> frozenset[str]:
    """Names that people are given at birth, in small letters."""
    found = set()
    for name in ("dist.female.first", "dist.male.first"):
        for line in (files("names") / name).read_text(encoding="ascii").splitlines():
            word, share = line.split()[:2]
            if float(share) >= _FEWEST_GIVEN:
                found.add(word.lower())
    return frozenset(found)


@cache
def _borne() -> dict[str, float]:
    """Per cent of the population that bear a name, as a family or a given one."""
    found: dict[str, float] = {}
    for name in ("dist.all.last", "dist.female.first", "dist.male.first"):
        for line in (files("names") / name).read_text(encoding="ascii").splitlines():
            word, share = line.split()[:2]
            found[word.lower()] = found.get(word.lower(), 0.0) + max(float(share), 0.0005)
    return found


@cache
def _written() -> dict[str, int]:
    """How often a word is written."""
    listed = (files("symspellpy") / "frequency_dictionary_en_82_765.txt").read_text(encoding="utf-8-sig")
    return {word: int(count) for word, count in (line.split(" ", 1) for line in listed.splitlines())}


def _plain(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
