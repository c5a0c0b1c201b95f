"""Rows of a report table that name a patient: never a report on a study of another day, nor on another patient's."""

import pyarrow.dataset as ds
import pytest

from voxtile_datasets.captions.labels import facts_from_labels
from voxtile_medical.convert.dicom import convert_dicom


def study(dicom, noise, folder, number, patient, day, accession):
    values = {"StudyInstanceUID": f"1.2.3.{number}", "SeriesInstanceUID": f"1.3.3.{number}", "StudyDate": day}
    dicom.write(
        folder / str(number), noise(3, 8, 8, seed=number), PatientID=patient, AccessionNumber=accession, **values
    )


def converted(folder, table):
    """Texts of captions, and reasons of rows of the table."""
    path = folder / "reports.csv"
    path.write_text(table)
    convert_dicom(folder / "scans", folder / "corpus", reports=path, engine="inline")
    captions = folder / "corpus" / "tables" / "captions"
    texts = ds.dataset(captions).to_table()["text"].to_pylist() if captions.exists() else []
    rows = ds.dataset(folder / "corpus" / "ledger").to_table()["reason"].to_pylist()
    return sorted(texts), sorted(reason for reason in rows if reason)


@pytest.mark.parametrize("rows", [["First."], ["First.", "Second."]])
def test_a_row_of_a_patient_with_studies_of_several_days_is_of_none(tmp_path, dicom, noise, rows):
    for number, day in enumerate(("20200301", "20210301")):
        study(dicom, noise, tmp_path / "scans", number, "p", day, f"A{number}")
    found = converted(tmp_path, "subject,text\n" + "".join(f"p,{row}\n" for row in rows))
    assert found == ([], ["ambiguous-study"] * len(rows))


def test_of_studies_of_one_day_it_is_of_all(tmp_path, dicom, noise):
    for number in range(2):
        study(dicom, noise, tmp_path / "scans", number, "p", "20200301", f"A{number}")
    assert converted(tmp_path, "subject,text\np,PET and CT.\n") == (["PET and CT."] * 2, [])


def test_a_row_of_a_study_is_attached_beside_rows_of_the_patient(tmp_path, dicom, noise):
    for number, day in enumerate(("20200301", "20210301")):
        study(dicom, noise, tmp_path / "scans", number, "p", day, f"A{number}")
    found = converted(tmp_path, "study,subject,text\nA0,p,Of the first.\n,p,Of neither.\n")
    assert found == (["Of the first."], ["ambiguous-study"])


def test_an_accession_number_of_another_patient_is_no_number_of_the_report(tmp_path, dicom, noise):
    study(dicom, noise, tmp_path / "scans", 0, "p", "20200301", "A0")
    found = converted(tmp_path, "study,subject,text\nA0,p,Own.\nA0,q,Of another hospital.\nA0,,By its number.\n")
    assert found == (["By its number.", "Own."], ["other-patient"])


def test_a_study_uid_is_of_one_study_whatever_the_patient_is_called(tmp_path, dicom, noise):
    study(dicom, noise, tmp_path / "scans", 0, "p", "20200301", "A0")
    assert converted(tmp_path, "study,subject,text\n1.2.3.0,pseudonym-7,Own.\n") == (["Own."], [])


def test_labels_of_a_patient_that_count_for_several_studies_are_told_of(tmp_path, dicom, noise, capsys):
    for number, patient in enumerate(("p", "p", "q")):
        study(dicom, noise, tmp_path / "scans", number, patient, f"202{number}0301", f"A{number}")
    convert_dicom(tmp_path / "scans", tmp_path / "corpus", engine="inline")
    (tmp_path / "labels.csv").write_text("subject,effusion\np,1\nq,0\n")
    facts_from_labels(tmp_path / "corpus", labels=tmp_path / "labels.csv", engine="inline")
    said = " ".join(capsys.readouterr().out.split())
    assert "the labels of 1 subjects count for each of their several studies; a column 'study' says" in said
    (tmp_path / "by-study.csv").write_text("study,effusion\n1.2.3.0,1\n1.2.3.1,0\n1.2.3.2,0\n")
    facts_from_labels(tmp_path / "corpus", labels=tmp_path / "by-study.csv", engine="inline")
    assert "several studies" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("study,text\ns50414267,A report.\n", "no-study: 1 of the reports name no study"),
        ("subject,study,text\n,,A report.\n", "no-study-id: 1 of the reports"),
        ("study,text\nA0,A report.\n", None),
    ],
)
def test_reports_that_are_of_nothing_here_are_said_in_a_sentence(tmp_path, dicom, noise, capsys, table, said):
    study(dicom, noise, tmp_path / "scans", 0, "p", "20200301", "A0")
    converted(tmp_path, table)
    shown = capsys.readouterr().out
    assert said is None or said in shown
    assert ("attached to nothing" in shown) == (said is not None)


