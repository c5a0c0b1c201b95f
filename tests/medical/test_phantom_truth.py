"""What the CT phantom says about itself: prevalence, independence, nothing in the metadata, and true reports."""

import re
from itertools import combinations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from voxtile.phantom.noise import stream
from voxtile.phantom.wording import wording_bank
from voxtile_medical.phantom.ct.command import is_classic
from voxtile_medical.phantom.ct.dicom import draw_layout
from voxtile_medical.phantom.ct.findings import CONCEPTS, FINDINGS, draw_findings
from voxtile_medical.phantom.ct.patient import draw_patient
from voxtile_medical.phantom.ct.render import FINDINGS_STREAM, PATIENT_STREAM, render
from voxtile_medical.phantom.ct.reports import WORDING, write_report
from voxtile_medical.phantom.identity import draw_identity

# An independent reading: what names a finding, in words that no other finding uses.
NAMED = {
    "pulmonary_nodule": r"(?<!adrenal )nodul",
    "pleural_effusion": r"pleural (effusion|fluid)|fluid in the \w+ pleural space|pleural spaces are",
    "pneumothorax": r"pneumothora|air in the \w+ pleural space|pleural air",
    "consolidation": r"consolidation|airspace|pneumonia",
    "cardiomegaly": r"cardiomegaly|\bcardiac|heart size|heart is|enlarged heart|cardiothoracic",
    "pericardial_effusion": r"pericardi",
    "coronary_calcification": r"coronar",
    "liver_lesion": r"liver|hepatic",
    "gallstones": r"gallstone|cholelith|gallbladder",
    "splenomegaly": r"spleen|splenomegaly|splenic",
    "renal_stone": r"nephrolith|(renal|kidney) (stone|calcul)|kidneys? .*ston|(stone|calculus) .*kidney|renal calcul",
    "vertebral_fracture": r"compression|vertebral|wedg",
}
DENIED = re.compile(
    r"\b(no|not|negative|absent|free|normal|unremarkable|homogeneous|clear|maintained|preserved|fully expanded)\b", re.I
)
_TEMPLATES = [template for templates in wording_bank(WORDING)["mimics"].values() for template in templates]
BENIGN = re.compile("|".join(re.escape(t).replace(r"\{side\}", "(left|right)") for t in _TEMPLATES), re.I)


def _findings(n: int) -> np.ndarray:
    return np.array([[draw_findings(stream(2, i, FINDINGS_STREAM))[c] for c in CONCEPTS] for i in range(n)])


def test_prevalence_is_as_stated_and_findings_are_independent() -> None:
    drawn = _findings(3000)
    assert len(FINDINGS) >= 12
    for kind, column in zip(FINDINGS, drawn.T, strict=True):
        assert 0.08 <= kind.prevalence <= 0.30
        spread = (kind.prevalence * (1 - kind.prevalence) / len(drawn)) ** 0.5
        assert column.mean() == pytest.approx(kind.prevalence, abs=4 * spread)
    correlation = np.corrcoef(drawn.T)
    assert max(abs(correlation[i, j]) for i, j in combinations(range(len(CONCEPTS)), 2)) < 0.09


def test_nothing_but_the_pixels_tells_a_finding() -> None:
    n, seed = 1200, 3
    rows, labels = [], []
    for number in range(n):
        patient, identity = draw_patient(stream(seed, number, PATIENT_STREAM)), draw_identity(seed, number)
        layout = draw_layout(seed, number)
        rows.append(
            [
                number,
                number % 2,
                *patient.spacing,
                *layout.flips,
                layout.signed,
                identity.age_years,
                identity.sex == "F",
                int(identity.study_date[4:6]),
                int(identity.study_uid[-6:]),
                int(identity.patient_id[3:11]),
                is_classic(seed, number, "mixed"),
            ]
        )
        labels.append(list(draw_findings(stream(seed, number, FINDINGS_STREAM)).values()))
    features, targets = np.array(rows, float), np.array(labels)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    scores = [
        roc_auc_score(y, cross_val_predict(model, features, y, cv=4, method="decision_function")) for y in targets.T
    ]
    assert np.mean(scores) == pytest.approx(0.5, abs=0.03)
    assert max(scores) < 0.62


def test_other_seeds_are_other_people() -> None:
    first, second = ([draw_identity(seed, n) for n in range(300)] for seed in (1, 2))
    assert len({i.patient_id for i in first + second}) == 600
    assert len({i.study_uid for i in first + second}) == 600
    assert sum(a.birth_date == b.birth_date for a, b in zip(first, second, strict=True)) < 10


def _read(report: str) -> tuple[dict[str, set[bool]], dict[str, set[str]]]:
    """What a report says, sentence by sentence: concept to verdicts (True: there is one) and to their sides."""
    body = report[re.search(r"findings:", report, re.I).end() :]
    said: dict[str, set[bool]] = {}
    sides: dict[str, set[str]] = {}
    for sentence in re.split(r"(?<=[.])\s+(?=[A-Z0-9])|\n+|;", body):
        if BENIGN.search(sentence) or re.search(r"pancreas|free intraperitoneal", sentence):
            continue
        denied = bool(DENIED.search(sentence))
        for concept, pattern in NAMED.items():
            if re.search(pattern, sentence, re.I):
                said.setdefault(concept, set()).add(not denied)
                if not denied:
                    sides.setdefault(concept, set()).update(re.findall(r"\b(left|right)\b", sentence.lower()))
    return said, sides


def test_reports_are_true() -> None:
    told = silent = 0
    for number in range(60):
        study = render(9, number)
        said, told_sides = _read(write_report(9, study))
        for concept in CONCEPTS:
            if study.present[concept]:
                assert True in said.get(concept, set()), (number, concept, write_report(9, study))
            elif concept in said:
                told += 1
                assert said[concept] == {False}, (number, concept, write_report(9, study))
            else:
                silent += 1
        for kind in FINDINGS:
            painted = {f.side for f in study.findings if f.concept == kind.concept}
            if kind.sided and painted:
                assert told_sides[kind.concept] <= painted, (number, kind.concept)
    assert min(told, silent) / (told + silent) > 0.3


def test_reports_vary_in_wording() -> None:
    for concept, bank in wording_bank(WORDING)["findings"].items():
        assert concept in CONCEPTS
        assert len(set(bank["present"])) >= 8
        assert len(set(bank["absent"])) >= 6
    studies = [render(9, number) for number in range(12)]
    assert len({write_report(9, s) for s in studies}) == 12
    assert write_report(9, studies[0]) == write_report(9, render(9, 0))
