"""Which frames of a film (ultrasound or angiography cine, multi-frame capture, planar scintigraphy) become pictures."""

from __future__ import annotations


def chosen_frames(count: int, wanted: int) -> tuple[int, ...]:
    """Frames of a film, evenly spaced, each in the middle of its part.

    Args:
        count: frames of the film.
        wanted: how many pictures; all frames where there are fewer.

    >>> chosen_frames(60, 1), chosen_frames(60, 3), chosen_frames(2, 3)
    ((30,), (10, 30, 50), (0, 1))
    """
    if count <= wanted:
        return tuple(range(count))
    return tuple((2 * part + 1) * count // (2 * wanted) for part in range(wanted))
