"""A CT or MR volume as a derived DICOM series: one classic single-frame file a slice, with new UIDs.

Sources: DICOM PS3.3 A.3 (CT Image IOD), A.4 (MR Image IOD), C.7.6.2 (Image Plane); PS3.5 B.2 (UUID-derived UIDs).
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.source import StoredSample
from voxtile.corpus.storage import publish_all
from voxtile.errors import CorpusError
from voxtile.formats.geometry import Affine, channel_scaling, flip_axes, volume_affine
from voxtile.formats.optional import require

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID


SUFFIX = ""  # a folder
SOP_CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4"}
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SKEW = 1e-3  # largest cosine between axes that a series of parallel slices can express
_EMPTY = ("PatientBirthDate", "PatientSex", "ReferringPhysicianName", "AccessionNumber", "StudyID", "Manufacturer")


def write_dicom(sample: StoredSample, out: Path) -> list[Path]:
    """Write a series into a folder.

    Args:
        sample: a CT or MR volume with axes ZYX and an affine.
        out: a new folder; the files are named 0001.dcm, 0002.dcm, …

    Raises:
        CorpusError: the sample is something else, or its axes are not at right angles.
        MissingExtraError: pydicom is not installed.
    """
    row, lps, array = _turned(sample)
    pixels = sixteen_bits(array, *channel_scaling(row))
    files = [
        (out / f"{number + 1:04d}.dcm", partial(_write_slice, row, pixels, lps, number)) for number in range(len(array))
    ]
    return publish_all(files)


def slice_headers(sample: StoredSample) -> list[Dataset]:
    """The headers of the files that `write_dicom` writes, without pixels, for objects that refer to these files.

    Raises:
        CorpusError, MissingExtraError: as `write_dicom`.
    """
    row, lps, array = _turned(sample)
    return [_slice(row, lps, number, array.shape[1:]) for number in range(len(array))]


def derived_uid(*parts: str) -> UID:
    """A UID that depends on what it names: 2.25 and a name-based UUID as a decimal number."""
    from pydicom.uid import UID

    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(('voxtile', *parts))).int}")


def _turned(sample: StoredSample) -> tuple[Mapping[str, Any], Affine, npt.NDArray[Any]]:
    """The row, the affine to LPS mm, and the voxels with x and y reversed.

    Near RAS+ a reader would see the patient from behind; reversed x and y run left and back, as viewers expect.
    """
    require("pydicom", "medical")
    row = sample.meta
    affine = volume_affine(row) if row.get("axes") == "ZYX" else None
    if row.get("modality") not in SOP_CLASSES or affine is None:
        found = f"a {row.get('modality')} {row.get('kind')} with axes {row.get('axes')}"
        raise CorpusError(
            f"DICOM is written for CT and MR volumes with an affine, not for {found}; use --to nifti or png"
        )
    _check_right_angles(affine, str(row["uid"]))
    array, turned = flip_axes(sample.array(), affine, (1, 2))
    return row, LPS @ turned, array


def _write_slice(row: Mapping[str, Any], pixels: StoredPixels, lps: Affine, number: int, target: Path) -> None:
    plane = np.ascontiguousarray(pixels.values[number])
    dataset = _slice(row, lps, number, plane.shape)
    dataset.DerivationDescription = f"extracted from voxtile sample {row['uid']}; {pixels.note}"
    dataset.PixelRepresentation = int(pixels.values.dtype.kind == "i")
    dataset.RescaleSlope, dataset.RescaleIntercept = _decimal(pixels.slope), _decimal(pixels.intercept)
    dataset.PixelData = plane.astype(plane.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    target.write_bytes(stream.getvalue())


def _slice(row: Mapping[str, Any], lps: Affine, number: int, shape: tuple[int, ...]) -> Dataset:
    """One slice without its pixels."""
    dataset = _dataset(row)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = derived_uid(
        "instance", row["uid"], str(number)
    )
    dataset.InstanceNumber = number + 1
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    directions = lps[:3, :3] / steps
    dataset.ImageOrientationPatient = [_decimal(value) for value in (*directions[:, 0], *directions[:, 1])]
    dataset.ImagePositionPatient = [_decimal(value) for value in lps[:3, 3] + number * lps[:3, 2]]
    dataset.PixelSpacing = [_decimal(steps[1]), _decimal(steps[0])]
    dataset.SliceThickness = dataset.SpacingBetweenSlices = _decimal(steps[2])
    dataset.Rows, dataset.Columns = shape
    return dataset


def _dataset(row: Mapping[str, Any]) -> Dataset:
    """What all slices share."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(SOP_CLASSES[row["modality"]])
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if row["modality"] == "CT" else "OTHER"]
    dataset.Modality = row["modality"]
    for keyword in _EMPTY:
        setattr(dataset, keyword, "")
    dataset.PatientID = dataset.PatientName = str(row["subject"])[:64]
    _set_date(dataset, row.get("datetime"))
    dataset.StudyInstanceUID = derived_uid("study", str(row.get("study") or row["uid"]))
    dataset.SeriesInstanceUID = derived_uid("series", row["uid"])
    dataset.FrameOfReferenceUID = derived_uid("frame", row["uid"])
    dataset.PositionReferenceIndicator = ""
    dataset.SeriesNumber = 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.RescaleType = "HU" if row.get("units") == "HU" else "US"
    if row["modality"] == "CT":
        dataset.KVP = dataset.AcquisitionNumber = None
    else:
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "RM", "NONE", ""
        dataset.MRAcquisitionType, dataset.EchoTime, dataset.EchoTrainLength = "", None, None
        dataset.RepetitionTime = None
    return dataset


