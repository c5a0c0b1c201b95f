"""Small invented copies of public data sets of volumes, laid out as their makers do."""

import csv
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from openpyxl import Workbook
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from voxtile_medical.recipes.volumes.volume_set import load_volume_set

RAS = np.diag([-2.0, -2.0, 3.0, 1.0])
CT_RATE_LABELS = (
    "Medical material", "Arterial wall calcification", "Cardiomegaly", "Pericardial effusion",
    "Coronary artery wall calcification", "Hiatal hernia", "Lymphadenopathy", "Emphysema", "Atelectasis", "Lung nodule",
    "Lung opacity", "Pulmonary fibrotic sequela", "Pleural effusion", "Mosaic attenuation pattern",
    "Peribronchial thickening", "Consolidation", "Bronchiectasis", "Interlobular septal thickening",
)  # fmt: skip


def hu(name, shape=(12, 10, 8)):
    """A body of tissue in air, as [x, y, z] HU that differ from volume to volume."""
    rng = np.random.default_rng(zlib.crc32(str(name).encode()))
    volume = rng.integers(-1010, -980, shape)
    volume[3:9, 2:8, 1:7] = rng.integers(20, 80, (6, 6, 6))
    return volume.astype(np.int16)


def save(path, array, affine=RAS):
    """A NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def blob(value=1, shape=(12, 10, 8), dtype=np.uint8):
    """A label map with one structure of 4 × 3 × 2 voxels."""
    array = np.zeros(shape, dtype)
    array[4:8, 3:6, 2:4] = value
    return array


def table(path, header, *rows):
    """A CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def ct_rate(root: Path, volumes=("train_1_a_1", "train_1_a_2", "train_2_a_1", "valid_1_a_1"), release=1):
    """CT-RATE: volumes of the first release in stored values under blank headers, or of the second in HU."""
    for name in volumes:
        split, patient, scan, _ = name.split("_")
        folder = root / "dataset" / (split if release == 1 else f"{split}_fixed")
        path = folder / f"{split}_{patient}" / f"{split}_{patient}_{scan}" / f"{name}.nii.gz"
        if release == 1:
            save(path, (hu(name) + 1024).astype(np.float32), np.eye(4))
        else:
            save(path, hu(name), np.diag([-0.7, -0.7, 1.5, 1.0]))
    for split, word in (("train", "train"), ("valid", "validation")):
        named = [f"{name}.nii.gz" for name in volumes if name.startswith(split)]
        reports = [(n, "cough", "CT", f"There is a nodule in {n[:-7]}.", "Lung nodule.") for n in named]
        columns = ("VolumeName", "ClinicalInformation_EN", "Technique_EN", "Findings_EN", "Impressions_EN")
        table(root / f"dataset/radiology_text_reports/{word}_reports.csv", columns, *reports)
        labels = [(n, *(int(label in ("Lung nodule", "Emphysema")) for label in CT_RATE_LABELS)) for n in named]
        folder = root / "dataset/multi_abnormality_labels"
        table(folder / f"{split}_predicted_labels.csv", ("VolumeName", *CT_RATE_LABELS), *labels)
        metadata = [(n, 1, -1024, "[0.7, 0.7]", 1.5, "[1, 0, 0, 0, 1, 0]", "[-100, -90, -300]") for n in named]
        columns = (
            "VolumeName", "RescaleSlope", "RescaleIntercept", "XYSpacing", "ZSpacing", "ImageOrientationPatient",
            "ImagePositionPatient",
        )  # fmt: skip
        table(root / f"dataset/metadata/{word}_metadata.csv", columns, *metadata)


def totalsegmentator(root: Path, image="ct"):
    """TotalSegmentator: a folder a subject, a file a structure, meta.csv with semicolons and a byte-order mark."""
    for number, split in enumerate(("train", "train", "val", "test")):
        case = f"s{number:04d}"
        save(root / case / f"{image}.nii.gz", hu(case))
        for structure in ("liver", "kidney_left"):
            save(root / case / "segmentations" / f"{structure}.nii.gz", blob())
        rows = ["image_id;age;gender;institute;study_type;split"] if number == 0 else []
        rows.append(f"{case};60;m;A;ct abdomen;{split}")
        with (root / "meta.csv").open("a", encoding="utf-8-sig" if number == 0 else "utf-8") as file:
            file.write("\n".join(rows) + "\n")


