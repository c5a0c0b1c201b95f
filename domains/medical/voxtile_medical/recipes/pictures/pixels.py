"""The pixels of a picture: JPEG and PNG as they are, DICOM by the rules of `voxtile convert dicom`."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.records import Row
from voxtile.corpus.shards.codecs import MAX_PICTURE_PIXELS
from voxtile.stages.ingest.picture import PictureError, read_picture
from voxtile_datasets.recipes.recipe import DroppedError
from voxtile_medical.dicom.pictures import picture_samples
from voxtile_medical.dicom.sample_rows import SeriesContext
from voxtile_medical.dicom.series_kinds import kind_of, states_text
from voxtile_medical.dicom_header.headers import NotUsable, read_header
from voxtile_medical.verdicts import FAILURES, Verdict

_DICOM_MARK = slice(128, 132)
_TIFF = (b"II*\0", b"MM\0*", b"BM")


@dataclass(frozen=True)
class Pixels:
    """What of a sample its file decides.

    Attributes:
        payload: encoded JPEG or PNG, or an array.
        row: columns of the samples table.
        shape: rows and columns.
        preview: for arrays.
        attributes: what a DICOM header says of the acquisition.
        doubts: on what is stored all the same, such as a polarity that is not certain.
    """

    payload: bytes | npt.NDArray[Any]
    row: Row
    shape: tuple[int, int]
    preview: npt.NDArray[np.uint8] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    doubts: Sequence[tuple[str, str]] = ()


def read_pixels(root: Path, path: str, data: bytes, *, is_grey: bool) -> Pixels:
    """The pixels of a file.

    Args:
        root: the download.
        path: relative to it.
        data: its bytes.
        is_grey: of a radiograph; a file that repeats its grey in three channels is stored with one.

    Raises:
        PictureError: the file is damaged.
        DroppedError: it is a DICOM object of another kind.
    """
    if data[_DICOM_MARK] == b"DICM" or path.lower().endswith((".dcm", ".dicom")):
        return _dicom(root, path)
    found = read_picture(_plain(data, is_grey=is_grey))
    return Pixels(found.payload, found.columns(), (found.shape[0], found.shape[1]), found.preview)


def _plain(data: bytes, *, is_grey: bool) -> bytes:
    """JPEG and PNG as they are; TIFF and BMP, and grey that is stored as colours, as PNG with the same pixels."""
    is_other = data.startswith(_TIFF)
    if not (is_other or is_grey) or data.startswith(b"\xff\xd8"):
        return data
    try:
        with Image.open(io.BytesIO(data), formats=["TIFF", "BMP", "PNG"]) as image:
            if image.width * image.height > MAX_PICTURE_PIXELS:
                raise PictureError("too-large", f"the picture has {image.width} × {image.height} pixels; tile it first")
            if image.mode not in ("L", "RGB", "RGBA", "P", "LA"):
                if is_other:
                    raise PictureError("bit-depth", f"the picture has the mode {image.mode}; convert it to 8-bit RGB")
                return data
            if image.mode == "L" and not is_other:
                return data
            colours = np.asarray(image.convert("L" if image.mode in ("L", "LA") else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if not is_other:
            return data  # the reader of pictures says what is wrong with it
        raise PictureError("decode-error", "the picture does not decode; replace the file") from error
    if colours.ndim == 3 and is_grey and (colours == colours[..., :1]).all():
        colours = colours[..., 0]
    if colours.ndim == 3 and not is_other:
        return data
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(colours)).save(out, "PNG", compress_level=3)
    return out.getvalue()


def _dicom(root: Path, path: str) -> Pixels:
    header = read_header(root, path)
    if isinstance(header, NotUsable):
        raise PictureError(header.reason, f"'{path}': {header.detail}")
    try:
        if kind_of(header) != "picture":
            raise Verdict("not-a-picture", "it is a plane of a volume and no radiograph; see what the folder holds")
        if states_text(header):
            raise Verdict("burned-in", "BurnedInAnnotation is YES")
        samples, _, doubts = picture_samples(SeriesContext(root, [header], path, {}, 1))
    except Verdict as verdict:
        said = f"'{path}': {verdict.detail}"
        if verdict.reason in FAILURES:
            raise PictureError(verdict.reason, said) from verdict
        raise DroppedError(verdict.reason, said) from verdict
    sample = samples[0]
    row = {name: value for name, value in sample.row.items() if name not in ("uid", "attributes")}
    payload = sample.payload
    if not isinstance(payload, np.ndarray):
        raise PictureError("decode-error", f"'{path}' holds no pixels; download it again")
    return Pixels(
        payload,
        row,
        (payload.shape[0], payload.shape[1]),
        sample.preview,
        json.loads(sample.row["attributes"]),
        [(part.reason, part.detail) for part in doubts],
    )
