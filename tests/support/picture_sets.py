"""Small invented copies of public data sets of pictures, laid out as their makers do."""

import csv
import gzip
import io
import json
import zlib

import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

CHEXPERT = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
VINDR = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation", "Edema",
    "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst", "Mediastinal shift",
    "Nodule/Mass", "Pleural effusion", "Pleural thickening", "Pneumothorax", "Pulmonary fibrosis", "Rib fracture",
    "Other lesion", "COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding",
)  # fmt: skip


def grey(name, side=24, bits=8):
    """Pixels that differ from name to name."""
    rng = np.random.default_rng(zlib.crc32(str(name).encode()))
    return rng.integers(0, 1 << bits, (side, side)).astype(np.uint16 if bits > 8 else np.uint8)


def picture(path, *, mode="L", bits=8, side=24):
    """A picture file; `RGB` and `RGBA` repeat its grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(grey(path.name, side, bits))
    (image if mode == "L" else image.convert(mode)).save(path)


def colours(path, side=24):
    """A picture in colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    planes = [grey(f"{path.name}{channel}", side) for channel in "rgb"]
    Image.fromarray(np.stack(planes, axis=-1)).save(path)


def mask(path, box=(4, 5, 10, 12), side=24):
    """A mask of one rectangle (rows, columns)."""
    pixels = np.zeros((side, side), np.uint8)
    pixels[box[0] : box[2], box[1] : box[3]] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def radiograph(path, *, inverted=False, kind=SecondaryCaptureImageStorage, side=24):
    """A chest X-ray as DICOM, 12 bits; `inverted` as MONOCHROME1."""
    data = pydicom.Dataset()
    data.SOPClassUID, data.Modality = kind, "CT" if kind == CTImageStorage else "CR"
    data.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{zlib.crc32(path.name.encode())}"
    data.StudyInstanceUID, data.SeriesInstanceUID = f"{data.SOPInstanceUID}.1", f"{data.SOPInstanceUID}.2"
    data.PatientID, data.ViewPosition, data.PixelSpacing = path.stem, "PA", [0.2, 0.2]
    data.Rows = data.Columns = side
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME1" if inverted else "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    pixels = grey(path.name, side, 12)
    data.PixelData = (4095 - pixels if inverted else pixels).astype("<u2").tobytes()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def table(path, header, *rows):
    """A CSV file, packed where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    data = out.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def chexpert_row(**labels):
    """Cells of the 14 labels; those that are not given are blank."""
    return [labels.get(name.replace(" ", "_"), "") for name in CHEXPERT]


MIMIC = (("10000032", "50414267", "02aa804e", "PA"), ("10000032", "50414267", "174413ec", "LATERAL"),
         ("10000764", "57375967", "096052b7", "AP"), ("11000011", "51029426", "baa8b9b5", ""))  # fmt: skip


def mimic_tables(root):
    """The tables of MIMIC-CXR-JPG, and reports."""
    parts = ("train", "validate", "test")
    patients = list(dict.fromkeys(row[0] for row in MIMIC))
    rows = [(dicom, study, patient, parts[patients.index(patient)]) for patient, study, dicom, _ in MIMIC]
    table(root / "mimic-cxr-2.0.0-split.csv.gz", ("dicom_id", "study_id", "subject_id", "split"), *rows)
    labels = (("10000032", "50414267", *chexpert_row(Edema="1.0", Pneumonia="-1.0", Fracture="0.0")),
              ("10000764", "57375967", *chexpert_row(No_Finding="1.0")))  # fmt: skip
    table(root / "mimic-cxr-2.0.0-chexpert.csv.gz", ("subject_id", "study_id", *CHEXPERT), *labels)
    for patient, study, *_ in MIMIC[1:]:
        path = root / f"files/p{patient[:2]}/p{patient}/s{study}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = f"                                 FINAL REPORT\n FINDINGS:  Report of {study}, ___ year old.\n"
        path.write_bytes(text.encode() if study != "51029426" else text.replace("year", "Ann\u00e9e").encode("latin-1"))


def mimic_cxr(root):
    """MIMIC-CXR: DICOM by patient and study; the list of records is packed."""
    for patient, study, dicom, _ in MIMIC:
        radiograph(root / f"files/p{patient[:2]}/p{patient}/s{study}/{dicom}.dcm", inverted=dicom == "096052b7")
    head = ("subject_id", "study_id", "dicom_id", "path")
    table(
        root / "cxr-record-list.csv.gz", head, *((p, s, d, f"files/p{p[:2]}/p{p}/s{s}/{d}.dcm") for p, s, d, _ in MIMIC)
    )
    mimic_tables(root)


def mimic_cxr_jpg(root):
    """MIMIC-CXR-JPG."""
    for patient, study, dicom, _ in MIMIC:
        picture(root / f"files/p{patient[:2]}/p{patient}/s{study}/{dicom}.jpg")
    head = (
        "dicom_id",
        "subject_id",
        "study_id",
        "PerformedProcedureStepDescription",
        "ViewPosition",
        "Rows",
        "Columns",
    )
    rows = [(d, p, s, "CHEST (PA AND LAT)", view, 24, 24) for p, s, d, view in MIMIC]
    table(root / "mimic-cxr-2.0.0-metadata.csv.gz", head, *rows)
    mimic_tables(root)


def chexpert(root, name="CheXpert-v1.0-small"):
    """CheXpert: paths begin with the name of the release."""
    head = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT)
    rows = {
        "train": [
            ("patient00001/study1/view1_frontal", "Female", 68, "Frontal", "AP", chexpert_row(Support_Devices="1.0")),
            (
                "patient00002/study1/view1_frontal",
                "Male",
                0,
                "Frontal",
                "PA",
                chexpert_row(Edema="-1.0", Fracture="0.0"),
            ),
            ("patient00002/study1/view2_lateral", "Male", 0, "Lateral", "", chexpert_row(Edema="-1.0", Fracture="0.0")),
        ],
        "valid": [("patient64541/study1/view1_frontal", "Male", 73, "Frontal", "AP", ["0.0"] * 12 + ["1.0", "0.0"])],
    }
    for part, listed in rows.items():
        for path, *_ in listed:
            picture(root / f"{name}/{part}/{path}.jpg")
        table(root / f"{name}/{part}.csv", head, *((f"{name}/{part}/{path}.jpg", *about, *labels)
                                                   for path, *about, labels in listed))  # fmt: skip


def chexpert_5x200(root):
    """CheXpert 5x200: rows are numbered, each has one of the five findings."""
    head = ("", "imgpath", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT, "Report Impression")
    rows = []
    for number, name in enumerate(("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")):
        path = f"CheXpert-v1.0-small/train/patient{number:05d}/study1/view1_frontal.jpg"
        picture(root / path)
        labels = ["1.0" if label == name else "0.0" for label in CHEXPERT]
        rows.append((number, path, "Male", 26, "Frontal", "AP", *labels, f"{name}, of\nseveral lines."))
    table(root / "chexpert-5x200.csv", head, *rows)


def chexpert_plus(root):
    """CheXpert Plus: the table says .jpg, the files are .png; labels are JSON lines."""
    head = (
        "path_to_image", "path_to_dcm", "frontal_lateral", "ap_pa", "deid_patient_id", "patient_report_date_order",
        "report", "section_clinical_history", "section_findings", "section_impression", "age", "sex", "split",
    )  # fmt: skip
    rows = []
    for part, patient, view in (
        ("train", 1, "view1_frontal"),
        ("train", 1, "view2_lateral"),
        ("valid", 2, "view1_frontal"),
    ):
        stem = f"{part}/patient{patient:05d}/study1/{view}"
        picture(root / f"PNG/{stem}.png")
        side = "Frontal" if "frontal" in view else "Lateral"
        text = ("Cough.", f'Effusion of "{patient}",\nsmall.', "" if part == "valid" else "Effusion.")
        rows.append((f"{stem}.jpg", f"{stem}.dcm", side, "PA" if side == "Frontal" else "", f"patient{patient:05d}", 1,
                     "whole", *text, 63, "Female", part))  # fmt: skip
    table(root / "df_chexpert_plus_240401.csv", head, *rows)
    blank = dict.fromkeys(CHEXPERT)
    labels = [{"path_to_image": row[0], **blank, "Pleural Effusion": 1.0, "Edema": -1.0} for row in rows]
    (root / "chexbert_labels").mkdir()
    (root / "chexbert_labels/report_fixed.json").write_text("".join(json.dumps(line) + "\n" for line in labels))


NIH_HEAD = (
    "Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender", "View Position",
    "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]",
)  # fmt: skip


def ms_cxr(root):
    """MS-CXR: a sentence with two boxes, another with one."""
    head = (
        "dicom_id",
        "category_name",
        "label_text",
        "path",
        "x",
        "y",
        "w",
        "h",
        "image_width",
        "image_height",
        "split",
    )
    rows = []
    for number, split in enumerate(("test", "test", "val")):
        stem = f"0000000{number}-00000000-00000000-00000000-00000000"
        path = f"files/p10/p1000003{number}/s5041426{number}/{stem}.jpg"
        picture(root / path)
        about = (24, 24, split)
        rows += [(stem, "Pneumonia", "left basilar opacity", path, 2, 3, 8, 6, *about),
                 (stem, "Pneumonia", "bibasilar opacities", path, 2, 12, 6, 6, *about),
                 (stem, "Pneumonia", "bibasilar opacities", path, 14, 12, 6, 6, *about)]  # fmt: skip
    table(root / "MS_CXR_Local_Alignment_v1.1.0.csv", head, *rows)


def nih_cxr14(root):
    """NIH ChestX-ray14: headers that hold commas, a colour copy of grey, an age of 411, boxes that say Infiltrate."""
    rows = (
        ("00000001_000.png", "Cardiomegaly|Effusion", 0, 1, 58, "M", "PA", 48, 48, 0.143, 0.143),
        ("00000001_001.png", "No Finding", 1, 1, 58, "M", "AP", 48, 48, 0.143, 0.143),
        ("00000003_000.png", "Infiltration", 0, 3, 411, "F", "PA", 48, 48, 0.143, 0.143),
    )
    table(root / "Data_Entry_2017_v2020.csv", NIH_HEAD, *rows)
    for number, (name, *_) in enumerate(rows, start=1):
        picture(root / f"images_{number:03d}/images/{name}", mode="RGBA" if number == 2 else "L")
    head = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", "")
    boxes = (("00000003_000.png", "Infiltrate", 2.0, 3.0, 10.0, 30.0, "", "", ""),)
    table(root / "BBox_List_2017.csv", head, *boxes)
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (root / "test_list.txt").write_text("00000003_000.png")


def padchest(root):
    """PadChest: 16 bits, Python lists with blanks in them, labels by people and by a network."""
    head = ("", "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientSex_DICOM", "Projection",
            "Modality_DICOM", "PhotometricInterpretation_DICOM", "Report", "MethodLabel",
            "Labels", "labelCUIS")  # fmt: skip
    rows = (
        (0, "1_a.png", 0, 20140915, "s1", "p1", "F", "PA", "CR", "MONOCHROME2", "derram pleural izquierd",
         "Physician", "['pleural effusion', ' cardiomegaly', '']", "['C0032227', 'C0018800']"),
        (1, "1_b.png", 0, 20140915, "s1", "p1", "F", "L", "CR", "MONOCHROME2", "derram pleural izquierd",
         "Physician", "['pleural effusion', ' cardiomegaly', '']", "['C0032227', 'C0018800']"),
        (2, "2_a.png", 1, 20140916, "s2", "p2", "M", "AP_horizontal", "DX", "MONOCHROME2", "sin hallazg",
         "RNN_model", "['normal']", "[]"),
    )  # fmt: skip
    table(root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz", head, *rows)
    for row in rows:
        picture(root / f"{row[2]}/{row[1]}", bits=16)


def vindr_cxr(root):
    """VinDr-CXR: three readers a picture in training, one row in the test, whose last column has another name."""

    def labels(*names):
        return [int(name in names) for name in VINDR]

    rows = (
        ("a1", "R1", *labels("Cardiomegaly", "ILD")),
        ("a1", "R2", *labels("Cardiomegaly")),
        ("a1", "R3", *labels()),
    )
    table(root / "annotations/image_labels_train.csv", ("image_id", "rad_id", *VINDR), *rows)
    tested = ["Other disease" if name == "Other diseases" else name for name in VINDR]
    table(root / "annotations/image_labels_test.csv", ("image_id", *tested), ("b1", *labels("Pneumothorax")))
    head = ("image_id", "rad_id", "class_name", "x_min", "y_min", "x_max", "y_max")
    boxes = (("a1", "R1", "Cardiomegaly", 2.5, 3, 12, 20), ("a1", "R2", "Cardiomegaly", 3, 3, 12, 40),
             ("a1", "R3", "No finding", "", "", "", ""))  # fmt: skip
    table(root / "annotations/annotations_train.csv", head, *boxes)
    table(root / "annotations/annotations_test.csv", (head[0], *head[2:]), ("b1", "Pneumothorax", 1, 2, 6, 8))
    radiograph(root / "train/a1.dicom", inverted=True)
    radiograph(root / "test/b1.dicom")


def rsna_pneumonia(root):
    """RSNA 2018: a row a box, and two pictures of one patient of NIH's."""
    rows = (("aaa", 2.0, 3.0, 10.0, 12.0, 1), ("aaa", 14.0, 3.0, 5.0, 5.0, 1), ("bbb", "", "", "", "", 0),
            ("ccc", "", "", "", "", 0))  # fmt: skip
    table(root / "stage_2_train_labels.csv", ("patientId", "x", "y", "width", "height", "Target"), *rows)
    classes = (
        ("aaa", "Lung Opacity"),
        ("aaa", "Lung Opacity"),
        ("bbb", "No Lung Opacity / Not Normal"),
        ("ccc", "Normal"),
    )
    table(root / "stage_2_detailed_class_info.csv", ("patientId", "class"), *classes)
    mapped = [{"subset_img_id": a, "img_id": b, "orig_labels": []} for a, b in
              (("aaa", "00000005_000.png"), ("bbb", "00000005_003.png"), ("ccc", "00000009_000.png"))]  # fmt: skip
    (root / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(mapped))
    for name in ("aaa", "bbb", "ccc"):
        radiograph(root / f"stage_2_train_images/{name}.dcm")