def msd(root: Path):
    """The Decathlon: two of its tasks, one of four channels, with what macOS left beside the files."""
    for name in ("BRATS_001", "BRATS_002"):
        folder = root / "Task01_BrainTumour"
        four = np.stack([hu(f"{name}{channel}") + 1010 for channel in range(4)], axis=-1)
        save(folder / f"imagesTr/{name}.nii.gz", four.astype(np.float32))
        save(folder / f"labelsTr/{name}.nii.gz", blob(3))
        (folder / f"imagesTr/._{name}.nii.gz").write_bytes(b"\0" * 64)
    for name in ("pancreas_001", "pancreas_004"):
        save(root / f"Task07_Pancreas/imagesTr/{name}.nii.gz", hu(name))
        mask = blob(1)
        mask[5, 4, 2] = 2
        save(root / f"Task07_Pancreas/labelsTr/{name}.nii.gz", mask)
    save(root / "Task07_Pancreas/imagesTs/pancreas_002.nii.gz", hu("pancreas_002"))


RAD_CHEST_SPLITS = {
    "imgtrain": ("trn00001", "trn00002", "trn00003"),
    "imgvalid": ("val00001",),
    "imgtest": ("tst00001",),
}


def rad_chestct(root: Path):
    """RAD-ChestCT: arrays without a header, labels by location, patients in the metadata of all scans."""
    concepts = list(load_volume_set("rad-chestct").tables[2].labels)
    columns = [f"{concept}*{place}" for concept in concepts for place in ("left_lung", "right_lung")]
    patients = []
    for split, scans in RAD_CHEST_SPLITS.items():
        rows = []
        for scan in scans:
            # stored [z, y, x] from the head down, the front back, the right to the left
            root.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(root / f"{scan}.npz", ct=hu(scan).transpose(2, 1, 0))
            rows.append([scan, *(int(column.startswith("nodule*left")) for column in columns)])
            patients.append((scan, "p1" if scan in ("trn00001", "trn00002") else f"p{scan}"))
        table(root / f"{split}_Abnormality_and_Location_Labels.csv", ["NoteAcc_DEID", *columns], *rows)
    patients.append(("trn09999", "p9"))  # of the scans that are not public
    table(root / "CT_Scan_Metadata_Complete_35747.csv", ("NoteAcc_DEID", "MRN_DEID"), *patients)


def merlin(root: Path):
    """Merlin: a workbook of findings and splits, labels that are 1, 0 or -1."""
    labels = list(load_volume_set("merlin").tables[2].labels)
    book, rows = Workbook(), []
    book.active.append(["study id", "Findings", "Split", "Few Shot"])
    for scan, split in (("AC4213cb1", "train"), ("AC4213cb2", "val"), ("AC4213cb3", "test")):
        save(root / f"merlinabdominalctdataset/merlin_data/{scan}.nii.gz", hu(scan))
        book.active.append([scan, f"Liver: A cyst in {scan}. IMPRESSION: Hepatic cyst.", split, 0])
        rows.append([scan, *({"renal_cyst": 1, "ascites": 0}.get(label, -1) for label in labels)])
    book.save(root / "merlinabdominalctdataset/reports_final.xlsx")
    table(root / "merlinabdominalctdataset/zero_shot_findings_disease_cls.csv", ["study id", *labels], *rows)


INSPECT_LABELS = (
    "pe_positive_nlp", "1_month_mortality", "6_month_mortality", "12_month_mortality", "1_month_readmission",
    "6_month_readmission", "12_month_readmission", "12_month_PH",
)  # fmt: skip


def inspect_set(root: Path):
    """INSPECT: tables joined by impression, two examinations of one patient, a row of splits that stands twice."""
    studies = [
        ("PE452a1", 11, 101, "train"),
        ("PE452a2", 11, 102, "train"),
        ("PE452a3", 12, 103, "valid"),
        ("PE452a4", 13, 104, "test"),
    ]
    for image, *_ in studies:
        save(root / f"full/CTPA/{image}.nii.gz", hu(image))
    tsv = {
        "study_mapping": (("impression_id", "person_id", "image_id"), [(i, p, m) for m, p, i, _ in studies]),
        "splits": (("impression_id", "person_id", "split"), [(i, p, s) for _, p, i, s in (*studies, studies[0])]),
        "impressions": (("impression_id", "impressions"), [(i, f"1. Embolism {i}.") for _, _, i, _ in studies]),
        "labels": (
            ("impression_id", *INSPECT_LABELS),
            [(i, "True", "False", *["Censored"] * 6) for _, _, i, _ in studies],
        ),
    }
    for name, (header, rows) in tsv.items():
        lines = ["\t".join(map(str, row)) for row in (header, *rows)]
        (root / f"full/{name}_20250611.tsv").write_text("\n".join(lines) + "\n")


def amos(root: Path):
    """AMOS: CT below 500, MR above, the three splits, and a folder of CT without labels."""
    for split, number in (("Tr", 1), ("Tr", 507), ("Va", 8), ("Ts", 22)):
        case = f"amos_{number:04d}"
        save(root / f"amos22/images{split}/{case}.nii.gz", hu(case))
        if split != "Ts":
            save(root / f"amos22/labels{split}/{case}.nii.gz", blob(6))
    save(root / "amos_unlabeled_ct_5000_5399/amos_5001.nii.gz", hu("amos_5001"))


