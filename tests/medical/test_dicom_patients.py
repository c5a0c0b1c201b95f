"""Two people under one UID, two contents under one instance, planes that are none of the volume, slices lost."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom.uid import DigitalXRayImageStorageForPresentation, JPEG2000Lossless

from voxtile_datasets.intake.deidentify import PlainNames
from voxtile_datasets.intake.planner import Planner
from voxtile_datasets.intake.reports_file import read_reports
from voxtile_datasets.intake.splits_file import Splits
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.dicom.task import DicomTask

BETWEEN = [[0.0, 0.0, 2.0 * k + 1] for k in range(4)]
BEHIND = [[0.0, 0.0, 8.0 + 2 * k] for k in range(4)]


def two_patients(dicom, noise, folder, positions, **second):
    first, other = noise(4, 3, 3), noise(4, 3, 3, seed=1)
    dicom.write(folder / "a", first, PatientID="A", PatientName="Doe^Jane")
    dicom.write(folder / "b", other, positions, **{"PatientID": "B", "PatientName": "Roe^Max", **second})
    return first, other


@pytest.mark.parametrize("positions", [BETWEEN, BEHIND, None])
def test_two_patients_under_one_series_uid_are_two_volumes(tmp_path, dicom, noise, positions):
    volumes = two_patients(dicom, noise, tmp_path, positions)
    result = dicom.convert(tmp_path)
    assert result.verdicts == ["used", "used"]
    assert [sample.row["subject"] for sample in result.samples] == ["A", "B"]
    for sample, volume in zip(result.samples, volumes, strict=True):
        np.testing.assert_array_equal(sample.payload, volume[:, ::-1, ::-1])
    assert len({sample.row["uid"] for sample in result.samples}) == 2
    marks = [json.loads(sample.row["attributes"])["series"] for sample in result.samples]
    assert marks[0] != marks[1]


@pytest.mark.parametrize(
    "second",
    [
        {"PatientID": "A"},  # another name under one number
        {"PatientID": "A", "PatientName": "Doe^Jane", "PatientBirthDate": "19700101"},
        {"PatientID": "A", "PatientName": "Doe^Jane", "PatientSex": "M"},
    ],
)
def test_one_number_with_the_names_of_two_people_is_refused(tmp_path, dicom, noise, second):
    first = {"PatientBirthDate": "19500101", "PatientSex": "F"}
    dicom.write(tmp_path / "a", noise(4, 3, 3), PatientID="A", PatientName="Doe^Jane", **first)
    own = {"PatientID": "A", "PatientName": "Roe^Max", **second}
    dicom.write(tmp_path / "b", noise(4, 3, 3, seed=1), BEHIND, **own)
    result = dicom.convert(tmp_path)
    assert result.verdicts == ["mixed-patients"]
    assert not result.samples
    assert all(word not in (result.outcomes[0].detail or "") for word in ("Doe", "Roe", "Jane", "1950"))


@pytest.mark.cases(8)
@pytest.mark.parametrize(
    ("second", "is_told"),
    [
        ({"PatientBirthDate": "19700101"}, True),
        ({"PatientSex": "M"}, True),
        ({"IssuerOfPatientID": "other house"}, True),
        ({"PatientName": "Roe^Max", "PatientBirthDate": ""}, True),
        ({"PatientName": "Roe^Jane"}, False),  # married
        ({"PatientName": "ROE^MAX"}, False),  # with the same date of birth: a spelling, or a name that was changed
        ({"PatientSex": "O", "PatientBirthDate": "", "PatientName": ""}, False),
        ({}, False),
    ],
)
def test_people_who_share_an_id_in_several_studies_are_told(tmp_path, dicom, noise, capsys, second, is_told):
    first = {"PatientName": "Doe^Jane", "PatientBirthDate": "19500101", "PatientSex": "F", "IssuerOfPatientID": "house"}
    for number, more in enumerate(({}, {"PatientName": "", "IssuerOfPatientID": ""}, second)):
        uids = {"StudyInstanceUID": f"1.{number}", "SeriesInstanceUID": f"1.{number}.1"}
        folder = tmp_path / "in" / str(number)
        dicom.write(folder, noise(4, 3, 3, seed=number), PatientID="A", **{**first, **uids, **more})
    convert_dicom(tmp_path / "in", tmp_path / "corpus", engine="inline")
    said = " ".join(capsys.readouterr().out.split())
    assert ("1 PatientIDs stand for several people by their names, dates of birth or sexes (see '2/" in said) == is_told
    assert not any(word in said for word in ("Doe", "Roe", "Jane", "1950"))


@pytest.mark.parametrize("second", [{"PatientID": "B"}, {"PatientID": "B", "PatientName": "Doe^Jane"}])
def test_two_patients_in_one_frame_of_reference_are_refused(tmp_path, dicom, noise, second):
    dicom.write(tmp_path / "a", noise(4, 3, 3), PatientID="A", FrameOfReferenceUID="1.5")
    dicom.write(tmp_path / "b", noise(4, 3, 3, seed=1), BEHIND, FrameOfReferenceUID="1.5", **second)
    assert dicom.convert(tmp_path).verdicts == ["mixed-patients"]


def test_files_without_a_patient_go_with_one_and_not_with_two(tmp_path, dicom, noise):
    blank = dicom.each(["A", None, "A", "A"])
    dicom.write(tmp_path / "a", noise(4, 3, 3), PatientID=blank, PatientName="Doe^Jane", SeriesInstanceUID="1.1")
    spellings = dicom.each(["Doe^Jane", "DOE^JANE^^", "Doe, Jane", "Doe^Jane^M"])
    dicom.write(tmp_path / "b", noise(4, 3, 3), PatientName=spellings, SeriesInstanceUID="1.2")
    two = dicom.each(["A", None, "B", "B"])
    dicom.write(tmp_path / "c", noise(4, 3, 3), PatientID=two, PatientName=None, SeriesInstanceUID="1.3")
    assert dicom.convert(tmp_path).verdicts == ["used", "used", "mixed-patients"]


def test_planes_in_two_frames_of_reference_are_no_one_volume(tmp_path, dicom, noise):
    dicom.write(tmp_path / "a", noise(4, 3, 3), FrameOfReferenceUID="1.5", SeriesInstanceUID="1.1")
    dicom.write(tmp_path / "b", noise(4, 3, 3), BEHIND, FrameOfReferenceUID="1.6", SeriesInstanceUID="1.1")
    each = dicom.each([f"1.7.{k}" for k in range(4)])
    dicom.write(tmp_path / "c", noise(4, 3, 3), FrameOfReferenceUID=each, SeriesInstanceUID="1.2")
    result = dicom.convert(tmp_path)
    assert result.verdicts == ["used", "used", "mixed-frames-of-reference"]
    assert [sample.payload.shape for sample in result.samples] == [(4, 3, 3)] * 2


def with_reports(folder, table):
    names = PlainNames()
    planner = Planner(names, Splits(names, "0.8,0.1,0.1", None), reports=read_reports(table))
    task = DicomTask(folder, planner=planner, deidentify=False)
    return [(item, task.process(item)) for item in task.items()]


def test_a_report_by_a_study_number_of_two_patients_is_nobodys(tmp_path, dicom, noise):
    two_patients(dicom, noise, tmp_path / "scans", BEHIND, StudyInstanceUID="1.3", SeriesInstanceUID="1.4")
    for path in (tmp_path / "scans" / "a").iterdir():
        path.unlink()
    dicom.write(
        tmp_path / "scans" / "a", noise(4, 3, 3), StudyInstanceUID="1.3", SeriesInstanceUID="1.4", PatientID="A"
    )
    table = tmp_path / "reports.csv"
    table.write_text("study,subject,text\n1.3,,Of one of them.\n1.3,B,Of the second.\n")
    rows = with_reports(tmp_path / "scans", table)
    texts = {o.samples[0].row["subject"]: [c["text"] for c in o.tables.get("captions", [])] for _, o in rows[:2]}
    assert texts == {"A": [], "B": ["Of the second."]}
    assert [(item.source, outcome.reason) for item, outcome in rows[2:]] == [("report row 1", "ambiguous-study")]


def test_a_copy_has_the_same_pixels(tmp_path, dicom, noise):
    paths = dicom.write(tmp_path, noise(4, 8, 8))
    copy = dicom.make(noise(8, 8, seed=5), SOPInstanceUID="1.9", InstanceNumber=2, ImagePositionPatient=[0, 0, 2.0])
    original = dicom.make(noise(8, 8), SOPInstanceUID="1.9", InstanceNumber=2, ImagePositionPatient=[0, 0, 2.0])
    original.save_as(paths[1], enforce_file_format=True)
    copy.save_as(tmp_path / "other", enforce_file_format=True)
    result = dicom.convert(tmp_path)
    assert result.verdicts == ["conflicting-copies"]
    assert result.outcomes[0].status == "failed"


def test_a_copy_in_another_transfer_syntax_is_a_copy_and_one_of_another_scale_is_none(tmp_path, dicom, noise):
    for name, own in (("same", {}), ("scaled", {"RescaleSlope": 2})):
        series = {"SeriesInstanceUID": f"1.{len(name)}"}
        paths = dicom.write(tmp_path / name, noise(4, 64, 64), **series)
        first = dicom.make(noise(64, 64), SOPInstanceUID="1.9", InstanceNumber=1, **series)
        first.save_as(paths[0], enforce_file_format=True)
        copy = dicom.make(noise(64, 64), SOPInstanceUID="1.9", InstanceNumber=1, **series, **own)
        copy.compress(JPEG2000Lossless, generate_instance_uid=False)
        copy.save_as(tmp_path / name / "z", enforce_file_format=True)
    assert dicom.convert(tmp_path).verdicts == ["used", "conflicting-copies", "duplicate-file"]


def test_a_radiograph_with_two_contents_costs_itself(tmp_path, dicom, noise):
    kind = {"Modality": "DX", "SOPClassUID": DigitalXRayImageStorageForPresentation, "ImagePositionPatient": None}
    for number in range(3):
        made = dicom.make(noise(8, 8, seed=number), SOPInstanceUID=f"1.{max(number, 1)}", InstanceNumber=1, **kind)
        made.save_as(tmp_path / str(number), enforce_file_format=True)
    result = dicom.convert(tmp_path)
    assert sorted(result.verdicts) == ["conflicting-copies", "conflicting-copies", "used"]


def test_one_slice_sent_twice_does_not_cost_its_series(tmp_path, dicom, noise):
    volume = noise(4, 3, 3)
    dicom.write(tmp_path, volume)
    again = dicom.make(volume[2], InstanceNumber=9, ImagePositionPatient=[0.0, 0.0, 4.0])
    again.save_as(tmp_path / "again", enforce_file_format=True)
    result = dicom.convert(tmp_path)
    assert sorted(result.verdicts) == ["duplicate-file", "used"]
    np.testing.assert_array_equal(result.samples[0].payload, volume[:, ::-1, ::-1])
    assert "under another UID" in (result.outcomes[-1].detail or "")


SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]


@pytest.mark.parametrize(
    "scout",
    [
        {"ImageOrientationPatient": SAGITTAL},
        {"Rows": 5, "Columns": 5, "ImageOrientationPatient": SAGITTAL},
        {"ImagePositionPatient": None, "ImageOrientationPatient": None},
    ],
)
def test_a_scout_without_its_mark_does_not_cost_its_series(tmp_path, dicom, noise, scout):
    volume = noise(6, 3, 3)
    dicom.write(tmp_path, volume)
    dicom.make(noise(scout.get("Rows", 3), 3 if "Rows" not in scout else 5), **scout).save_as(
        tmp_path / "scout", enforce_file_format=True
    )
    result = dicom.convert(tmp_path)
    assert sorted(result.verdicts) == ["odd-plane", "used"]
    assert result.verdict_of("scout") == "odd-plane"
    np.testing.assert_array_equal(result.samples[0].payload, volume[:, ::-1, ::-1])


def test_a_slice_of_another_size_where_the_stack_goes_on_costs_the_series(tmp_path, dicom, noise):
    dicom.write(tmp_path, noise(6, 3, 3))
    dicom.make(noise(5, 5), ImagePositionPatient=[0, 0, 12.0]).save_as(tmp_path / "last", enforce_file_format=True)
    assert dicom.convert(tmp_path).verdicts == ["inconsistent-size"]


def damage_header(path):
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x20\x00\x0e\x00UI") + 60])


def damage_all(path):
    path.write_bytes(b"")


def damage_start(path):
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("damage", [damage_header, damage_all, damage_start])
def test_a_damaged_first_or_last_slice_is_a_verdict_and_no_shorter_volume(tmp_path, dicom, noise, damage, place):
    paths = dicom.write(tmp_path, noise(6, 8, 8))
    for path in dicom.write(tmp_path / "other folder", noise(6, 8, 8), SeriesInstanceUID="1.7"):
        path.rename(path.with_suffix(".other"))
    (tmp_path / "readme-1.txt").write_text("no slice")
    damage(paths[place])
    result = dicom.convert(tmp_path)
    assert result.verdict_of(paths[place].name) not in ("used", "incomplete-series")
    used = [o for o in result.outcomes if o.samples]
    assert len(used) == 1
    assert "incomplete-series" in result.verdicts


def test_a_damaged_file_between_two_series_is_given_to_the_one_that_lacks_it(tmp_path, dicom, noise):
    first = dicom.write(tmp_path, noise(4, 8, 8), SeriesInstanceUID="1.1")
    for number, path in enumerate(sorted(first)):
        path.rename(tmp_path / f"IM{number + 1:03d}")
    second = dicom.write(tmp_path / "b", noise(4, 8, 8), SeriesInstanceUID="1.2")
    for number, path in enumerate(sorted(second)):
        path.rename(tmp_path / f"IM{number + 5:03d}")
    damage_all(tmp_path / "IM004")
    result = dicom.convert(tmp_path)
    assert {item.source[-5:]: v for item, v in zip(result.items, result.verdicts, strict=True)} == {
        "IM001": "incomplete-series", "IM005": "used", "IM004": "not-dicom",
    }  # fmt: skip


@pytest.mark.parametrize("other", ["patient-2", "patient-1"])
def test_one_scan_under_two_patient_ids_is_told(tmp_path, dicom, noise, capsys, other):
    """Test data sent twice, or a patient merged at the console: new UIDs, another number, the same pixels."""
    volume = noise(4, 5, 6)
    dicom.write(tmp_path / "in" / "a", volume)
    own = {"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1", "PatientID": other}
    dicom.write(tmp_path / "in" / "b", volume, **own)
    convert_dicom(tmp_path / "in", tmp_path / "c", engine="inline")
    said = " ".join(capsys.readouterr().err.split())
    assert ("note: 1 images have the very pixels of an image of another subject" in said) == (other == "patient-2")