def siim_acr(root):
    """SIIM-ACR: a column with a space before its name, `-1` for none, two masks of one picture."""
    rows = (("1.2.3", " 2 3 4 2"), ("1.2.3", " 100 4"), ("1.2.4", " -1"))
    table(root / "train-rle.csv", ("ImageId", " EncodedPixels"), *rows)
    for name in ("1.2.3", "1.2.4"):
        radiograph(root / f"dicom-images-train/{name}.1/{name}.2/{name}.dcm")


def iu_xray(root):
    """IU X-rays: two views of an examination; one report without findings."""
    views = (("1", "1_IM-0001-4001.dcm.png", "Frontal"), ("1", "1_IM-0001-3001.dcm.png", "Lateral"),
             ("2", "2_IM-0652-1001.dcm.png", "Frontal"))  # fmt: skip
    table(root / "indiana_projections.csv", ("uid", "filename", "projection"), *views)
    head = ("uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression")
    rows = (("1", "normal", "normal", "Xray Chest PA and Lateral", "Positive TB test", "None.", "No edema, XXXX.",
             "Normal."),
            ("2", "Cardiomegaly/borderline", "Cardiomegaly;Pulmonary Artery", "Chest", "", "", "",
             "Large heart."))  # fmt: skip
    table(root / "indiana_reports.csv", head, *rows)
    for _, name, _ in views:
        picture(root / f"images/images_normalized/{name}", mode="RGB")


