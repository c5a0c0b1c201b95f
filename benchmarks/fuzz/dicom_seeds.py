"""Small DICOM files of many kinds, written by pydicom: seeds."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RLELossless,
    RTStructureSetStorage,
    VLWholeSlideMicroscopyImageStorage,
)

TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
SIDE = 8


def image(storage: str = CTImageStorage, modality: str = "CT", **values: object) -> Dataset:
    """A plane of 8 × 8 pixels."""
    data = Dataset()
    pixels = np.random.default_rng(0).integers(0, 2000, (SIDE, SIDE)).astype("<u2")
    own = {
        "SOPClassUID": storage, "SOPInstanceUID": "1.2.3.1.1", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1",  # noqa: E501
        "Modality": modality, "PatientID": "p", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "Rows": SIDE,
        "Columns": SIDE, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PixelSpacing": [1, 1], "SliceThickness": 2,
        "ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "RescaleSlope": 1,
        "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400, "PixelData": pixels.tobytes(),
    } | values  # fmt: skip
    for keyword, value in own.items():
        setattr(data, keyword, value)
    return data


def encoded(data: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A data set as a file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = data.get("SOPClassUID", CTImageStorage)
    meta.MediaStorageSOPInstanceUID = data.get("SOPInstanceUID", "1.2.3")
    meta.TransferSyntaxUID = syntax
    file = FileDataset("", data, file_meta=meta, preamble=bytes(128))
    stream = io.BytesIO()
    options = {"implicit_vr": False, "little_endian": False} if syntax == ExplicitVRBigEndian else {}
    dcmwrite(stream, file, enforce_file_format=True, **options)
    return stream.getvalue()


def images() -> Iterator[bytes]:
    """CT, MR, PET, Philips, Siemens mosaics, enhanced, RLE, deflated, big endian, colour."""
    yield encoded(image())
    yield encoded(image(), ImplicitVRLittleEndian)
    yield encoded(image(), DeflatedExplicitVRLittleEndian)
    big = image()
    big.PixelData = np.frombuffer(big.PixelData, "<u2").astype(">u2").tobytes()
    yield encoded(big, ExplicitVRBigEndian)
    packed = FileDataset("", image(), file_meta=FileMetaDataset(), preamble=bytes(128))
    packed.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    packed.compress(RLELossless)
    yield encoded(packed, RLELossless)
    yield encoded(image(PositronEmissionTomographyImageStorage, "PT", Units="BQML", SeriesDate="20200101",
                        DecayCorrection="START", CorrectedImage=["ATTN", "DECY"], PatientWeight=70, SeriesTime="101500",
                        AcquisitionDate="20200101", AcquisitionTime="101500", RescaleIntercept=0,
                        RadiopharmaceuticalInformationSequence=Sequence([_dose()])))  # fmt: skip
    philips = image(MRImageStorage, "MR", Manufacturer="Philips Medical Systems", RepetitionTime=500, EchoTime=10)
    block = philips.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0x0E, "FL", 0.005)
    yield encoded(philips)
    mosaic = image(MRImageStorage, "MR", Manufacturer="SIEMENS", ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    private = mosaic.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    private.add_new(0x10, "OB", b"SV10\x04\x03\x02\x01" + (1).to_bytes(4, "little") + (77).to_bytes(4, "little")
                    + b"NumberOfImagesInMosaic".ljust(64, b"\0") + b"\1\0\0\0US\0\0" + bytes(12))  # fmt: skip
    yield encoded(mosaic)
    yield encoded(_enhanced())
    colour = image(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, BitsAllocated=8,
                   BitsStored=8, HighBit=7, PixelData=bytes(3 * SIDE * SIDE))  # fmt: skip
    yield encoded(colour)


def _dose() -> Dataset:
    dose = Dataset()
    dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = 3.7e8, 6586.2
    dose.RadiopharmaceuticalStartTime = "091500"
    return dose


def _enhanced(frames: int = 2) -> Dataset:
    data = image(EnhancedMRImageStorage, "MR", NumberOfFrames=frames)
    data.PixelData = bytes(2 * SIDE * SIDE * frames)
    groups = []
    for number in range(frames):
        position, orientation, measures, group = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, 2 * number]
        orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        measures.PixelSpacing, measures.SliceThickness = [1, 1], 2
        group.PlanePositionSequence, group.PlaneOrientationSequence = Sequence([position]), Sequence([orientation])
        group.PixelMeasuresSequence = Sequence([measures])
        groups.append(group)
    data.PerFrameFunctionalGroupsSequence = Sequence(groups)
    data.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    return data


def directories() -> Iterator[bytes]:
    """A DICOMDIR with one image."""
    record, data = Dataset(), Dataset()
    record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["A", "B"]
    record.OffsetOfTheNextDirectoryRecord = record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    record.ReferencedSOPInstanceUIDInFile, record.RecordInUseFlag = "1.2.3.1.1", 0xFFFF
    data.SOPClassUID, data.SOPInstanceUID = MediaStorageDirectoryStorage, "1.2.3.9"
    data.DirectoryRecordSequence = Sequence([record])
    data.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 400
    yield encoded(data)


def reports() -> Iterator[bytes]:
    """A structured report with one text, and a PDF in DICOM."""
    content, item, name = Dataset(), Dataset(), Dataset()
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = "121071", "DCM", "Finding"
    item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", "No effusion."
    item.ConceptNameCodeSequence = Sequence([name])
    content.SOPClassUID, content.SOPInstanceUID, content.StudyInstanceUID = TEXT_SR, "1.2.3.7", "1.2.3"
    content.ValueType, content.ContinuityOfContent = "CONTAINER", "SEPARATE"
    content.CompletionFlag, content.VerificationFlag = "COMPLETE", "VERIFIED"
    content.ContentSequence = Sequence([item])
    yield encoded(content)
    pdf = Dataset()
    pdf.SOPClassUID, pdf.SOPInstanceUID, pdf.StudyInstanceUID = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.3.8", "1.2.3"
    pdf.EncapsulatedDocument, pdf.MIMETypeOfEncapsulatedDocument = b"%PDF-1.4\n%%EOF\n", "application/pdf"
    yield encoded(pdf)


def segmentations() -> Iterator[bytes]:
    """Segmentations of two planes, binary and fractional, by highdicom."""
    import highdicom

    sources = [
        image(SOPInstanceUID=f"1.2.3.1.{n}", InstanceNumber=n, ImagePositionPatient=[0, 0, 2 * n], StudyID="1",
              FrameOfReferenceUID="1.2.3.5", PatientName="", PatientBirthDate="", PatientSex="", StudyDate="",
              StudyTime="", AccessionNumber="", ReferringPhysicianName="")
        for n in (1, 2)
    ]  # fmt: skip
    for source in sources:
        source.file_meta = FileMetaDataset()
        source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    liver = highdicom.sr.CodedConcept("10200004", "SCT", "Liver")
    segment = highdicom.seg.SegmentDescription(1, "liver", liver, liver, "MANUAL")
    for kind in ("BINARY", "FRACTIONAL"):
        made = highdicom.seg.Segmentation(
            sources, np.ones((2, SIDE, SIDE), np.uint8 if kind == "BINARY" else np.float32), kind, [segment],
            series_instance_uid="1.2.3.40", series_number=2, sop_instance_uid="1.2.3.41", instance_number=1,
            manufacturer="m", manufacturer_model_name="m", software_versions="1", device_serial_number="1",
        )  # fmt: skip
        stream = io.BytesIO()
        made.save_as(stream)
        yield stream.getvalue()


def structure_sets() -> Iterator[bytes]:
    """A structure set of one contour."""
    data, roi, contour, drawn = Dataset(), Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = 1, "Liver", "1.2.3.5"
    drawn.ContourGeometricType, drawn.NumberOfContourPoints = "CLOSED_PLANAR", 3
    drawn.ContourData = [0, 0, 0, 5, 0, 0, 5, 5, 0]
    contour.ReferencedROINumber, contour.ContourSequence = 1, Sequence([drawn])
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = RTStructureSetStorage, "1.2.3.6", "RTSTRUCT"
    data.StructureSetROISequence, data.ROIContourSequence = Sequence([roi]), Sequence([contour])
    yield encoded(data)


def whole_slides() -> Iterator[bytes]:
    """A file of a slide as DICOM."""
    optical = Dataset()
    optical.OpticalPathIdentifier, optical.ObjectiveLensPower, optical.ICCProfile = "1", 20, bytes(40)
    yield encoded(image(VLWholeSlideMicroscopyImageStorage, "SM", NumberOfFrames=1, ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],  # noqa: E501
                        TotalPixelMatrixColumns=SIDE,
                        TotalPixelMatrixRows=SIDE, OpticalPathSequence=Sequence([optical])))  # fmt: skip
