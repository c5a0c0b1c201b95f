"""What goes wrong in downloads of public sets of pictures: each function damages a copy of `picture_sets`."""

import csv
import gzip
import io
import json

from pydicom.uid import CTImageStorage
from tests.support.picture_sets import colours, isic_2020, picture, radiograph


def rows_of(path):
    """Rows of a CSV file, packed or not."""
    data = path.read_bytes()
    return list(csv.reader(io.StringIO((gzip.decompress(data) if path.suffix == ".gz" else data).decode())))


def add(path, *rows):
    """Add rows to a CSV file."""
    out = io.StringIO()
    csv.writer(out).writerows([*rows_of(path), *rows])
    path.write_bytes(gzip.compress(out.getvalue().encode()) if path.suffix == ".gz" else out.getvalue().encode())


def busi(root):
    """A mask of another size, a picture that is cut off."""
    picture(root / "Dataset_BUSI_with_GT/benign/benign (10)_mask.png", side=12)
    path = root / "Dataset_BUSI_with_GT/normal/normal (1).png"
    path.write_bytes(path.read_bytes()[:200])


def chexpert(root):
    """A row twice, a picture that is not there, one patient in train and valid."""
    base = root / "CheXpert-v1.0-small"
    first = rows_of(base / "train.csv")[1]
    stray = ["CheXpert-v1.0-small/train/patient00009/study1/view1_frontal.jpg", *first[1:]]
    torn = ["CheXpert-v1.0-small/valid/patient00001/study2/view1_frontal.jpg", *first[1:]]
    add(base / "train.csv", first, stray)
    add(base / "valid.csv", torn)
    picture(base / "valid/patient00001/study2/view1_frontal.jpg")


def chexpert_5x200(root):
    """A picture that is not there."""
    path = root / "chexpert-5x200.csv"
    row = rows_of(path)[1]
    add(path, ["5", row[1].replace("patient00000", "patient00077"), *row[2:]])


def chexpert_plus(root):
    """Labels that differ between rows, a picture of another size class that is no picture."""
    path = root / "chexbert_labels/report_fixed.json"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, json.dumps(json.loads(lines[0]) | {"Edema": 1.0})]))
    (root / "PNG/valid/patient00002/study1/view1_frontal.png").write_bytes(b"<html>expired</html>")


def fives(root):
    """A picture that is cut off."""
    path = root / "FIVES/test/Original/101_G.png"
    path.write_bytes(path.read_bytes()[:200])


def refuge(root):
    """A page in place of a picture."""
    (root / "Training400/Glaucoma/g0001.jpg").write_bytes(b"<html>expired</html>")


def odir_200x3(root):
    """A picture that is not there."""
    add(root / "08_ODIR200x3.csv", ["3", "08_ODIR-5K/preprocessed_images/99_left.jpg", "[]", "['normal']"])


def deepdrid(root):
    """A patient in training and validation."""
    path = root / "regular_fundus_images/regular-fundus-validation/regular-fundus-validation.csv"
    add(path, ["1", "1_l2", "", "1", "3", "", "4", "8", "8", "0"])
    colours(root / "regular_fundus_images/regular-fundus-validation/Images/1/1_l2.jpg")


def knee_acl(root):
    """A slice with both labels, and a name that leads out of the folder."""
    add(root / "train_fold1.csv", ["images/0619_sagittal_17.000000.png", "no"], ["../../0001_sagittal_1.png", "no"])


def knee_meniscus(root):
    """An examination in two lists."""
    add(root / "meniscus/dataframe/meniscus_val_fold1.csv", ["images/0571_sagittal_13.000000.png", "n"])
    picture(root / "meniscus/images/0571_sagittal_13.000000.png")


def thyroid_us(root):
    """A row twice."""
    add(root / "thyroid_train_fold1.csv", ["images/314_1.jpg", "malignant"])