def open_i(root):
    """Indiana University chest X-rays of Open-i: a report is XML that names its pictures; headings have qualifiers."""
    reports = {
        "CXR1": (("CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"), ("normal",), ("None.", "No edema, XXXX.", "Normal.")),
        "CXR2": (
            ("CXR2_IM-0652-1001",),
            ("Cardiomegaly/borderline", "Opacity/lung/base"),
            ("", "", "Large &amp; old."),
        ),
    }
    (root / "ecgen-radiology").mkdir(parents=True)
    for number, (uid, (images, headings, texts)) in enumerate(reports.items(), start=1):
        labels = zip(("COMPARISON", "FINDINGS", "IMPRESSION"), texts, strict=True)
        abstract = "".join(f'<AbstractText Label="{label}">{text}</AbstractText>' for label, text in labels)
        mesh = "".join(f"<major>{heading}</major>" for heading in headings)
        shown = "".join(f'<parentImage id="{image}"><caption>Chest</caption></parentImage>' for image in images)
        article = f"<MedlineCitation><Article><Abstract>{abstract}</Abstract></Article></MedlineCitation>"
        content = f'<?xml version="1.0"?><eCitation><uId id="{uid}"/>{article}<MeSH>{mesh}</MeSH>{shown}</eCitation>'
        (root / f"ecgen-radiology/{number}.xml").write_text(content)
        for image in images:
            picture(root / f"NLMCXR_png/{image}.png", mode="RGB")


