"""Reading one file's header: the wanted elements only, each file opened once, no pixel touched.

This runs for every file of a tree: ordinary files are skimmed, the others parsed by pydicom in supervised processes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from voxtile_medical.archives.stored import StoredFile, open_stored
from voxtile_medical.dicom_header.deflated import check_inflated_size
from voxtile_medical.dicom_header.dictionary import (
    DEFLATED_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)
from voxtile_medical.dicom_header.element_values import Values, interpret
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.dicom_header.skim import LONG_PREFIX_BYTES, MAX_ELEMENT_BYTES, PREFIX_BYTES, Skimmed, Unusual
from voxtile_medical.dicom_header.tags import PIXEL_DATA, SEQUENCES, TAGS
from voxtile_medical.verdicts import Verdict

if TYPE_CHECKING:  # ordinary headers are read without pydicom, whose import takes half a second
    from pydicom.dataset import Dataset

MAX_INFLATED_BYTES = 256 << 20  # of a deflated file that only pydicom can read; the pixels are not unpacked here
DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".dic", ".ima"})
DICOMDIR_CLASS = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage (PS3.10)
_UNREADABLE = ("unreadable-header", "the header cannot be parsed; export the file again")
_NATIVE = frozenset({IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN})
_DEFLATED = DEFLATED_LITTLE_ENDIAN.encode()
WRITTEN_BY = "ImplementationVersionName"  # (0002,0013); kept of the files of our phantoms alone
PHANTOM_WRITER = "VOXTILE_PHANTOM"
_CHARSET = 0x00080005
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd")
_WANTED = frozenset({*TAGS, _CHARSET})
_UNDEFINED = 0xFFFFFFFF
# (0020,000E) in explicit and implicit little endian, and in big endian.
_SERIES_UID = re.compile(rb"(?:\x20\x00\x0e\x00(?:UI..|.\x00\x00\x00)|\x00\x20\x00\x0eUI..)([0-9.]{1,64})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What the plan knows about a DICOM file.

    Attributes:
        path: relative to the source folder, with forward slashes.
        size: bytes.
        transfer_syntax: UID; empty where the file does not say.
        pixel_tag: tag of the pixel data element, 0 where there is none.
        offset: where uncompressed pixel data start in the file; -1 for compressed or deflated files.
        nbytes: length of uncompressed pixel data as the header states it; -1 as above.
        big_endian: byte order of uncompressed pixel data.
        values: keyword → values of the elements that are present and not blank; none where there should be numbers
            and something else is there.
    """

    path: str
    size: int
    transfer_syntax: str
    pixel_tag: int
    offset: int
    nbytes: int
    big_endian: bool
    values: Values

    def text(self, keyword: str) -> str:
        """First value as text; empty where absent."""
        values = self.values.get(keyword)
        return str(values[0]) if values else ""


_Reader: TypeAlias = "Callable[[StoredFile, str], FileHeader | None]"


@dataclass(frozen=True, slots=True)
class NotUsable:
    """A file that cannot take part in any series.

    Attributes:
        path: relative to the source folder.
        size: bytes; -1 where it is not known.
        reason: short machine-readable name.
        detail: one sentence for people.
        series: SeriesInstanceUID, where it can still be read; never stored.
    """

    path: str
    size: int
    reason: str
    detail: str
    series: str = ""


def glance(root: Path, path: str) -> FileHeader | NotUsable | None:
    """Read a file's header if that takes little: at most the longer of `PREFIX_BYTES`, walked over once.

    What it does is bounded whatever the file holds, so that the planning process may do it.

    Args:
        root: the source folder.
        path: relative to it.

    Returns:
        The header; or why the file is not usable; or None where only `read_header` can tell.
    """
    return _guarded(root, path, _glance)


def read_header(root: Path, path: str) -> FileHeader | NotUsable:
    """Read a file's header, whatever that takes: for a supervised process.

    Args:
        root: the source folder.
        path: relative to it.

    Returns:
        The header, or why the file is not usable: a damaged or foreign file is a row of the ledger, not an error.
    """
    found = glance(root, path) or _guarded(root, path, _read_long)
    return found or _guarded(root, path, _read_with_pydicom) or NotUsable(path, -1, *_UNREADABLE)


