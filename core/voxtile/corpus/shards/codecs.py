"""Payloads of a corpus: Blosc2 arrays that are opened in place, and JPEG or PNG bytes that are passed through.

Arrays are contiguous Blosc2 n-d frames (zstd after bit-shuffling). Compression runs on one thread with fixed chunk and
block shapes: with more threads, or shapes chosen from the machine's cache sizes, the bytes would differ between runs or
machines. Each frame carries checksums (`voxtile.corpus.shards.checksums`), which reading compares.
"""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import simplejpeg

from voxtile.corpus.records import EncodedArray
from voxtile.corpus.shards.blosc2_frame import MAX_ARRAY_BYTES, MAX_DIMENSIONS, Frame, full_selection, inspect_frame
from voxtile.corpus.shards.checksums import empty_layer, seal
from voxtile.corpus.shards.lean_blosc2 import blosc2
from voxtile.corpus.shards.memory_maps import map_payload
from voxtile.errors import CorpusError

if TYPE_CHECKING:
    from PIL import Image

PICTURE_FORMATS = (
    "JPEG",
    "PNG",
    "TIFF",
    "BMP",
    "GIF",
    "WEBP",
)  # Pillow would have Ghostscript run an EPS
PICTURE_HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # of those in corpora
MAX_PICTURE_PIXELS = 1 << 27  # 400 MB of RGB
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_COMPRESSION_LEVEL = 1  # level 5 takes twice the time to write for 3 % fewer bytes, and reads no faster
# Elements along the last three spatial axes. A block of 4,096 elements decompresses in cache.
_CHUNK_3D, _BLOCK_3D = 64, 16
_CHUNK_2D, _BLOCK_2D = 256, 64
_CHUNK_1D, _BLOCK_1D = 1 << 16, 1 << 12
_MAX_CHANNELS_LAST = 4
_MAX_PLANES = 16  # more bands or slices than these are a volume; fewer are planes, written three times as fast as such
_BLOCK_PLANE = (128, 256)


class StoredArray:
    """An array inside a frame; indexing decompresses only the chunks that it touches.

    Attributes:
        shape: in the order of the sample's `axes`.
        dtype: of the stored values.
        is_sealed: every read is compared with the checksums of the frame.
    """

    def __init__(self, frame: Frame, where: str) -> None:
        self.shape = frame.shape
        self.dtype = frame.dtype
        self.is_sealed = frame.is_sealed
        self._frame = frame
        self._where = where
        self._array: Any = None

    def __getitem__(self, selection: slice | tuple[slice, ...]) -> npt.NDArray[Any]:
        """Read a box.

        Args:
            selection: one slice for each leading axis, with step 1; missing axes are read whole.

        Raises:
            CorpusError: the stored data is damaged or refused.
        """
        parts = selection if isinstance(selection, tuple) else (selection,)
        box = _normalise(parts, self.shape)
        try:
            self._frame.check_chunks(box)
            return self._read(box)
        except CorpusError as error:
            raise CorpusError(f"{self._where}: {error}") from error
        except (RuntimeError, ValueError) as error:
            raise CorpusError(f"{self._where}: the stored array is damaged ({error})") from error

    def _read(self, box: tuple[slice, ...]) -> npt.NDArray[Any]:
        if any(part.stop <= part.start for part in box):
            return np.empty([max(0, part.stop - part.start) for part in box], self.dtype)
        if self._array is None:
            # The frame stays where it is (copy=False); `self._frame.buffer` keeps the mapping alive.
            self._array = blosc2.ndarray_from_cframe(self._frame.buffer, copy=False, deserialize="safe")
            self._array.schunk.dparams = blosc2.DParams(nthreads=1)
        if box == full_selection(self.shape) and _is_one_piece(self.shape, self._frame.chunks, self._frame.blocks):
            whole = np.empty(self.shape, self.dtype)
            self._array.schunk.decompress_chunk(0, dst=whole)  # a tile: straight into place, an eighth faster
            return whole
        values: npt.NDArray[Any] = self._array[box]
        return values


