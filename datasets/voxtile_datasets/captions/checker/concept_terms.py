"""By which words texts name a concept of a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SHORTEST_WORD = 4  # shorter names in facts are codes: adi, tum


def terms_of(name: str, entry: Mapping[str, Any], *, is_named_so: bool) -> list[str]:
    """Names of a concept in texts: its terms, and its other names in facts as far as they are words.

    Args:
        name: of the concept.
        entry: of the vocabulary.
        is_named_so: texts use names of several plain words as they are, too: `salt_flat`.
    """
    aliases = (str(alias).replace("_", " ") for alias in entry.get("aliases", ()))
    own = name.replace("_", " ")
    is_plain = " " in own and all(word.isalpha() for word in own.split())
    return [
        *map(str, entry.get("terms", ())),
        *(alias for alias in aliases if len(alias) > _SHORTEST_WORD),
        *([own] if is_named_so and is_plain else ()),
    ]
