"""The DICOM series, or the one picture, that a sample was converted from, among the files of a folder."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.identity import KeyMap, key_map_path
from voxtile.corpus.source import StoredSample
from voxtile.errors import CorpusError, InputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Of type 1 in the SOP Common, General Study and General Series modules (PS3.3, C.12.1, C.7.2.1, C.7.3.1).
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Of type 2 in the Patient and General Study modules (PS3.3, C.7.1.1, C.7.2.1): derived objects repeat them, empty too.
_MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_SAME = 1e-5  # of the range of values: PET is rescaled slice by slice


def original_series(folder: Path, sample: StoredSample, root: Path) -> list[Dataset]:
    """The series of a folder that a sample was converted from; what may be empty and is missing is empty.

    It is known by its UID, of which the sample keeps a mark that the key map beside the corpus can make again, or by
    its pixels: another patient's series of the same size would file the results under that patient.

    Args:
        folder: with DICOM files.
        sample: what is to be reported on.
        root: its corpus.

    Raises:
        InputError: the series is not there, or several are.
    """
    is_picture = "Z" not in sample.meta["axes"]
    series = _pictures_in(folder) if is_picture else _series_in(folder)
    sizes = sorted(size for axis, size in zip(sample.meta["axes"], sample.meta["shape"], strict=True) if axis in "ZYX")
    fitting = {uid: s for uid, s in series.items() if _sizes(s, is_picture) == sizes}
    own = [s for uid, s in fitting.items() if _is_marked(uid, s, sample, root)]
    own = own or [s for s in fitting.values() if _has_pixels_of(s, sample)]
    if len(own) != 1:
        raise InputError(
            f"'{folder}' holds {len(fitting)} {'pictures' if is_picture else 'series'} of "
            f"{' × '.join(map(str, sizes))} {'pixels' if is_picture else 'voxels'}, of which {len(own)} "
            f"have the pixels of sample {sample.meta['uid']}; give the folder of the one "
            f"{'picture' if is_picture else 'series'} that it was converted from, and have the key map beside the "
            "corpus where its pixels were changed"
        )
    for original in own[0]:
        missing = [name for name in _IDENTIFIERS if not original.get(name)]
        if missing:
            raise InputError(
                f"the DICOM files in '{folder}' have no {missing[0]}, so that no segmentation can refer to them; take "
                "files that still have their identifiers, or write with --to nifti"
            )
        for keyword in _MAY_BE_EMPTY:
            if keyword not in original:
                setattr(original, keyword, "")
        if not original.get("Modality"):
            original.Modality = sample.meta.get("modality") or "OT"
    return own[0]


def _series_in(folder: Path) -> dict[str, list[Dataset]]:
    series: dict[str, list[Dataset]] = defaultdict(list)
    for dataset in _images_in(folder):
        if "ImagePositionPatient" in dataset or "SharedFunctionalGroupsSequence" in dataset:
            series[str(dataset.get("SeriesInstanceUID", ""))].append(dataset)
    return series


def _pictures_in(folder: Path) -> dict[str, list[Dataset]]:
    """Radiographs and the like, which are a sample each: by the UID of the instance."""
    return {str(dataset.get("SOPInstanceUID") or dataset.filename): [dataset] for dataset in _images_in(folder)}


def _images_in(folder: Path) -> Iterator[Dataset]:
    import pydicom
    from pydicom.errors import InvalidDicomError

    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError):
            continue
        if "Rows" in dataset:
            yield dataset


def _sizes(series: Sequence[Dataset], is_picture: bool) -> list[int]:
    return sorted([*([] if is_picture else [_planes(series)]), int(series[0].Rows), int(series[0].Columns)])


def _planes(series: Sequence[Dataset]) -> int:
    """Slices of a series: its files, or the frames of an enhanced one, which is a single file."""
    return int(series[0].NumberOfFrames) if "NumberOfFrames" in series[0] and len(series) == 1 else len(series)


def _is_marked(uid: str, series: Sequence[Dataset], sample: StoredSample, root: Path) -> bool:
    """Whether a sample's mark of its series is made of this UID (and, where patients share it, of the patient).

    That of a picture is of its instance, since a series may hold several.
    """
    kind = "series" if "Z" in sample.meta["axes"] else "instance"
    mark = json.loads(sample.meta.get("attributes") or "{}").get(kind)
    names = (uid, f"{uid}\0{series[0].get('PatientID', '')}")
    keys = key_map_path(root)
    hashed = [KeyMap(keys).hash(kind, name) for name in names] if keys.is_file() else []
    return bool(uid) and mark in (*names, *hashed)


def _has_pixels_of(series: Sequence[Dataset], sample: StoredSample) -> bool:
    """Whether the values of a series are a sample's, whatever the order of its axes: by their range and moments."""
    channel = (sample.meta.get("channels") or [{}])[0]
    try:
        stored = np.asarray(sample.array(), np.float64)
        planes = list(_values(series))
    except (AttributeError, NotImplementedError, RuntimeError, ValueError, CorpusError):  # no codec for the pixels
        return False
    physical = stored * (channel.get("scale") or 1.0) + (channel.get("offset") or 0.0)
    raw, rescaled = (_summary([plane[which] for plane in planes]) for which in (0, 1))
    if _are_equal(raw, _summary([stored])) or _are_equal(rescaled, _summary([physical])):
        return True
    one, other = rescaled, _summary([physical])  # an SUV is the activity times a factor of the series
    is_activity = sample.meta.get("modality") == "PT" and one[2] > 0 and other[2] > 0
    return is_activity and _are_equal(one / one[2], other / other[2])


def _values(series: Sequence[Dataset]) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Stored and rescaled values of each file."""
    import pydicom

    for header in series:
        pixels = np.asarray(pydicom.dcmread(header.filename).pixel_array, np.float64)
        slope, intercept = (float(header.get(f"Rescale{name}", d)) for name, d in (("Slope", 1), ("Intercept", 0)))
        yield pixels, pixels * slope + intercept


def _summary(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Least, greatest, mean and root mean square of values."""
    number = sum(a.size for a in arrays)
    mean, square = sum(float(a.sum()) for a in arrays) / number, sum(float((a * a).sum()) for a in arrays) / number
    return np.array([min(a.min() for a in arrays), max(a.max() for a in arrays), mean, np.sqrt(square)])


def _are_equal(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return bool(np.abs(one - other).max() <= _SAME * max(float(np.ptp(other)), 1e-12))
