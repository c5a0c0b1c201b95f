"""Recipes of data sets of pictures on small invented copies of their layouts, with the faults that real ones have."""

import gzip
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xlwt
from openpyxl import Workbook
from tests.support import picture_sets as sets
from tests.support.picture_faults import PICTURE_FAULTS, rows_of
from tests.support.picture_sets import PICTURE_LAYOUTS

from voxtile.cli.main import lightning_main, main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.stages.verify.corpus import verify
from voxtile_datasets.licences.licence import read_licence
from voxtile_medical.recipes.pictures.picture_set import SETS, picture_set
from voxtile_medical.recipes.pictures.regions import run_mask

DOCS = Path(__file__).parents[2] / "docs/medical-data-sets.md"


class Built:
    """A corpus of a set, by the keys of its pictures."""

    def __init__(self, name, root, corpus, *words):
        self.status = main(["build", name, str(root), str(corpus), "--engine", "inline", *words])
        self.corpus = Corpus(corpus)
        self.rows = {row["source"].partition("/")[2]: row for row in self.corpus.table("samples").to_pylist()}
        self.splits = self.corpus.splits()
        assert not verify(corpus).problems

    def __getitem__(self, key):
        return next(row for name, row in self.rows.items() if key in name)

    def of(self, table, key):
        """Rows of a table that are of a picture."""
        return [row for row in self.corpus.table(table).to_pylist() if row["uid"] == self[key]["uid"]]

    def facts(self, key):
        """Concept → polarity, without roles."""
        return {f["concept"]: f["polarity"] for f in self.of("facts", key) if f["concept"] != "series role"}

    def texts(self, key):
        """Texts of a picture."""
        return [row["text"] for row in self.of("captions", key)]

    def attributes(self, key):
        """Attributes of a picture."""
        return json.loads(self[key]["attributes"] or "{}")

    def split(self, key):
        """Split of a picture."""
        return self.splits[self[key]["subject"]]

    def reasons(self):
        """Reason → how many rows of the ledger."""
        return Counter(row["reason"] for row in self.corpus.ledger().to_pylist() if row["status"] != "used")


@pytest.fixture
def build(tmp_path):
    def run(name, *words, faults=None):
        root = tmp_path / "in"
        root.mkdir(exist_ok=True)
        PICTURE_LAYOUTS[name][0](root)
        if faults:
            faults(root)
        return Built(name, root, tmp_path / "corpus", *words)

    return run