def roco_v2(root):
    """ROCOv2: folders in folders, captions with quotation marks, concepts by code."""
    licences = []
    for part in ("train", "valid", "test"):
        name = f"ROCOv2_2023_{part}_000001"
        colours(root / f"{part}_images/{part}/{name}.jpg")
        table(root / f"{part}_captions.csv", ("ID", "Caption"), (name, f'CT of the "{part}" chest, axial.'))
        table(root / f"{part}_concepts.csv", ("ID", "CUIs"), (name, "C0040405;C0817096"))
        licences.append((name, f"PMC-{part}", f"CC BY 4.0 [Someone of {part}]", "https://example.org"))
    table(root / "license_information.csv", ("ID", "PMCID", "Attribution", "Link"), *licences)
    rows = (("C0040405", "X-Ray Computed Tomography"), ("C0817096", "Chest"))
    table(root / "cui_mapping.csv", ("CUI", "Canonical name"), *rows)


def busi(root):
    """BUSI: names with spaces and brackets, two masks of one picture, an empty mask of a normal one."""
    base = root / "Dataset_BUSI_with_GT"
    for name in ("benign/benign (1)", "malignant/malignant (1)", "normal/normal (1)"):
        picture(base / f"{name}.png", mode="RGB")
        mask(base / f"{name}_mask.png", (0, 0, 0, 0) if "normal" in name else (4, 5, 10, 12))
    mask(base / "benign/benign (1)_mask_1.png", (14, 15, 20, 21))
    picture(base / "benign/benign (10).png")


