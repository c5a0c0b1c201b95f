"""Whether a corpus is synthetic: its figures prove wiring, never quality, and every report has to say so."""

from __future__ import annotations

import pyarrow.compute as pc

from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import SYNTHETIC

_LICENCE = "phantom|synthetic"


_ATTRIBUTE = f'"{SYNTHETIC}": ?"'


def is_phantom(corpus: Corpus) -> bool:
    """True if the file of any sample was marked as synthetic, or the licence calls one a phantom or synthetic."""
    samples = corpus.table("samples", columns=["licence", "attributes"])
    return _mention(samples["attributes"], _ATTRIBUTE) or _mention(samples["licence"], _LICENCE)


def _mention(values: object, words: str) -> bool:
    found = pc.match_substring_regex(pc.fill_null(values, ""), words, ignore_case=True)
    return bool(pc.any(found).as_py())
