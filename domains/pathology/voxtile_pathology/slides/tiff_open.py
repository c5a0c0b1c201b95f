"""Opening TIFF directories with tifffile: quietly, and with every way of being damaged as one error."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tifffile

from voxtile_pathology.slides.protocol import SlideError

MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
# What tifffile raises on a damaged directory.
DAMAGED = (
    tifffile.TiffFileError,
    struct.error,
    ValueError,
    TypeError,
    LookupError,
    OSError,
    MemoryError,
    ArithmeticError,
)
_LOGGER = logging.getLogger("tifffile")


def open_descriptor(path: Path) -> int:
    """A descriptor for reads by offset; the caller closes it.

    Raises:
        SlideError: the file cannot be opened.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SlideError(f"{path.name} cannot be read: {error.strerror}") from error


@contextmanager
def tiff_directories(path: Path) -> Iterator[tifffile.TiffFile]:
    """A file's directories, closed afterwards; tifffile's log lines are kept off the terminal.

    Raises:
        SlideError: the file, or what is read of it inside the block, is damaged.
    """
    before, _LOGGER.disabled = _LOGGER.disabled, True
    try:
        # Of several files it would open whatever an OME-XML names.
        with tifffile.TiffFile(path, _multifile=False) as file:
            yield file
    except DAMAGED as error:
        why = f" ({error})" if any(letter.isalpha() for letter in str(error)) else ""  # tifffile's may be a bare number
        raise SlideError(f"{path.name} is damaged or cut short{why}; copy it again from its source") from error
    finally:
        _LOGGER.disabled = before
