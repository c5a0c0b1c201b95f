"""Stored values of a NIfTI file, read to its checksum."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from voxtile_medical.nifti.header import NiftiHeader, unpacked
from voxtile_medical.verdicts import Verdict

MAX_TRAILING_BLOCKS = 16  # MiB after the last value that are read to reach the checksum


def read_volumes(path: Path, header: NiftiHeader) -> list[npt.NDArray[Any]]:
    """Stored values of every volume, [Z, Y, X] in native byte order.

    Raises:
        Verdict: `truncated`, the file ends before its last value.
    """
    try:
        with unpacked(path) as stream:
            stream.seek(header.offset)
            volumes = [_read_volume(stream, header) for _ in range(header.volumes)]
            _read_checksum(stream)
            return volumes
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Verdict("truncated", "the file ends before its last value; copy it again from its source") from error


def _read_checksum(stream: BinaryIO) -> None:
    """Read to the end, where gzip keeps its checksum; what follows the values is small in honest files."""
    for _ in range(MAX_TRAILING_BLOCKS):
        if not stream.read(1 << 20):
            return


def _read_volume(stream: BinaryIO, header: NiftiHeader) -> npt.NDArray[Any]:
    x, y, z = header.shape[:3]
    data = stream.read(header.volume_bytes)
    if len(data) < header.volume_bytes:
        raise Verdict("truncated", "the file ends before its last value; copy it again from its source")
    values = np.frombuffer(data, dtype=header.dtype).reshape(z, y, x)
    return values.astype(header.dtype.newbyteorder("="), copy=False)