def messidor(root):
    """MESSIDOR: a table a folder; one grade that the errata correct."""
    head = ("Image name", "Ophthalmologic department", "Retinopathy grade", "Risk of macular edema")
    rows = {"11": (("20051019_38557_0100_PP.tif", "Service Ophtalmologie Lariboisière", 3, 1),
                   ("20051020_63045_0100_PP.tif", "Service Ophtalmologie Lariboisière", 1, 0)),
            "12": (("20051116_44816_0400_PP.tif", "CHU de St Etienne", 0, 0),)}  # fmt: skip
    for base, listed in rows.items():
        table(root / f"Base{base}/Annotation_Base{base}.csv", head, *listed)
        for name, *_ in listed:
            colours(root / f"Base{base}/{name}")


def messidor_2(root):
    """Messidor-2: pairs with semicolons, names whose case differs between table and files."""
    (root / "IMAGES").mkdir()
    for name in ("20051020_43808_0100_PP.png", "20051020_43832_0100_PP.png", "IM000001.JPG", "IM000002.JPG"):
        colours(root / f"IMAGES/{name}")
    pairs = "left;right\n20051020_43808_0100_PP.png;20051020_43832_0100_PP.png\nIM000001.jpg;IM000002.jpg\n"
    (root / "messidor-2.csv").write_text(pairs)
    head = ("image_id", "adjudicated_dr_grade", "adjudicated_dme", "adjudicated_gradable")
    rows = (("20051020_43808_0100_PP.png", 0, 0, 1), ("20051020_43832_0100_PP.png", 2, 1, 1), ("IM000001.jpg", 4, 0, 1),
            ("IM000002.jpg", "", "", 0))  # fmt: skip
    table(root / "messidor_data.csv", head, *rows)


