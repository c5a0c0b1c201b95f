"""DICOM objects in which whatever can hold an identifier does, and report texts about them; see README.md.

Every text, name, UID and date element of the dictionary is filled; sequences have such items, some of them deep; there
are private elements of every text kind, names in the character sets of the standard, and folders and files named after
patients. Each planted value is found by its bytes, in any case and in the encodings that it could have.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import config
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian

DAY = "20170923"  # every date; those that are moved are moved by a day at least, so that none becomes this one
DAYS = (DAY, "2017-09-23", "23.09.2017", "09/23/2017", "September 23, 2017", "23 September 2017")
BIRTH = "19310718"
_TEXT = frozenset({"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UT", "UR"})
# What the reader needs to know what the object is. Everything else of a text kind is planted.
_NEEDED = frozenset(
    [
        "SOPClassUID",
        "SpecificCharacterSet",
        "Modality",
        "PhotometricInterpretation",
        "BurnedInAnnotation",
        "ConversionType",
        "ImageType",
        "LossyImageCompression",
        "Units",
        "SUVType",
        "DecayCorrection",
        "CorrectedImage",
        "SeriesType",
        "RescaleType",
        "PresentationIntentType",
        "PresentationLUTShape",
        "PatientIdentityRemoved",
        "RecognizableVisualFeatures",
        "SegmentationType",
        "SegmentationFractionalType",
        "DimensionOrganizationType",
        "VolumetricProperties",
        "ContentLabel",
        "SegmentLabel",
        "SegmentAlgorithmType",
    ]
)
# Sequences whose items change pixels or places, and those that say where a frame lies.
_OF_PIXELS = ("LUT", "FunctionalGroups", "RealWorldValue", "PixelMeasures", "Plane", "Dimension", "Segment", "Frame")
# Names of PS3.5 annexes H to K and of PS3.19, by the character sets that write them.
_NAMES = (
    ("ISO_IR 100", "Müller-Lüdenscheidt^Jürgen", "latin-1"),
    ("ISO_IR 101", "Wałęsa^Łucja", "iso8859-2"),
    ("ISO_IR 109", "Ħobża^Ġorġ", "iso8859-3"),
    ("ISO_IR 110", "Šķēle^Zanē", "iso8859-4"),
    ("ISO_IR 144", "Люксембург^Роза", "iso8859-5"),
    ("ISO_IR 127", "قباني^لنزار", "iso8859-6"),
    ("ISO_IR 126", "Διονυσιος^Σολωμος", "iso8859-7"),
    ("ISO_IR 138", "שרון^דבורה", "iso8859-8"),
    ("ISO_IR 148", "Çavuşoğlu^Ayşegül", "iso8859-9"),
    ("ISO_IR 166", "ประเสริฐ^สมชาย", "tis-620"),
    ("ISO_IR 13", "ﾔﾏﾀﾞｻﾝ^ﾀﾛｳｻﾝ", "shift_jis"),
    (["", "ISO 2022 IR 87"], "Yamadaya^Tarouzu=山田屋敷^太郎次郎=やまだや^たろうず", "iso2022_jp"),
    (["", "ISO 2022 IR 149"], "Hongssi^Gildongi=洪吉洞家^吉洞先生=홍길동씨^길동이네", "euc_kr"),
    (["", "ISO 2022 IR 58"], "Zhangsan^XiaoDongx=张三先生^小东先生", "gb2312"),
    (None, "Krüger-Ölschläger^Jörg-Rüdiger", "latin-1"),
    ("ISO_IR 192", "Wangxi^XiaoDongy=王曦先生^小東先生", "utf-8"),
    ("GB18030", "Wangyu^XiaoDongz=王宇先生^小冬先生", "gb18030"),
    ("GBK", "Wanglu^XiaoDongw=王璐先生^小懂先生", "gbk"),
)
_SIZE = (16, 12)
_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "SR": "1.2.840.10008.5.1.4.1.1.88.11",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
    "OT": "1.2.840.10008.5.1.4.1.1.7",
}
# A structure set is of the CT before it. The last two are refused, and are rows of the ledger.
KINDS = ("CT", "RTSTRUCT", "MR", "PT", "CR", "DX", "CT", "MR", "OT", "SR")
_SINGLE = ("CR", "DX", "OT", "SR", "RTSTRUCT")


@dataclass
class Planted:
    """What was written.

    Attributes:
        values: planted values; a value that stands in several places counts once for each object.
        number: of places.
        kinds: of objects, in their order.
        reports: StudyInstanceUID → text.
    """

    values: set[str] = field(default_factory=set)
    number: int = 0
    kinds: list[str] = field(default_factory=list)
    reports: dict[str, str] = field(default_factory=dict)

    def add(self, *values: str) -> None:
        """Note values that may be found nowhere."""
        self.number += len(values)
        self.values.update(values)

    def needles(self) -> set[bytes]:
        """Bytes to look for, in small letters: UTF-8 and the character sets that hold a value."""
        found = set()
        for value in self.values:
            for encoding in ("utf-8", "utf-16-le", *(name for _, _, name in _NAMES)):
                try:
                    found.add(value.encode(encoding).lower())
                except UnicodeEncodeError:
                    continue
        return {needle for needle in found if len(needle) >= 6}


def write_objects(folder: Path, count: int = 40) -> Planted:
    """Write objects, and `reports.csv` beside the folder.

    Args:
        folder: is made.
        count: of objects.
    """
    # A planted value is often none of its kind.
    config.settings.writing_validation_mode = config.settings.reading_validation_mode = config.IGNORE
    planted, before = Planted(), Dataset()
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        planted.kinds.append(kind)
        own = folder / f"ZQFOLDER{number:02d} Qzperson{number:02d}"
        own.mkdir(parents=True)
        planted.add(f"ZQFOLDER{number:02d}", f"Qzperson{number:02d}")
        dataset = _object(kind, number)
        if kind == "RTSTRUCT":
            _add_structure(dataset, before, planted)
        _plant(dataset, number, planted)
        for plane in range(1 if kind in _SINGLE else 3):
            _set_plane(dataset, number, plane)
            planted.add(f"ZQFILE{number:02d}x{plane}", str(dataset.SOPInstanceUID))
            dataset.save_as(own / f"ZQFILE{number:02d}x{plane}.dcm", enforce_file_format=True)
        before = dataset
        if kind == "RTSTRUCT":
            continue
        planted.reports[str(dataset.StudyInstanceUID)] = _report(dataset, number, planted)
    with folder.with_name("reports.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("study", "text"), *planted.reports.items()])
    return planted


def _object(kind: str, number: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = _CLASSES[kind]
    dataset.Modality = kind
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    if kind in ("SR", "RTSTRUCT"):
        return dataset
    dataset.Rows, dataset.Columns = _SIZE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = dataset.ImagerPixelSpacing = [1, 1]
    dataset.SliceThickness = 2
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0 if kind == "PT" else -1024
    dataset.PatientAge, dataset.PatientSex = "063Y", "F"
    if kind == "PT":
        dataset.Units, dataset.CorrectedImage, dataset.DecayCorrection = "BQML", ["ATTN", "DECY"], "START"
        dataset.SeriesType = ["STATIC", "IMAGE"]
    if kind in ("CR", "DX"):
        dataset.PresentationIntentType, dataset.PresentationLUTShape = "FOR PRESENTATION", "IDENTITY"
    return dataset


def _add_structure(dataset: Dataset, image: Dataset, planted: Planted) -> None:
    """A structure on the first plane of an image, whose name names the patient and the day."""
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "AccessionNumber"):
        dataset[keyword] = image[keyword]
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID, study.ReferencedSOPInstanceUID = image.SeriesInstanceUID, image.StudyInstanceUID
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.RTReferencedSeriesSequence, frame.RTReferencedStudySequence = [series], [study]
    frame.FrameOfReferenceUID = image.FrameOfReferenceUID
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    structure, contours, contour, seen = Dataset(), Dataset(), Dataset(), Dataset()
    structure.ROINumber = contours.ReferencedROINumber = seen.ReferencedROINumber = seen.ObservationNumber = 1
    structure.ReferencedFrameOfReferenceUID = image.FrameOfReferenceUID
    structure.ROIName = f"Liver {str(image.PatientName).split('^')[0]} {image.PatientID} {DAY}"
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 4
    contour.ContourData = [2, 2, 0, 8, 2, 0, 8, 8, 0, 2, 8, 0]
    contours.ContourSequence = [contour]
    seen.ROIInterpreter, seen.RTROIInterpretedType = "Zqinterpreter^Qzinterpreter", "ORGAN"
    planted.add("Zqinterpreter", "Qzinterpreter")
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [structure], [contours]
    dataset.RTROIObservationsSequence = [seen]


def _set_plane(dataset: Dataset, number: int, plane: int) -> None:
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.777.9.{number}.{plane}"
    if "Rows" in dataset:
        dataset.InstanceNumber, dataset.ImagePositionPatient = plane + 1, [0, 0, 2.0 * plane]
        pixels = np.random.default_rng([number, plane]).integers(0, 3000, _SIZE).astype(np.uint16)
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OW"


def _plant(dataset: Dataset, number: int, planted: Planted) -> None:
    """Fill a header; what is there already stays."""
    charset, name, _ = _NAMES[(number - (dataset.Modality == "RTSTRUCT")) % len(_NAMES)]
    if charset is not None:
        dataset.SpecificCharacterSet = charset
    for tag, vr, keyword in _elements():
        if tag in dataset or keyword in _NEEDED or keyword == "PatientAge":
            continue
        if vr == "SQ":
            if (tag + number) % 3 == 0 and not any(part in keyword for part in _OF_PIXELS):
                deep = 3 if (tag + number) % 5 == 0 else 0
                dataset.add_new(tag, vr, Sequence([_item(f"{tag:08X}s{number:02d}", planted, deep)]))
            continue
        value = _value(vr, f"{tag:08X}x{number:02d}", f"1.2.777.{tag}.{number}")
        if value:
            dataset.add_new(tag, vr, value)
            planted.add(*value.split("^"))
    dataset.PatientBirthDate = BIRTH
    dataset.ReferringPhysicianName = dataset.OperatorsName = name
    dataset.PatientName = name
    _set_escape(dataset)
    planted.add(BIRTH, *(part for group in name.split("=") for part in group.split("^")))
    for creator, group in (("ZQ MAKER", 0x0009), ("ZQ OTHER MAKER", 0x2001)):
        block = dataset.private_block(group, creator, create=True)
        for place, vr in enumerate(("LO", "PN", "SH", "LT", "UI", "DA", "UN", "OB", "UT"), start=1):
            value = _value(vr, f"{group:04X}p{place:02d}x{number:02d}", f"1.2.777.8.{group}.{place}.{number}")
            value = value or f"ZQ{group:04X}b{place:02d}x{number:02d}"
            block.add_new(place, vr, value.encode() if vr in ("UN", "OB") else value)
            planted.add(*value.split("^"))
        block.add_new(0x20, "SQ", Sequence([_item(f"{group:04X}q{number:02d}", planted, 5)]))


def _set_escape(dataset: Dataset) -> None:
    """The escape sequences of PS3.5 annex K, which pydicom does not write; without a character set, bytes of UTF-8."""
    if dataset.get("SpecificCharacterSet") == ["", "ISO 2022 IR 58"]:
        alphabetic, _, ideographs = str(dataset.PatientName).partition("=")
        raw = "^".join(f"\x1b$)A{part}" for part in ideographs.split("^")).encode("gb2312")
        raw = f"{alphabetic}=".encode() + raw
    elif "SpecificCharacterSet" not in dataset:
        raw = str(dataset.PatientName).encode()
    else:
        return
    for keyword in ("PatientName", "ReferringPhysicianName", "OperatorsName"):
        tag = Tag(keyword)
        dataset[tag] = RawDataElement(tag, "PN", len(raw), raw, 0, False, True)


def _elements() -> Iterator[tuple[int, str, str]]:
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if keyword and not retired and tag >= 0x00080000 and tag >> 16 not in (0xFFFE, 0x7FE0) and tag & 0xFFFF:
            yield tag, vr, keyword


def _value(vr: str, mark: str, uid: str) -> str:
    if vr == "PN":
        return f"Zq{mark}^Qz{mark}"
    if vr in _TEXT:
        return f"ZQ{mark}"
    return {"UI": uid, "DA": DAY, "DT": DAY + "091500"}.get(vr, "")


def _item(mark: str, planted: Planted, depth: int) -> Dataset:
    """An item with a name, a number, a text and a date, in which others may lie."""
    item = Dataset()
    item.PersonName, item.PatientID, item.TextValue, item.Date = f"Zn{mark}^Gn{mark}", f"ZI{mark}", f"ZT{mark}", DAY
    planted.add(f"Zn{mark}", f"Gn{mark}", f"ZI{mark}", f"ZT{mark}", DAY)
    if depth:
        item.ContentSequence = Sequence([_item(f"{mark}d{depth}", planted, depth - 1)])
    return item


def _report(dataset: Dataset, number: int, planted: Planted) -> str:
    """A report that says what the header holds, and identifiers of forms that no header holds."""
    first, given = _NAMES[number % len(_NAMES)][1].split("=")[0].split("^")
    written = ", ".join(group.replace("^", " ") for group in _NAMES[number % len(_NAMES)][1].split("="))
    phone, mail = f"(555) 01{number:02d}-77{number:02d}", f"zq.{number:02d}@qzmail.example"
    other, colleague = f"88{number:02d}4711", f"Quillfeather{chr(97 + number // 26)}{chr(97 + number % 26)}"
    planted.add(phone, mail, other, colleague, *DAYS[1:], "July 18, 1931", "1931-07-18")
    return (
        f"Patient: {first.upper()}, {given} ({written}). MRN: {dataset.PatientID}, accession "
        f"{dataset.AccessionNumber}. Born July 18, 1931 ({BIRTH}, 1931-07-18). Examined on {', '.join(DAYS)} at "
        f"{dataset.InstitutionName}. Study {dataset.StudyInstanceUID}. Compared with MRN {other}. "
        f"Call {phone} or write to {mail}. Referred by {given} {first}. "
        "Nodule of 12 mm in the left lower lobe. No pleural effusion. "
        f"Dictated by: John {colleague}, MD. Electronically signed by Dr. {colleague}."
    )
