"""The header elements that the converter reads, by what they are for.

Names are the standard's keywords (PS3.6). Nothing outside these lists is ever read from a top-level header.
"""

from __future__ import annotations

from collections.abc import Mapping

from voxtile_medical.dicom_header.dictionary import ELEMENTS

GROUPING = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "SeriesNumber",
    "InstanceNumber",
    "Modality",
    "ImageType",
)

PIXELS = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "LossyImageCompression",
    "BurnedInAnnotation",
    "ConversionType",
    "OphthalmicVolumetricPropertiesFlag",
)

GEOMETRY = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
)

VALUES = (
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "ModalityLUTSequence",
    "Units",
    "SUVType",
    "WindowCenter",
    "WindowWidth",
    "PresentationLUTShape",
    "PresentationIntentType",
)

# What tells apart images that lie at the same place (PS3.3 C.7.6.2, C.8.3, C.8.13.5, C.8.9.4).
DIMENSIONS = (
    "EchoTime",
    "EchoNumbers",
    "InversionTime",
    "TemporalPositionIdentifier",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "NominalPercentageOfCardiacPhase",
    "TriggerTime",
    "FrameReferenceTime",
    "AcquisitionNumber",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "ComplexImageComponent",
    "ContentTime",
)

# Acquisition facts that may reach `attributes`, after `attributes.py` has held each to a closed form.
ACQUISITION = (
    "AcquisitionContrast",
    "BodyPartExamined",
    "ContrastBolusAgent",
    "ContrastBolusAgentPhase",
    "ContrastBolusStartTime",
    "ConvolutionKernel",
    "CorrectedImage",
    "EchoPlanarPulseSequence",
    "EchoPulseSequence",
    "EchoTrainLength",
    "FlipAngle",
    "GantryDetectorTilt",
    "ImageLaterality",
    "InPlanePhaseEncodingDirection",
    "InversionRecovery",
    "KVP",
    "Laterality",
    "MagneticFieldStrength",
    "Manufacturer",
    "MRAcquisitionType",
    "PatientAge",
    "PatientPosition",
    "PatientSex",
    "RepetitionTime",
    "ScanningSequence",
    "SequenceVariant",
    "SeriesDescription",
    "ViewPosition",
)

DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "PatientBirthDate")

# Read only to hash, to match reports, and to remove from report texts.
PEOPLE = (
    "PatientName",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "ResponsiblePerson",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "OperatorsName",
    "RequestingPhysician",
)
NUMBERS = (
    "PatientID",
    "IssuerOfPatientID",
    "OtherPatientIDs",
    "AccessionNumber",
    "StudyID",
    "PatientTelephoneNumbers",
    "MedicalRecordLocator",
)
DEVICE = ("ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions")  # kept where a profile says so
PLACES = ("InstitutionName", "InstitutionalDepartmentName", "InstitutionAddress", "PatientAddress", "StationName")

IDENTIFYING = (*PEOPLE, *NUMBERS, *PLACES)

KEYWORDS = (*GROUPING, *PIXELS, *GEOMETRY, *VALUES, *DIMENSIONS, *ACQUISITION, *DATES, *DEVICE, *IDENTIFYING)

TAGS: Mapping[int, str] = {ELEMENTS[keyword][0]: keyword for keyword in KEYWORDS}
VRS: Mapping[str, str] = {keyword: ELEMENTS[keyword][1] for keyword in KEYWORDS}
SEQUENCES = frozenset(tag for tag, keyword in TAGS.items() if VRS[keyword] == "SQ")  # whether they are there
PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})  # float, double float and integer pixel data
