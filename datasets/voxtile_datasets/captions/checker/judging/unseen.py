"""What no picture from above can show: one such word may be talk or may be there, two in a sentence are a story."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.verdict import Fault

_SENTENCE_END = re.compile(r"[.!?;\n](?!\d)")
_MODAL = re.compile(r"\b(?:can|could|may|might)\s+(?:\w+ly\s+)?$")
_UNSEEN = "unseen"
# With these a writer talks of readers and visitors: "to the pupils' delight", "travellers will love it".
_TALK = frozenset(["love", "delight", "enjoy", "happy", "joy", "glad", "pleasure", "interest", "appreciate", "admire"])
# What is hidden by something named: "under the snow".
_HIDDEN = frozenset(["in", "inside", "under", "below", "behind", "beneath", "within", "underneath"])
_OF_TALK = _TALK | _HIDDEN


def stories(faults: Sequence[Fault], text: str) -> list[Fault]:
    """Faults with those of unseen things as `unsupported` where a sentence has two: "families are having breakfast".

    A walker or a bus might be in a finer picture, so that alone it is left open.
    """
    unseen = [fault for fault in faults if fault.kind == _UNSEEN and not _OF_TALK & set(words_of(fault.words).words)]
    unseen = [fault for fault in unseen if not _MODAL.search(text[: fault.start])]  # "sheep can graze here"
    told = {id(fault) for fault in unseen if any(_is_beside(fault, other, text) for other in unseen)}
    return [replace(fault, judgement="unsupported") if id(fault) in told else fault for fault in faults]


def _is_beside(fault: Fault, other: Fault, text: str) -> bool:
    """Whether another word for what is not seen, which does not overlap, stands in the same sentence."""
    first, second = sorted((fault, other), key=lambda f: f.start)
    return first.end <= second.start and not _SENTENCE_END.search(text, first.end, second.start)
