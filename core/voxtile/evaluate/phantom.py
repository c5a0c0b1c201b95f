"""Whether a corpus is synthetic: its figures prove wiring, never quality, and every report has to say so."""

from __future__ import annotations

import pyarrow.compute as pc

from voxtile.corpus.reader import Corpus

_WORDS = "phantom|synthetic"


def is_phantom(corpus: Corpus) -> bool:
    """True if the licence or the attributes of any sample call it a phantom or synthetic."""
    samples = corpus.table("samples", columns=["licence", "attributes"])
    return any(_mentions(samples[column]) for column in ("licence", "attributes"))


def _mentions(values: object) -> bool:
    found = pc.match_substring_regex(pc.fill_null(values, ""), _WORDS, ignore_case=True)
    return bool(pc.any(found).as_py())
