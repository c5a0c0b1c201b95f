"""A CT, MR or PET volume as a derived DICOM series: one classic single-frame file a slice, with new UIDs.

Sources: DICOM PS3.3 A.3 (CT Image IOD), A.4 (MR Image IOD), A.21 (PET Image IOD), C.7.6.2 (Image
Plane); PS3.5 B.2 (UUID-derived UIDs).
"""

from __future__ import annotations

import errno
import io
import uuid
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.confidentiality import Confidentiality
from voxtile.corpus.drafts import draft_folder
from voxtile.corpus.source import StoredSample
from voxtile.corpus.storage import publish_all, storage_errors
from voxtile.errors import CorpusError
from voxtile.formats.dicom_identity import state_identity
from voxtile.formats.dicom_pet import pet_slice, pet_units
from voxtile.formats.geometry import Affine, channel_scaling, flip_axes, volume_affine
from voxtile.formats.optional import require
from voxtile.formats.sixteen_bits import StoredPixels, sixteen_bits, without_intercept

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID


SUFFIX = ""  # a folder
SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
}
_UNKNOWN = Confidentiality()
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SKEW = 1e-3  # largest cosine between axes that a series of parallel slices can express
_EMPTY = ("PatientBirthDate", "PatientSex", "ReferringPhysicianName", "AccessionNumber", "StudyID", "Manufacturer")


def write_dicom(sample: StoredSample, out: Path, known: Confidentiality = _UNKNOWN) -> list[Path]:
    """Write a series into a folder.

    Args:
        sample: a CT, MR or PET volume with axes ZYX and an affine.
        out: a new folder; the files are named 0001.dcm, 0002.dcm, …
        known: what was done about the patient's identity.

    Raises:
        CorpusError: the sample is something else, its axes are not at right angles, it is a PET without units, or the
            folder holds something.
        MissingExtraError: pydicom is not installed.
    """
    row, lps, array = _turned(sample)
    narrowed = without_intercept if row["modality"] == "PT" else sixteen_bits
    pixels = narrowed(array, *channel_scaling(row))
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with draft_folder(out) as building:  # another command may write another series there meanwhile
            files = publish_all(
                [
                    (building / f"{number + 1:04d}.dcm", partial(_write_slice, row, pixels, lps, number, known))
                    for number in range(len(array))
                ]
            )
            try:
                building.rename(out)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                raise CorpusError(f"another command has written '{out}' meanwhile; name another folder") from None
    return [out / file.name for file in files]


def slice_headers(sample: StoredSample, known: Confidentiality = _UNKNOWN) -> list[Dataset]:
    """The headers of the files that `write_dicom` writes, without pixels, for objects that refer to these files.

    Raises:
        CorpusError, MissingExtraError: as `write_dicom`.
    """
    row, lps, array = _turned(sample)
    return [_slice(row, lps, number, array.shape, known)[0] for number in range(len(array))]


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
            f"DICOM is written for CT, MR and PET volumes with an affine, not for {found}; use --to nifti or png"
        )
    _check_right_angles(affine, str(row["uid"]))
    if row["modality"] == "PT":
        pet_units(row)
    array, turned = flip_axes(sample.array(), affine, (1, 2))
    return row, LPS @ turned, array


def _write_slice(
    row: Mapping[str, Any], pixels: StoredPixels, lps: Affine, number: int, known: Confidentiality, target: Path
) -> None:
    plane = np.ascontiguousarray(pixels.values[number])
    dataset, note = _slice(row, lps, number, pixels.values.shape, known)
    notes = "; ".join(filter(None, (pixels.note, note)))
    dataset.DerivationDescription = f"extracted from voxtile sample {row['uid']}; {notes}"
    dataset.PixelRepresentation = int(pixels.values.dtype.kind == "i")
    dataset.RescaleSlope, dataset.RescaleIntercept = _decimal(pixels.slope), _decimal(pixels.intercept)
    dataset.PixelData = plane.astype(plane.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    target.write_bytes(stream.getvalue())


def _slice(
    row: Mapping[str, Any], lps: Affine, number: int, shape: tuple[int, ...], known: Confidentiality
) -> tuple[Dataset, str]:
    """One slice of a volume without its pixels, and what stands for facts that the corpus does not hold."""
    dataset = _dataset(row)
    state_identity(dataset, row, known)
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
    dataset.Rows, dataset.Columns = shape[1:]
    return dataset, pet_slice(dataset, row, number, shape[0]) if row["modality"] == "PT" else ""


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
    _set_date(dataset, row.get("datetime"))
    dataset.StudyInstanceUID = derived_uid("study", str(row.get("study") or row["uid"]))
    dataset.SeriesInstanceUID = derived_uid("series", row["uid"])
    dataset.FrameOfReferenceUID = derived_uid("frame", row["uid"])
    dataset.PositionReferenceIndicator = ""
    dataset.SeriesNumber = 1
    dataset.Laterality = ""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    if row["modality"] == "PT":
        return dataset
    dataset.PatientPosition = ""
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
