"""Names of diseases that no vocabulary has, told by how medicine forms its nouns: "oncocytoma", "pancreatic adenoma".

Of such a word the facts can say nothing by its meaning. It is a claim all the same, which only a fact with these words
supports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.extraction.naming.closed_classes import is_content
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.statements import Statement

# Greek and Latin endings of names of tumours and other diseases (Dorland's Illustrated Medical Dictionary: "-oma",
# "-itis", "-iasis", …); two letters at least stand before them.
_TUMOUR = re.compile(r"\w{2,}(?:oma|omas|omata|omatosis)")
_DISEASE = re.compile(
    r"\w{2,}(?:oma|omas|omata|omatosis|itis|itides|iasis|ectasis|ectasia|malacia|rrhage|plasia|pathy|penia|sclerosis"
    r"|lithiasis|stenosis|necrosis|fibrosis|trophy|megaly|cele)"
)
_NO_DISEASES = frozenset(
    ["stroma", "aroma", "coma", "soma", "diploma", "sympathy", "empathy", "glaucoma", "trophy", "telepathy", "hematoma",
     "haematoma", "atrophy"]
)  # fmt: skip
_TUMOUR_WORDS = frozenset(["tumor", "carcinoma", "cancer", "polyp", "metastasis", "neoplasm", "malignancy", "leukemia"])
_GENERAL = frozenset(["tumor", "cancer", "neoplasm", "malignancy"])


def is_tumour_word(word: str) -> bool:
    """Whether a word in normal form is the name of a kind of tumour: "meningioma", "polyp"."""
    return word in _TUMOUR_WORDS - _GENERAL or (bool(_TUMOUR.fullmatch(word)) and word not in _NO_DISEASES)


def unread_diseases(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Claim]:
    """Claims of the diseases that a sentence names and no mention holds, each with the adjectives before it.

    Args:
        statement: the sentence.
        mentions: the concepts that are read in it.
    """
    words = statement.words
    taken = {i for m in mentions for i in range(m.start, m.end)}
    for position, word in enumerate(words.words):
        if position in taken or word in _NO_DISEASES or not _DISEASE.fullmatch(word):
            continue
        polarity = statement.polarity(position, position + 1)
        if polarity is None:
            continue
        first = position
        while first and first - 1 not in taken and is_content(words.words[first - 1]) and position - first < _LONGEST:
            if (
                words.words[first - 1] in statement.grammar.verbs
                or words.words[first - 1] in statement.grammar.known_words
            ):
                break
            first -= 1
        begin, end = words.starts[first], words.ends[position]
        yield Claim("concept", words.text[begin:end], begin, end, (word,), polarity)


_LONGEST = 2  # adjectives
