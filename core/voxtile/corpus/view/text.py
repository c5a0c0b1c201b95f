"""When two texts count as the same: normalisation and the 63-bit hash that losses use to mask duplicates."""

from __future__ import annotations

import hashlib
import unicodedata

_MASK63 = (1 << 63) - 1


def normalised(text: str) -> str:
    """Fold case, compatibility characters and spacing, and drop the closing punctuation."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return " ".join(plain.casefold().split()).strip(" .;,:!")


def hash63(text: str) -> int:
    """Stable hash of a string, in [0, 2^63): the first eight bytes of BLAKE2b."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") & _MASK63


def text_hash(text: str) -> int:
    """63-bit hash of the normalised text: equal for texts that differ only in case, spacing or the final stop."""
    return hash63(normalised(text))