def kits(root: Path):
    """KiTS23: a folder a case, a case without its segmentation, a download that broke off."""
    for number in range(3):
        folder = root / f"dataset/case_{number:05d}"
        save(folder / "imaging.nii.gz", hu(folder.name))
        if number < 2:
            mask = blob(1)
            mask[5, 4, 2] = 3
            save(folder / "segmentation.nii.gz", mask)
    partial = root / "dataset/case_00003/.partial.imaging.nii.gz"
    partial.parent.mkdir()
    partial.write_bytes(b"\x1f\x8b")


def brats(root: Path):
    """BraTS: a case of 2021, and one patient of 2024 at two times; 4 is another structure in each."""
    for case, separator, names in (
        ("BraTS2021_00000", "_", ("flair", "t1", "t1ce", "t2")),
        ("BraTS-GLI-02062-100", "-", ("t2f", "t1n", "t1c", "t2w")),
        ("BraTS-GLI-02062-101", "-", ("t2f", "t1n", "t1c", "t2w")),
    ):
        for name in names:
            save(root / f"{case}/{case}{separator}{name}.nii.gz", hu(f"{case}{name}") + 1010)
        save(root / f"{case}/{case}{separator}seg.nii.gz", blob(4))


def autopet(root: Path):
    """AutoPET: a study as converted from TCIA, with its copies, and two of FDAT."""
    study = root / "FDG-PET-CT-Lesions/PETCT_0011f3deaf/03-23-2003-NA-PET-CT Ganzkoerper primaer mit KM-10445"
    for name in ("CT", "CTres"):
        save(study / f"{name}.nii.gz", hu(f"petct{name}"))
    for name in ("SUV", "PET"):
        save(study / f"{name}.nii.gz", ((hu(f"petct{name}") + 1010) / 100).astype(np.float32))
    save(study / "SEG.nii.gz", blob())
    for case in ("fdg_0123abcd_01-01-2004-NA-12345", "psma_aa00bb11_2016-08-20"):
        save(root / f"psma-fdg/imagesTr/{case}_0000.nii.gz", hu(case))
        save(root / f"psma-fdg/imagesTr/{case}_0001.nii.gz", ((hu(case + "pet") + 1010) / 100).astype(np.float32))
        save(root / f"psma-fdg/labelsTr/{case}.nii.gz", blob())


def abdomenatlas3(root: Path):
    """AbdomenAtlas 3.0: images and masks in two trees, reports of RadGPT, lists of the two splits."""
    cases = [f"BDMAP_{number:08d}" for number in (1, 2, 3)]
    for case in cases:
        save(root / f"data/image_only/{case}/ct.nii.gz", hu(case))
        for structure in ("liver", "liver_lesion"):
            save(root / f"data/mask_only/{case}/segmentations/{structure}.nii.gz", blob())
    header = ("BDMAP ID", "structured report", "narrative report")
    rows = [(case, f"FINDINGS: Liver: normal size, {case}.", f"The liver of {case} is normal.") for case in cases]
    table(root / "data/AbdomenAtlas3.0MiniWithMeta.csv", header, *rows)
    table(root / "data/TrainTestIDS/IID_train.csv", ("BDMAP ID",), (cases[0],), (cases[1],))
    table(root / "data/TrainTestIDS/IID_test.csv", ("BDMAP ID",), (cases[2],))


LIDC_SERIES = "1.3.6.1.4.1.14519.5.2.1.1.{}"
_XML = """<?xml version="1.0" encoding="UTF-8"?>
<LidcReadMessage uid="1.3.6.1" xmlns="http://www.nih.gov">
<ResponseHeader><SeriesInstanceUid>{series}</SeriesInstanceUid></ResponseHeader>{sessions}</LidcReadMessage>"""
_ROI = "<roi><imageZposition>{z}</imageZposition><inclusion>{inclusion}</inclusion>{edges}</roi>"


def square(low, high):
    """The pixels (column, row) along the sides of a square, one after another."""
    side = range(low, high)
    return [
        *((x, low) for x in side), *((high, y) for y in side),
        *((x, high) for x in range(high, low, -1)), *((low, y) for y in range(high, low, -1)),
    ]  # fmt: skip