def _set_date(dataset: Dataset, moment: str | None) -> None:
    """`datetime` is ISO 8601; what is not stated stays empty (type 2)."""
    date, _, time = (moment or "").partition("T")
    digits = "".join(c for c in date if c.isdigit())
    dataset.StudyDate = digits if len(digits) == 8 else ""
    dataset.StudyTime = "".join(c for c in time[:8] if c.isdigit())[:6] if dataset.StudyDate else ""


def _check_right_angles(affine: Affine, uid: str) -> None:
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.abs(directions.T @ directions - np.eye(3)).max() > _SKEW:
        raise CorpusError(
            f"the axes of sample {uid} are not at right angles, which DICOM slices cannot say; use --to nifti"
        )


def _decimal(value: float) -> str:
    """A number in at most 16 characters (PS3.5, VR DS)."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))


@dataclass(frozen=True)
class StoredPixels:
    """Pixels as a 16-bit file holds them.

    Attributes:
        values: int16 or uint16; physical = value · slope + intercept.
        slope: of the rescale.
        intercept: of the rescale, in the units of the physical value.
        note: one phrase about what was done.
    """

    values: npt.NDArray[Any]
    slope: float
    intercept: float
    note: str


def sixteen_bits(array: npt.NDArray[Any], scale: float, offset: float) -> StoredPixels:
    """Choose a 16-bit type.

    Args:
        array: stored values.
        scale: physical = stored · scale + offset.
        offset: see `scale`.

    Returns:
        The same integers where they fit in 16 bits; otherwise values rounded to 65,536 equal steps over their range.
    """
    if array.dtype.kind in "biu":
        smallest, largest = int(array.min()), int(array.max())
        for dtype in (np.int16, np.uint16):
            if np.iinfo(dtype).min <= smallest and largest <= np.iinfo(dtype).max:
                return StoredPixels(array.astype(dtype), scale, offset, "stored values unchanged")
    finite = np.isfinite(array)
    values = np.where(finite, array, array[finite].min() if finite.any() else 0).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    step = (high - low) / np.iinfo(np.uint16).max
    steps = np.rint((values - low) / (step or 1.0)).astype(np.uint16)
    note = f"rounded to 16 bits, by at most {step * abs(scale) / 2:.3g}"
    return StoredPixels(steps, (step or 1.0) * scale, low * scale + offset, note)
