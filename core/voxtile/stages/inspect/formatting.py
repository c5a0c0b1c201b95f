"""Numbers as people read them, in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence


def bytes_text(count: int) -> str:
    """Size in decimal units: `7.6 MB`."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def share_text(share: float | None) -> str:
    """A share in percent: `12.5 %`; a dash when it is not known."""
    if share is None:
        return "–"
    return f"{share * 100:.1f} %"


def shape_text(smallest: Sequence[int], largest: Sequence[int]) -> str:
    """`512 × 512`, or `20 × 64 × 64 … 160 × 224 × 224` where shapes differ."""
    first, last = (" × ".join(str(size) for size in shape) for shape in (smallest, largest))
    return first if first == last else f"{first} … {last}"