def isic_2018(root):
    """ISIC 2018: one column a diagnosis, 1.0 and 0.0; two pictures of one lesion."""
    labels = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
    rows = {"Training": ("ISIC_0024306", "ISIC_0024307"), "Validation": ("ISIC_0034321",), "Test": ("ISIC_0034524",)}
    for part, names in rows.items():
        table(root / f"ISIC2018_Task3_{part}_GroundTruth/ISIC2018_Task3_{part}_GroundTruth.csv", ("image", *labels),
              *((name, "0.0", "1.0", *["0.0"] * 5) for name in names))  # fmt: skip
        for name in names:
            colours(root / f"ISIC2018_Task3_{part}_Input/{name}.jpg")
    head = ("image", "lesion_id", "diagnosis_confirm_type")
    table(
        root / "ISIC2018_Task3_Training_LesionGroupings.csv",
        head,
        *((n, "HAM_0000550", "follow_up") for n in rows["Training"]),
    )


def isic_2019(root):
    """ISIC 2019: metadata apart, a lesion that is not named."""
    labels = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
    names = ("ISIC_0000000", "ISIC_0000001")
    table(root / "ISIC_2019_Training_GroundTruth.csv", ("image", *labels), *((n, "1.0", *["0.0"] * 8) for n in names))
    head = ("image", "age_approx", "anatom_site_general", "lesion_id", "sex")
    table(root / "ISIC_2019_Training_Metadata.csv", head, (names[0], "55.0", "anterior torso", "", "female"),
          (names[1], "", "", "HAM_0000001", ""))  # fmt: skip
    for name in names:
        colours(root / f"ISIC_2019_Training_Input/{name}.jpg")


def isic_2020(root, *, duplicates=()):
    """ISIC 2020: patients, and a list of copies."""
    head = ("image_name", "patient_id", "lesion_id", "sex", "age_approx", "anatom_site_general_challenge", "diagnosis",
            "benign_malignant", "target")  # fmt: skip
    rows = (("ISIC_2637011", "IP_7279968", "IL_7972535", "male", "45.0", "head/neck", "unknown", "benign", 0),
            ("ISIC_0015719", "IP_3075186", "IL_4649854", "female", "", "", "melanoma", "malignant", 1),
            ("ISIC_0052212", "IP_2842074", "IL_9087444", "female", "50.0", "torso", "nevus", "benign", 0))  # fmt: skip
    table(root / "ISIC_2020_Training_GroundTruth_v2.csv", head, *rows)
    table(root / "ISIC_2020_Training_Duplicates.csv", ("image_name_1", "image_name_2"), *duplicates)
    for name, *_ in rows:
        colours(root / f"train/{name}.jpg")


def fives(root):
    """FIVES: the letter of a name is the diagnosis; vessels under the same names in another folder."""
    for name in ("train/Original/1_A", "train/Original/151_D", "test/Original/1_A", "test/Original/101_G"):
        colours(root / f"FIVES/{name}.png")
        mask(root / f"FIVES/{name.replace('Original', 'Ground truth')}.png")


