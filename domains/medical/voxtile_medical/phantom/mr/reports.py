"""Free-text reports of the MR phantom, by the same rules as those of the CT phantom."""

from __future__ import annotations

from pathlib import Path

from voxtile.phantom.noise import stream
from voxtile.phantom.wording import pick, shuffled, wording_bank
from voxtile_medical.phantom.ct.reports import (
    absent_sentences,
    assemble,
    impression,
    mimic_sentences,
    present_sentences,
)
from voxtile_medical.phantom.mr.findings import CONCEPTS
from voxtile_medical.phantom.mr.study import MrStudy

WORDING = Path(__file__).with_name("wording.yaml")
_STREAM = 704


def write_mr_report(seed: int, study: MrStudy) -> str:
    """Report of one study; the same study always gets the same words."""
    rng, bank = stream(seed, study.number, _STREAM), wording_bank(WORDING)
    body = present_sentences(rng, bank, study.findings)
    body += absent_sentences(rng, bank, [c for c in CONCEPTS if not study.present[c]])
    body += mimic_sentences(rng, bank, study.mimics)
    body += shuffled(rng, bank["normal"])[: int(rng.integers(0, 4))]
    parts = [
        (name, pick(rng, bank[name.lower()]))
        for name in ("Indication", "Technique", "Comparison")
        if rng.random() < 0.75
    ]
    parts.append(("Findings", " ".join(shuffled(rng, body)) or pick(rng, bank["unremarkable"])))
    if rng.random() < 0.85:
        parts.append(("Impression", impression(rng, bank, study.findings)))
    return assemble(rng, parts)