GERMAN = (
    "Die Leber ist normal groß, keine fokale Läsion. Kein Aszites. Zyste in der linken Niere. Beurteilung: Nierenzyste "
    "links. Kein Pleuraerguss."
)
ENGLISH = "The liver is of normal size. No ascites. There is a cyst of the left kidney. Mr. Hans Maier was informed."


def test_texts_of_which_much_is_hidden_are_counted_once_and_said(tmp_path, dicom, noise, capsys):
    """The rules know English: of German reports they take the findings for names."""
    for number, accession in enumerate(("A0", "A0", "A1", "A2")):
        study(dicom, noise, tmp_path / "scans", number, f"p{accession}", "20200301", accession)
    table = tmp_path / "reports.csv"
    table.write_text(f'study,text\nA0,"{GERMAN}"\nA1,"{ENGLISH}"\nA2,Kein Pleuraerguss.\n')
    convert_dicom(tmp_path / "scans", tmp_path / "corpus", reports=table, engine="inline")
    assert "of 1 of 3 report texts a sixth of the words or more is hidden" in " ".join(capsys.readouterr().err.split())
    table.write_text(f'study,text\nA1,"{ENGLISH}"\n')
    convert_dicom(tmp_path / "scans", tmp_path / "english", reports=table, engine="inline")
    assert "is hidden" not in capsys.readouterr().err
    table.write_text(f'study,text\nA0,"{GERMAN}"\n')
    convert_dicom(tmp_path / "scans", tmp_path / "plain", reports=table, deidentify=False, engine="inline")
    assert "is hidden" not in capsys.readouterr().err


def test_texts_that_are_no_table_are_said_to_belong_into_one(tmp_path, dicom, noise, capsys):
    study(dicom, noise, tmp_path / "scans", 0, "p", "20200301", "A0")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/A0.txt").write_text("A report.")
    (tmp_path / "reports/A0.json").write_text('[{"study": "A0", "text": "A report."}]')
    convert_dicom(tmp_path / "scans", tmp_path / "corpus", reports=tmp_path / "reports", engine="inline")
    assert "not-a-report: 2 of the files given with --reports are none" in capsys.readouterr().out


@pytest.mark.parametrize("tilted", ["refuse", "resample"])
def test_a_series_that_an_option_stores_names_it_unless_it_was_given(tmp_path, dicom, noise, capsys, tilted):
    # 100 mm sideways for 5 mm upwards: more than the planes are wide, so that resampling is refused, too.
    positions = [(100.0 * n, 0.0, 5.0 * n) for n in range(4)]
    dicom.write(tmp_path / "scans", noise(4, 8, 8), positions=positions)
    convert_dicom(tmp_path / "scans", tmp_path / "corpus", tilted=tilted, engine="inline")
    assert ("--tilted shear or resample" in capsys.readouterr().out) == (tilted == "refuse")


def test_reports_in_other_languages_are_counted_and_said(tmp_path, dicom, noise, capsys):
    study(dicom, noise, tmp_path / "scans", 0, "pA0", "20200301", "A0")
    table = tmp_path / "reports.csv"
    table.write_text(f"study,text\nA0,双肺未见气胸。\nA0,{ENGLISH}\n", encoding="utf-8")
    convert_dicom(tmp_path / "scans", tmp_path / "corpus", reports=table, engine="inline")
    assert "1 of 2 report texts are in another language than English" in " ".join(capsys.readouterr().err.split())