def encode_array(array: npt.NDArray[Any]) -> bytes:
    """Compress an array to a Blosc2 frame; the same values give the same bytes on every machine.

    Args:
        array: 1 to 8 axes, of booleans, integers, floats or complex numbers, without an empty axis.

    Raises:
        ValueError: the array is none of these.
        CorpusError: it is larger than a reader would accept.
    """
    values = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    if values.dtype.kind not in "biufc" or values.dtype.itemsize > 16 or values.dtype.str in {"<f16"}:
        raise ValueError(f"an array of type {array.dtype} cannot be stored; convert it to plain numbers")
    if array.ndim == 0 or array.ndim > MAX_DIMENSIONS or not array.size:
        raise ValueError(f"an array of shape {array.shape} cannot be stored")
    if values.nbytes > MAX_ARRAY_BYTES:
        raise CorpusError(f"an array of shape {array.shape} has {values.nbytes} bytes; the limit is {MAX_ARRAY_BYTES}")
    chunks, blocks = _layout(values.shape)
    if _is_one_piece(values.shape, chunks, blocks):
        stored = _single_chunk(values.shape, values.dtype, blocks, threading.get_ident())
        stored.schunk.update_data(0, values, copy=False)
    else:
        nchunks = math.prod(-(-size // chunk) for size, chunk in zip(values.shape, chunks, strict=True))
        stored = blosc2.asarray(values, chunks=chunks, blocks=blocks, cparams=_compression(), meta=empty_layer(nchunks))
    made: bytes = stored.to_cframe()
    frame = inspect_frame(made, is_finished=False)
    return seal(made, frame.header_bytes, frame.data_bytes, frame.offsets)


def _compression() -> blosc2.CParams:
    return blosc2.CParams(
        codec=blosc2.Codec.ZSTD,
        clevel=_COMPRESSION_LEVEL,
        nthreads=1,
        filters=[blosc2.Filter.BITSHUFFLE],
        filters_meta=[0],
    )


@lru_cache(maxsize=4)
def _single_chunk(shape: tuple[int, ...], dtype: np.dtype[Any], blocks: tuple[int, ...], _thread: int) -> Any:  # noqa: ANN401 - blosc2 has no types
    """An array to fill again and again: a new one for each tile, with a new compressor, takes a third more time."""
    return blosc2.empty(shape, dtype, chunks=shape, blocks=blocks, cparams=_compression(), meta=empty_layer(1))


def compress(array: npt.NDArray[Any]) -> EncodedArray:
    """Compress an array for `Sample.payload`; see `encode_array`."""
    return EncodedArray(encode_array(array), array.shape, dtype_name(array.dtype))


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Name of a type as it is stored, little-endian."""
    return np.dtype(dtype.newbyteorder("<").str).name


def open_array(path: Path, offset: int, nbytes: int) -> StoredArray:
    """Open a frame in place, inside the tar that holds it.

    Args:
        path: the shard.
        offset: of the frame's first byte.
        nbytes: length of the frame.

    Raises:
        CorpusError: the shard is missing or cut short, or the frame's header is damaged or refused.
    """
    return array_in(map_payload(path, offset, nbytes), f"'{path}' at offset {offset}")


def array_in(
    payload: memoryview, where: str, need: Callable[[Sequence[tuple[int, int]]], None] | None = None
) -> StoredArray:
    """The array of a frame in place.

    Args:
        payload: the frame.
        where: for messages.
        need: has ranges of the payload fetched, where only what is no chunk is there.

    Raises:
        CorpusError: the frame's header is damaged or refused.
    """
    try:
        return StoredArray(inspect_frame(payload, need=need), where)
    except CorpusError as error:
        raise CorpusError(f"{where}: {error}") from error


def picture_codec(data: bytes | memoryview) -> str:
    """Tell `jpg` from `png` by the first bytes.

    Raises:
        CorpusError: the bytes are neither.
    """
    head = bytes(data[:8])
    if head.startswith(_JPEG):
        return "jpg"
    if head == _PNG:
        return "png"
    raise CorpusError(f"a picture starts with {head!r}, which is neither JPEG nor PNG; convert it first")


def picture_shape(data: bytes | memoryview) -> tuple[int, ...]:
    """Return the shape that `decode_picture` would give, reading the header only: (Y, X) or (Y, X, 3).

    Raises:
        CorpusError: the header is damaged or claims more than `MAX_PICTURE_PIXELS`.
    """
    if bytes(data[:3]) == _JPEG:
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError:
            colours = "unknown"  # Pillow decides, and says what is wrong
        if colours in {"Gray", "YCbCr", "RGB"}:
            _check_pixels(height, width)
            return (height, width) if colours == "Gray" else (height, width, 3)
    with _open_picture(data) as picture:
        return (picture.height, picture.width) if picture.mode in {"L", "1"} else (picture.height, picture.width, 3)


def decode_picture(data: bytes | memoryview) -> npt.NDArray[np.uint8]:
    """Decode a JPEG or PNG to uint8, [Y, X] for grey and [Y, X, 3] for colour (an alpha channel is dropped).

    Raises:
        CorpusError: the picture is damaged, has 16 bits, or claims more than `MAX_PICTURE_PIXELS`.
    """
    if picture_codec(data) == "jpg":
        pixels = _decode_jpeg(data)
        if pixels is not None:
            return pixels
    with _open_picture(data) as picture:
        if picture.mode.startswith(("I", "F")):
            raise CorpusError(f"a picture has mode {picture.mode}; store more than 8 bits as an array")
        try:
            return np.array(picture.convert("L" if picture.mode in {"L", "1"} else "RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise CorpusError(f"a picture is damaged ({error})") from error


def _decode_jpeg(data: bytes | memoryview) -> npt.NDArray[np.uint8] | None:
    """Decode by libjpeg-turbo; None for colour spaces that it does not turn into RGB (CMYK)."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        _check_pixels(height, width)
        if colours not in {"Gray", "YCbCr", "RGB"}:
            return None
        grey = colours == "Gray"
        pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "GRAY" if grey else "RGB", fastdct=False)
    except ValueError as error:
        raise CorpusError(f"a JPEG is damaged ({error})") from error
    return pixels[:, :, 0] if grey else pixels


def _open_picture(data: bytes | memoryview) -> Image.Image:
    from PIL import Image  # late: most pictures are JPEG, which libjpeg-turbo reads

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
            picture = Image.open(io.BytesIO(data), formats=["JPEG", "PNG"])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CorpusError(f"a picture is damaged ({error})") from error
    _check_pixels(picture.height, picture.width)
    return picture


def _check_pixels(height: int, width: int) -> None:
    if height * width > MAX_PICTURE_PIXELS:
        raise CorpusError(f"a picture claims {height} × {width} pixels; the limit is {MAX_PICTURE_PIXELS}")


def _normalise(parts: Sequence[slice], shape: tuple[int, ...]) -> tuple[slice, ...]:
    if len(parts) > len(shape) or any(part.step not in {None, 1} for part in parts):
        raise ValueError(f"a selection needs at most {len(shape)} slices with step 1, got {parts}")
    whole = [*parts, *(slice(None) for _ in shape[len(parts) :])]
    return tuple(slice(*part.indices(size)[:2]) for part, size in zip(whole, shape, strict=True))


def _layout(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Chunk and block shapes: a pure function of the array's shape."""
    tail = 1 if len(shape) > 2 and shape[-1] <= _MAX_CHANNELS_LAST else 0  # interleaved channels stay together
    spatial = shape[: len(shape) - tail]
    if not tail and len(spatial) == 3 and spatial[0] <= _MAX_PLANES:
        (chunk_y, block_y), (chunk_x, block_x) = (
            _divide(size, _CHUNK_2D, block) for size, block in zip(spatial[1:], _BLOCK_PLANE, strict=True)
        )
        return (spatial[0], chunk_y, chunk_x), (1, block_y, block_x)
    depth = min(len(spatial), 3)
    targets = {1: (_CHUNK_1D, _BLOCK_1D), 2: (_CHUNK_2D, _BLOCK_2D), 3: (_CHUNK_3D, _BLOCK_3D)}[depth]
    pairs = [_divide(size, *targets) for size in spatial[len(spatial) - depth :]]
    lead = (1,) * (len(spatial) - depth)
    last = shape[len(shape) - tail :]
    return (*lead, *(c for c, _ in pairs), *last), (*lead, *(b for _, b in pairs), *last)


def _is_one_piece(shape: tuple[int, ...], chunk: tuple[int, ...], block: tuple[int, ...]) -> bool:
    """Whether an array is one chunk whose blocks are pieces of it in C order, without padding.

    Such blocks have sides of 1, then a divisor of one axis, then whole axes.
    """
    cut = [n for n, (size, side) in enumerate(zip(chunk, block, strict=True)) if side != size]
    axis = cut[-1] if cut else 0
    return shape == chunk and chunk[axis] % block[axis] == 0 and all(side == 1 for side in block[:axis])


def _divide(size: int, chunk: int, block: int) -> tuple[int, int]:
    """Split an axis into near-equal chunks of at most `chunk`, rounded up to whole blocks."""
    count = math.ceil(size / chunk)
    share = math.ceil(size / count)
    block = min(block, size)
    return min(size, math.ceil(share / block) * block), block
