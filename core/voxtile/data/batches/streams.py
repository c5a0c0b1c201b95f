"""The randomness of a draw: a stream of its own for each thing that is drawn, so that none hangs on another."""

from __future__ import annotations

import numpy as np

from voxtile.data.epoch_order import derive_key

SAMPLE_CAPTION = 0
CAPTION, SUBSET, PIXEL = 1, 2, 3  # the pixel stream of a study's image i is 3 + i
REGION = 1 << 20  # beyond the pixel streams of any study
DIALOGUE, MARK = (1 << 20) + 1, (1 << 20) + 2
PREFERENCE = (1 << 20) + 3
OTHER = 1 << 21  # of the other images that dialogues show the stream of image i is this + i


def generator(seed: int, stream: int, number: int | None) -> np.random.Generator | None:
    """Philox keyed by the seed and stream, and by the draw: independent of what was drawn before.

    Args:
        seed: of the run.
        stream: what is drawn.
        number: global index of the draw; None in evaluation, where nothing is random.
    """
    if number is None:
        return None
    return np.random.Generator(np.random.Philox(key=[derive_key(seed, stream), number]))