def _guarded(root: Path, path: str, read: _Reader) -> FileHeader | NotUsable | None:
    size = -1
    try:
        with open_stored(f"{root}/{path}") as file:
            size = file.size
            return read(file, path)
    except Verdict as verdict:
        return NotUsable(path, size, verdict.reason, verdict.detail, _series_of(root, path))
    except OSError as error:
        return NotUsable(
            path, size, "unreadable-header", f"the file cannot be read ({error.strerror}); check its permissions"
        )
    except MemoryError:
        raise
    except Exception as error:  # a parser on hostile bytes: anything can happen, and it is reported by name
        return NotUsable(
            path,
            size,
            "unreadable-header",
            f"the header cannot be parsed ({type(error).__name__}); export the file again",
            _series_of(root, path),
        )


def _series_of(root: Path, path: str) -> str:
    """The SeriesInstanceUID among the first bytes of a damaged file; empty where there is none."""
    try:
        with open_stored(f"{root}/{path}") as file:
            # One byte less than all: of a whole member, the checksum is that of its damage.
            found = _SERIES_UID.search(file.read(max(0, min(LONG_PREFIX_BYTES[0], file.size - 1))))
    except (OSError, Verdict):
        return ""
    return found[1].decode("ascii") if found else ""


def _glance(file: StoredFile, path: str) -> FileHeader | None:
    found = _skim(file, path, PREFIX_BYTES)
    if found is None:
        _sniff(file, path)
    return found


def _read_long(file: StoredFile, path: str) -> FileHeader | None:
    return _skim(file, path, LONG_PREFIX_BYTES)


def _skim(file: StoredFile, path: str, lengths: tuple[int, ...]) -> FileHeader | None:
    for length in lengths:
        try:
            return _from_skimmed(Skimmed(file.read(length), file.size, _WANTED), path, file.size)
        except Unusual:
            if file.size <= length and _DEFLATED not in file.read(1024):
                return None  # more bytes are not to be had
    return None


def _from_skimmed(found: Skimmed, path: str, size: int) -> FileHeader:
    if found.media_class == DICOMDIR_CLASS or not found.elements:
        raise Unusual
    charset = found.elements.get(_CHARSET)
    values: Values = {}
    for tag, raw in found.elements.items():
        keyword = TAGS.get(tag)
        if keyword is not None and (value := interpret(keyword, raw, charset)) is not None:
            values[keyword] = value
    if not values:
        raise Unusual
    if found.written_by == PHANTOM_WRITER:
        values[WRITTEN_BY] = (PHANTOM_WRITER,)
    if found.syntax == DEFLATED_LITTLE_ENDIAN:
        return FileHeader(path, size, found.syntax, found.pixel_tag, -1, -1, False, values)
    is_native = found.syntax in _NATIVE and found.nbytes >= 0
    offset, nbytes = (found.offset, found.nbytes) if is_native else (-1, -1)
    return FileHeader(path, size, found.syntax, found.pixel_tag, offset, nbytes, False, values)


def _read_with_pydicom(file: StoredFile, path: str) -> FileHeader:
    with file.stream() as stream, quiet_pydicom():
        if _DEFLATED in stream.read(1024):
            check_inflated_size(stream, MAX_INFLATED_BYTES)
        stream.seek(0)
        return _parse(stream, path, file.size)


def _sniff(file: StoredFile, path: str) -> None:
    """Refuse what is not DICOM before a parser sees it."""
    if Path(path).name.upper() == "DICOMDIR":
        raise Verdict("dicomdir", "an index of a DICOM medium; the files that it lists are read directly")
    claims_dicom = Path(path).suffix.lower() in DICOM_SUFFIXES
    if file.size == 0:
        raise Verdict("empty-file" if claims_dicom else "not-dicom", "the file is empty; copy it again from its source")
    head = file.read(1024)
    if head[128:132] == b"DICM":
        if file.size < 140:
            raise Verdict("truncated", "the file ends right after the DICOM preamble; copy it again from its source")
        return
    if _starts_like_a_dataset(head):
        return
    if head.startswith(_APPLE_DOUBLE):
        raise Verdict("not-dicom", "what macOS leaves beside a file of this name")
    what = "a zip archive; name it .zip or unpack it" if head[:4] == b"PK\x03\x04" else "something else; rename it"
    if head.startswith(_PACKED) and not path.lower().endswith(".nii.gz"):
        raise Verdict("unsupported-archive", "a compressed file that is not read; unpack it, or pack it as zip or tar")
    if claims_dicom:
        raise Verdict("not-dicom-content", f"the name says DICOM, but the content is {what}")
    raise Verdict("not-dicom", "not a DICOM file")


