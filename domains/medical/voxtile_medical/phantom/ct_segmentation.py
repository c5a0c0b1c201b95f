"""Organs and findings of a study as a DICOM label-map segmentation (PS3.3 A.97, SegmentationType LABELMAP).

One deflated file a study, about 20 kB. Findings lie over organs; segment numbers are the same in every study. A finding
that is a whole organ (cardiomegaly, splenomegaly) has no segment of its own.
"""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, EnhancedCTImageStorage

from voxtile_medical.phantom.ct_dicom import (
    Layout,
    add_dimensions,
    code,
    frame_items,
    patient_and_study,
    plane_groups,
    study_fields,
)
from voxtile_medical.phantom.findings import FINDINGS, ORGANS, finding_segment, organ_segment
from voxtile_medical.phantom.identity import Identity
from voxtile_medical.phantom.patient import SHAPE
from voxtile_medical.phantom.render import Study
from voxtile_medical.phantom.template import Marks, Template, encode, pixel_element, sequence_element

LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
WHOLE_ORGAN = {"cardiomegaly": "heart", "splenomegaly": "spleen"}


def segmentation_file(study: Study, identity: Identity, layout: Layout, *, classic: bool) -> bytes:
    """The study's label map, frames in the order of the source."""
    template, meta_length = _template(classic)
    fields = study_fields(study, identity, layout)
    fields["source_series_uid"] = identity.series_uid
    fields["series_uid"] = identity.instance_uid("segmentation series")
    fields["sop_uid"] = identity.instance_uid("segmentation")
    for number in range(SHAPE[0] if classic else 1):
        fields[f"source_{number}"] = identity.instance_uid(number + 1 if classic else "enhanced")
    fields = {name: value for name, value in fields.items() if name in template.fields}
    content = bytes(template.fill(fields))
    frames = sequence_element(0x5200, 0x9230, frame_items(layout.positions(study)))
    pixels = pixel_element(np.ascontiguousarray(layout.arrange(study.labels)).tobytes(), b"OB")
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(content[meta_length:] + frames + pixels) + packer.flush()
    return content[:meta_length] + body + b"\0" * (len(body) % 2)


@cache
def _template(classic: bool) -> tuple[Template, int]:
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
    ds.SegmentSequence = _segments()
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


def _segments() -> list[Dataset]:
    segments = [_segment(0, "Background", "125040", "DCM", "Background")]
    segments += [_segment(organ_segment(o), o, "123037004", "SCT", "Anatomical Structure") for o in ORGANS]
    for kind in FINDINGS:
        if kind.concept not in WHOLE_ORGAN:
            number = finding_segment(kind.concept)
            segments.append(_segment(number, kind.concept, "49755003", "SCT", "Morphologically Abnormal Structure"))
    return segments


def _segment(number: int, label: str, value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.SegmentNumber = number
    item.SegmentLabel = label
    item.SegmentAlgorithmType = "AUTOMATIC"
    item.SegmentAlgorithmName = "phantom"
    item.SegmentedPropertyCategoryCodeSequence = [code(value, scheme, meaning)]
    item.SegmentedPropertyTypeCodeSequence = [code(value, scheme, meaning)]
    return item
