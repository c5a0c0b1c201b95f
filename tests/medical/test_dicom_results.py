"""Results that go back: masks and findings of a scan as DICOM of its own study, stored in an archive by STOW-RS."""

import json
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from dicomweb_servers import FaultyServer, find_orthanc, orthanc
from pydicom import dcmread

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask
from voxtile.corpus.writer import JobWriter
from voxtile.errors import ConfigError, CorpusError, InputError, RunFailedError
from voxtile.stages.extract import extract_sample
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.dicomweb import address
from voxtile_medical.dicomweb.send import export_dicomweb

PLAIN = {"engine": "inline", "deidentify": False}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(address, "PAUSE_S", 0.0)


@pytest.fixture
def scan(tmp_path, dicom, noise):
    """A series with the elements that derived objects repeat."""
    folder = tmp_path / "scan"
    empty = dict.fromkeys(("StudyID", "AccessionNumber", "PatientBirthDate", "PatientSex", "StudyTime"), "")
    uids = {"SeriesInstanceUID": "2.1.1", "StudyInstanceUID": "2.1", "FrameOfReferenceUID": "2.1.9"}
    dicom.write(folder, noise(4, 8, 8), ReferringPhysicianName="", SliceThickness=2, **empty, **uids)
    return folder


@pytest.fixture
def reported(tmp_path, scan):
    """A corpus of the scan with a mask and facts, and the sample's uid."""
    corpus = tmp_path / "corpus"
    convert_dicom(scan, corpus, **PLAIN)
    [row] = Corpus(corpus).table("samples").to_pylist()
    array = np.zeros(row["shape"], bool)
    array[1:3, 2:5, 2:6] = True
    writer = JobWriter(corpus, "findings")
    writer.add_mask(Mask({"region_id": "lesion-1", "uid": row["uid"], "phrase": "lesion", "source": "masks"}, array))
    about = {"laterality": "right", "location": "segment 6", "size_mm": [31.0, 22.5, 18.0]}
    lesion = {"concept": "liver_lesion", "value": 31.0, "unit": "mm", "region_id": "lesion-1", "code": "SCT:300331000"}
    facts = [
        lesion | {"polarity": "present", "attributes": json.dumps(about), "source": "masks/finding@1"},
        {"concept": "a_name_that_no_ontology_has", "polarity": "uncertain", "source": "reports@9"},
        {"concept": "pleural_effusion", "polarity": "absent", "code": "SCT:60046008", "source": "reports@9"},
        {"concept": "pleural_effusion", "polarity": "absent", "source": "reports@9+template@3"},
        {"concept": "volume", "polarity": "present", "value": 9.0, "unit": "ml", "source": "measurements/size@1"},
    ]
    writer.add_rows("facts", [{"uid": row["uid"], **fact} for fact in facts])
    writer.publish()
    return corpus, row["uid"]


def test_findings_are_a_measurement_report_of_the_scan(tmp_path, scan, reported):
    corpus, uid = reported
    extract_sample(corpus, uid, to="dicom-seg", out=tmp_path / "seg.dcm", originals=scan)
    extract_sample(corpus, uid, to="dicom-sr", out=tmp_path / "sr.dcm", originals=scan)
    report = hd.sr.srread(tmp_path / "sr.dcm")
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (report.StudyInstanceUID, report.PatientID, report.VerificationFlag) == ("2.1", "patient-1", "UNVERIFIED")
    found = {group.finding_type.meaning: group for group in report.content.get_image_measurement_groups()}
    assert sorted(found) == ["a name that no ontology has", "liver lesion", "pleural effusion"]
    lesion = found["liver lesion"]
    assert (lesion.finding_type.value, lesion.finding_type.scheme_designator) == ("300331000", "SCT")
    sizes = [(one.name.meaning, one.value, one.unit.value) for one in lesion.get_measurements()]
    assert sizes == [("Long Axis", 31.0, "mm"), ("Short Axis", 22.5, "mm"), ("Perpendicular Axis", 18.0, "mm")]
    assert lesion.tracking_uid == dcmread(tmp_path / "seg.dcm").SegmentSequence[0].TrackingUID
    [site] = lesion.finding_sites
    assert (site.value.meaning, site.laterality.meaning) == ("segment 6", "Right")
    said = {name: [one.value.meaning for one in group.get_qualitative_evaluations()] for name, group in found.items()}
    assert said["pleural effusion"] == ["Absent"]
    assert said["a name that no ontology has"] == ["Uncertain"]
    [series] = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert (series.SeriesInstanceUID, len(series.ReferencedSOPSequence)) == ("2.1.1", 4)


def test_a_report_without_the_scan_is_of_the_series_that_extract_writes(tmp_path, reported):
    corpus, uid = reported
    extract_sample(corpus, uid, to="dicom", out=tmp_path / "series")
    extract_sample(corpus, uid, to="dicom-sr", out=tmp_path / "one.dcm")
    extract_sample(corpus, uid, to="dicom-sr", out=tmp_path / "two.dcm")
    one, two = (dcmread(tmp_path / name) for name in ("one.dcm", "two.dcm"))
    assert one.SOPInstanceUID == two.SOPInstanceUID
    [series] = one.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    planes = {dcmread(path).SOPInstanceUID for path in (tmp_path / "series").iterdir()}
    assert {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence} == planes