@pytest.mark.parametrize("path", sorted(SETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_set_says_its_licence_access_and_layout(path):
    held = picture_set(path.stem)
    assert held.name == path.stem
    assert read_licence(held.licence).terms
    assert not read_licence(held.licence).unclear  # the card says what it asks for
    assert held.access
    assert all(source.address.startswith("https://") and source.says for source in held.layout)
    assert path.stem in PICTURE_LAYOUTS
    assert path.stem in PICTURE_FAULTS
    assert f"`{path.stem}`" in DOCS.read_text("utf-8")


def test_uncertain_stays_uncertain_and_blank_is_not_mentioned(build):
    built = build("chexpert")
    assert built.facts("patient00002/study1/view1") == {"Edema": "uncertain", "Fracture": "absent"}
    assert built.facts("patient00001") == {"Support Devices": "present"}
    (scope,) = built.of("scopes", "patient00002/study1/view1")
    assert (scope["vocabulary"], scope["closed"], len(scope["concepts"])) == ("chexpert-14", False, 14)
    assert built.attributes("view2_lateral")["view"] == "LATERAL"
    assert built.attributes("patient00001")["view"] == "AP"
    assert built.attributes("patient00001")["age_band"] == "60-69"
    assert "age_band" not in built.attributes("patient00002/study1/view1")  # 0 is what the table has for unknown
    assert built.split("patient64541") == "val"
    assert built["patient00002/study1/view1"]["study"] == built["patient00002/study1/view2"]["study"]


def test_mimic_cxr_is_one_from_dicom_and_from_jpeg(build, tmp_path):
    built = build("mimic-cxr")
    row = built["096052b7"]
    assert (row["modality"], row["axes"], row["dtype"], row["spacing"]) == ("CR", "YX", "uint16", [0.2, 0.2])
    np.testing.assert_array_equal(built.corpus.source(row).array(), sets.grey("096052b7.dcm", bits=12))
    assert built.attributes("096052b7")["inverted_from"] == "MONOCHROME1"
    assert built.facts("02aa804e") == {"Edema": "present", "Pneumonia": "uncertain", "Fracture": "absent"}
    assert [built.split(key) for key in ("02aa804e", "096052b7", "baa8b9b5")] == ["train", "val", "test"]

    root = tmp_path / "jpg"
    root.mkdir()
    sets.mimic_cxr_jpg(root)
    jpeg = Built("mimic-cxr-jpg", root, tmp_path / "jpg-corpus")
    assert jpeg.facts("174413ec") == built.facts("174413ec")
    assert jpeg.texts("174413ec") == built.texts("174413ec")
    assert jpeg.splits == {name.replace("mimic-cxr-", "mimic-cxr-jpg-"): split for name, split in built.splits.items()}
    (text,) = jpeg.texts("174413ec")
    assert text.startswith("FINAL REPORT\n FINDINGS:  Report of 50414267")
    assert "Année" in jpeg.texts("baa8b9b5")[0]  # a report that is not UTF-8
    roles = [f for f in jpeg.of("facts", "174413ec") if f["concept"] == "series role"]
    assert json.loads(roles[0]["attributes"])["role"] == "lateral"


HAND = ("study_id", "Airspace Opacity", *(name for name in sets.CHEXPERT if name not in ("Lung Opacity", "No Finding")))


def labelled_by_hand(root, *rows, header=HAND):
    """The table of MIMIC-CXR-JPG 2.1: study → what radiologists labelled."""
    cells = [(study, *(labels.get(name, "") for name in header[1:])) for study, labels in rows]
    sets.table(root / "mimic-cxr-2.1.0-test-set-labeled.csv", header, *cells)


@pytest.mark.parametrize("name", ["mimic-cxr", "mimic-cxr-jpg"])
def test_labels_by_hand_stand_in_place_of_those_of_a_program(build, name, capsys):
    def table(root):
        labelled_by_hand(root, ("50414267", {"Airspace Opacity": "1.0", "Edema": "0"}), ("57375967", {}))

    built = build(name, faults=table)
    assert built.facts("02aa804e") == {"Lung Opacity": "present", "Edema": "absent"}, "and no Pneumonia -1"
    assert {row["source"] for row in built.of("facts", "02aa804e")} >= {f"{name}@1/labeled"}
    assert not {row["source"] for row in built.of("facts", "02aa804e") if "CheXpert" in row["source"]}
    assert built.facts("096052b7") == {}, "looked at by hand, and nothing was mentioned"
    assert "table of hand labels" not in capsys.readouterr().err


def test_labels_by_hand_that_come_later_are_told_apart_by_their_source(build, capsys):
    built = build("mimic-cxr-jpg")
    assert built.facts("096052b7") == {"No Finding": "present"}
    assert "has no table of hand labels" in capsys.readouterr().err
    again = build("mimic-cxr-jpg", faults=lambda root: labelled_by_hand(root, ("57375967", {"Fracture": "1"})))
    told = {(row["concept"], row["source"]) for row in again.of("facts", "096052b7")}
    assert {("No Finding", "mimic-cxr-jpg@1"), ("Fracture", "mimic-cxr-jpg@1/labeled")} <= told


def test_a_table_of_hand_labels_of_another_release_is_refused(build, tmp_path, capsys):
    def table(root):
        labelled_by_hand(root, ("50414267", {"Edema": "1.0"}), header=("study_id", "Edema"))

    sets.mimic_cxr_jpg(tmp_path)
    table(tmp_path)
    assert main(["build", "mimic-cxr-jpg", str(tmp_path), str(tmp_path / "c"), "--engine", "inline"]) == 2
    assert "has no column 'Enlarged Cardiomediastinum'" in " ".join(capsys.readouterr().err.split())


def test_the_report_of_chexpert_plus_has_its_sections_and_pictures_their_own_suffix(build):
    built = build("chexpert-plus")
    assert built.texts("view2_lateral") == [
        'CLINICAL HISTORY: Cough.\nFINDINGS: Effusion of "1",\nsmall.\nIMPRESSION: Effusion.'
    ]
    assert built.facts("valid/patient00002") == {"Pleural Effusion": "present", "Edema": "uncertain"}
    assert built.split("valid/patient00002") == "val"
    assert {row["codec"] for row in built.rows.values()} == {"png"}


def test_nih_boxes_lists_and_spacing(build):
    built = build("nih-cxr14")
    assert built.facts("00000001_000") == {"cardiomegaly": "present", "effusion": "present"}
    assert built.facts("00000001_001") == {}
    assert all(scope["closed"] for scope in built.corpus.table("scopes").to_pylist())
    (region,) = built.of("regions", "00000003_000")
    assert (region["phrase"], region["box"]) == ("infiltration", [3.0, 2.0, 24.0, 12.0])  # cut where the picture ends
    assert built["00000003_000"]["spacing"] == pytest.approx([0.143 * 2] * 2)  # scaled from 48 to 24 pixels
    assert built.split("00000003_000") == "test"
    assert built.split("00000001_000") in ("train", "val")
    assert "age_band" not in built.attributes("00000003_000")
    row = built["00000001_001"]  # grey, stored as RGBA
    assert row["axes"] == "YX"
    np.testing.assert_array_equal(decode_picture(built.corpus.source(row).encoded()), sets.grey("00000001_001.png"))


def test_a_picture_that_lies_in_two_folders_is_told(build, capsys):
    build("nih-cxr14", faults=lambda root: sets.picture(root / "images_999/00000003_000.png", side=30))
    assert "1 pictures lie in several folders" in capsys.readouterr().err


def test_real_nih_pictures_are_stored_byte_for_byte(test_data, tmp_path):
    folder = test_data / "medical/nih_cxr14_samples"
    listed = [line.split("|")[1:3] for line in (folder / "README.md").read_text("utf-8").splitlines() if ".png" in line]
    labels = {
        name.strip(): label.strip().replace(", ", "|").replace("Atlectasis", "Atelectasis") for name, label in listed
    }
    root = tmp_path / "in"
    shutil.copytree(folder, root / "images_001/images")
    rows = [(name, label, 0, int(name[:8]), 50, "M", "PA") for name, label in labels.items()]
    sets.table(root / "Data_Entry_2017_v2020.csv", sets.NIH_HEAD[:7], *rows)
    (root / "train_val_list.txt").write_text("")
    (root / "test_list.txt").write_text("\n".join(labels))
    built = Built("nih-cxr14", root, tmp_path / "corpus")
    assert len(built.rows) == 7
    assert set(built.splits.values()) == {"test"}
    assert built.facts("00000013_035") == {"atelectasis": "present", "hernia": "present"}
    assert built.facts("00000013_019") == {}
    for name, row in built.rows.items():
        assert row["shape"] == [1024, 1024]
        assert row["spacing"] is None
        assert built.corpus.source(row).encoded() == (folder / name).read_bytes()


def test_padchest_keeps_16_bits_spanish_and_who_labelled(build):
    built = build("padchest")
    row = built["1_a.png"]
    assert (row["dtype"], row["modality"]) == ("uint16", "CR")
    np.testing.assert_array_equal(built.corpus.source(row).array(), sets.grey("1_a.png", bits=16))
    facts = {f["concept"]: f for f in built.of("facts", "1_a.png")}
    assert facts["pleural effusion"]["code"] is None  # nothing says that the codes have the order of the labels
    assert facts["cardiomegaly"]["source"] == "padchest@1/Physician"
    assert built.facts("2_a.png") == {}
    assert {row["lang"] for row in built.corpus.table("captions").to_pylist()} == {"es"}
    assert built.attributes("1_b.png")["view"] == "LATERAL"
    assert built["1_a.png"]["subject"] == built["1_b.png"]["subject"]


def test_padchest_says_of_which_pictures_the_polarity_is_not_known(build):
    built = build("padchest", faults=PICTURE_FAULTS["padchest"])
    assert built.attributes("1_b.png")["polarity"] == "uncertain"
    assert "polarity" not in built.attributes("1_a.png")
    assert built.reasons()["uncertain-polarity"] == 1


def test_what_some_readers_of_vindr_see_is_uncertain(build):
    built = build("vindr-cxr")
    facts = built.facts("a1")
    assert (facts["cardiomegaly"], facts["interstitial lung disease"]) == ("present", "uncertain")
    assert Counter(facts.values()) == {"present": 1, "uncertain": 1, "absent": 26}
    assert built.facts("b1")["pneumothorax"] == "present"
    assert built.facts("b1")["other disease"] == "absent"
    boxes = {region["source"]: region["box"] for region in built.of("regions", "a1")}
    assert boxes == {"vindr-cxr@1/R1": [3, 2.5, 20, 12], "vindr-cxr@1/R2": [3, 3, 24, 12]}
    assert built.split("b1") == "test"
    np.testing.assert_array_equal(built.corpus.source(built["a1"]).array(), sets.grey("a1.dicom", bits=12))


def test_rsna_patients_are_those_of_nih(build):
    built = build("rsna-pneumonia")
    assert built["aaa"]["subject"] == built["bbb"]["subject"] == "rsna-pneumonia-nih-00000005"
    assert built.facts("aaa") == {"pneumonia": "present", "lung opacity": "present"}
    assert built.facts("bbb") == {"pneumonia": "absent", "abnormal without lung opacity": "present"}
    assert sorted(region["box"] for region in built.of("regions", "aaa")) == [[3, 2, 15, 12], [3, 14, 8, 19]]


def decoded(runs, side):
    """As `mask_functions.py` of SIIM-ACR describes it: walk down the columns, pixel by pixel."""
    flat, position = [0] * side * side, 0
    numbers = [int(number) for number in runs.split()]
    for passed, length in zip(numbers[::2], numbers[1::2], strict=True):
        position += passed
        for _ in range(length):
            flat[position] = 1
            position += 1
    return np.array(flat, bool).reshape(side, side).T


def test_siim_runs_go_down_the_columns_from_the_end_of_the_last(build):
    built = build("siim-acr")
    regions = built.of("regions", "1.2.3")
    masks = [built.corpus.mask(region) for region in regions]
    wanted = [decoded(runs, 24) for runs in ("2 3 4 2", "100 4")]
    assert {mask.astype(bool).tobytes() for mask in masks} == {mask.tobytes() for mask in wanted}
    assert [built.facts(key)["pneumothorax"] for key in ("1.2.3", "1.2.4")] == ["present", "absent"]
    np.testing.assert_array_equal(run_mask("2 3 4 2", (24, 24)), wanted[0])


def test_iu_reports_are_joined_by_uid(build):
    built = build("iu-xray")
    assert built.facts("2_IM") == {"Cardiomegaly": "present", "Pulmonary Artery": "present"}
    assert built.facts("1_IM-0001-4001") == {}
    assert built.texts("1_IM-0001-3001")[0].endswith("FINDINGS: No edema, XXXX.\nIMPRESSION: Normal.")
    assert built.texts("2_IM") == ["EXAMINATION: Chest\nIMPRESSION: Large heart."]
    assert built["1_IM-0001-4001"]["subject"] == built["1_IM-0001-3001"]["subject"]
    assert built.attributes("1_IM-0001-3001")["view"] == "LATERAL"
    assert built["2_IM"]["axes"] == "YX"


def test_open_i_is_read_from_its_xml(build):
    built = build("open-i")
    assert built.facts("CXR2") == {"Cardiomegaly": "present", "Opacity": "present"}
    assert built.facts("CXR1_1_IM-0001-3001") == {}
    assert built.texts("CXR1_1_IM-0001-4001") == ["COMPARISON: None.\nFINDINGS: No edema, XXXX.\nIMPRESSION: Normal."]
    assert built.texts("CXR2") == ["IMPRESSION: Large & old."]
    assert built["IM-0001-3001"]["subject"] == built["IM-0001-4001"]["subject"] == "open-i-CXR1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<eCitation>", "'ecgen-radiology/1.xml' is no XML of a report"),
        ("<other/>", "is no report of Open-i"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><eCitation>&a;</eCitation>', "is no XML of a report (EntitiesForbidden)"),
    ],
)
def test_xml_that_is_no_report_is_refused_in_one_sentence(tmp_path, capsys, content, said):
    sets.open_i(tmp_path)
    (tmp_path / "ecgen-radiology/1.xml").write_text(content)
    assert main(["build", "open-i", str(tmp_path), str(tmp_path / "corpus"), "--engine", "inline"]) == 2
    assert said in capsys.readouterr().err


