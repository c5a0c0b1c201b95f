"""Sidecars of NIfTI files: which say something of an image, what of it is kept, and what never is."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pyarrow.dataset as ds
import pytest

from voxtile.errors import RunFailedError
from voxtile_datasets.intake.deidentify import PlainNames
from voxtile_datasets.intake.planner import Planner
from voxtile_datasets.intake.splits_file import Splits
from voxtile_medical.convert.nifti import convert_nifti
from voxtile_medical.nifti.task import NiftiTask


def write(root, path, shape=(5, 6, 7)):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(0, 4096, shape).astype("int16")
    nib.Nifti1Image(values, np.eye(4)).to_filename(root / path)


def say(root, path, value):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(value if isinstance(value, str) else json.dumps(value))


def convert(root, **options):
    """Rows of samples by source, and of other items their reasons."""
    names = PlainNames()
    planner = Planner(names, Splits(names, "0.8,0.1,0.1", None))
    settings = {"label_patterns": ("*seg*",), "modality": "OT", "deidentify": False, "planner": planner, **options}
    task = NiftiTask(root, **settings)
    outcomes = {item.source: task.process(item) for item in task.items()}
    rows = {s: [x.row for x in o.samples] or o.reason for s, o in outcomes.items()}
    return rows, outcomes


def attributes(row):
    return json.loads(row["attributes"])


def test_sidecars_are_inherited_from_above_and_the_nearest_goes_before(tmp_path):
    image = "sub-01/ses-a/anat/sub-01_ses-a_acq-mprage_run-2_T1w.nii.gz"
    write(tmp_path, image)
    write(tmp_path, "sub-02/anat/sub-02_T1w.nii.gz")
    say(tmp_path, "T1w.json", {"EchoTime": 0.005, "MagneticFieldStrength": 3, "Manufacturer": "Siemens Healthineers"})
    say(tmp_path, "sub-01/sub-01_T1w.json", {"EchoTime": 0.004, "FlipAngle": 9})
    say(tmp_path, "sub-01/ses-a/anat/sub-01_ses-a_acq-mprage_run-2_T1w.json", {"EchoTime": 0.003, "InversionTime": 0.9})
    say(tmp_path, "sub-01/ses-a/anat/sub-01_ses-a_acq-other_T1w.json", {"FlipAngle": 90})
    say(tmp_path, "sub-01/ses-a/anat/sub-01_ses-a_T2w.json", {"FlipAngle": 91})
    rows, outcomes = convert(tmp_path)
    assert attributes(rows[image][0]) == {
        "affine_from": "sform", "echo_time_ms": 3.0, "inversion_time_ms": 900.0, "flip_angle_deg": 9.0,
        "field_strength_t": 3.0, "vendor": "SIEMENS", "described_as": ["t1"], "bids": {"run": 2},
    }  # fmt: skip
    other = attributes(rows["sub-02/anat/sub-02_T1w.nii.gz"][0])
    assert (other["echo_time_ms"], other.get("flip_angle_deg")) == (5.0, None)
    assert [json.loads(fact["attributes"])["role"] for fact in outcomes[image].tables["facts"]] == ["t1"]


def test_what_dcm2niix_writes_and_what_is_never_kept(tmp_path):
    write(tmp_path, "scan.nii.gz")
    secret = {
        key: "Secretword"
        for key in (
            "PatientName", "PatientID", "InstitutionName", "StationName", "DeviceSerialNumber", "OperatorsName",
            "ManufacturersModelName", "AcquisitionDateTime", "ConvolutionKernel", "BodyPartExamined", "Manufacturer",
        )
    }  # fmt: skip
    known = {
        "Modality": "PT", "Units": "Bq/mL", "SeriesDescription": "Secretword WB AC",
        "ImageType": ["ORIGINAL", "Secretword"],
        "ScanningSequence": "GR\\IR", "EchoTime": 4000, "RepetitionTime": 10**400, "FlipAngle": True,
        "SliceThickness": "Secretword", "ContrastBolusIngredient": "Secretword",
    }  # fmt: skip
    say(tmp_path, "scan.json", secret | known)
    (row,) = convert(tmp_path)[0]["scan.nii.gz"]
    assert (row["modality"], row["units"]) == ("PT", "BQML")
    assert attributes(row) == {
        "affine_from": "sform", "described_as": ["attenuation-corrected"], "image_type": ["ORIGINAL"],
        "scanning_sequence": ["GR", "IR"], "mr_sequence": "GR", "contrast": True,
    }  # fmt: skip
    (row,) = convert(tmp_path, modality="MR", units="x")[0]["scan.nii.gz"]
    assert (row["modality"], row["units"]) == ("MR", "x")


@pytest.mark.parametrize(("unit", "band"), [(None, "60-69"), ("years", "60-69"), ("months", None)])
def test_participants(tmp_path, unit, band):
    for subject in ("01", "02", "03"):
        write(tmp_path, f"sub-{subject}/anat/sub-{subject}_T2w.nii.gz")
    table = "participant_id\tsex\tage\tname\nsub-01\tF\t63.5\tSecretword\nsub-02\tmale\t93\t\nsub-03\tn/a\t\t\n"
    say(tmp_path, "participants.tsv", "\ufeff" + table.replace("63.5", "63\0.5"))
    if unit:
        say(tmp_path, "participants.json", {"age": {"Units": unit}})
    rows = [attributes(convert(tmp_path)[0][f"sub-{s}/anat/sub-{s}_T2w.nii.gz"][0]) for s in ("01", "02", "03")]
    assert [row.get("sex") for row in rows] == ["F", "M", None]
    assert [row.get("age_band") for row in rows] == [band, "90+" if band else None, None]
    assert "Secretword" not in json.dumps(rows)


def test_b_values_of_each_volume_and_those_of_another_image(tmp_path):
    write(tmp_path, "sub-01/dwi/sub-01_dir-AP_dwi.nii.gz", (4, 4, 4, 3))
    say(tmp_path, "sub-01/dwi/sub-01_dir-AP_dwi.bval", "0 1000 2000\n")
    rows = convert(tmp_path)[0]["sub-01/dwi/sub-01_dir-AP_dwi.nii.gz"]
    assert [attributes(row)["b_value_s_mm2"] for row in rows] == [0, 1000, 2000]
    assert convert(tmp_path)[1]["sub-01/dwi/sub-01_dir-AP_dwi.nii.gz"].parts == ()
    assert attributes(rows[0])["bids"] == {"dir": "AP"}
    say(tmp_path, "sub-01/dwi/sub-01_dir-AP_dwi.bval", "0 1000\n")
    (part,) = convert(tmp_path)[1]["sub-01/dwi/sub-01_dir-AP_dwi.nii.gz"].parts
    assert (part.status, part.reason) == ("dropped", "other-b-values")
    assert "2 numbers, and the image 3 volumes" in part.detail
    for text in ("0 1000\n", "0 1000 nan\n"):
        say(tmp_path, "sub-01/dwi/sub-01_dir-AP_dwi.bval", text)
        rows, _ = convert(tmp_path)
        assert not any("b_value_s_mm2" in attributes(row) for row in rows["sub-01/dwi/sub-01_dir-AP_dwi.nii.gz"])
    assert rows["sub-01/dwi/sub-01_dir-AP_dwi.bval"] == "unreadable-sidecar"


def test_sidecars_that_cannot_be_read_are_rows_and_the_image_is_used(tmp_path):
    for number, text in enumerate(("[1]", '{"EchoTime": Secretword', "[" * 100_000, "\xff")):
        write(tmp_path, f"{number}.nii.gz")
        (tmp_path / f"{number}.json").write_bytes(text.encode("latin-1"))
    corpus = tmp_path.with_name(tmp_path.name + "-corpus")
    with pytest.raises(RunFailedError) as raised:
        convert_nifti(tmp_path, corpus, modality="MR", engine="inline")
    assert "Secretword" not in str(raised.value)
    rows = ds.dataset(corpus / "ledger").to_table().to_pylist()
    assert sorted(str(row["reason"]) for row in rows) == ["None"] * 4 + ["unreadable-sidecar"] * 4
