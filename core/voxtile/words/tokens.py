"""Words of a sentence, in a form in which case, plural, hyphens and British spelling make no difference."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

# Vertebrae (T8) stay whole; "7mm" and "4-mm" fall apart; a mark is a word of its own, a hyphen only between spaces.
_WORD = re.compile(r"\b[CcTtLl]\d{1,2}\b|\d+(?:[.,]\d+)*|[^\W\d_]+|(?<=\s)[-–—](?=\s)|[^\s\w'’‐–—-]")
_IRREGULAR = {
    "acetabula": "acetabulum",
    "anastomoses": "anastomosis",
    "apices": "apex",
    "atelectases": "atelectasis",
    "bases": "base",
    "bullae": "bulla",
    "bursae": "bursa",
    "bronchi": "bronchus",
    "calculi": "calculus",
    "calyces": "calyx",
    "calices": "calyx",
    "cortices": "cortex",
    "diverticula": "diverticulum",
    "emboli": "embolus",
    "fistulae": "fistula",
    "foci": "focus",
    "foramina": "foramen",
    "ganglia": "ganglion",
    "hila": "hilum",
    "humeri": "humerus",
    "labra": "labrum",
    "menisci": "meniscus",
    "metastases": "metastasis",
    "nuclei": "nucleus",
    "phalanges": "phalanx",
    "pneumothoraces": "pneumothorax",
    "prostheses": "prosthesis",
    "rami": "ramus",
    "sinuses": "sinus",
    "stenoses": "stenosis",
    "testes": "testis",
    "thrombi": "thrombus",
    "thromboses": "thrombosis",
    "varices": "varix",
    "vertebrae": "vertebra",
    "viscera": "viscus",
    "atria": "atrium",
    "septa": "septum",
    "discs": "disc",
    "disks": "disc",
    "disk": "disc",
    "grey": "gray",
    "tumour": "tumor",
    "tumours": "tumor",
    "calibre": "caliber",
    "centre": "center",
    "goitre": "goiter",
    "colour": "color",
    "abscesses": "abscess",
    "alveoli": "alveolus",
    "bacilli": "bacillus",
    "fungi": "fungus",
    "glomeruli": "glomerulus",
    "hyphae": "hypha",
    "keratoses": "keratosis",
    "lentigines": "lentigo",
    "mitoses": "mitosis",
    "necroses": "necrosis",
    "nevi": "nevus",
    "naevi": "nevus",
    "organising": "organizing",
    "papillae": "papilla",
    "scleroses": "sclerosis",
    "villi": "villus",
}
_KEPT = frozenset(
    {
        "rules",
        "excludes",
        "is",
        "was",
        "has",
        "as",
        "us",
        "its",
        "this",
        "thus",
        "yes",
        "mass",
        "pres",
        "ais",
        "axis",
        "pancreas",
    }
)
_SPELLING = (
    ("oedema", "edema"),
    ("oesoph", "esoph"),
    ("haem", "hem"),
    ("aemi", "emi"),
    ("foet", "fet"),
    ("faec", "fec"),
    ("caec", "cec"),
    ("coeliac", "celiac"),
    ("gynaec", "gynec"),
    ("visualis", "visualiz"),
    ("isation", "ization"),
    ("hyalinis", "hyaliniz"),
    ("keratinis", "keratiniz"),
    ("naev", "nev"),
    ("necrotis", "necrotiz"),
    ("oestr", "estr"),
    ("phaeo", "pheo"),
    ("rrhoe", "rrhe"),
    ("avour", "avor"),
    ("abour", "abor"),
    ("arbour", "arbor"),
    ("aviour", "avior"),
    ("umour", "umor"),
    ("aetiol", "etiol"),
    ("anaest", "anest"),
    ("paediat", "pediat"),
    ("paedic", "pedic"),
    ("pnoea", "pnea"),
    ("mould", "mold"),
    ("sulph", "sulf"),
)
# "Recognised" is "recognized"; "raised", "excised" and "bruised" are none of these.
_ISE = re.compile(r"(?<!ra)(?<!w)(?<!c)(?<!v)(?<!m)(?<!u)(?<!d)(?<!pr)(?<!rt)is(e|ed|es|ing)$")
_BRITISH = re.compile("|".join(british for british, _ in _SPELLING))


@dataclass(frozen=True)
class Words:
    """A sentence as words.

    Attributes:
        text: the sentence.
        words: its words in the form that `normal_form` gives; punctuation marks are words.
        starts, ends: where each stands in `text`, half-open.
    """

    text: str
    words: tuple[str, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.words)


def words_of(text: str) -> Words:
    """Split a sentence into words."""
    found = list(_WORD.finditer(text))
    return Words(
        text,
        tuple(normal_form(match.group()) for match in found),
        tuple(match.start() for match in found),
        tuple(match.end() for match in found),
    )


@lru_cache(maxsize=200_000)
def normal_form(word: str) -> str:
    """Lower case, singular, American spelling.

    Both texts and phrases go through it, so that it need not be right English, only the same for both.
    """
    word = word.lower()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if _BRITISH.search(word):
        for british, american in _SPELLING:
            word = word.replace(british, american)
    if len(word) > 6 and (ise := _ISE.search(word)) is not None:
        word = f"{word[: ise.start()]}iz{ise[1]}"
    if word.endswith("omata"):
        return word[:-2]
    if len(word) < 4 or word in _KEPT or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return _IRREGULAR.get(word[:-1], word[:-1])