def test_roco_has_codes_captions_and_the_licence_of_each_picture(build):
    built = build("roco-v2")
    facts = {f["concept"]: f["code"] for f in built.of("facts", "valid")}
    assert facts == {"X-Ray Computed Tomography": "C0040405", "Chest": "C0817096"}
    assert built.texts("test") == ['CT of the "test" chest, axial.']
    assert built["valid"]["licence"] == "CC BY 4.0 [Someone of valid]"
    assert [built.split(part) for part in ("train", "valid", "test")] == ["train", "val", "test"]


def test_busi_masks_and_classes(build):
    built = build("busi")
    assert sorted(r["box"] for r in built.of("regions", "benign (1)")) == [[4, 5, 10, 12], [14, 15, 20, 21]]
    assert built.of("regions", "normal (1)") == []
    assert built.of("regions", "benign (10)") == []  # whose name begins as that of another
    assert built.facts("malignant (1)") == {"malignant breast lesion": "present"}


def test_the_errata_of_messidor_are_followed(build):
    built = build("messidor")
    assert built.facts("63045")["no diabetic retinopathy"] == "present"
    assert built.facts("38557") == {
        "MESSIDOR retinopathy grade 3": "present", "MESSIDOR risk of macular edema grade 1": "present",
    }  # fmt: skip