def lidc_xml(path: Path, series, *sessions):
    """What readers marked: for each a list of (malignancy, [(z, inclusion, points)])."""
    made = []
    for nodules in sessions:
        marks = []
        for number, (malignancy, outlines) in enumerate(nodules):
            rois = "".join(
                _ROI.format(
                    z=z,
                    inclusion=str(inclusion).upper(),
                    edges="".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points),
                )
                for z, inclusion, points in outlines
            )
            rated = f"<characteristics><malignancy>{malignancy}</malignancy></characteristics>" if malignancy else ""
            marks.append(f"<unblindedReadNodule><noduleID>N{number}</noduleID>{rated}{rois}</unblindedReadNodule>")
        made.append(f"<readingSession>{''.join(marks)}</readingSession>")
    path.write_text(_XML.format(series=series, sessions="".join(made)))


def lidc_idri(root: Path):
    """LIDC-IDRI: two patients as DICOM with what four readers marked."""
    for number in (1, 2):
        folder = root / f"LIDC-IDRI-{number:04d}/01-01-2000-3017{number}/300056{number}-03192"
        folder.mkdir(parents=True)
        volume = hu(f"lidc{number}", (32, 32, 7)) + 1024
        for index in range(7):
            ct_slice(folder / f"1-{index + 1:03d}.dcm", number, index, volume[:, :, index].T)
        first = (5, [(-298.0, True, square(10, 16)), (-296.0, True, square(10, 16)), (-296.0, False, square(11, 14))])
        second = (3, [(-298.0, True, square(11, 17))])
        lidc_xml(
            folder / "069.xml", LIDC_SERIES.format(number), [first, (0, [(-300.0, True, [(3, 3)])])], [second], [], []
        )


def ct_slice(path, patient, index, pixels):
    """One slice of a CT, 0.7 × 0.5 mm, 2 mm apart from -300 mm up."""
    uid = f"{LIDC_SERIES.format(patient)}.{index + 1}"
    slice_ = Dataset()
    slice_.file_meta = FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID = CTImageStorage
    slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID = uid
    slice_.Modality, slice_.PatientID = "CT", f"LIDC-IDRI-{patient:04d}"
    slice_.StudyInstanceUID, slice_.SeriesInstanceUID = f"1.2.{patient}", LIDC_SERIES.format(patient)
    slice_.ImagePositionPatient = [-10, -20, -300 + 2 * index]
    slice_.ImageOrientationPatient, slice_.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.7, 0.5]
    slice_.Rows, slice_.Columns = pixels.shape
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit, slice_.PixelRepresentation, slice_.SamplesPerPixel = 15, 0, 1
    slice_.PhotometricInterpretation = "MONOCHROME2"
    slice_.RescaleSlope, slice_.RescaleIntercept = 1, -1024
    slice_.PixelData = np.ascontiguousarray(pixels.astype("<u2")).tobytes()
    slice_.save_as(path, enforce_file_format=True)


# Recipe → (writes a small copy, number of samples, further words of the command).
VOLUME_LAYOUTS = {
    "abdomenatlas3": (abdomenatlas3, 3, ()),
    "amos": (amos, 5, ()),
    "autopet": (autopet, 6, ()),
    "brats": (brats, 12, ()),
    "ct-rate": (ct_rate, 4, ()),
    "inspect": (inspect_set, 4, ()),
    "kits": (kits, 3, ()),
    "lidc-idri": (lidc_idri, 2, ()),
    "merlin": (merlin, 3, ()),
    "msd": (msd, 11, ()),
    "rad-chestct": (rad_chestct, 5, ()),
    "totalsegmentator": (totalsegmentator, 4, ()),
    "totalsegmentator-mr": (lambda root: totalsegmentator(root, "mri"), 4, ()),
}
# Recipe → (files that a download may lack, what must be said of it).
VOLUME_LACKING = {
    "abdomenatlas3": ("data/image_only/BDMAP_00000003/*", "'BDMAP_00000003'"),
    "amos": ("amos22/images*/*_0008*", "amos_0008.nii.gz"),
    "autopet": ("*/imagesTr/psma*", "psma_aa00bb11"),
    "brats": ("BraTS-GLI-02062-101/*-t*", "BraTS-GLI-02062-101-seg"),
    "ct-rate": ("dataset/train/train_2/*/*", "'train_2_a_1'"),
    "inspect": ("full/CTPA/PE452a4.nii.gz", "'PE452a4'"),
    "kits": ("dataset/case_00001/imaging.nii.gz", "case_00001/segmentation.nii.gz"),
    "lidc-idri": ("*/*/*/*", "holds no file"),
    "merlin": ("merlinabdominalctdataset/merlin_data/AC4213cb3.nii.gz", "'AC4213cb3'"),
    "msd": ("Task07_Pancreas/imagesTr/*_004*", "pancreas_004.nii.gz"),
    "rad-chestct": ("tst00001.npz", "'tst00001'"),
    "totalsegmentator": ("s0003/ct.nii.gz", "'s0003'"),
    "totalsegmentator-mr": ("meta.csv", "meta.csv"),
}
