"""A rendered study as DICOM: one Enhanced CT file, or a classic series with one file a slice.

Attributes follow DICOM PS3.3, A.3 (CT Image) and A.38.1 (Enhanced CT Image). Frames may run up or down and rows to
either side: the geometry is in ImagePositionPatient and ImageOrientationPatient only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from struct import pack

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from voxtile.phantom.noise import stream
from voxtile_medical.phantom.ct.patient import SHAPE
from voxtile_medical.phantom.ct.render import Study
from voxtile_medical.phantom.identity import Identity
from voxtile_medical.phantom.template import (
    Marks,
    Template,
    decimals,
    element,
    encode,
    pixel_element,
    sequence_element,
)

_LAYOUT_STREAM = 6


@dataclass(frozen=True)
class Layout:
    """How voxels lie in the files: which way columns, rows and slices run, and how values are stored.

    Attributes:
        flips: (z, y, x) True where the axis runs against (head, back, left).
        signed: signed with intercept 0, else unsigned with intercept -1024.
    """

    flips: tuple[bool, bool, bool]
    signed: bool

    @property
    def orientation(self) -> tuple[float, ...]:
        """Six numbers of ImageOrientationPatient."""
        return (-1.0 if self.flips[2] else 1.0, 0, 0, 0, -1.0 if self.flips[1] else 1.0, 0)

    def arrange(self, volume: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """A [Z, Y, X] volume of a study in the order of the files."""
        return volume[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]

    def stored(self, values: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """HU as stored values (the unsigned ones fit int16, too)."""
        return values if self.signed else values + np.int16(1024)

    def positions(self, study: Study) -> npt.NDArray[np.float64]:
        """[Z, 3] ImagePositionPatient of every slice, mm."""
        size = np.array(SHAPE[::-1]) - 1
        spacing = np.array(study.spacing[::-1])
        first = study.origin + np.where(self.flips[::-1], size * spacing, 0)
        step = -spacing[2] if self.flips[0] else spacing[2]
        positions = np.repeat(first[None], SHAPE[0], axis=0)
        positions[:, 2] += step * np.arange(SHAPE[0])
        return positions


def draw_layout(seed: int, number: int) -> Layout:
    """Choose a layout; most scans are the usual way round."""
    rng = stream(seed, number, _LAYOUT_STREAM)
    rows = bool(rng.random() < 0.15)
    columns = rows if rng.random() < 0.7 else not rows
    return Layout((bool(rng.random() < 0.5), rows, columns), bool(rng.random() < 0.25))


def enhanced_file(study: Study, identity: Identity, layout: Layout) -> bytes:
    """The study as one Enhanced CT file."""
    sop_uid = identity.instance_uid("enhanced")
    moment = identity.study_date + identity.study_time
    values = {**study_fields(study, identity, layout), "sop_uid": sop_uid, "acquired": moment}
    head = _enhanced_template(layout.signed).fill(values)
    timing = element(0x0018, 0x9074, "DT", moment.encode()) + element(0x0018, 0x9151, "DT", moment.encode())
    timing += element(0x0018, 0x9220, "FD", pack("<d", 500.0))
    frames = sequence_element(0x5200, 0x9230, frame_items(layout.positions(study), content=timing))
    pixels = pixel_element(np.ascontiguousarray(layout.stored(study.values)[_slices(layout)]).tobytes())
    return bytes(head) + frames + pixels


def classic_files(study: Study, identity: Identity, layout: Layout) -> Iterator[tuple[str, bytes]]:
    """The study as one file a slice: (file name, bytes); names say nothing about the order."""
    template = _classic_template(layout.signed)
    fields = study_fields(study, identity, layout)
    pixels = np.ascontiguousarray(layout.stored(study.values)[_slices(layout)])
    for number, (position, plane) in enumerate(zip(layout.positions(study), pixels, strict=True), start=1):
        sop_uid = identity.instance_uid(number)
        varying = {"sop_uid": sop_uid, "instance": f"{number:04d}", "position": decimals(position)}
        yield f"{sop_uid[-12:]}.dcm", bytes(template.fill(fields | varying)) + pixel_element(plane.tobytes())


def frame_items(
    positions: npt.NDArray[np.float64], *, content: bytes = b"", normal: npt.ArrayLike = (0.0, 0.0, 1.0)
) -> list[bytes]:
    """Items of the per-frame functional groups: frame content and plane position.

    Args:
        positions: [frames, 3] mm.
        content: elements of the frame content before the stack's (0020,9056).
        normal: [3] direction in which the place in the stack counts.
    """
    order = np.argsort(np.argsort(positions @ np.asarray(normal, np.float64)))
    items = []
    for place, position in zip(order + 1, positions, strict=True):
        stack = element(0x0020, 0x9056, "SH", b"1 ") + element(0x0020, 0x9057, "UL", pack("<I", place))
        index = element(0x0020, 0x9157, "UL", pack("<II", 1, place))
        corner = decimals(position).encode()
        plane = element(0x0020, 0x0032, "DS", corner + b" " * (len(corner) % 2))
        items.append(
            sequence_element(0x0020, 0x9111, [content + stack + index]) + sequence_element(0x0020, 0x9113, [plane])
        )
    return items


def study_fields(study: Study, identity: Identity, layout: Layout) -> dict[str, str]:
    """Values of the template fields that hold for the whole study."""
    return identity.fields() | {
        "kernel": identity.kernel,
        "thickness": decimals([study.spacing[0]]),
        "spacing": decimals(study.spacing[1:]),
        "orientation": decimals(layout.orientation),
    }


def _slices(layout: Layout) -> tuple[slice, ...]:
    return tuple(slice(None, None, -1 if flip else 1) for flip in layout.flips)


def patient_and_study(marks: Marks, modality: str) -> Dataset:
    """Patient, study, series, frame of reference and equipment modules, with marks for what varies."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = marks.date("study_date")
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = ds.AcquisitionTime = marks.time("study_time")
    ds.AccessionNumber = marks.text("accession", 10)
    ds.Modality = modality
    ds.Manufacturer = marks.text("manufacturer", 24)
    ds.ManufacturerModelName = marks.text("model", 24)
    ds.DeviceSerialNumber = "SN-0001"
    ds.SoftwareVersions = "1"
    ds.InstitutionName = marks.text("hospital", 32)
    ds.ReferringPhysicianName = marks.text("physician", 32)
    ds.StudyDescription = "CT CHEST ABDOMEN"
    ds.PatientName = marks.text("patient_name", 32)
    ds.PatientID = marks.text("patient_id", 24)
    ds.PatientBirthDate = marks.date("birth_date")
    ds.PatientSex = marks.text("sex", 4)
    ds.PatientAge = f"{marks.number('age', 3)}Y"
    marks.fields["age"] += "Y"
    ds.BodyPartExamined = "CHEST"
    ds.StudyInstanceUID = marks.uid("study_uid")
    ds.SeriesInstanceUID = marks.uid("series_uid")
    ds.StudyID = "1"
    ds.PatientPosition = "HFS"
    ds.FrameOfReferenceUID = marks.uid("frame_uid")
    ds.PositionReferenceIndicator = ""
    return ds


