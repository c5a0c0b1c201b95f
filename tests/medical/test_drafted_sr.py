"""`voxtile report --to dicom-sr`: what was drafted as a report that other readers of DICOM take, of those slices."""

import shutil
import subprocess

import highdicom as hd
import numpy as np
import pytest
import torch
from pydicom import dcmread
from small_assistants import write_assistant

from voxtile.assist import Assistant
from voxtile.assist.speaking.replies import WARNING
from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.data import VolumePreset
from voxtile.errors import InputError
from voxtile.formats.dicom_seg import Segment, write_segments
from voxtile.formats.dicom_sr import Finding, write_drafted_sr
from voxtile.types import Turn
from voxtile_medical.convert.dicom import convert_dicom

FINDINGS = "There is a nodule of 8 mm in the left lung. There is no pleural effusion."
DRAFT = f"{FINDINGS} The picture is a nice one."  # which names none


@pytest.fixture
def scan(tmp_path, dicom, noise):
    folder = tmp_path / "scan"
    empty = dict.fromkeys(("StudyID", "AccessionNumber", "PatientBirthDate", "PatientSex", "StudyTime"), "")
    uids = {"SeriesInstanceUID": "2.1.1", "StudyInstanceUID": "2.1", "FrameOfReferenceUID": "2.1.9"}
    dicom.write(folder, noise(6, 8, 8), ReferringPhysicianName="", SliceThickness=2, **empty, **uids)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    preset = VolumePreset(shape=(6, 8, 8), spacing="native", units="HU", modalities=("CT",))
    images = torch.zeros(1, preset.channels, *preset.grid)
    path = tmp_path_factory.mktemp("drafts") / "last.ckpt"
    return write_assistant(path, preset.to_config(), images, [(Turn("List the findings.", DRAFT, "report"),)], steps=80)


def comments(items):
    return [item.value for item in items if item.name.value == "121106"]


def complaints(file):
    """What dciodvfy calls an error; without highdicom's own names of codes, which it does not know."""
    if shutil.which("dciodvfy") is None:
        return []
    said = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False).stderr
    return [line for line in said.splitlines() if line.startswith("Error")]


def test_a_draft_is_a_measurement_report_of_the_series(tmp_path, scan, model, capsys):
    out = tmp_path / "report.dcm"
    assert main(["report", str(scan), "--model", str(model), "--to", "dicom-sr", "--out", str(out)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "nodule of 8 mm" in said
    assert f"wrote {out}" in said
    report = hd.sr.srread(out)
    assert (report.PatientID, report.StudyInstanceUID, report.VerificationFlag) == ("patient-1", "2.1", "UNVERIFIED")
    [series] = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    slices = {dcmread(path).SOPInstanceUID for path in scan.iterdir()}
    assert {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence} == slices
    groups = {group.finding_type.meaning: group for group in report.content.get_image_measurement_groups()}
    assert sorted(groups) == ["pleural effusion", "pulmonary nodule"]
    nodule = groups["pulmonary nodule"]
    assert (nodule.finding_type.scheme_designator, nodule.finding_type.value) == ("SCT", "427359005")
    assert [site.laterality.meaning for site in nodule.finding_sites] == ["Left"]
    assert [one.value.meaning for one in groups["pleural effusion"].get_qualitative_evaluations()] == ["Absent"]
    long_axis, support = nodule.get_measurements()
    assert (long_axis.value, long_axis.unit.value) == (8.0, "mm")
    assistant = Assistant(str(model))
    convert_dicom(scan, tmp_path / "own", engine="inline", deidentify=False)
    own = Corpus(tmp_path / "own")
    image = assistant.preset(own.source(own.table("samples", with_root=True).to_pylist()[0]), None)
    [claim] = [one for one in assistant.report(image).claims if "nodule" in one.text]
    assert support.value == pytest.approx(claim.support, abs=1e-3)
    assert comments(nodule[0].ContentSequence) == [claim.text]
    assert comments(report.content[0].ContentSequence) == [WARNING, "The picture is a nice one."]
    assert "voxtile" in str(report.content[0].ContentSequence), "the device that observed"
    assert complaints(out) == []


@pytest.mark.parametrize("enhanced", [False, True])
def test_findings_refer_to_the_segments_that_show_them(tmp_path, scan, enhanced):
    if enhanced:  # the same as one file of many frames
        slices = [dcmread(path) for path in sorted(scan.iterdir())]
        for one in slices:
            one.PatientName, one.AccessionNumber = "Doe^Jane", ""
        whole = hd.legacy.LegacyConvertedEnhancedCTImage(slices, "2.1.2", 2, "2.1.2.1", 1)
        scan = tmp_path / "enhanced"
        scan.mkdir()
        whole.save_as(scan / "whole.dcm")
    convert_dicom(scan, tmp_path / "corpus", engine="inline", deidentify=False)
    corpus = Corpus(tmp_path / "corpus")
    [row] = corpus.table("samples", with_root=True).to_pylist()
    mask = np.zeros(row["shape"], bool)
    mask[1:3, 2:5, 2:6] = True
    segment = Segment({"region_id": "n", "phrase": "nodule"}, None, {"algorithm": "AUTOMATIC", "software": "m"}, mask)
    sample = corpus.source(row)
    [seg] = write_segments(sample, [segment], corpus.roots[0], tmp_path / "seg.dcm", scan)
    fact = {"concept": "nodule", "polarity": "present", "value": None, "unit": None, "code": None, "region_id": None}
    finding = Finding(fact | {"attributes": {}}, "A nodule.", 0.5, (seg, 1))
    [out] = write_drafted_sr(corpus, sample, [finding], ["A remark."], tmp_path / "sr.dcm", scan)
    [group] = hd.sr.srread(out).content.get_volumetric_roi_measurement_groups()
    segments = [part for part in group[0].ContentSequence if part.ValueType == "IMAGE"]
    [shown] = [part.ReferencedSOPSequence[0] for part in segments]
    assert (shown.ReferencedSOPInstanceUID, shown.ReferencedSegmentNumber) == (dcmread(seg).SOPInstanceUID, 1)
    assert complaints(out) == []


def test_a_draft_without_a_finding_is_refused_in_a_sentence(tmp_path, scan):
    convert_dicom(scan, tmp_path / "corpus", engine="inline", deidentify=False)
    corpus = Corpus(tmp_path / "corpus")
    sample = corpus.source(corpus.table("samples", with_root=True).to_pylist()[0])
    with pytest.raises(InputError, match=r"the draft states no finding .* leave --to out"):
        write_drafted_sr(corpus, sample, [], ["A remark."], tmp_path / "sr.dcm", scan)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "dicom-sr"], "name it with --out"),
        (["--to", "dicom-sr", "--out", "{folder}"], "name it with --out"),
        (["--to", "dicom-sr", "--out", "{folder}/report.dcm"], "a DICOM report refers to a DICOM series"),
    ],
)
def test_what_is_no_series_has_no_dicom_report(tmp_path, model, words, said, capsys):
    (tmp_path / "scan.nii").write_bytes(b"")
    given = [word.format(folder=tmp_path) for word in words]
    assert main(["report", str(tmp_path / "scan.nii"), "--model", str(model), *given]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "report.dcm").exists()
