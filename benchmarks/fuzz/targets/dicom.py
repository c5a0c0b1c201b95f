"""DICOM from header to stored samples: images, directories, reports, segmentations, structure sets."""

from __future__ import annotations

import dicom_seeds as seeds
import numpy as np
from target import Target, file_of, scratch

from voxtile_medical.dicom.pictures import picture_samples
from voxtile_medical.dicom.sample_rows import SeriesContext
from voxtile_medical.dicom.samples import volume_samples
from voxtile_medical.dicom.series import Series, group_series
from voxtile_medical.dicom.series_kinds import kind_of, refuse_burned_in
from voxtile_medical.dicom_header.dicomdir import listed_files
from voxtile_medical.dicom_header.headers import FileHeader, read_header
from voxtile_medical.dicom_header.private_elements import read_private
from voxtile_medical.report_files.read import read_documents
from voxtile_medical.segmentations.dicom_seg import SegmentationFile
from voxtile_medical.segmentations.placement import Grid
from voxtile_medical.segmentations.references import referenced
from voxtile_medical.segmentations.rtstruct import StructureSet
from voxtile_medical.verdicts import Verdict

_GRID = Grid("0" * 32, (4, seeds.SIDE, seeds.SIDE), np.diag([-1.0, -1.0, 2.0, 1.0]), "1.2.3.5")
_ROW = {"subject": "p", "study": "s", "datetime": None, "source": "a.dcm", "licence": None}


def _image(data: bytes) -> None:
    file_of(data, "dicom/a.dcm")
    root = scratch() / "dicom"
    header = read_header(root, "a.dcm")
    if isinstance(header, FileHeader):
        read_private(root, header)
        for series in group_series([header]):
            _samples(series)


def _samples(series: Series) -> None:
    context = SeriesContext(scratch() / "dicom", series.headers, series.content(), dict(_ROW), 1, "bw",
                            {"series": series.mark()})  # fmt: skip
    kind = kind_of(series.first)
    refuse_burned_in(series.first, looked_for=False)
    if kind == "volume":
        volume_samples(context)
    else:
        picture_samples(context)


def _report(data: bytes) -> None:
    file_of(data, "reports/a.dcm")
    list(read_documents(scratch() / "reports", "a.dcm"))


def _segmentation(data: bytes) -> None:
    path = file_of(data, "masks/a.dcm")
    referenced(path)
    SegmentationFile(path, True, {}).place(_GRID)


def _structures(data: bytes) -> None:
    path = file_of(data, "structures/a.dcm")
    referenced(path)
    StructureSet(path, True, {}).place(_GRID, {"1": "1.2.3.5"})


TARGETS = (
    Target("DICOM image", _image, seeds.images, (Verdict,)),
    # A directory is read by a supervised process, and whatever it raises makes one row `unreadable-index`.
    Target("DICOMDIR", lambda data: listed_files(file_of(data, "index/DICOMDIR")), seeds.directories, (Exception,)),
    Target("DICOM report", _report, seeds.reports, (Verdict,)),
    Target("DICOM segmentation", _segmentation, seeds.segmentations, (Verdict,)),
    Target("RT structure set", _structures, seeds.structure_sets, (Verdict,)),
)
