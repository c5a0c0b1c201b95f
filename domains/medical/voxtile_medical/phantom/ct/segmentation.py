"""Organs and findings of a study as a DICOM label-map segmentation (PS3.3 A.97, SegmentationType LABELMAP).

One deflated file a study, about 20 kB. Findings lie over organs; segment numbers are the same in every study. A finding
that is a whole organ (cardiomegaly, splenomegaly) has no segment of its own.
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, EnhancedCTImageStorage

from voxtile_medical.phantom.ct.dicom import (
    Layout,
    add_dimensions,
    code,
    frame_items,
    patient_and_study,
    plane_groups,
    study_fields,
)
from voxtile_medical.phantom.ct.findings import FINDINGS, ORGANS, finding_segment, organ_segment
from voxtile_medical.phantom.ct.patient import SHAPE
from voxtile_medical.phantom.ct.render import Study
from voxtile_medical.phantom.identity import Identity
from voxtile_medical.phantom.template import Marks, Template, encode, pixel_element, sequence_element

LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
WHOLE_ORGAN = {"cardiomegaly": "heart", "splenomegaly": "spleen"}


class Segment(NamedTuple):
    """A segment: its number and label, and the code of what it is."""

    number: int
    label: str
    value: str
    scheme: str
    meaning: str


BACKGROUND = Segment(0, "Background", "125040", "DCM", "Background")


def lesion_segment(number: int, label: str) -> Segment:
    """A segment of something that ought not to be there."""
    return Segment(number, label, "49755003", "SCT", "Morphologically Abnormal Structure")


def segmentation_file(study: Study, identity: Identity, layout: Layout, *, classic: bool) -> bytes:
    """Organs and findings of the study's CT, frames in the order of the source."""
    return label_map_file(study, study.labels, _organs_and_findings(), identity, layout, classic=classic)


def label_map_file(
    study: Study,
    labels: npt.NDArray[np.uint8],
    segments: tuple[Segment, ...],
    identity: Identity,
    layout: Layout,
    *,
    classic: bool,
) -> bytes:
    """A label map on a study's CT, frames in the order of the source.

    Args:
        study: the CT.
        labels: [Z, Y, X] segment numbers, 0 for none.
        segments: all that there can be, the same for every study.
        identity: of the patient and the study.
        layout: how the CT's voxels lie in its file.
        classic: the CT has one file a slice.
    """
    template, meta_length = _template(classic, segments)
    fields = study_fields(study, identity, layout)
    fields["source_series_uid"] = identity.series_uid
    fields["series_uid"] = identity.instance_uid("segmentation series")
    fields["sop_uid"] = identity.instance_uid("segmentation")
    for number in range(SHAPE[0] if classic else 1):
        fields[f"source_{number}"] = identity.instance_uid(number + 1 if classic else "enhanced")
    fields = {name: value for name, value in fields.items() if name in template.fields}
    content = bytes(template.fill(fields))
    frames = sequence_element(0x5200, 0x9230, frame_items(layout.positions(study)))
    pixels = pixel_element(np.ascontiguousarray(layout.arrange(labels)).tobytes(), b"OB")
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(content[meta_length:] + frames + pixels) + packer.flush()
    return content[:meta_length] + body + b"\0" * (len(body) % 2)


@cache
def _template(classic: bool, segments: tuple[Segment, ...]) -> tuple[Template, int]:
    marks = Marks()
    ds = patient_and_study(marks, "SEG")
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.SeriesDescription = "Organs and findings"
    ds.SeriesNumber = 3
    ds.InstanceNumber = 1
    ds.ContentLabel, ds.ContentDescription, ds.ContentCreatorName = "TRUTH", "Known truth", "Phantom"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns, ds.NumberOfFrames = SHAPE[1], SHAPE[2], SHAPE[0]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.LossyImageCompression, ds.BurnedInAnnotation = "00", "NO"
    ds.SegmentationType, ds.SegmentsOverlap = "LABELMAP", "NO"
    ds.PixelPaddingValue = 0
    ds.PresentationLUTShape = "IDENTITY"
    ds.SegmentSequence = [_item(segment) for segment in segments]
    ds.ReferencedSeriesSequence = [_source(marks, classic)]
    add_dimensions(ds, marks)
    ds.SharedFunctionalGroupsSequence = [plane_groups(marks)]
    content = encode(ds, LABEL_MAP_STORAGE, marks.uid("sop_uid"), DeflatedExplicitVRLittleEndian)
    return Template(content, marks.fields), _meta_length(content)


def _meta_length(content: bytes) -> int:
    """Length of preamble and file meta information: group length (0002,0000) is the first element."""
    return 128 + 4 + 12 + int.from_bytes(content[140:144], "little")


def _source(marks: Marks, classic: bool) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = marks.uid("source_series_uid")
    instances = []
    for number in range(SHAPE[0] if classic else 1):
        item = Dataset()
        item.ReferencedSOPClassUID = CTImageStorage if classic else EnhancedCTImageStorage
        item.ReferencedSOPInstanceUID = marks.uid(f"source_{number}")
        instances.append(item)
    series.ReferencedInstanceSequence = instances
    return series


@cache
def _organs_and_findings() -> tuple[Segment, ...]:
    organs = [Segment(organ_segment(o), o, "123037004", "SCT", "Anatomical Structure") for o in ORGANS]
    findings = [k.concept for k in FINDINGS if k.concept not in WHOLE_ORGAN]
    lesions = [lesion_segment(finding_segment(concept), concept) for concept in findings]
    return (BACKGROUND, *organs, *lesions)


def _item(segment: Segment) -> Dataset:
    item = Dataset()
    item.SegmentNumber = segment.number
    item.SegmentLabel = segment.label
    item.SegmentAlgorithmType = "AUTOMATIC"
    item.SegmentAlgorithmName = "phantom"
    item.SegmentedPropertyCategoryCodeSequence = [code(segment.value, segment.scheme, segment.meaning)]
    item.SegmentedPropertyTypeCodeSequence = [code(segment.value, segment.scheme, segment.meaning)]
    return item