def refuge(root):
    """REFUGE: classes are folders and the beginning of names; pictures of the validation have neither."""
    for name in ("Training400/Glaucoma/g0001", "Training400/Non-Glaucoma/n0001", "Training400/Non-Glaucoma/n0002"):
        colours(root / f"{name}.jpg")
    colours(root / "REFUGE-Validation400/V0001.jpg")


def odir_200x3(root):
    """ODIR 200x3: labels as lists of Python, both eyes of one patient."""
    rows = (("0_right", "normal"), ("0_left", "cataract"), ("13_left", "pathologic myopia"))
    listed = [(n, f"08_ODIR-5K/preprocessed_images/{name}.jpg", [], [label]) for n, (name, label) in enumerate(rows)]
    table(root / "08_ODIR200x3.csv", ("", "image", "atributes", "categories"), *listed)
    for name, _ in rows:
        colours(root / f"preprocessed_images/{name}.jpg")


def deepdrid(root):
    """DeepDRiD: the grade of an eye stands in the column of its side."""
    head = ("patient_id", "image_id", "image_path", "Overall quality", "left_eye_DR_Level", "right_eye_DR_Level",
            "patient_DR_Level", "Clarity", "Field definition", "Artifact")  # fmt: skip
    rows = {"training": ((1, "1_l1", 3, ""), (1, "1_r1", "", 0)), "validation": ((265, "265_l1", 4, ""),)}
    for part, listed in rows.items():
        base = root / f"regular_fundus_images/regular-fundus-{part}"
        cells = [
            (p, n, f"\\regular-fundus-{part}\\{p}\\{n}.jpg", 1, left, right, 4, 8, 8, 0) for p, n, left, right in listed
        ]
        table(base / f"regular-fundus-{part}.csv", head, *cells)
        for patient, name, *_ in listed:
            colours(base / f"Images/{patient}/{name}.jpg")


def knee_acl(root):
    """Slices of the knee: a list a split."""
    rows = {"train": ("0619", "yes"), "val": ("0096", "no"), "test": ("0177", "yes")}
    for part, (exam, label) in rows.items():
        names = [f"images/{exam}_sagittal_{n}.000000.png" for n in (17, 18)]
        table(root / f"{part}_fold1.csv", ("filename", "acl_label"), *((name, label) for name in names))
        for name in names:
            picture(root / name)


def knee_meniscus(root):
    """The same in other columns and letters."""
    rows = {"train": ("0571", "n"), "val": ("0091", "p"), "test": ("0808", "n")}
    for part, (exam, label) in rows.items():
        name = f"images/{exam}_sagittal_12.000000.png"
        table(root / f"meniscus/dataframe/meniscus_{part}_fold1.csv", ("img_dir", "label"), (name, label))
        picture(root / "meniscus" / name)


def thyroid_us(root):
    """Ultrasound: the number before the underscore is the case."""
    rows = {"train": (("314_1", "malignant"), ("130_1", "benign")), "val": (("23_1", "malignant"),),
            "test": (("7_1", "benign"), ("7_2", "benign"))}  # fmt: skip
    for part, listed in rows.items():
        table(
            root / f"thyroid_{part}_fold1.csv",
            ("img_dir", "label"),
            *((f"images/{n}.jpg", label) for n, label in listed),
        )
        for name, _ in listed:
            picture(root / f"images/{name}.jpg")


