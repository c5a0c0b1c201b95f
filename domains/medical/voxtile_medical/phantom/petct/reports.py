"""Free-text reports of the PET/CT phantom: they name SUVmax and slice, each in many ways, and are silent about much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from voxtile.phantom.noise import stream
from voxtile.phantom.wording import measure, pick, sentence, shuffled, wording_bank
from voxtile_medical.phantom.ct.reports import assemble
from voxtile_medical.phantom.petct.dicom import PET_SERIES_NUMBER
from voxtile_medical.phantom.petct.lesions import CONCEPTS
from voxtile_medical.phantom.petct.study import CT_SERIES_NUMBER, Measured, PetCtStudy

WORDING = Path(__file__).with_name("wording.yaml")
_STREAM = 612
_MENTION_ABSENT, _MENTION_FOCUS, _IN_IMPRESSION, _WITH_PRIOR = 0.5, 0.6, 0.85, 0.1
_WHERE = ("pet", "ct", "bare")
_WHERE_SHARES = (0.6, 0.3, 0.1)


def write_petct_report(seed: int, study: PetCtStudy) -> str:
    """Report of one study; the same study always gets the same words."""
    rng, bank = stream(seed, study.ct.number, _STREAM), wording_bank(WORDING)
    normal = shuffled(rng, bank["normal"])[: int(rng.integers(0, 4))]
    parts = []
    if rng.random() < 0.8:
        parts.append(("Indication", pick(rng, bank["indication"])))
    if rng.random() < 0.7:
        minutes, dose = study.injection.uptake_s / 60, study.injection.dose_bq / 1e6
        parts.append(("Technique", pick(rng, bank["technique"]).format(dose=f"{dose:.0f}", minutes=f"{minutes:.0f}")))
    if rng.random() < 0.8:
        parts.append(("Comparison", pick(rng, bank["comparison"])))
    parts.append(("Findings", " ".join(shuffled(rng, _present(rng, study) + _absent(rng, study) + normal))))
    if rng.random() < 0.85:
        parts.append(("Impression", _impression(rng, study)))
    return assemble(rng, parts)


def _present(rng: np.random.Generator, study: PetCtStudy) -> list[str]:
    """A sentence for each lesion, and for some foci without one."""
    sentences = []
    for measured in study.lesions:
        concept = measured.lesion.concept
        if concept in CONCEPTS or rng.random() < _MENTION_FOCUS:
            values = _values(rng, study, measured)
            sentences.append(sentence(rng, wording_bank(WORDING)["findings"][concept]["present"], values))
    return sentences


def _absent(rng: np.random.Generator, study: PetCtStudy) -> list[str]:
    bank = wording_bank(WORDING)["findings"]
    absent = [c for c in CONCEPTS if not study.labels[c] and rng.random() < _MENTION_ABSENT]
    return [pick(rng, bank[concept]["absent"]) for concept in absent]


def _impression(rng: np.random.Generator, study: PetCtStudy) -> str:
    lines: dict[str, str] = {}
    for measured in study.lesions:
        concept = measured.lesion.concept
        if concept in CONCEPTS and concept not in lines and rng.random() < _IN_IMPRESSION:
            values = _values(rng, study, measured)
            lines[concept] = sentence(rng, wording_bank(WORDING)["findings"][concept]["impression"], values)
    if not lines:
        return "As above." if any(study.labels.values()) else str(pick(rng, wording_bank(WORDING)["unremarkable"]))
    return " ".join(shuffled(rng, list(lines.values())))


def _values(rng: np.random.Generator, study: PetCtStudy, measured: Measured) -> Mapping[str, str]:
    lesion = measured.lesion
    return {
        "side": lesion.side or "",
        "place": lesion.words or "",
        "size": measure(rng, lesion.size_mm),
        "suv": "" if measured.suvmax is None else _suv(rng, measured.suvmax),
        "where": _where(rng, study, measured),
    }


def _suv(rng: np.random.Generator, value: float) -> str:
    bank = wording_bank(WORDING)
    text = str(pick(rng, bank["suv"]).format(v=f"{value:.1f}"))
    if rng.random() < _WITH_PRIOR:
        text += pick(rng, bank["prior"]).format(v=f"{value * rng.uniform(0.5, 1.6):.1f}")
    return text


def _where(rng: np.random.Generator, study: PetCtStudy, measured: Measured) -> str:
    kind = _WHERE[int(rng.choice(len(_WHERE), p=_WHERE_SHARES))]
    on_ct = kind == "ct"
    number = study.ct_instance(measured.ct_slice) if on_ct else study.pet_instance(measured.pet_slice)
    series = CT_SERIES_NUMBER if on_ct else PET_SERIES_NUMBER
    choices: Sequence[str] = wording_bank(WORDING)["where"][kind]
    return str(pick(rng, choices).format(s=series, i=number))
