"""English of noun phrases: articles, plurals, agreement, and whether a name is one of things that are counted.

`inflect` (MIT) was tried: it writes "a 8 mm nodule", "a H&E patch" and "calculuses", takes "pancreas" for a plural, and
takes a second or more to import.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Letters whose names begin with a vowel sound: an MR, an X-ray, an H&E stain, but a CT, a US image.
_AN_LETTERS = frozenset("AEFHILMNORSX")
_AN_NUMBER = re.compile(r"8|1[18]([.,]|$)")  # eight, eighty, eleven, eighteen
_SPELLED = re.compile(r"[A-Z][A-Z0-9&]*$")  # read letter by letter
_SAID_AS_WORDS = frozenset({"SAR", "NAFLD", "MALT"})
_VOWEL_LETTER_CONSONANT_SOUND = re.compile(r"(uni|use|usual|ure|uro|uter|eu|one\b|once\b|ubi)", re.I)
_SILENT_H = re.compile(r"(hour|honest|heir)", re.I)

# What follows the head of a name: shift | of midline structures.
_AFTER_HEAD = re.compile(r"\s+(of|in|with|within|without|at|on|from|for|due|under|around|between|by|to)\s.*$|[,(;].*$")
_IRREGULAR = {
    "bacterium": "bacteria", "branch": "branches", "bronchus": "bronchi", "calculus": "calculi", "cortex": "cortices",
    "diverticulum": "diverticula", "embolus": "emboli", "focus": "foci", "foot": "feet",
    "leaf": "leaves", "mitosis": "mitoses", "naevus": "naevi", "nevus": "nevi", "nucleus": "nuclei",
    "pleura": "pleurae", "pneumothorax": "pneumothoraces",
    "thrombus": "thrombi", "vertebra": "vertebrae", "villus": "villi", "woman": "women", "man": "men",
}  # fmt: skip
_PLURALS = frozenset(_IRREGULAR.values()) | {
    "adnexa", "aircraft", "amylacea", "bacilli", "fungi", "metastases", "nucleoli", "people", "sheep"
}  # fmt: skip
_SINGULAR_WORDS = (
    "actinomyces ascites bus canvas coccidioides diabetes fungoides gas herpes kudzu lens oligohydramnios ossificans "
    "pancreas polyhydramnios protuberans rabies scabies series strongyloides tennis trichomonas"
)
_SINGULARS = frozenset(_SINGULAR_WORDS.split())
# Heads of names of substances, conditions and kinds of land, which are not counted. More are told by their endings.
_MASS_WORDS = (
    "ablation abruption agenesis air anatomy ascites aspiration asymmetry atrophy attenuation bifida bleeding blood "
    "blunting bone bowing calcification calcium cancer care cartilage cement change clearing clouding coarctation "
    "collagen compression congestion consolidation contact contrast copd cotton cover covid covid-19 cropland "
    "crowding damage dcis debris degeneration dehiscence demise demyelination deposition destruction detachment "
    "development deviation dilatation disease dish displacement distension distortion distress drusen dust "
    "dysfunction edema effacement elevation elongation emphysema engorgement enhancement enlargement entrapment "
    "epithelium equipment eventration extension extravasation failure farmland fat flattening flow fluid foliage "
    "formation fullness fusion gangrene gas glaucoma gout grass grassland grazing ground growth haemorrhage hardware "
    "harm haze healing heath heathland hemoperitoneum hemorrhage herniation hyperenhancement hyperinflation "
    "hypertension hypoinflation ice impingement infection infiltration inflammation injury insufficiency "
    "intussusception invasion inversus involvement knowledge land lava light loading loosening loss lymphadenopathy "
    "lymphoma malalignment malrotation maltracking material matter melanoma mesothelium mineralisation mist moorland "
    "mucin mucosa mucus muscle myeloma myopia narrowing necrosis neovascularisation neovascularity neovascularization "
    "nonunion occlusion oedema oil opacification ossification paralysis parenchyma pasture paving peat plugging "
    "pneumocephalus pneumomediastinum pneumonia pneumoperitoneum prolapse prominence pus rain recurrence "
    "redistribution reflux regurgitation remodeling remodelling resection residue restriction retraction rice rock "
    "rotation rupture sand scalloping scarring sclerosis scrub shrubland signal skin smoke snow soil space splaying "
    "spondylolisthesis stasis steatosis stenosis straightening strain stranding stroma sun sunlight surgery swelling "
    "terrain texture thickening tissue torsion tortuosity trabeculation traffic trauma tuberculosis turf uptake "
    "urbanisation vasospasm vegetation washout water wedging wetland wheat widening woodland"
)
# Of tissues and diseases: processes, substances, organisms, and the last words of Latin names.
_MASS_OF_TISSUES = (
    "actinomyces adenovirus amputation amyloid angioinvasion annulare areata arrest aspergillus ballooning "
    "birefringence breakdown budding bulbi candida cancerization chronicus coccidioides coli colloid contagiosum "
    "cryptococcus cryptosporidium cuffing cutis cystica cytomegalovirus decidua deficiency demodex depletion "
    "differentiation disruption dropout dysgranulopoiesis echinococcus effect endometrium entamoeba enterobius "
    "erythematosus esophagus expansion fibrin fungoides glandularis haematopoiesis helicis hemosiderin herpetiformis "
    "histoplasma honeycombing hyaline hyalinisation hydrocephalus hypercellularity hypercoiling hypospermatogenesis "
    "infarction interposition keratinisation leprosy leukocytoclasis lipofuscin lipoidica luteinisation malperfusion "
    "marrow maturation meconium molding morphea multifocality multiforme nitidus nodosa nodosum nodularis obliteration "
    "oligohydramnios ossificans ovarii palisading parathyroid peritonei permeation pigment pigmentation planus "
    "pneumocystis polyhydramnios proliferation puckering pylori regression rejection replacement rosacea rosea scabies "
    "schistosoma sclerosus shift simplex spermatogenesis spread sprue staining steal strongyloides suppurativa "
    "syphilis thyroidisation toxicity toxoplasma transformation trichomonas ulceration urothelium vacuolation "
    "vacuolisation vera vitiligo vulgaris"
)
_MASS = frozenset(_MASS_WORDS.split()) | frozenset(_MASS_OF_TISSUES.split())
# What is a mass of cells where nothing is said of its size, and a thing where its size is: "a 22 mm carcinoma".
_LESION = re.compile(r"(oma|blastoma|tumou?r|neoplasm|cancer)$", re.I)
_OF_A_PART = frozenset(["cells", "epithelium", "glands", "material", "tissue"])
# Names of people and organisms, and abbreviations, in names that are written in small letters.
_PROPER_WORDS = (
    "Actinomyces Alport Aschoff Askanazy Aspergillus Auer Baker Barrett Bethesda Blake Bochdalek Bowen Brenner "
    "Budd Burkitt Candida Caroli Castleman Chester Chiari Coccidioides Crohn Cryptococcus Cryptosporidium Demodex "
    "Dorfman Echinococcus Entamoeba Enterobius Epstein-Barr Erdheim Ewing Fournier Gaucher Giardia Goodpasture "
    "Hashimoto Helicobacter Hirschsprung Histoplasma Hodgkin Hoffa Hurthle Kaposi Kikuchi Kimura Klatskin "
    "Krukenberg Langerhans Langhans Leishmania Lewy Leydig Mallory Marsh Meckel Merkel Milan Mirizzi Modic "
    "Morgagni Munro Nocardia Paget Pneumocystis Rathke Reinke Rokitansky Rosai Rosenthal Schatzki Schistosoma "
    "Schmorl Sertoli Spitz Strongyloides Takayasu Tarlov Toxoplasma Trichomonas Warthin Whipple Wilms Wilson "
    "Zenker ANCA C3 C4d CMV COPD DCIS EBV HIV HPV HSV IgA IgG IgG4 IgM MALT NIFTP NK P53 PASH"
)
_PROPER = {word.casefold(): word for word in _PROPER_WORDS.split()}
_PROPER_PAIRS = {
    "asc h": "ASC-H", "ascus": "ASC-US", "b cell": "B-cell", "epstein barr": "Epstein-Barr", "mgus": "MGUS",
    "t cell": "T-cell", "t cell mediated": "T-cell-mediated", "von brunn": "von Brunn",
}  # fmt: skip
_PAIR = re.compile(rf"\b({'|'.join(sorted(_PROPER_PAIRS, key=len, reverse=True))})\b")
_MASS_ENDINGS = re.compile(
    r"(itis|osis|iasis|ectasis|emia|uria|megaly|trophy|pathy|ness|ism|olysis|oedema|edema|ia|logy|culture|ectomy|otomy|plasty|desis)$"
)
_COUNTED_ANYWAY = re.compile(
    r"(hernia|insula|villa|area|savanna|plaza|marina|cafeteria|criteria|nodular change|encyclopedia)$"
)
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def capitalised(name: str) -> str:
    """A name in small letters with the capitals of people, organisms and abbreviations in it: `spitz nevus`."""
    paired = _PAIR.sub(lambda match: _PROPER_PAIRS[match[0]], name)
    return " ".join(_PROPER.get(word, word) for word in paired.split(" "))


def is_of_a_part(name: str) -> bool:
    """Whether a name is of what a thing consists of, of which its size is none: `carcinoma cells`."""
    return head(name).casefold() in _OF_A_PART


def is_lesion(name: str) -> bool:
    """Whether a name is of a growth, which is counted where its size is known: `adenocarcinoma`."""
    return bool(_LESION.search(head(name)))


def article(phrase: str) -> str:
    """`a` or `an`, by the sound with which a phrase begins.

    Args:
        phrase: a noun phrase without an article: "8 mm nodule", "MR scan", "uterine mass".
    """
    first = re.split(r"[\s/-]", phrase.strip(), maxsplit=1)[0]
    if first[:1].isdecimal():
        return "an" if _AN_NUMBER.match(first) else "a"
    if len(first) == 1 or (_SPELLED.match(first) and first not in _SAID_AS_WORDS):
        return "an" if first[:1].upper() in _AN_LETTERS else "a"
    if _VOWEL_LETTER_CONSONANT_SOUND.match(first):
        return "a"
    return "an" if first[:1].lower() in "aeiou" or _SILENT_H.match(first) else "a"


def with_article(phrase: str) -> str:
    """The phrase behind its article."""
    return f"{article(phrase)} {phrase}"


def head(name: str) -> str:
    """The noun that a name is about: `shift of midline structures` → `shift`, `pulmonary nodule` → `nodule`."""
    return re.split(r"[\s/]", head_part(name))[-1]


def head_part(name: str) -> str:
    """A name up to its head: `aneurysm of the aorta` → `aneurysm`."""
    return _AFTER_HEAD.sub("", name.strip()) or name.strip()


def is_plural(name: str) -> bool:
    """Whether a name is a plural, by its head: gallstones, mitoses, lines and tubes; not ascites or atelectasis."""
    if re.search(r"[^s]s and \w", name):
        return True
    last = head(name).casefold()
    return last in _PLURALS or (last.endswith("s") and not last.endswith(("ss", "us", "is")) and last not in _SINGULARS)


def is_mass(name: str) -> bool:
    """Whether a singular name is of something that is not counted: tissue, consolidation, land."""
    last = head(name).casefold()
    return (
        name.endswith(" in situ")
        or last in _MASS
        or bool(_MASS_ENDINGS.search(last) and not _COUNTED_ANYWAY.search(last))
    )


def plural(name: str) -> str:
    """The plural of a name that is counted; a plural as it is.

    Args:
        name: "pulmonary nodule", "aneurysm of the aorta".
    """
    if is_plural(name):
        return name
    noun = head(name)
    start = head_part(name).rindex(noun)
    return name[:start] + _plural_noun(noun) + name[start + len(noun) :]


def _plural_noun(noun: str) -> str:
    low = noun.casefold()
    if low in _IRREGULAR:
        return _IRREGULAR[low]
    if low.endswith("sis"):
        return noun[:-2] + "es"
    if low.endswith("y") and low[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if low.endswith(("s", "x", "z", "ch", "sh")) else "s")


def number_word(count: int) -> str:
    """A count as prose says it: words up to ten, then digits."""
    return _WORDS[count] if 0 <= count < len(_WORDS) else str(count)


def joined(parts: Sequence[str], word: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"
