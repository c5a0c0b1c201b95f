"""The MR phantom: DICOM whose series say what they are, lesions where the truth says, reports that agree."""

import csv
import hashlib
import json
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom._standard_utils import check_required_attributes, get_iod_module_map, get_sop_class_iod_map
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage
from scipy.ndimage import map_coordinates

from voxtile.errors import InputError
from voxtile.evaluation.tasks.file import load_task
from voxtile.phantom.wording import wording_bank
from voxtile_medical.phantom.ct.findings import draw_findings
from voxtile_medical.phantom.mr.command import write_mr_phantom
from voxtile_medical.phantom.mr.findings import CONCEPTS, FINDINGS
from voxtile_medical.phantom.mr.reports import WORDING
from voxtile_medical.phantom.mr.study import render_mr
from voxtile_medical.phantom.mr.tissue import CSF, FAT, GREY, INFARCT, ROLES, WHITE, Sequence
from voxtile_medical.reports.extract import facts_of_report
from voxtile_medical.reports.lexicon import lexicon_path, load_lexicon

N, SEED = 14, 21


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "mr"
    write_mr_phantom(out, n=N, seed=SEED, workers=1)
    return out


@pytest.fixture(scope="module")
def truth(phantom: Path) -> list[dict]:
    return json.loads((phantom / "truth.json").read_text())["studies"]


@pytest.fixture(scope="module")
def studies():
    return [render_mr(SEED, number) for number in range(32)]


