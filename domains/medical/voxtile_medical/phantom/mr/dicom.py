"""A series of an MR study as DICOM: one Enhanced MR file, or a classic series with one file a slice.

Attributes follow DICOM PS3.3 A.4 (MR Image) and A.36 (Enhanced MR Image). Slices may lie oblique and run either way:
the geometry is in ImagePositionPatient and ImageOrientationPatient only, what a series is in its acquisition elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

from voxtile.phantom.noise import stream
from voxtile.phantom.truth import content_uid
from voxtile.phantom.wording import pick
from voxtile_medical.phantom.ct.dicom import add_dimensions, code, frame_items, patient_and_study, plane_groups
from voxtile_medical.phantom.identity import Identity
from voxtile_medical.phantom.mr.study import MrStudy, Scan
from voxtile_medical.phantom.mr.tissue import B_VALUE, ROLES, Role
from voxtile_medical.phantom.template import Marks, Template, decimal, decimals, encode, pixel_element, sequence_element

_NAME_STREAM = 705
_NAME_WIDTH = 24
_CONTRASTS = {
    "t1": "T1",
    "t1-post": "T1",
    "t2": "T2",
    "flair": "FLUID_ATTENUATED",
    "dwi": "DIFFUSION",
    "adc": "DIFFUSION",
}
# What technicians call their series; some say nothing, and no rule may lean on them.
_NAMES: dict[Role, tuple[str, ...]] = {
    "t1": ("AX T1", "t1_se_tra", "T1 pre", "Series A"),
    "t1-post": ("AX T1 POST", "t1_se_tra +c", "T1 GD", "Series B"),
    "t2": ("AX T2 FSE", "t2_tse", "T2W", "Series C"),
    "flair": ("AX FLAIR", "t2_tirm_dark-fluid", "Series D"),
    "dwi": ("DWI b1000", "ep2d_diff_trace", "Series E"),
    "adc": ("ADC", "ep2d_diff_ADC", "Series F"),
}


def enhanced_mr_file(seed: int, study: MrStudy, scan: Scan, identity: Identity) -> bytes:
    """One series as an Enhanced MR file."""
    shape, sequence = scan.grid.shape, scan.sequence
    head = _enhanced_template(sequence.role, shape).fill(
        _fields(seed, study, scan, identity)
        | {
            "sop_uid": content_uid(identity.study_uid, sequence.role, "enhanced"),
            "acquired": identity.study_date + identity.study_time,
        }
    )
    frames = frame_items(scan.grid.positions(), normal=scan.grid.axes[:, 2])
    return bytes(head) + sequence_element(0x5200, 0x9230, frames) + pixel_element(scan.values.tobytes())


def classic_mr_files(seed: int, study: MrStudy, scan: Scan, identity: Identity) -> Iterator[tuple[str, bytes]]:
    """One series as a file a slice: (file name, bytes); names say nothing about the order."""
    template = _classic_template(scan.sequence.role, scan.grid.shape[1:])
    fields = _fields(seed, study, scan, identity)
    for number, (position, plane) in enumerate(zip(scan.grid.positions(), scan.values, strict=True), start=1):
        sop_uid = content_uid(identity.study_uid, scan.sequence.role, number)
        varying = {"sop_uid": sop_uid, "instance": f"{number:04d}", "position": decimals(position)}
        yield f"{sop_uid[-12:]}.dcm", bytes(template.fill(fields | varying)) + pixel_element(plane.tobytes())


def _fields(seed: int, study: MrStudy, scan: Scan, identity: Identity) -> dict[str, str]:
    """Values of the template fields that hold for the series; both kinds of template take those that they have."""
    grid, sequence = scan.grid, scan.sequence
    rng = stream(seed, study.number, _NAME_STREAM, ROLES.index(sequence.role))
    return identity.fields() | {
        "series_uid": content_uid(identity.study_uid, sequence.role),
        "series_number": f"{100 + ROLES.index(sequence.role):04d}",
        "description": pick(rng, _NAMES[sequence.role]),
        "field_strength": decimal(study.field_strength),
        "repetition": decimal(sequence.repetition),
        "echo": decimal(sequence.echo),
        "inversion": decimal(sequence.inversion),
        "thickness": decimals([grid.spacing[2]]),
        "spacing": decimals([grid.spacing[1], grid.spacing[0]]),
        "orientation": decimals(np.concatenate([grid.axes[:, 0], grid.axes[:, 1]])),
    }


class _Subset(Template):
    """A template that ignores values for which it has no hole."""

    def fill(self, values: dict[str, str]) -> bytearray:  # type: ignore[override]
        """Replace fields."""
        return super().fill({name: value for name, value in values.items() if name in self.fields})


def _series(marks: Marks, role: Role, shape: tuple[int, int]) -> Dataset:
    """What both kinds of file say."""
    ds = patient_and_study(marks, "MR")
    ds.StudyDescription = "MR BRAIN WITH AND WITHOUT CONTRAST"
    ds.BodyPartExamined = "BRAIN"
    ds.SeriesDescription = marks.text("description", _NAME_WIDTH)
    ds.SeriesNumber = marks.number("series_number")
    ds.MagneticFieldStrength = marks.decimals("field_strength", 1)[0]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.ImageType = _image_type(role)
    return ds


def _image_type(role: Role) -> list[str]:
    if role == "adc":
        return ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]
    return ["ORIGINAL", "PRIMARY", "DIFFUSION" if role == "dwi" else "M", "NONE"]


@cache
def _classic_template(role: Role, shape: tuple[int, int]) -> Template:
    marks = Marks()
    ds = _series(marks, role, shape)
    ds.InstanceNumber = marks.number("instance")
    ds.AcquisitionNumber = 1
    ds.ScanningSequence = {"flair": ["SE", "IR"], "dwi": ["EP"], "adc": ["EP"]}.get(role, ["SE"])
    ds.SequenceVariant = ["SK", "SP"]
    ds.ScanOptions = "FS" if role in ("dwi", "adc") else ""
    ds.MRAcquisitionType = "2D"
    ds.RepetitionTime = marks.decimals("repetition", 1)[0]
    ds.EchoTime = marks.decimals("echo", 1)[0]
    if role == "flair":
        ds.InversionTime = marks.decimals("inversion", 1)[0]
    if role == "dwi":
        ds.DiffusionBValue = B_VALUE
    if role == "t1-post":
        ds.ContrastBolusAgent = "GADOBUTROL"
    ds.EchoTrainLength = 1 if role in ("t1", "t1-post") else 16
    ds.FlipAngle = "90"
    ds.SliceThickness = marks.decimals("thickness", 1)[0]
    ds.PixelSpacing = marks.decimals("spacing", 2)
    ds.ImageOrientationPatient = marks.decimals("orientation", 6)
    ds.ImagePositionPatient = marks.decimals("position", 3)
    return _Subset(encode(ds, MRImageStorage, marks.uid("sop_uid"), ExplicitVRLittleEndian), marks.fields)


@cache
def _enhanced_template(role: Role, shape: tuple[int, int, int]) -> Template:
    marks = Marks()
    ds = _series(marks, role, shape[1:])
    ds.InstanceNumber = 1
    ds.AcquisitionDateTime = marks.moment("acquired")
    ds.AcquisitionContrast = _CONTRASTS[role]
    ds.ResonantNucleus, ds.KSpaceFiltering, ds.ApplicableSafetyStandardAgency = "1H", "NONE", "IEC"
    ds.ContentQualification, ds.PixelPresentation, ds.VolumetricProperties = "RESEARCH", "MONOCHROME", "VOLUME"
    ds.VolumeBasedCalculationTechnique, ds.ComplexImageComponent = "NONE", "MAGNITUDE"
    ds.PulseSequenceName, ds.MRAcquisitionType = "PHANTOM", "2D"
    ds.EchoPulseSequence, ds.EchoPlanarPulseSequence = "SPIN", "YES" if role in ("dwi", "adc") else "NO"
    ds.InversionRecovery = "YES" if role == "flair" else "NO"
    ds.PresentationLUTShape, ds.BurnedInAnnotation, ds.LossyImageCompression = "IDENTITY", "NO", "00"
    ds.NumberOfFrames = shape[0]
    ds.AcquisitionContextSequence = DicomSequence([])
    if role == "t1-post":
        ds.ContrastBolusAgentSequence = [_agent()]
    add_dimensions(ds, marks)
    shared = plane_groups(marks)
    for name, group in _groups(marks, role).items():
        setattr(shared, name, DicomSequence([group]))
    ds.SharedFunctionalGroupsSequence = [shared]
    return _Subset(encode(ds, EnhancedMRImageStorage, marks.uid("sop_uid"), ExplicitVRLittleEndian), marks.fields)


def _agent() -> Dataset:
    agent = code("418351005", "SCT", "Gadobutrol")
    agent.ContrastBolusAgentNumber = 1
    agent.ContrastBolusAdministrationRouteSequence = [code("47625008", "SCT", "Intravenous route")]
    return agent


def _groups(marks: Marks, role: Role) -> dict[str, Dataset]:
    """Functional groups of the acquisition (PS3.3 A.36.2.4)."""
    frame_type, timing, anatomy, values = (Dataset() for _ in range(4))
    frame_type.FrameType = _image_type(role)
    frame_type.PixelPresentation, frame_type.VolumetricProperties = "MONOCHROME", "VOLUME"
    frame_type.VolumeBasedCalculationTechnique, frame_type.ComplexImageComponent = "NONE", "MAGNITUDE"
    frame_type.AcquisitionContrast = _CONTRASTS[role]
    timing.RepetitionTime = marks.decimals("repetition", 1)[0]
    timing.FlipAngle, timing.EchoTrainLength = "90", 1 if role in ("t1", "t1-post") else 16
    anatomy.FrameLaterality = "U"
    anatomy.AnatomicRegionSequence = [code("12738006", "SCT", "Brain")]
    values.RescaleIntercept, values.RescaleSlope, values.RescaleType = "0", "1", "US"
    groups = {
        "MRImageFrameTypeSequence": frame_type,
        "MRTimingAndRelatedParametersSequence": timing,
        "FrameAnatomySequence": anatomy,
        "PixelValueTransformationSequence": values,
    }
    if role == "dwi":
        diffusion = Dataset()
        diffusion.DiffusionBValue = B_VALUE
        diffusion.DiffusionDirectionality = "ISOTROPIC"
        groups["MRDiffusionSequence"] = diffusion
    if role == "t1-post":
        usage = Dataset()
        usage.ContrastBolusAgentNumber, usage.ContrastBolusAgentAdministered = 1, "YES"
        usage.ContrastBolusAgentDetected, usage.ContrastBolusAgentPhase = "YES", "POST_CONTRAST"
        groups["ContrastBolusUsageSequence"] = usage
    return groups