def _starts_like_a_dataset(head: bytes) -> bool:
    """Old files have no preamble: they begin with an element of group 0002 or 0008 whose length is plausible."""
    if len(head) < 8:
        return False
    group, element, length = struct.unpack("<HHI", head[:8])
    if group not in (0x0002, 0x0008) or element > 0x0100:
        return False
    return (head[4:6].isalpha() and head[4:6].isupper()) or length < 256


def _parse(stream: BinaryIO, path: str, size: int) -> FileHeader:
    from pydicom.filereader import read_partial

    dataset = read_partial(stream, _at_pixel_data, force=True, specific_tags=list(TAGS), defer_size=MAX_ELEMENT_BYTES)
    file_meta = dataset.file_meta
    syntax = str(file_meta.get("TransferSyntaxUID", ""))
    if str(file_meta.get("MediaStorageSOPClassUID", "")) == DICOMDIR_CLASS:
        raise Verdict("dicomdir", "an index of a DICOM medium; the files that it lists are read directly")
    implicit, little = dataset.original_encoding
    values = _values(dataset, not little)
    if not values:
        raise Verdict("truncated", "the file ends before its first image element; copy it again from its source")
    if str(file_meta.get(WRITTEN_BY, "")) == PHANTOM_WRITER:
        values[WRITTEN_BY] = (PHANTOM_WRITER,)
    pixel_tag, offset, nbytes = _pixel_position(stream, syntax, bool(implicit), bool(little))
    if syntax == DEFLATED_LITTLE_ENDIAN:
        pixel_tag = 0x7FE00010 if "Rows" in values else 0
    elif pixel_tag == 0 and stream.tell() > size:
        raise Verdict("truncated", "the file ends inside its header; copy it again from its source")
    return FileHeader(path, size, syntax, pixel_tag, offset, nbytes, not little, values)


def _at_pixel_data(tag: int, vr: str | None, length: int) -> bool:
    return tag in PIXEL_DATA


def _pixel_position(stream: BinaryIO, syntax: str, implicit: bool, little: bool) -> tuple[int, int, int]:
    """Tag of the pixel data element at the stream's position, and offset and length where it is not compressed."""
    order = "<" if little else ">"
    head = stream.read(8)
    if syntax == DEFLATED_LITTLE_ENDIAN or len(head) < 8:
        return 0, -1, -1
    group, element = struct.unpack(f"{order}HH", head[:4])
    tag = group << 16 | element
    if tag not in PIXEL_DATA:
        return 0, -1, -1
    raw_length = head[4:8] if implicit else stream.read(4)
    length = struct.unpack(f"{order}I", raw_length)[0] if len(raw_length) == 4 else 0
    if length == _UNDEFINED or (syntax and syntax not in _NATIVE):
        return tag, -1, -1
    return tag, stream.tell(), length


def _values(dataset: Dataset, big_endian: bool) -> Values:
    from pydicom.dataelem import RawDataElement

    charset_element = dataset.get_item(_CHARSET)
    charset = charset_element.value if isinstance(charset_element, RawDataElement) else None
    found: Values = {}
    for tag in dataset.keys():  # noqa: SIM118  (iterating a Dataset converts its elements)
        keyword = TAGS.get(tag)
        try:
            element = dataset.get_item(tag, keep_deferred=tag in SEQUENCES)
        except MemoryError as error:  # pydicom reads a long element when it is asked for, as long as it says it is
            raise Verdict("truncated", "an element claims more than memory holds; copy the file again") from error
        if keyword is not None and tag in SEQUENCES:
            if element.length if isinstance(element, RawDataElement) else len(element.value):
                found[keyword] = (1,)
            continue
        if keyword is None or not isinstance(element, RawDataElement) or not element.value:
            continue
        if len(element.value) < element.length:
            raise Verdict("truncated", "the file ends inside its header; copy it again from its source")
        values = interpret(keyword, element.value, charset if isinstance(charset, bytes) else None, big_endian)
        if values is not None:
            found[keyword] = values
    return found