def isic_2018(root):
    """A lesion in training and test."""
    add(root / "ISIC2018_Task3_Training_LesionGroupings.csv", ["ISIC_0034524", "HAM_0000550", "follow_up"])


def isic_2019(root):
    """A picture that is not there, and a row twice."""
    path = root / "ISIC_2019_Training_GroundTruth.csv"
    add(path, ["ISIC_0000009", *rows_of(path)[1][1:]], rows_of(path)[1])


def isic_2020_faults(root):
    """A listed copy, and a row without a patient."""
    isic_2020(root, duplicates=(("ISIC_2637011", "ISIC_0052212"),))
    path = root / "ISIC_2020_Training_GroundTruth_v2.csv"
    add(path, ["ISIC_0000007", "", *rows_of(path)[1][2:]])
    colours(root / "train/ISIC_0000007.jpg")


def iu_xray(root):
    """A projection without a file, and one that two rows call differently."""
    add(
        root / "indiana_projections.csv",
        ["3", "3_IM-1384-1001.dcm.png", "Frontal"],
        ["2", "2_IM-0652-1001.dcm.png", "Lateral"],
    )


def messidor(root):
    """A duplicate of the errata."""
    path = root / "Base33/Annotation_Base33.csv"
    path.parent.mkdir()
    path.write_bytes((root / "Base12/Annotation_Base12.csv").read_bytes())
    add(path, ["20051202_55582_0400_PP.tif", "CHU de St Etienne", "0", "0"])
    for _, name in ((0, "20051116_44816_0400_PP.tif"), (1, "20051202_55582_0400_PP.tif")):
        colours(root / f"Base33/{name}")


def messidor_2(root):
    """An eye of no examination."""
    add(root / "messidor_data.csv", ["IM000099.jpg", "0", "0", "1"])
    colours(root / "IMAGES/IM000099.JPG")


def mimic_cxr(root):
    """A plane of a CT, a file that is cut off, a record that no split list has."""
    path = root / "files/p10/p10000032/s50414267/02aa804e.dcm"
    path.unlink()
    radiograph(path, kind=CTImageStorage)
    path = root / "files/p10/p10000764/s57375967/096052b7.dcm"
    path.write_bytes(path.read_bytes()[:-300])
    add(root / "cxr-record-list.csv.gz", ["10000999", "59999999", "ffffffff", "x"])
    radiograph(root / "files/p10/p10000999/s59999999/ffffffff.dcm")


def mimic_cxr_jpg(root):
    """A name that leaves the download, an incomplete download, a split list with one patient twice."""
    first = rows_of(root / "mimic-cxr-2.0.0-metadata.csv.gz")[4]
    add(root / "mimic-cxr-2.0.0-metadata.csv.gz", ["../../../../secret", *first[1:]])
    splits = root / "mimic-cxr-2.0.0-split.csv.gz"
    lines = [["../../../../secret", *rows_of(splits)[4][1:]], ["deadbeef", "5", "19999999", "test"]]
    add(splits, *lines)
    torn = [[*row[:3], "test" if row[0] == "174413ec" else row[3]] for row in rows_of(splits)]
    splits.write_bytes(gzip.compress("\n".join(",".join(row) for row in torn).encode()))
    (root / "files/p11/p11000011/s51029426/baa8b9b5.jpg").unlink()


def ms_cxr(root):
    """A picture that is not there, a box outside its picture."""
    path = root / "MS_CXR_Local_Alignment_v1.1.0.csv"
    row = rows_of(path)[1]
    away = [row[0].replace("00000000", "0000000a", 1), *row[1:]]
    away[3] = row[3].replace(row[0], away[0]).replace("p10000030", "p10000077")
    add(path, away, [*row[:4], "90", "90", "5", "5", *row[8:]])