def saved_as(suffix):
    """MESSIDOR with its tables as workbooks, of the new kind by openpyxl or of the old one by xlwt."""

    def change(root):
        for path in list(root.glob("Base*/*.csv")):
            if suffix == ".xls":
                book = xlwt.Workbook()
                sheet = book.add_sheet("grades")
                cells = [(r, c, value) for r, row in enumerate(rows_of(path)) for c, value in enumerate(row)]
                for r, c, value in cells:  # numbers as numbers, as a spreadsheet saves them
                    sheet.write(r, c, int(value) if value.isdigit() else value)
            else:
                book = Workbook()
                for row in rows_of(path):
                    book.active.append(row)
            book.save(str(path.with_suffix(suffix)))
            path.unlink()

    return change


@pytest.mark.parametrize("suffix", [".xls", ".xlsx"])
def test_workbooks_of_the_old_and_the_new_kind_are_read(build, tmp_path, suffix):
    plain = build("messidor")
    told = {row["uid"]: plain.facts(name) for name, row in plain.rows.items()}
    (tmp_path / "other").mkdir()
    sets.messidor(tmp_path / "other")
    saved_as(suffix)(tmp_path / "other")
    again = Built("messidor", tmp_path / "other", tmp_path / "again")
    assert again.status == 0
    assert {row["uid"]: again.facts(name) for name, row in again.rows.items()} == told
    assert any(facts.get("MESSIDOR retinopathy grade 3") == "present" for facts in told.values())


