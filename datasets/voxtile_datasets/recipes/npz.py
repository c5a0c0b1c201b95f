"""Arrays inside `.npz` files, checked by their headers and read row by row without pickle.

`numpy.load` takes the memory for a whole array at once; the largest MedMNIST file would need 13 GB.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from voxtile.errors import InputError

_MAX_HEADER = 4096  # bytes; numpy's own headers have 128
_SKIP_BYTES = 1 << 20


@dataclass(frozen=True)
class NpyHeader:
    """What an array member says of itself, consistent with the size of the member.

    Attributes:
        crc: of the member's bytes, from the zip's directory: identifies the content.
        is_fortran: the first axis varies fastest, so that there are no rows to read one by one.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    crc: int
    is_fortran: bool = False

    @property
    def row_bytes(self) -> int:
        """Bytes of one entry along the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def read_headers(path: Path, *, fortran: bool = False) -> dict[str, NpyHeader]:
    """Headers of all arrays by name (without `.npy`).

    Args:
        path: the npz.
        fortran: arrays may be stored in Fortran order.

    Raises:
        InputError: not an npz, an array holds Python objects, or a header does not fit its member's size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            headers = [_header(archive, info, fortran) for info in archive.infolist()]
            return {header.name: header for header in headers}
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"'{path}' is not a readable .npz file ({error}); download it again") from error
    except ValueError as error:
        raise InputError(f"'{path}': {error}; download it again") from error


def read_whole(path: Path, header: NpyHeader) -> npt.NDArray[np.generic]:
    """All values of an array, in either order.

    Raises:
        InputError: the file is damaged.
    """
    if not header.is_fortran:
        return RowReader(path, header).rows(0, header.shape[0])
    turned = NpyHeader(header.name, header.shape[::-1], header.dtype, header.crc)
    return RowReader(path, turned).rows(0, turned.shape[0]).transpose()


class RowReader:
    """Reads rows of one array in order; going back starts the member again, since it is compressed as one stream.

    Args:
        path: the npz.
        header: of the array.
    """

    def __init__(self, path: Path, header: NpyHeader) -> None:
        self._path = path
        self._header = header
        self._stream: IO[bytes] | None = None
        self._archive: zipfile.ZipFile | None = None
        self._row = 0

    def rows(self, start: int, stop: int) -> npt.NDArray[np.generic]:
        """Entries `start` to `stop` along the first axis.

        Raises:
            InputError: the file is damaged.
        """
        header = self._header
        try:
            if self._stream is None or start < self._row:
                self._open()
            self._skip((start - self._row) * header.row_bytes)
            data = self._read((stop - start) * header.row_bytes)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            self._stream = None
            raise InputError(f"'{self._path}' is damaged in '{header.name}' ({error}); download it again") from error
        self._row = stop
        return np.frombuffer(data, header.dtype).reshape(stop - start, *header.shape[1:])

    def _open(self) -> None:
        if self._archive is None:
            self._archive = zipfile.ZipFile(self._path)
        self._stream = self._archive.open(f"{self._header.name}.npy")
        _parse_header(self._stream)
        self._row = 0

    def _skip(self, nbytes: int) -> None:
        while nbytes > 0:
            nbytes -= len(self._read(min(nbytes, _SKIP_BYTES)))

    def _read(self, nbytes: int) -> bytes:
        data = self._stream.read(nbytes) if self._stream else b""
        if len(data) != nbytes:
            raise EOFError("the array ends early")
        return data


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, may_be_fortran: bool) -> NpyHeader:
    with archive.open(info) as stream:
        shape, fortran, dtype = _parse_header(stream)
        start = stream.tell()
    if dtype.hasobject:
        raise ValueError(f"'{info.filename}' holds Python objects, which are never loaded")
    if fortran and len(shape) > 1 and not may_be_fortran:
        raise ValueError(f"'{info.filename}' is stored in Fortran order, which no official file is")
    if not shape or start + math.prod(shape) * dtype.itemsize != info.file_size:
        raise ValueError(f"'{info.filename}' claims shape {shape} of {dtype} but has {info.file_size - start} bytes")
    return NpyHeader(info.filename.removesuffix(".npy"), shape, dtype, info.CRC, fortran)


def _parse_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = np.lib.format.read_magic(stream)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"unknown npy version {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream, max_header_size=_MAX_HEADER)
    return tuple(shape), fortran, dtype
