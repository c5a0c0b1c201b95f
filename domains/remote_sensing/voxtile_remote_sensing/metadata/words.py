"""Resolution and sun in words, and sentences of them.

Text2Earth (Liu et al., arXiv:2501.00895) conditions its pictures on the resolution said in the prompt; here the
resolution is said in metres and by a word. The bands of words are ours and are listed in docs/osm-captions.md.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

# Coarsest ground sampling distance in metres that each word is used for.
RESOLUTIONS: tuple[tuple[float, str], ...] = (
    (0.3, "ultra-high resolution"), (1.0, "very high resolution"), (5.0, "high resolution"),
    (30.0, "medium resolution"), (math.inf, "low resolution"),
)  # fmt: skip
LOW_SUN_DEG, HIGH_SUN_DEG = 30.0, 60.0
_OPENINGS = ("{Image}", "{Image} taken from above", "This {image} was taken", "{Image} acquired")


def resolution_word(gsd_m: float) -> str:
    """The word for a ground sampling distance."""
    return next(word for limit, word in RESOLUTIONS if gsd_m <= limit)


def sun_word(elevation: float) -> str | None:
    """`low sun`, `high sun` or `night`; None for heights between."""
    if elevation < 0:
        return "night"
    return "low sun" if elevation < LOW_SUN_DEG else "high sun" if elevation > HIGH_SUN_DEG else None


def gsd_text(gsd_m: float) -> str:
    """`10 m`, `0.5 m`, two significant digits."""
    digits = 1 - math.floor(math.log10(gsd_m))
    return f"{round(gsd_m, digits):g} m"


def distance_text(metres: float) -> str:
    """Whole kilometres, or `less than 1 km`."""
    return f"about {round(metres / 1000):,} km" if metres >= 1000 else "less than 1 km"


def caption(image: str, phrases: Sequence[str], key: str) -> str:
    """A sentence from phrases such as `in summer` and `at 10 m resolution`, in an order that the key decides."""
    order = sorted(phrases, key=lambda phrase: hashlib.sha256(f"{key}|{phrase}".encode()).digest())
    opening = _OPENINGS[hashlib.sha256(key.encode()).digest()[0] % len(_OPENINGS)]
    article = f"an {image}" if image[0] in "aeiou" else f"a {image}"
    text = opening.format(Image=article[0].upper() + article[1:], image=image)
    return f"{text} {', '.join(order)}."