def rows(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_enhanced_files_have_what_the_standard_asks_and_lie_where_they_say(phantom, truth):
    study = next(s for s in truth if not s["classic"])
    files = sorted((phantom / "dicom" / f"{study['number']:05d}").iterdir())
    assert len(files) == len(study["series"])
    for file in files:
        dataset = pydicom.dcmread(file)
        assert dataset.SOPClassUID == EnhancedMRImageStorage
        known = next(s for s in study["series"] if s["series"] == dataset.SeriesInstanceUID)
        volume = highdicom.imread(file).get_volume(apply_real_world_transform=False)
        assert sorted(volume.array.shape) == sorted(known["shape"])
        assert sorted(volume.spacing) == pytest.approx(sorted(known["spacing_mm"]), abs=1e-3)
        assert dataset.BitsStored == 12
        assert volume.array.max() <= 4095


def test_classic_files_have_the_elements_of_their_class(tmp_path):
    write_mr_phantom(tmp_path / "mr", n=1, seed=3, series="classic", workers=1)
    truth = json.loads((tmp_path / "mr" / "truth.json").read_text())["studies"][0]
    headers = [
        pydicom.dcmread(path, stop_before_pixels=True) for path in (tmp_path / "mr" / "dicom" / "00000").iterdir()
    ]
    assert {h.SOPClassUID for h in headers} == {MRImageStorage}
    by_series = {s["series"]: s for s in truth["series"]}
    for uid, known in by_series.items():
        own = sorted((h for h in headers if h.SeriesInstanceUID == uid), key=lambda h: h.InstanceNumber)
        assert len(own) == known["shape"][0]
        steps = np.diff([[float(v) for v in h.ImagePositionPatient] for h in own], axis=0)
        assert np.linalg.norm(steps, axis=1) == pytest.approx(known["spacing_mm"][2], abs=2e-3)
        row, column = np.array(own[0].ImageOrientationPatient, float).reshape(2, 3)
        assert row @ column == pytest.approx(0, abs=1e-4)
        assert steps[0] @ np.cross(row, column) == pytest.approx(known["spacing_mm"][2], abs=2e-3)
        assert ("InversionTime" in own[0]) == (known["role"] == "flair")
        assert ("ContrastBolusAgent" in own[0]) == (known["role"] == "t1-post")
    modules = get_iod_module_map()[get_sop_class_iod_map()[MRImageStorage]]
    assert any(module["key"] == "mr-image" for module in modules)
    check_required_attributes(headers[0], module="mr-image")


def test_the_converter_recognises_every_series(phantom, truth, dicom):
    small = [s for s in truth if s["number"] < 5]
    wanted = sorted(series["role"] for s in small for series in s["series"])
    found = []
    for study in small:
        for outcome in dicom.convert(phantom / "dicom" / f"{study['number']:05d}").outcomes:
            assert outcome.status == "used", outcome.detail
            facts = [json.loads(f["attributes"]) | {"polarity": f["polarity"]} for f in outcome.tables["facts"]]
            found += [f["role"] for f in facts if f["aspect"] == "weighting" and f["polarity"] == "present"]
    assert sorted(found) == wanted


@pytest.mark.sweep(ci=True)
def test_lesions_show_where_the_truth_says(studies):
    """On its telling sequence a lesion differs from the mirrored place of the same scan."""
    tells = {
        "enhancing_mass": ("t1-post", 1), "acute_infarct": ("dwi", 1), "meningioma": ("t1-post", 1),
        "arachnoid_cyst": ("adc", 1),
    }  # fmt: skip
    right: dict[str, list[bool]] = {}
    for study in studies:
        scans = {scan.sequence.role: scan for scan in study.scans}
        for finding in study.findings:
            role, sign = tells.get(finding.concept, (None, 0))
            if role in scans and finding.details.get("character") != "necrotic":
                here = value_at(scans[role], finding.centre)
                middle = np.median(scans[role].values[scans[role].values > np.percentile(scans[role].values, 60)])
                right.setdefault(finding.concept, []).append(sign * (here - middle) > 0)
    assert set(right) == set(tells)
    for concept, hits in right.items():
        assert np.mean(hits) > 0.85, (concept, len(hits), np.mean(hits))


def test_an_infarct_restricts_diffusion_and_a_cyst_does_not(studies):
    values = {"acute_infarct": [], "arachnoid_cyst": []}
    for study in studies:
        adc = next((scan for scan in study.scans if scan.sequence.role == "adc"), None)
        for finding in study.findings:
            if adc is not None and finding.concept in values:
                values[finding.concept].append(value_at(adc, finding.centre))
    assert np.median(values["acute_infarct"]) < 700  # 10⁻⁶ mm²/s; the limit in use is about 620
    assert np.median(values["arachnoid_cyst"]) > 2000


def value_at(scan, place):
    """Mean over the 3×3×3 voxels at a place in the patient (LPS, mm)."""
    index = np.linalg.solve(scan.grid.axes * scan.grid.spacing, np.asarray(place) - scan.grid.origin)[::-1]
    offsets = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    return float(map_coordinates(scan.values.astype(float), (index + offsets).T, order=1, mode="nearest").mean())


def test_the_sequences_weigh_as_their_names_say():
    t1 = Sequence("t1", 550, 10)
    post = Sequence("t1-post", 550, 10, contrast=True)
    t2 = Sequence("t2", 4500, 95)
    flair = Sequence("flair", 9000, 100, 2450)
    dwi = Sequence("dwi", 5000, 85, b_value=1000)
    signal = {
        (s.role, name): float(s.signal(tissue[:, None, None, None])[0, 0, 0])
        for s in (t1, post, t2, flair, dwi)
        for name, tissue in (("csf", CSF), ("grey", GREY), ("white", WHITE), ("fat", FAT), ("infarct", INFARCT))
    }
    assert signal["t1", "fat"] > signal["t1", "white"] > signal["t1", "grey"] > signal["t1", "csf"]
    assert signal["t2", "csf"] > signal["t2", "grey"] > signal["t2", "white"]
    assert signal["flair", "csf"] < 0.25 * signal["flair", "white"]
    assert signal["flair", "infarct"] > signal["flair", "grey"]
    assert signal["dwi", "infarct"] > 1.5 * signal["dwi", "grey"]
    # Closed form of a spin echo (Bernstein et al., eq. 14.53).
    density, t1_ms, t2_ms = (float(v) for v in GREY[:3])
    assert signal["t2", "grey"] == pytest.approx(density * (1 - np.exp(-4500 / t1_ms)) * np.exp(-95 / t2_ms), rel=1e-4)


def test_reports_and_labels_agree_with_the_truth(phantom, truth):
    reports = {row["study"]: row for row in rows(phantom / "reports.csv")}
    labels = {row["study"]: row for row in rows(phantom / "labels.csv")}
    words = load_lexicon(lexicon_path("mr"))
    agreed = stated = 0
    for study in truth:
        present = {f["concept"] for f in study["findings"]}
        assert {c for c in CONCEPTS if labels[study["study"]][c] == "1"} == present
        for fact in facts_of_report(reports[study["study"]]["text"], words):
            if fact.concept in CONCEPTS:
                stated += 1
                agreed += fact.polarity == ("present" if fact.concept in present else "absent")
    assert stated > 5 * N
    assert agreed == stated


@pytest.mark.parametrize("concept", CONCEPTS)
def test_every_sentence_of_the_bank_is_read_as_it_is_meant(concept):
    words = load_lexicon(lexicon_path("mr"))
    place = "middle" if concept == "acute_infarct" else "frontal"
    slots = {"side": "left", "place": place, "size": "14 mm", "character": "solid", "count": "three"}
    for polarity in ("present", "absent"):
        for text in wording_bank(WORDING)["findings"][concept][polarity]:
            found = {f.concept: f.polarity for f in facts_of_report(text.format(**slots), words)}
            assert found.get(concept) == polarity, text


def test_findings_are_as_common_as_stated_and_independent():
    drawn = np.array([list(draw_findings(np.random.default_rng(n), FINDINGS).values()) for n in range(4000)], float)
    assert drawn.mean(axis=0) == pytest.approx([kind.prevalence for kind in FINDINGS], abs=0.025)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(len(FINDINGS))).max() < 0.06