def _pixel_format(ds: Dataset, signed: bool) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = SHAPE[1], SHAPE[2]
    ds.BitsAllocated = 16
    ds.BitsStored = 16 if signed else 12
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(signed)


@cache
def _classic_template(signed: bool) -> Template:
    marks = Marks()
    ds = patient_and_study(marks, "CT")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesDescription = "Torso 7.5 mm"
    ds.SeriesNumber = 2
    ds.AcquisitionNumber = 1
    ds.InstanceNumber = marks.number("instance")
    ds.KVP = "120"
    ds.ConvolutionKernel = marks.text("kernel", 12)
    ds.SliceThickness = marks.decimals("thickness", 1)[0]
    ds.PixelSpacing = marks.decimals("spacing", 2)
    ds.ImageOrientationPatient = marks.decimals("orientation", 6)
    ds.ImagePositionPatient = marks.decimals("position", 3)
    _pixel_format(ds, signed)
    ds.RescaleIntercept = "0" if signed else "-1024"
    ds.RescaleSlope = "1"
    ds.RescaleType = "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    return Template(encode(ds, CTImageStorage, marks.uid("sop_uid"), ExplicitVRLittleEndian), marks.fields)


@cache
def _enhanced_template(signed: bool) -> Template:
    marks = Marks()
    ds = patient_and_study(marks, "CT")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.SeriesDescription = "Torso 7.5 mm"
    ds.SeriesNumber = 2
    ds.InstanceNumber = 1
    ds.AcquisitionDateTime = marks.moment("acquired")
    ds.AcquisitionDuration = 5.0
    ds.ContentQualification = "RESEARCH"
    ds.VolumetricProperties = "VOLUME"
    ds.VolumeBasedCalculationTechnique = "NONE"
    ds.PixelPresentation = "MONOCHROME"
    ds.PresentationLUTShape = "IDENTITY"
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.NumberOfFrames = SHAPE[0]
    ds.AcquisitionContextSequence = Sequence([])
    _pixel_format(ds, signed)
    add_dimensions(ds, marks)
    shared = plane_groups(marks)
    shared.PixelValueTransformationSequence = [_rescale(signed)]
    for name, group in _acquisition_groups(marks).items():
        setattr(shared, name, Sequence([group]))
    ds.SharedFunctionalGroupsSequence = [shared]
    return Template(encode(ds, EnhancedCTImageStorage, marks.uid("sop_uid"), ExplicitVRLittleEndian), marks.fields)


