"""Transfer syntaxes: which are decoded here, and the true reason why another is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxtile_medical.dicom_header.dictionary import EXPLICIT_LITTLE_ENDIAN
from voxtile_medical.verdicts import Verdict

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder

_ROOT = "1.2.840.10008.1.2.4."
JPEG_XL = frozenset({f"{_ROOT}110", f"{_ROOT}111", f"{_ROOT}112"})  # lossless, recompressed JPEG, any (Supplement 232)
_SERVED = frozenset({f"{_ROOT}94", f"{_ROOT}95", f"{_ROOT}204", f"{_ROOT}205"})  # JPIP, whose pixels a server has
_VIDEO = frozenset(f"{_ROOT}{number}" for number in range(100, 109))  # MPEG-2, MPEG-4, HEVC; in fragments with ".1"
_NEXT = "decompress it first (gdcmconv --raw, dcmdjpeg) or export it in another transfer syntax"


def is_served(syntax: str) -> bool:
    """The file refers to a server (JPIP) in place of pixels."""
    return syntax in _SERVED


def decoder_of(syntax: str) -> Decoder:
    """Pydicom's decoder of a transfer syntax.

    Raises:
        Verdict: `unsupported-syntax`, there is none.
    """
    from pydicom.pixels.decoders.base import get_decoder

    if syntax.removesuffix(".1") in _VIDEO:
        raise Verdict("unsupported-syntax", f"a video ({_name(syntax)}), of which no frame is decoded; {_NEXT}")
    try:
        decoder = get_decoder(syntax or EXPLICIT_LITTLE_ENDIAN)
    except NotImplementedError as error:
        raise Verdict("unsupported-syntax", f"there is no decoder of {_name(syntax)}; {_NEXT}") from error
    if not decoder.is_native and not decoder.available_plugins:
        raise Verdict("unsupported-syntax", f"no decoder of {_name(syntax)} is installed; {_NEXT}")
    return decoder


def _name(syntax: str) -> str:
    """A name of the dictionary; what a file may call a transfer syntax otherwise is not repeated."""
    from pydicom.uid import UID

    name = UID(syntax).name
    return name if name != syntax else "its transfer syntax, which the DICOM dictionary does not know"