def test_sequences_may_be_missing_and_grids_differ(studies):
    counts = [len(study.scans) for study in studies]
    assert min(counts) < len(ROLES) == max(counts)
    grids = {scan.grid.shape for scan in studies[0].scans}
    assert len(grids) > 1
    oblique = [
        abs(scan.grid.axes[:, 2][np.abs(scan.grid.axes[:, 2]).argmax()]) < 0.999 for s in studies for scan in s.scans
    ]
    assert 0.2 < np.mean(oblique) < 0.95
    assert {scan.grid.plane for s in studies for scan in s.scans} == {"axial", "sagittal", "coronal"}


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(tmp_path, phantom):
    write_mr_phantom(tmp_path / "mr", n=3, seed=SEED, workers=2)
    for number in range(3):
        one, two = (sorted((root / "dicom" / f"{number:05d}").iterdir()) for root in (tmp_path / "mr", phantom))
        assert [p.name for p in one] == [p.name for p in two]
        assert [hashlib.sha256(p.read_bytes()).digest() for p in one] == [
            hashlib.sha256(p.read_bytes()).digest() for p in two
        ]


def test_a_folder_that_is_not_empty_is_refused(phantom):
    with pytest.raises(InputError, match="not an empty folder"):
        write_mr_phantom(phantom, n=1)


def test_the_task_asks_for_findings_in_words_of_its_own():
    task = load_task("medical/mr-findings")
    assert {item.concept for item in task.classes} == set(CONCEPTS)
    assert task.labels.source == "labels"
    bank = wording_bank(WORDING)["findings"]
    theirs = {
        t.lower().strip(" .") for c in bank.values() for kind in ("present", "absent", "impression") for t in c[kind]
    }
    for item in task.classes:
        ours = {t.lower().strip(" .") for w in item.wordings for t in (w.present, w.absent or "")}
        assert not ours & theirs, (item.name, ours & theirs)