def nih_cxr14(root):
    """A picture in both lists and one in none, names and boxes of one that no table has, a box outside its picture."""
    path = root / "Data_Entry_2017_v2020.csv"
    add(path, ["00000005_000.png", *rows_of(path)[3][1:3], "5", *rows_of(path)[3][4:]])
    picture(root / "images_003/images/00000005_000.png")
    (root / "test_list.txt").write_text("00000003_000.png\n00000001_001.png\n00009999_000.png\n")
    boxes = (
        ["00000003_000.png", "Mass", 90, 3, 4, 4, "", "", ""],
        ["00009999_000.png", "Mass", 1, 1, 4, 4, "", "", ""],
    )
    add(root / "BBox_List_2017.csv", *boxes)


def open_i(root):
    """A report without pictures, and a picture that is not there."""
    report = (root / "ecgen-radiology/2.xml").read_text()
    (root / "ecgen-radiology/3.xml").write_text(report.replace("parentImage", "noImage").replace("CXR2", "CXR3"))
    (root / "NLMCXR_png/CXR1_1_IM-0001-3001.png").unlink()


def padchest(root):
    """A file that is known to be broken, one that is cut off, one that was MONOCHROME1."""
    path = next(root.glob("PADCHEST*"))
    text = gzip.decompress(path.read_bytes()).decode().replace("L,CR,MONOCHROME2", "L,CR,MONOCHROME1")
    path.write_bytes(gzip.compress(text.encode()))
    name = "216840111366964012819207061112010307142602253_04-014-084.png"
    row = rows_of(path)[1]
    add(path, ["3", name, "0", *row[3:]], ["4", "cut.png", "0", *row[3:]])
    picture(root / f"0/{name}", bits=16)
    picture(root / "0/cut.png", bits=16)
    (root / "0/cut.png").write_bytes((root / "0/cut.png").read_bytes()[:300])


def roco_v2(root):
    """An article in training and test, a picture without a caption."""
    path = root / "license_information.csv"
    changed = path.read_text().replace("PMC-test", "PMC-train")
    path.write_text(changed)
    add(root / "valid_captions.csv", ["ROCOv2_2023_valid_000002", ""])
    colours(root / "valid_images/valid/ROCOv2_2023_valid_000002.jpg")


def rsna_pneumonia(root):
    """A picture that is not there."""
    add(root / "stage_2_train_labels.csv", ["ddd", "", "", "", "", "0"])


def siim_acr(root):
    """Runs that go beyond the picture."""
    add(root / "train-rle.csv", ["1.2.5", "1 2 9999 4"])
    radiograph(root / "dicom-images-train/1.2.5.1/1.2.5.2/1.2.5.dcm")


def vindr_cxr(root):
    """Boxes of a picture that no table of labels has, and a picture of the test that is not there."""
    path = root / "annotations/image_labels_test.csv"
    add(path, ["b2", *rows_of(path)[1][1:]])
    add(root / "annotations/annotations_train.csv", ["zz", "R1", "Cardiomegaly", "1", "1", "5", "5"])


PICTURE_FAULTS = {
    "busi": busi, "chexpert": chexpert, "chexpert-5x200": chexpert_5x200,
    "chexpert-plus": chexpert_plus, "isic-2018": isic_2018, "isic-2019": isic_2019,
    "isic-2020": isic_2020_faults, "iu-xray": iu_xray, "messidor": messidor, "messidor-2": messidor_2,
    "mimic-cxr": mimic_cxr, "mimic-cxr-jpg": mimic_cxr_jpg, "ms-cxr": ms_cxr, "nih-cxr14": nih_cxr14, "open-i": open_i,
    "padchest": padchest, "roco-v2": roco_v2, "rsna-pneumonia": rsna_pneumonia, "siim-acr": siim_acr,
    "vindr-cxr": vindr_cxr, "fives": fives, "refuge": refuge, "odir-200x3": odir_200x3, "deepdrid": deepdrid,
    "knee-acl": knee_acl, "knee-meniscus": knee_meniscus, "thyroid-us": thyroid_us,
}  # fmt: skip
