"""Arrays as a corpus stores them, decompressed whole."""

from typing import Any

import numpy.typing as npt

from voxtile.corpus.shards.codecs import StoredArray, full_selection, inspect_frame


def decode_array(data: bytes | memoryview) -> npt.NDArray[Any]:
    """What a frame holds; a damaged or hostile one is a CorpusError."""
    frame = inspect_frame(data)
    return StoredArray(frame, "array")[full_selection(frame.shape)]
