"""What a series description claims, as words of a closed list: the text, which may name anybody, goes no further.

Technicians write freely and headers are copied between protocols, so that a description is weak evidence; and it is the
only one that many exports keep. It is compared with what the other elements say, never mixed with them.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Word → how descriptions write it, within a text whose separators have become blanks. Spellings are those of vendors'
# default protocols and of the series lists of Gauriau et al. 2020 (J Digit Imaging 33:747-762).
_PATTERNS: dict[str, str] = {
    "t1": r"t1|t1w|t1wi|mprage|mp rage|bravo|spgr|vibe|flash|tfe",
    "t2": r"t2|t2w|t2wi",
    "flair": r"flair|tirm|dark fluid",
    "pd": r"pd|pdw|proton density",
    "stir": r"stir",
    "dwi": r"dwi|diffusion|trace|tracew|dti",
    "adc": r"adc|apparent diffusion coefficient(?: map)?",
    "t2star": r"t2 star|t2star|t2 \*|t2\*|swi|swan|hemo",
    "contrast": r"post|gd|gad|gadolinium|km|c\+|\+c|ce|with contrast|contrast enhanced|post contrast",
    "no-contrast": r"pre|native|nativ|non contrast|without contrast|noncontrast|unenhanced|c-|w o|wo",
    "arterial": r"arterial|art|hap|early arterial|late arterial",
    "venous": r"venous|portal|pv|portovenous|pvp",
    "delayed": r"delayed?|late|equilibrium|excretory",
    "bone": r"bone|bones|knochen|ossa",
    "lung": r"lungs?|lunge|poumon",
    "soft": r"soft|soft tissue|weichteil|mediastin\w*|abdomen std|standard|std",
    "attenuation-corrected": r"ac|attenuation corrected|ctac|wb ac",
    "not-corrected": r"nac|uncorrected|non ac|no ac",
    "mip": r"mips?|minips?|maximum intensity projection",
    "mpr": r"mpr|reformat\w*",
    "frontal": r"pa|ap|frontal",
    "lateral": r"lat|lateral|ll|rl",
}
_FOUND = {word: re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])") for word, pattern in _PATTERNS.items()}
_SEPARATORS = re.compile(r"[_/,;:()\[\]\s]+|(?<=[a-z0-9])-(?=[a-z0-9])")
WORDS = frozenset(_PATTERNS)


@lru_cache(maxsize=4096)
def description_words(text: str) -> tuple[str, ...]:
    """Words of the closed list that a series description holds, in the list's order.

    >>> description_words("AX T1_SE POST GD Doe^Jane")
    ('t1', 'contrast')
    """
    plain = f" {_SEPARATORS.sub(' ', text.lower())} "
    return tuple(word for word, pattern in _FOUND.items() if pattern.search(plain))
