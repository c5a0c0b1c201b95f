"""As many yes as no among questions of presence, concept by concept as far as it goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from voxtile_datasets.instruct.dialogue import Dialogue


def balanced(dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    """The dialogues without those questions of presence whose answer is too frequent, by number and not by weight.

    Of each concept as many yes as no stay; what is left over of concepts that only one answer has is matched with what
    is left over of the other answer. Who goes depends on the dialogues' ids alone.

    Args:
        dialogues: of one part of a corpus; those of other kinds stay as they are.
    """
    asked: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"yes": [], "no": []})
    for dialogue in dialogues:
        if dialogue.kind == "presence":
            asked[dialogue.concept or ""][dialogue.answer or ""].append(dialogue.identity)
    kept: set[str] = set()
    left: dict[str, list[str]] = {"yes": [], "no": []}
    for answers in asked.values():
        both = min(map(len, answers.values()))
        for answer, identities in answers.items():
            ordered = sorted(identities)
            kept.update(ordered[:both])
            left[answer] += ordered[both:]
    both = min(map(len, left.values()))
    for identities in left.values():
        kept.update(sorted(identities)[:both])
    return [dialogue for dialogue in dialogues if dialogue.kind != "presence" or dialogue.identity in kept]