def add_dimensions(ds: Dataset, marks: Marks) -> None:
    """Add the multi-frame dimension module: a stack, and the place in it."""
    uid = marks.fields["frame_uid"]
    organization = Dataset()
    organization.DimensionOrganizationUID = uid
    ds.DimensionOrganizationSequence = [organization]
    ds.DimensionOrganizationType = "3D"
    pointers = []
    for pointer, label in ((0x00209056, "Stack ID"), (0x00209057, "In-Stack Position Number")):
        item = Dataset()
        item.DimensionOrganizationUID = uid
        item.DimensionIndexPointer = pointer
        item.FunctionalGroupPointer = 0x00209111
        item.DimensionDescriptionLabel = label
        pointers.append(item)
    ds.DimensionIndexSequence = pointers


def plane_groups(marks: Marks) -> Dataset:
    """Shared functional groups of geometry: pixel measures and plane orientation."""
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = marks.decimals("spacing", 2)
    measures.SliceThickness = marks.decimals("thickness", 1)[0]
    measures.SpacingBetweenSlices = measures.SliceThickness
    orientation.ImageOrientationPatient = marks.decimals("orientation", 6)
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    return shared


def _rescale(signed: bool) -> Dataset:
    item = Dataset()
    item.RescaleIntercept = "0" if signed else "-1024"
    item.RescaleSlope = "1"
    item.RescaleType = "HU"
    return item


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """A code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _acquisition_groups(marks: Marks) -> Mapping[str, Dataset]:
    """Functional groups that an ORIGINAL Enhanced CT image must have (PS3.3 A.38.1.4)."""
    voi, anatomy, frame_type, kind, details = (Dataset() for _ in range(5))
    voi.WindowCenter, voi.WindowWidth = "40", "400"
    anatomy.FrameLaterality = "U"
    anatomy.AnatomicRegionSequence = [code("416775004", "SCT", "Chest, Abdomen and Pelvis")]
    frame_type.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    frame_type.PixelPresentation, frame_type.VolumetricProperties = "MONOCHROME", "VOLUME"
    frame_type.VolumeBasedCalculationTechnique = "NONE"
    kind.AcquisitionType, kind.TubeAngle, kind.ConstantVolumeFlag, kind.FluoroscopyFlag = "SPIRAL", 0.0, "NO", "NO"
    details.RotationDirection, details.RevolutionTime, details.SingleCollimationWidth = "CW", 0.5, 0.6
    details.TotalCollimationWidth, details.TableHeight, details.GantryDetectorTilt = 38.4, 150.0, 0.0
    details.DataCollectionDiameter = 500.0
    table, geometry, reconstruction, exposure, xray = (Dataset() for _ in range(5))
    table.TableSpeed, table.TableFeedPerRotation, table.SpiralPitchFactor = 40.0, 20.0, 0.8
    geometry.DistanceSourceToDetector, geometry.DistanceSourceToDataCollectionCenter = 1085.0, 595.0
    reconstruction.ReconstructionAlgorithm = "FILTER_BACK_PROJ"
    reconstruction.ConvolutionKernel = marks.text("kernel", 12)
    reconstruction.ConvolutionKernelGroup = "BODY"
    reconstruction.ReconstructionDiameter, reconstruction.ReconstructionAngle = 400.0, 180.0
    reconstruction.ImageFilter = "NONE"
    exposure.ExposureTimeInms, exposure.XRayTubeCurrentInmA, exposure.ExposureInmAs = 500.0, 200.0, 100.0
    exposure.ExposureModulationType = "NONE"
    xray.KVP, xray.FocalSpots, xray.FilterType, xray.CalciumScoringMassFactorDevice = "120", 1.2, "NONE", None
    return {
        "FrameVOILUTSequence": voi,
        "FrameAnatomySequence": anatomy,
        "CTImageFrameTypeSequence": frame_type,
        "CTAcquisitionTypeSequence": kind,
        "CTAcquisitionDetailsSequence": details,
        "CTTableDynamicsSequence": table,
        "CTGeometrySequence": geometry,
        "CTReconstructionSequence": reconstruction,
        "CTExposureSequence": exposure,
        "CTXRayDetailsSequence": xray,
    }