# Recipe → (writes a small copy, number of samples, further words of the command).
PICTURE_LAYOUTS = {
    "busi": (busi, 4, ()),
    "chexpert": (chexpert, 4, ()),
    "chexpert-5x200": (chexpert_5x200, 5, ()),
    "chexpert-plus": (chexpert_plus, 3, ()),
    "fives": (fives, 4, ()),
    "refuge": (refuge, 3, ()),
    "odir-200x3": (odir_200x3, 3, ()),
    "deepdrid": (deepdrid, 3, ()),
    "knee-acl": (knee_acl, 6, ()),
    "knee-meniscus": (knee_meniscus, 3, ()),
    "thyroid-us": (thyroid_us, 5, ()),
    "isic-2018": (isic_2018, 4, ()),
    "isic-2019": (isic_2019, 2, ()),
    "isic-2020": (isic_2020, 3, ()),
    "iu-xray": (iu_xray, 3, ()),
    "messidor": (messidor, 3, ()),
    "messidor-2": (messidor_2, 4, ()),
    "mimic-cxr": (mimic_cxr, 4, ()),
    "mimic-cxr-jpg": (mimic_cxr_jpg, 4, ()),
    "ms-cxr": (ms_cxr, 3, ()),
    "nih-cxr14": (nih_cxr14, 3, ()),
    "open-i": (open_i, 3, ()),
    "padchest": (padchest, 3, ()),
    "roco-v2": (roco_v2, 3, ()),
    "rsna-pneumonia": (rsna_pneumonia, 3, ()),
    "siim-acr": (siim_acr, 2, ()),
    "vindr-cxr": (vindr_cxr, 2, ()),
}
# Recipe → (files that a download may lack, what must be said of it).
PICTURE_LACKING = {
    "busi": ("Dataset_BUSI_with_GT/*/*).png", "holds no picture of Breast Ultrasound Images"),
    "chexpert": ("CheXpert-v1.0-small/train/patient00001/*/*", "1 of 4 samples"),
    "chexpert-5x200": ("chexpert-5x200.csv", "'chexpert-5x200.csv'"),
    "chexpert-plus": ("PNG/valid/*/*/*", "1 of 3 samples"),
    "fives": ("FIVES/*/Original/*", "holds no picture of FIVES"),
    "refuge": ("Training400/*/*", "holds no picture of REFUGE"),
    "odir-200x3": ("preprocessed_images/0_left.jpg", "0_left.jpg'"),
    "deepdrid": ("regular_fundus_images/*/Images/265/*", "265_l1.jpg"),
    "knee-acl": ("test_fold1.csv", "'test_fold1.csv'"),
    "knee-meniscus": ("meniscus/images/0808*", "0808_sagittal_12.000000.png"),
    "thyroid-us": ("thyroid_val_fold1.csv", "'thyroid_val_fold1.csv'"),
    "isic-2018": ("ISIC2018_Task3_*_GroundTruth/*", "'ISIC2018_Task3_*_GroundTruth.csv'"),
    "isic-2019": ("ISIC_2019_Training_Input/ISIC_0000001.jpg", "'ISIC_2019_Training_Input/ISIC_0000001.jpg'"),
    "isic-2020": ("ISIC_2020_Training_Duplicates.csv", "'ISIC_2020_Training_Duplicates.csv'"),
    "iu-xray": ("indiana_reports.csv", "'indiana_reports.csv'"),
    "messidor": ("Base12/*.tif", "'Base12/20051116_44816_0400_PP.tif'"),
    "messidor-2": ("messidor-2.csv", "'messidor-2.csv'"),
    "mimic-cxr": ("mimic-cxr-2.0.0-split.csv.gz", "list of official splits"),
    "mimic-cxr-jpg": ("files/p11/*/*/*", "baa8b9b5.jpg"),
    "ms-cxr": ("MS_CXR_Local_Alignment_v1.1.0.csv", "'MS_CXR_Local_Alignment_v1.1.0.csv'"),
    "nih-cxr14": ("test_list.txt", "'test_list.txt'"),
    "open-i": ("ecgen-radiology/*", "'*.xml'"),
    "padchest": ("1/*", "'1/2_a.png'"),
    "roco-v2": ("test_images/*/*", "ROCOv2_2023_test_000001.jpg"),
    "rsna-pneumonia": ("stage_2_train_images/bbb.dcm", "'stage_2_train_images/bbb.dcm'"),
    "siim-acr": ("dicom-images-train/1.2.4*/*/*", "1.2.4.dcm"),
    "vindr-cxr": ("test/*", "'test/b1.dicom'"),
}
