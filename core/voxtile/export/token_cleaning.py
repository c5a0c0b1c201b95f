"""What open_clip does to a text before its tokenizer reads it, as normalisers of `tokenizers`.

open_clip mends texts with ftfy first. Of that are here: quotation marks, ligatures, full-width letters, control
characters and composed accents; HTML entities and texts that were decoded wrongly are not, and need ftfy.
"""

from __future__ import annotations

from tokenizers import Regex
from tokenizers.normalizers import NFC, Lowercase, Normalizer, Replace, Sequence, Strip

from voxtile.models.hub.openclip import Cleaning

# ftfy 6: chardata.LIGATURES and chardata.CONTROL_CHARS.
_LIGATURES = {
    "Ĳ": "IJ", "ĳ": "ij", "ŉ": "ʼn", "Ǳ": "DZ", "ǲ": "Dz", "ǳ": "dz", "Ǆ": "DŽ", "ǅ": "Dž", "ǆ": "dž", "Ǉ": "LJ",
    "ǈ": "Lj", "ǉ": "lj", "Ǌ": "NJ", "ǋ": "Nj", "ǌ": "nj", "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl",
    "ﬅ": "ſt", "ﬆ": "st",
}  # fmt: skip
_CONTROL = r"[\x00-\x08\x0b\x0e-\x1f\x7f\x{206a}-\x{206f}\x{feff}\x{fff9}-\x{fffc}]"
_FULL_WIDTH = range(0xFF01, 0xFF5F)  # "！" to "～", of ASCII's "!" to "~"
_PUNCTUATION = r"[!-/:-@\[-`{-~]"  # Python's string.punctuation


def cleaning(kind: Cleaning) -> Normalizer:
    """The normaliser that does what open_clip's `get_clean_fn(kind)` does."""
    steps = [
        *(Replace(own, usual) for own, usual in _LIGATURES.items()),
        *(Replace(chr(wide), chr(wide - 0xFEE0)) for wide in _FULL_WIDTH),
        Replace(Regex("[\u02bc\u2018-\u201b]"), "'"),
        Replace(Regex("[\u201c-\u201f]"), '"'),
        Replace(Regex(_CONTROL), ""),
        NFC(),
    ]
    if kind == "canonicalize":
        steps += [Replace("_", " "), Replace(Regex(_PUNCTUATION), "")]
    if kind != "whitespace":
        steps += [Replace(Regex(r"(?<=\p{L})Σ(?!\p{L})"), "ς"), Lowercase()]  # as Python's lower ends a Greek word
    return Sequence([*steps, Replace(Regex(r"\s+"), " "), Strip()])
