"""Roles of series: rules over elements against series labelled by hand; descriptions as weak evidence; real series."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import MRImageStorage

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.schema import ROLE
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile_medical.series_roles.command import facts_from_series
from voxtile_medical.series_roles.ct import kernel_kind
from voxtile_medical.series_roles.facts import roles_of_series
from voxtile_medical.series_roles.words import description_words

# Protocol parameters as hospitals print them, each with the role that a radiographer would give the series.
SE, IR, GR = ["SE"], ["SE", "IR"], ["GR"]
MR_SERIES = [
    ({"repetition_time_ms": 500, "echo_time_ms": 9, "scanning_sequence": SE}, "t1"),
    ({"repetition_time_ms": 2300, "echo_time_ms": 2.9, "inversion_time_ms": 900, "scanning_sequence": ["GR"]}, "t1"),
    ({"repetition_time_ms": 7.5, "echo_time_ms": 3.4, "flip_angle_deg": 12, "scanning_sequence": GR}, "t1"),
    ({"repetition_time_ms": 550, "echo_time_ms": 12, "scanning_sequence": SE, "contrast": True}, "t1-post"),
    ({"repetition_time_ms": 4500, "echo_time_ms": 95, "scanning_sequence": SE}, "t2"),
    ({"repetition_time_ms": 3200, "echo_time_ms": 20, "scanning_sequence": SE}, "pd"),
    ({"repetition_time_ms": 9000, "echo_time_ms": 110, "inversion_time_ms": 2500, "scanning_sequence": IR}, "flair"),
    ({"repetition_time_ms": 4000, "echo_time_ms": 40, "inversion_time_ms": 160, "scanning_sequence": IR}, "stir"),
    ({"repetition_time_ms": 5000, "echo_time_ms": 80, "b_value_s_mm2": 1000, "scanning_sequence": ["EP"]}, "dwi"),
    ({"repetition_time_ms": 5000, "echo_time_ms": 80, "image_type": ["DERIVED", "PRIMARY", "ADC"]}, "adc"),
    ({"repetition_time_ms": 620, "echo_time_ms": 20, "scanning_sequence": GR}, "t2star"),
    ({"acquisition_contrast": "FLUID_ATTENUATED"}, "flair"),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "role"), MR_SERIES)
def test_weighting_follows_the_sequence_not_the_name(attributes, role):
    found = [r for r in roles_of_series("MR", attributes) if r.aspect == "weighting"]
    assert [(r.role, r.certain) for r in found] == [(role, True)]
    assert set(found[0].evidence) <= set(attributes)
    assert found[0].evidence


@pytest.mark.parametrize(
    ("modality", "attributes", "roles"),
    [
        ("CT", {"contrast": True, "contrast_delay_s": 30.0, "kernel": "B30f"}, {"contrast", "arterial", "soft-kernel"}),
        ("CT", {"contrast": True, "contrast_phase": "PORTAL_VENOUS", "contrast_delay_s": 20}, {"contrast", "venous"}),
        ("CT", {"contrast": True, "contrast_delay_s": 300.0, "kernel": "LUNG"}, {"contrast", "delayed", "lung-kernel"}),
        ("CT", {"kernel": "BONEPLUS"}, {"bone-kernel"}),
        ("CT", {"contrast": True, "contrast_delay_s": 140.0}, {"contrast"}),  # between two phases: no phase is claimed
        ("PT", {"corrections": ["DECY", "ATTN"]}, {"pet", "pet-ac"}),
        ("PT", {"corrections": ["DECY"]}, {"pet", "pet-nac"}),
        ("DX", {"view": "PA"}, {"frontal"}),
        ("CR", {"view": "LL"}, {"lateral"}),
        ("MG", {"view": "MLO"}, {"mlo"}),
        ("US", {"view": "PA"}, set()),
    ],
)
def test_roles_of_other_modalities(modality, attributes, roles):
    found = roles_of_series(modality, attributes)
    assert {r.role for r in found if r.certain} == roles


@pytest.mark.parametrize(
    ("modality", "attributes", "role"),
    [
        ("MR", {"described_as": ["flair"]}, "flair"),  # nothing but the description
        ("MR", {"repetition_time_ms": 500, "echo_time_ms": 9, "described_as": ["t2"]}, "t1"),  # against the description
        (
            "MR",
            {"repetition_time_ms": 500, "echo_time_ms": 9, "described_as": ["t1", "contrast"]},
            "t1",
        ),  # agent unsaid
        ("CT", {"described_as": ["arterial"]}, "arterial"),
        ("CT", {"kernel": "B30f", "described_as": ["lung"]}, "soft-kernel"),
        ("PT", {"corrections": ["ATTN"], "described_as": ["not-corrected"]}, "pet-ac"),
        ("DX", {"view": "PA", "described_as": ["lateral"]}, "frontal"),
    ],
)
def test_what_a_description_alone_says_or_contradicts_is_uncertain(modality, attributes, role):
    found = {r.role: r for r in roles_of_series(modality, attributes)}
    assert not found[role].certain


def test_descriptions_become_words_of_a_closed_list():
    assert description_words("t1_mprage_sag_p2_iso Mueller^Hans MRN123") == ("t1",)
    assert description_words("AX T2 FLAIR FS") == ("t2", "flair")
    assert description_words("ABD/PEL portal venous 5.0 B30f") == ("venous",)
    assert description_words("Thorax Lunge 1.0 Bl57") == ("lung",)
    assert description_words("Postgraduate teaching") == ()
    assert description_words("ep2d_diff_3scan_trace_p2_ADC") == ("dwi", "adc")


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [("B31f", "soft"), ("Br40d", "soft"), ("I31f", "soft"), ("B70f", "bone"), ("FC08", "soft"), ("FC30", "bone"),
     ("FC52", "lung"), ("STANDARD", "soft"), ("", None), ("B48f", None)],
)  # fmt: skip
def test_kernels_by_vendor_conventions(kernel, kind):
    assert kernel_kind(kernel) == kind


def test_the_converter_keeps_roles_with_evidence_and_no_free_text(tmp_path, dicom, noise):
    folder = tmp_path / "scans"
    dicom.write(
        folder, noise(4, 12, 10), Modality="MR", SOPClassUID=MRImageStorage, SeriesDescription="T1 post Smith^John",
        RepetitionTime=550, EchoTime=11, ScanningSequence=["SE"], SequenceVariant=["SK", "SP"],
        ContrastBolusAgent="Gadovist", AcquisitionTime="101500",
    )  # fmt: skip
    converted = dicom.convert(folder)
    facts = [row for outcome in converted.outcomes for row in outcome.tables.get("facts", [])]
    stated = {json.loads(f["attributes"])["role"]: f for f in facts}
    assert {(role, f["polarity"], f["concept"]) for role, f in stated.items()} == {
        ("t1-post", "present", ROLE), ("contrast", "present", ROLE),
    }  # fmt: skip
    evidence = json.loads(stated["t1-post"]["attributes"])["evidence"]
    assert evidence["echo_time_ms"] == 11
    assert evidence["contrast"] is True
    attributes = json.loads(converted.samples[0].row["attributes"])
    assert attributes["described_as"] == ["t1", "contrast"]
    assert attributes["sequence_variant"] == ["SK", "SP"]
    whole = json.dumps([item.inputs for item in converted.items]) + json.dumps(attributes) + json.dumps(facts)
    assert "Smith" not in whole
    assert "Gadovist" not in json.dumps(attributes) + json.dumps(facts)


def test_the_delay_after_injection_is_kept(tmp_path, dicom, noise):
    dicom.write(
        tmp_path / "ct", noise(4, 8, 8), ContrastBolusAgent="Ultravist", ContrastBolusStartTime="101500",
        AcquisitionTime="101610.5",
    )  # fmt: skip
    sample = dicom.convert(tmp_path / "ct").samples[0]
    assert json.loads(sample.row["attributes"])["contrast_delay_s"] == 70.5


def test_an_older_corpus_gets_its_roles_once(tmp_path, capsys):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job")
    attributes = json.dumps({"repetition_time_ms": 9000, "echo_time_ms": 110, "inversion_time_ms": 2500})
    row = {"uid": "0" * 31 + "1", "subject": "p", "kind": "volume", "modality": "MR", "attributes": attributes}
    writer.add(Sample(row, np.zeros((3, 4, 4), np.int16)))
    writer.publish()
    for _ in range(2):
        facts_from_series(root, workers=1)
    facts = [f for f in Corpus(root).table("facts").to_pylist() if f["concept"] == ROLE]
    assert [(json.loads(f["attributes"])["role"], f["source"]) for f in facts] == [("flair", "series@1")]
    assert "flair" in capsys.readouterr().out


def test_real_series_of_one_patient(test_data: Path, dicom):
    converted = dicom.convert(test_data / "medical" / "ibsi_sts_008")
    roles = {}
    for outcome in converted.outcomes:
        modality = {s.row["uid"]: s.row["modality"] for s in outcome.samples}
        for fact in outcome.tables.get("facts", []):
            role = json.loads(fact["attributes"])["role"]
            roles.setdefault(modality[fact["uid"]], {})[role] = fact["polarity"]
    assert roles["CT"] == {"soft-kernel": "present"}  # reconstructed with the kernel SOFT
    assert roles["PT"] == {"pet": "present", "pet-ac": "present"}
    assert roles["MR"] == {"t1": "uncertain"}  # the times were removed; only the description says T1


def test_real_enhanced_series_are_weighted_as_their_pulse_sequences_are(test_data: Path, dicom):
    """A gradient echo-planar series with an echo time of 30 ms is weighted by T2*: that is how BOLD is measured."""
    converted = dicom.convert(test_data / "medical/mr_enhanced_multiframe/In/Siemens")
    facts = [row for outcome in converted.outcomes for row in outcome.tables.get("facts", [])]
    stated = [json.loads(fact["attributes"]) for fact in facts]
    assert {(fact["role"], *fact["evidence"]["scanning_sequence"]) for fact in stated} == {("t2star", "GR", "EP")}
