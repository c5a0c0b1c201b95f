"""Makers of small DICOM series, and the conversion without processes around it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from voxtile.corpus.records import Sample
from voxtile.engine.parallel import PlanReader
from voxtile.engine.task import Item, Outcome
from voxtile_datasets.intake.deidentify import PlainNames
from voxtile_datasets.intake.planner import Planner
from voxtile_datasets.intake.splits_file import Splits
from voxtile_medical.dicom.task import DicomTask

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_INSTANCES = itertools.count(10**9)  # of equal length: files of a series are taken in the order in which they were made


def make_slice(pixels: npt.NDArray[Any], **values: Any) -> Dataset:
    """A CT slice as a dataset; any element can be given by keyword, and None leaves it out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    bits = pixels.dtype.itemsize * 8
    elements: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"1.2.826.0.1.3680043.8.498.{next(_INSTANCES)}",
        "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2",
        "Modality": "CT",
        "PatientID": "patient-1",
        "PatientName": "Doe^Jane",
        "StudyDate": "20200312",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1 if pixels.ndim == 2 else 3,
        "PhotometricInterpretation": "MONOCHROME2" if pixels.ndim == 2 else "RGB",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "ImageOrientationPatient": list(AXIAL),
        "ImagePositionPatient": [0.0, 0.0, 0.0],
        "PixelSpacing": [1.0, 1.0],
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
    }
    if pixels.ndim == 3:
        elements["PlanarConfiguration"] = 0
    elements |= values
    for keyword, value in elements.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CTImageStorage)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2")
    return dataset


def write_slices(
    folder: Path, volume: npt.NDArray[Any], positions: list[Any] | None = None, **values: Any
) -> list[Path]:
    """One file a plane of `volume` [Z, Y, X]; the default positions are 2 mm apart along z."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, plane in enumerate(volume):
        position = [0.0, 0.0, 2.0 * k] if positions is None else positions[k]
        own = {name: value[k] if isinstance(value, Each) else value for name, value in values.items()}
        path = folder / f"slice-{k:03d}.dcm"
        make_slice(plane, ImagePositionPatient=list(position), InstanceNumber=k + 1, **own).save_as(
            path, enforce_file_format=True
        )
        paths.append(path)
    return paths


class Each(list[Any]):
    """Values that differ from slice to slice."""


@dataclass
class Converted:
    """What the task made of a folder."""

    items: list[Item]
    outcomes: list[Outcome]

    @property
    def samples(self) -> list[Sample]:
        """All samples."""
        return [sample for outcome in self.outcomes for sample in outcome.samples]

    @property
    def verdicts(self) -> list[str]:
        """`used`, or the reason, of each item."""
        return [outcome.reason or outcome.status for outcome in self.outcomes]

    def verdict_of(self, name: str) -> str:
        """The verdict on the item whose first file has this name."""
        return next(v for item, v in zip(self.items, self.verdicts, strict=True) if item.source.endswith(name))


def convert_plainly(folder: Path, workers: int = 0, **options: Any) -> Converted:
    """Plan and process a folder in this process, with identifiers left as they are."""
    names = PlainNames()
    planner = Planner(names, Splits(names, "0.8,0.1,0.1", None), reader=PlanReader(workers))
    task = DicomTask(folder, planner=planner, **{"deidentify": False, **options})
    items = list(task.items())
    return Converted(items, [task.process(item) for item in items])


@pytest.fixture
def noise() -> Callable[..., npt.NDArray[Any]]:
    """`noise(shape, dtype)`: reproducible values over the whole range of a 12-bit scanner."""

    def make(*shape: int, dtype: str = "uint16", seed: int = 0, high: int = 4096) -> npt.NDArray[Any]:
        return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)

    return make


@dataclass(frozen=True)
class DicomMakers:
    """The functions of this file, for tests."""

    make: Callable[..., Dataset] = make_slice
    write: Callable[..., list[Path]] = write_slices
    convert: Callable[..., Converted] = convert_plainly
    each: type[Each] = Each
    save: Callable[..., Any] = pydicom.dcmwrite


@pytest.fixture
def dicom() -> DicomMakers:
    """Makers of DICOM files and the conversion without processes."""
    return DicomMakers()


def check_same_places(
    array: npt.NDArray[Any], affine: npt.NDArray[Any], expected: npt.NDArray[Any], expected_affine: npt.NDArray[Any]
) -> None:
    """Every voxel of `expected` lies on one of `array` with the same value; [Z, Y, X], index (x, y, z, 1) → RAS+ mm."""
    assert array.size == expected.size
    z, y, x = np.indices(expected.shape)
    places = expected_affine @ np.stack([x.ravel(), y.ravel(), z.ravel(), np.ones(expected.size)])
    voxels = (np.linalg.inv(affine) @ places)[:3]
    np.testing.assert_allclose(voxels, np.round(voxels), atol=1e-3)
    column, row, plane = np.round(voxels).astype(int)
    np.testing.assert_array_equal(array[plane, row, column], expected.ravel())


@pytest.fixture
def same_places() -> Callable[..., None]:
    """`same_places(array, affine, expected, expected_affine)`: fails unless values lie at the same places."""
    return check_same_places