@pytest.mark.parametrize("content", [b"", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), b"<html>expired</html>"])
def test_a_damaged_workbook_of_the_old_kind_is_one_sentence(tmp_path, capsys, content):
    sets.messidor(tmp_path)
    saved_as(".xls")(tmp_path)
    (tmp_path / "Base12/Annotation_Base12.xls").write_bytes(content)
    assert main(["build", "messidor", str(tmp_path), str(tmp_path / "none"), "--engine", "inline"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "Annotation_Base12.xls' fails" in told or ("Annotation_Base12.xls' is empty" in told and not content)
    assert "save it as CSV" in told or not content
    assert "Traceback" not in told


def test_both_eyes_of_messidor_2_stay_together(build):
    built = build("messidor-2")
    assert built["IM000001"]["subject"] == built["IM000002"]["subject"]
    assert built.facts("43832") == {"diabetic retinopathy grade 2": "present", "diabetic macular edema": "present"}
    assert built.facts("IM000002") == {}  # could not be graded


def test_isic_lesions_patients_and_copies(build):
    built = build("isic-2018")
    assert built["0024306"]["subject"] == built["0024307"]["subject"] == "isic-2018-HAM_0000550"
    assert built.facts("0024306")["melanocytic nevi"] == "present"
    assert built.split("0034524") == "test"


def table_row(built):
    """A line of the table in the docs: what became of the rows of a damaged copy."""
    ledger = built.corpus.ledger().to_pylist()
    rows = [row for row in ledger if row["uid"] is None or row["status"] == "used"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(built.reasons().items())) or "-"
    splits = Counter(built.splits.values())
    return len(rows), len(built.rows), reasons, " / ".join(str(splits[part]) for part in ("train", "val", "test"))


@pytest.mark.cases(9)
@pytest.mark.parametrize("name", sorted(PICTURE_FAULTS))
def test_what_is_wrong_with_a_download_is_in_the_ledger_and_the_docs(build, name):
    built = build(name, faults=PICTURE_FAULTS[name])
    line = f"| `{name}` | {' | '.join(str(cell) for cell in table_row(built))} |"
    assert line in DOCS.read_text("utf-8").splitlines()
    assert (built.status == 0) == all(row["status"] != "failed" for row in built.corpus.ledger().to_pylist())


@pytest.mark.parametrize(
    ("name", "copied", "stray"),
    [
        ("nih-cxr14", "*.png", "00099999_000.png"),
        ("mimic-cxr-jpg", "*.jpg", "0123abcd.jpg"),
        ("busi", "*/benign/benign (1).png", "benign (1) copy.png"),
    ],
)
def test_a_picture_that_no_table_names_is_in_the_ledger(build, capsys, name, copied, stray):
    def add_one(root):
        picture = next(path for path in sorted(root.rglob(copied)) if "_mask" not in path.name)
        (picture.parent / stray).write_bytes(picture.read_bytes())

    built = build(name, faults=add_one)
    (left,) = [row for row in built.corpus.ledger().to_pylist() if row["reason"] == "not-of-the-set"]
    assert left["source"].endswith(stray)
    said = capsys.readouterr().err
    assert "1 pictures of " in said
    assert stray in said


def test_no_patient_is_trained_on_and_tested(build, capsys):
    built = build("mimic-cxr-jpg", faults=PICTURE_FAULTS["mimic-cxr-jpg"])
    said = capsys.readouterr().err
    assert "1 patients in two splits: '10000032'" in said
    assert "1 of 6 rows of the list of official splits" in said  # a patient of whom there is no picture
    assert [key for key in built.rows if "secret" in key] == []
    assert built.split("174413ec") == "test"
    assert "02aa804e" not in built.rows


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "said"),
    [
        ("nih-cxr14", "Data_Entry_2017_v2020.csv", "Finding Labels", "Labels", "no column 'Finding Labels'"),
        ("nih-cxr14", "Data_Entry_2017_v2020.csv", "Cardiomegaly|", "Cardiomegalia|", "label 'Cardiomegalia'"),
        ("mimic-cxr-jpg", "mimic-cxr-2.0.0-split.csv.gz", "validate", "holdout", "in the split 'holdout'"),
        ("mimic-cxr-jpg", "mimic-cxr-2.0.0-chexpert.csv.gz", "1.0", "0.7", "holds '0.7'"),
        ("chexpert", "CheXpert-v1.0-small/train.csv", "study1", "visit1", "another release"),
        ("siim-acr", "train-rle.csv", "EncodedPixels", "Pixels", "no column 'EncodedPixels'"),
        ("rsna-pneumonia", "stage_2_train_labels.csv", "2.0", "two", "no four numbers"),
    ],
)
def test_a_table_of_another_release_is_refused_in_one_sentence(tmp_path, capsys, name, file, old, new, said):
    PICTURE_LAYOUTS[name][0](tmp_path)
    path = tmp_path / file
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode().replace(old, new)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    assert main(["build", name, str(tmp_path), str(tmp_path / "corpus"), "--engine", "inline"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "unexpected" not in error


def test_the_card_says_on_what_terms_the_pictures_are(build, tmp_path):
    build("chexpert")
    out = tmp_path / "card"
    assert main(["card", str(tmp_path / "corpus"), str(out)]) == 0
    assert "credentialed-access-no-redistribution-non-commercial" in (out / "README.md").read_text("utf-8")
    page = (out / "index.html").read_text("utf-8")
    assert "Stanford University Dataset Research Use Agreement" in page
    assert "registration at Stanford AIMI" in page


@pytest.fixture
def nih(tmp_path, monkeypatch):
    """NIH ChestX-ray14 with 32 patients to train on and 24 for the test, in the folder `in`."""
    monkeypatch.chdir(tmp_path)
    rows = [
        (
            f"{patient:08d}_000.png",
            "Pneumonia" if patient % 2 else "No Finding",
            0,
            patient,
            50,
            "M",
            "PA",
            48,
            48,
            0.1,
            0.1,
        )
        for patient in range(1, 57)
    ]
    sets.table(tmp_path / "in/Data_Entry_2017_v2020.csv", sets.NIH_HEAD, *rows)
    for name, *_ in rows:
        sets.picture(tmp_path / f"in/images_001/images/{name}")
    names = [row[0] for row in rows]
    (tmp_path / "in/train_val_list.txt").write_text("\n".join(names[:32]))
    (tmp_path / "in/test_list.txt").write_text("\n".join(names[32:]))


FIT = ["fit", "-c", "medical/cxr", "--data.corpus", "corpus", "--data.batch_size", "16", "--data.num_workers", "0",
       "--trainer.max_steps", "4", "--trainer.accelerator", "cpu", "--trainer.limit_val_batches", "0"]  # fmt: skip


@pytest.mark.sweep(ci=True)
def test_a_set_is_trained_and_evaluated_by_the_commands(nih, tmp_path):
    assert main(["build", "nih-cxr14", "in", "corpus", "--workers", "2"]) == 0
    assert main(["caption", "corpus", "--provider", "template", "--engine", "inline"]) == 0
    assert lightning_main(FIT) == 0
    (checkpoint,) = (tmp_path / "runs").rglob("last.ckpt")
    assert main(["evaluate", str(checkpoint), "medical/pneumoniamnist", "--corpus", "corpus", "--out", "report"]) == 0
    results = json.loads((tmp_path / "report/results.json").read_text("utf-8"))
    assert "medical/pneumoniamnist" in json.dumps(results)


def test_a_licence_that_forbids_training_is_refused_in_one_sentence(nih, tmp_path, monkeypatch, capsys):
    terms = "Acme terms, evaluation only"
    told = replace(picture_set("nih-cxr14"), licence=terms)
    monkeypatch.setattr("voxtile_medical.recipes.pictures.commands.picture_set", lambda name: told)
    assert main(["build", "nih-cxr14", "in", "corpus", "--engine", "inline"]) == 0
    assert terms in " ".join(capsys.readouterr().err.split())
    assert main(["caption", "corpus", "--provider", "template", "--engine", "inline"]) == 0
    capsys.readouterr()
    assert lightning_main(FIT) == 2
    error = " ".join(capsys.readouterr().err.split())
    trained = sum(split == "train" for split in Corpus(tmp_path / "corpus").splits().values())
    assert f"{trained} samples of the split 'train' are under the licence '{terms}', which forbids training" in error
    assert "Traceback" not in error
    assert not list((tmp_path / "runs").rglob("*.ckpt"))
