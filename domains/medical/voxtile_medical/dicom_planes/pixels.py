"""Stored pixel values: read in place where they are not compressed, by pydicom's decoders otherwise.

The decoders are pylibjpeg-openjpeg (JPEG 2000, HTJ2K), pylibjpeg-rle, pyjpegls (JPEG-LS), Pillow (8-bit JPEG),
imagecodecs (JPEG XL, which pydicom does not know) and, for the other JPEG processes only, GDCM: it aborts the process
on some damaged streams, which costs one series.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from voxtile.errors import panics_caught
from voxtile_medical.archives.stored import open_stored
from voxtile_medical.dicom_header.deflated import check_inflated_size
from voxtile_medical.dicom_header.dictionary import (
    DEFLATED_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    JPEG_BASELINE,
)
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.dicom_header.tags import PIXELS
from voxtile_medical.dicom_planes.packed import BITS, packed_bytes, unpack
from voxtile_medical.dicom_planes.syntaxes import JPEG_XL, decoder_of, is_served
from voxtile_medical.dicom_planes.unused_bits import counting_bits
from voxtile_medical.verdicts import Verdict

if TYPE_CHECKING:  # stored values of ordinary files are read without pydicom
    from pydicom.dataset import Dataset

MAX_VOLUME_BYTES = 2 << 30
MAX_HEADER_BYTES = 64 << 20  # around the pixels of a deflated file
_FILLING = 8  # bytes that writers add to fill a unit
PixelArray = npt.NDArray[Any]
_FLOAT_TAGS: dict[int, np.dtype[Any]] = {0x7FE00008: np.dtype("<f4"), 0x7FE00009: np.dtype("<f8")}
_DECODE_TAGS = [
    *PIXELS,
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
]


@dataclass(frozen=True)
class PixelLayout:
    """How a file's pixels are stored (PS3.3 C.7.6.3).

    Attributes:
        rows, columns, frames, samples: size.
        dtype: of the stored values, in native byte order.
        bits_stored, high_bit: which bits of a value count.
        photometric: PhotometricInterpretation.
        packed: values of 12 bits without gaps.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    dtype: np.dtype[Any]
    bits_stored: int
    high_bit: int
    photometric: str
    packed: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of all frames, uncompressed."""
        return self.rows * self.columns * self.frames * self.samples * self.dtype.itemsize

    @property
    def is_colour(self) -> bool:
        """More than one value a pixel, or a palette."""
        return self.samples > 1 or self.photometric == "PALETTE COLOR"


def layout_of(header: FileHeader) -> PixelLayout:
    """The pixel layout that a header states.

    Raises:
        Verdict: `no-pixel-data`, or `unsupported-pixels` for what the standard does not know, or `too-large`.
    """
    if header.pixel_tag == 0 and is_served(header.transfer_syntax):
        raise Verdict("no-pixel-data", "its pixels are on a server (JPIP) and not in the file; export it with them")
    if header.pixel_tag == 0:
        raise Verdict("no-pixel-data", "an image without pixel data")
    rows, columns, allocated = (_integer(header, name, 0) for name in ("Rows", "Columns", "BitsAllocated"))
    samples, frames = _integer(header, "SamplesPerPixel", 1), _integer(header, "NumberOfFrames", 1) or 1
    stored = _integer(header, "BitsStored", allocated)
    high = _integer(header, "HighBit", stored - 1)
    packed = allocated == BITS and samples == 1 and not header.big_endian
    if header.pixel_tag in _FLOAT_TAGS:
        dtype = _FLOAT_TAGS[header.pixel_tag]
        stored, high = dtype.itemsize * 8, dtype.itemsize * 8 - 1
    elif (packed or allocated in (8, 16, 32)) and 0 < stored <= allocated and stored - 1 <= high < allocated:
        dtype = np.dtype(f"{'i' if _is_signed(header, -(-allocated // 8) * 8) else 'u'}{-(-allocated // 8)}")
    else:
        why = f"{allocated} bits allocated, {stored} stored, high bit {high}"
        raise Verdict("unsupported-pixels", f"{why}; 8, 16, 32 and packed 12 bits are read")
    if min(rows, columns, frames) < 1 or samples not in (1, 3):
        raise Verdict(
            "unsupported-pixels", f"{rows} rows, {columns} columns, {frames} frames, {samples} samples a pixel"
        )
    photometric = header.text("PhotometricInterpretation")
    layout = PixelLayout(rows, columns, frames, samples, dtype, stored, high, photometric, packed)
    refuse_if_too_large(layout.nbytes)
    return layout


def refuse_if_too_large(nbytes: int) -> None:
    """Check a size that a header claims, before any memory is taken.

    Raises:
        Verdict: `too-large`.
    """
    if nbytes > MAX_VOLUME_BYTES:
        claimed = min(nbytes, 1 << 80) / 2**30  # an integer from a header may be too large for a float
        raise Verdict(
            "too-large", f"the header claims {claimed:.3g} GiB of pixels; the limit is {MAX_VOLUME_BYTES >> 30} GiB"
        )


def check_length(header: FileHeader, layout: PixelLayout) -> None:
    """Compare the length of uncompressed pixel data with the size that the header states.

    Raises:
        Verdict: `pixel-data-too-short`, or `pixel-data-too-long`: more than a row too long, which is no filling of a
            block but another size, or frames that the header does not count.
    """
    if header.offset < 0:
        return
    if header.nbytes - _stored_bytes(layout) > max(layout.columns * layout.samples * layout.dtype.itemsize, _FILLING):
        raise Verdict(
            "pixel-data-too-long",
            f"{header.nbytes} bytes of pixel data are there, and rows, columns and frames make "
            f"{_stored_bytes(layout)}; one of them is wrong",
        )
    available = min(header.nbytes, header.size - header.offset)
    if available < _stored_bytes(layout):
        raise Verdict(
            "pixel-data-too-short",
            f"{available} of {_stored_bytes(layout)} bytes of pixel data are there; copy the file again",
        )


def read_frames(root: Path, header: FileHeader, layout: PixelLayout, chosen: Sequence[int] | None = None) -> PixelArray:
    """Frames of a file.

    Args:
        root: the source folder.
        header: of the file.
        layout: of its pixels.
        chosen: which frames, in their order; all where left out.

    Returns:
        [frames, rows, columns] stored values, or [frames, rows, columns, 3] RGB bytes for colour. Bits that do not
        count are cleared (unsigned) or replaced by the sign (signed).

    Raises:
        Verdict: `changed-during-run`, `pixel-data-too-short`, `unsupported-syntax`, `decode-error` or `stray-bits`.
    """
    if header.offset >= 0 and not layout.is_colour:
        native = _read_native(root, header, layout)
        return _clean(native if chosen is None else native[list(chosen)], root, header, layout)
    check_length(header, layout)
    path = root / header.path
    try:
        with quiet_pydicom(), open_stored(path) as file, file.stream() as stream:
            refuse_if_changed(header, file.size)
            return _clean(_decode(stream, header, layout, chosen), root, header, layout)
    except (MemoryError, Verdict):
        raise
    except Exception as error:  # decoders raise anything; the message may quote the header, so it is not kept
        raise Verdict(
            "decode-error", f"the pixel data cannot be decoded ({type(error).__name__}); export the series again"
        ) from error


def refuse_if_changed(header: FileHeader, size: int) -> None:
    """Compare a file's size with the plan's.

    Raises:
        Verdict: `changed-during-run`.
    """
    if size != header.size:
        raise Verdict("changed-during-run", "the file has changed since the plan was made; run the command again")


def _read_native(root: Path, header: FileHeader, layout: PixelLayout) -> PixelArray:
    check_length(header, layout)
    dtype = layout.dtype.newbyteorder(">" if header.big_endian else "<")
    with open_stored(f"{root}/{header.path}") as file:
        refuse_if_changed(header, file.size)
        data = file.read(_stored_bytes(layout), header.offset)
    if len(data) < _stored_bytes(layout):
        raise Verdict("pixel-data-too-short", "the pixel data end early; copy the file again")
    count = layout.frames * layout.rows * layout.columns
    values = unpack(data, count) if layout.packed else np.frombuffer(data, dtype=dtype)
    values = values.reshape(layout.frames, layout.rows, layout.columns)
    return values.astype(layout.dtype, copy=False)


def _decode(stream: BinaryIO, header: FileHeader, layout: PixelLayout, chosen: Sequence[int] | None) -> PixelArray:
    tags = None if layout.photometric == "PALETTE COLOR" else _DECODE_TAGS
    if header.transfer_syntax == DEFLATED_LITTLE_ENDIAN:
        check_inflated_size(stream, layout.nbytes + MAX_HEADER_BYTES)
        stream.seek(0)
    from pydicom import dcmread

    dataset = dcmread(stream, force=True, specific_tags=tags)
    if layout.photometric == "PALETTE COLOR":
        shown = _palette(dataset, layout)
        return shown if chosen is None else shown[list(chosen)]
    if layout.packed:
        dataset.BitsAllocated = 16  # what decoders give
    frames = _frames(dataset, header, layout, chosen)
    wanted = layout.frames if chosen is None else len(chosen)
    if len(frames) < wanted:
        raise Verdict("pixel-data-too-short", f"{len(frames)} of {layout.frames} frames are there; copy the file again")
    shape = (layout.rows, layout.columns) + ((layout.samples,) if layout.samples > 1 else ())
    stacked = np.stack(frames[:wanted])
    if stacked.shape[1:] != shape:
        raise Verdict("decode-error", f"decoded frames are {stacked.shape[1:]} instead of {shape}")
    if not layout.is_colour and stacked.dtype != layout.dtype:
        stacked = stacked.astype(layout.dtype)
    return _to_bytes(stacked, layout) if layout.is_colour else stacked


def _frames(
    dataset: Dataset, header: FileHeader, layout: PixelLayout, chosen: Sequence[int] | None
) -> list[PixelArray]:
    syntax = header.transfer_syntax
    if syntax in JPEG_XL:
        return _jpeg_xl(dataset, layout, chosen)
    decoder = decoder_of(syntax)
    plugin = "" if decoder.is_native else _plugin(syntax, decoder.available_plugins)
    with panics_caught():  # pylibjpeg-rle is one of Rust
        decoded = decoder.iter_array(
            dataset, raw=not layout.is_colour, decoding_plugin=plugin, indices=None if chosen is None else list(chosen)
        )
        return [frame for frame, _ in decoded]


def _jpeg_xl(dataset: Dataset, layout: PixelLayout, chosen: Sequence[int] | None) -> list[PixelArray]:
    if layout.dtype.kind != "u":
        raise Verdict("unsupported-pixels", "JPEG XL holds no signed values; write the file again")
    from imagecodecs import jpegxl_decode
    from pydicom.encaps import generate_frames

    # Each frame is a stream of its own, and its colours are RGB whatever they were encoded as (PS3.5 8.2.15).
    streams = list(generate_frames(dataset.PixelData, number_of_frames=layout.frames))
    frames = [jpegxl_decode(streams[index]) for index in (range(len(streams)) if chosen is None else chosen)]
    if any(frame.dtype != layout.dtype for frame in frames):
        raise Verdict("decode-error", f"the stream holds {frames[0].dtype} and the header says {layout.dtype}")
    return frames


def _plugin(syntax: str, available: Sequence[str]) -> str:
    """The gentlest decoder that is installed for a transfer syntax; only one is tried."""
    order = ("pillow", "gdcm") if syntax == JPEG_BASELINE else ("pylibjpeg", "pyjpegls", "gdcm", "pillow")
    chosen: str = next(name for name in (*order, *available) if name in available)
    return chosen


def _palette(dataset: Dataset, layout: PixelLayout) -> PixelArray:
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.uid import UID

    if "RedPaletteColorLookupTableDescriptor" not in dataset:
        raise Verdict("unsupported-pixels", "its values are entries of a colour table, which the file does not hold")
    if "TransferSyntaxUID" not in dataset.file_meta:  # old files begin with their first element
        implicit = bool(dataset.original_encoding[0])
        syntax = IMPLICIT_LITTLE_ENDIAN if implicit else EXPLICIT_LITTLE_ENDIAN
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    big_endian = dataset.file_meta.TransferSyntaxUID == EXPLICIT_BIG_ENDIAN
    for colour in ("Red", "Green", "Blue") if big_endian else ():  # pydicom takes them for little endian
        name = f"{colour}PaletteColorLookupTableData"
        if name in dataset and dataset[name].VR == "OW":
            dataset[name].value = np.frombuffer(dataset[name].value, ">u2").astype("<u2").tobytes()
    with panics_caught():
        rgb = apply_color_lut(dataset.pixel_array, dataset)[..., :3]
    bits = int(dataset.RedPaletteColorLookupTableDescriptor[2])
    # Entries of 8 bits may stand in 16, in either byte (PS3.3 C.7.6.3.1.6).
    top = 8 if rgb.dtype.itemsize == 2 and (bits == 16 or rgb.max() > 255) else 0
    return (rgb >> top).astype(np.uint8).reshape(layout.frames, layout.rows, layout.columns, 3)


def _to_bytes(rgb: PixelArray, layout: PixelLayout) -> PixelArray:
    """Colour is kept at 8 bits a channel, as pictures are."""
    return rgb.astype(np.uint8) if layout.bits_stored <= 8 else (rgb >> (layout.bits_stored - 8)).astype(np.uint8)


def _clean(values: PixelArray, root: Path, header: FileHeader, layout: PixelLayout) -> PixelArray:
    """Keep the bits that count; colour and floating point have no others."""
    if values.ndim == 4 or layout.dtype.kind == "f" or layout.bits_stored == layout.dtype.itemsize * 8:
        return values
    return counting_bits(root / header.path, header, values, layout.bits_stored, layout.high_bit)


def _stored_bytes(layout: PixelLayout) -> int:
    if layout.packed:
        return packed_bytes(layout.frames * layout.rows * layout.columns)
    if layout.photometric == "YBR_FULL_422":
        return layout.nbytes * 2 // 3
    return math.ceil(layout.nbytes)


def _is_signed(header: FileHeader, allocated: int) -> bool:
    """Whether values are signed; bytes without a word on it are not (PS3.3 C.7.6.3.1)."""
    representation = _integer(header, "PixelRepresentation", 0 if allocated == 8 else -1)
    if representation not in (0, 1):
        said = "is not there" if representation == -1 else f"is {representation}"
        raise Verdict("unsupported-pixels", f"PixelRepresentation {said}: whether values are signed is not known")
    return representation == 1


def _integer(header: FileHeader, name: str, default: int) -> int:
    values = header.values.get(name)
    if values is None:
        return default
    if not values:
        raise Verdict("unreadable-value", f"{name} is there, but it is not a number; write the file again")
    return int(values[0])