def test_a_sample_without_findings_is_refused(tmp_path, scan):
    convert_dicom(scan, tmp_path / "bare", **PLAIN)
    [uid] = Corpus(tmp_path / "bare").table("samples")["uid"].to_pylist()
    with pytest.raises(CorpusError, match="has no finding to report; make facts with"):
        extract_sample(tmp_path / "bare", uid, to="dicom-sr", out=tmp_path / "none.dcm")
    assert not (tmp_path / "none.dcm").exists()


@pytest.mark.sweep(ci=True)
def test_segmentation_and_report_come_back_from_the_archive(tmp_path, scan, reported):
    if find_orthanc() is None:
        pytest.skip("no Orthanc: apt-get install orthanc orthanc-dicomweb")
    corpus, uid = reported
    results, home = tmp_path / "results", tmp_path / "orthanc"
    results.mkdir()
    home.mkdir()
    for form in ("seg", "sr"):
        extract_sample(corpus, uid, to=f"dicom-{form}", out=results / f"{form}.dcm", originals=scan)
    with orthanc(home) as server:
        export_dicomweb(scan, Path(server))
        assert main(["export", str(results), server, "--to", "dicomweb"]) == 0
        export_dicomweb(results, Path(f"{server}/studies/2.1"))  # once more, which changes nothing
        convert_dicom(Path(f"{server}/studies/2.1"), tmp_path / "back", **PLAIN)
        convert_dicom(Path(f"{server}/studies/2.1"), tmp_path / "far", deidentify=False, workers=1)  # in processes
    back = Corpus(tmp_path / "back")
    [region], [own] = back.table("regions").to_pylist(), Corpus(corpus).table("regions").to_pylist()
    np.testing.assert_array_equal(back.mask(region), Corpus(corpus).mask(own))
    assert back.table("samples")["uid"].to_pylist() == [uid]
    assert Corpus(tmp_path / "far").table("samples")["uid"].to_pylist() == [uid]
    files = [dcmread(path).Modality for path in (tmp_path / "back.dicomweb").rglob("*.dcm")]
    assert sorted(files) == ["CT", "CT", "CT", "CT", "SEG", "SR"]


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (["refused"], "1 of 4 objects were not stored: '.*': the server did not store the object"),
        ([507], "1 of 4 objects were not stored: '.*status 507"),
        ([503] * address.ATTEMPTS, "answered the question for storage of '.*' with status 503; wait"),
    ],
)
def test_what_an_archive_does_not_take_is_named(tmp_path, scan, faults, said):
    with FaultyServer(scan) as server:
        server.faults["stow"] = list(faults)
        with pytest.raises(RunFailedError, match=said):
            export_dicomweb(scan, Path(server.address))
        assert len(server.stored) == 4 + len(faults) - 1
    with pytest.raises(ConfigError, match="is no address of a DICOMweb service"):
        export_dicomweb(scan, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no DICOM file"):
        export_dicomweb(tmp_path / "empty", Path(server.address))


MAY_BE_MISSING = (
    "StudyID", "AccessionNumber", "PatientBirthDate", "PatientSex", "StudyTime", "StudyDate", "PatientName",
    "PatientID", "ReferringPhysicianName", "SliceThickness",
)  # fmt: skip


@pytest.mark.cases(4)
@pytest.mark.parametrize("missing", [*[(name,) for name in MAY_BE_MISSING], MAY_BE_MISSING])
def test_originals_without_what_may_be_empty(tmp_path, reported, scan, missing):
    corpus, uid = reported
    for path in scan.iterdir():
        dataset = dcmread(path)
        for keyword in missing:
            del dataset[keyword]
        dataset.save_as(path)
    for form in ("seg", "sr"):
        extract_sample(corpus, uid, to=f"dicom-{form}", out=tmp_path / f"{form}.dcm", originals=scan)
    seg, report = dcmread(tmp_path / "seg.dcm"), dcmread(tmp_path / "sr.dcm")
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SliceThickness) == 2
    # A report states the thickness of slices where they do, and never the step in its place.
    assert ("Slice Thickness" in str(report)) == ("SliceThickness" not in missing)


def test_originals_without_a_frame_of_reference_are_refused_in_a_sentence(tmp_path, reported, scan):
    corpus, uid = reported
    for path in scan.iterdir():
        dataset = dcmread(path)
        del dataset.FrameOfReferenceUID
        dataset.save_as(path)
    with pytest.raises(InputError, match="no FrameOfReferenceUID, so that no segmentation can say where it lies"):
        extract_sample(corpus, uid, to="dicom-seg", out=tmp_path / "seg.dcm", originals=scan)
