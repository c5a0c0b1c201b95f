"""Free-text reports of radiographs: true to what was painted, worded in many ways, silent about much."""

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
from voxtile_medical.phantom.cxr.film import CONCEPTS, REPORT_STREAM, Film

WORDING = Path(__file__).with_name("wording.yaml")


def write_film_report(seed: int, film: Film) -> str:
    """Report of one radiograph; the same one always gets the same words."""
    rng, bank = stream(seed, film.number, REPORT_STREAM), wording_bank(WORDING)
    body = present_sentences(rng, bank, film.findings)
    body += absent_sentences(rng, bank, [concept for concept in CONCEPTS if not film.present[concept]])
    body += mimic_sentences(rng, bank, [mimic for mimic in film.mimics if mimic[0] in bank["mimics"]])
    normal = shuffled(rng, bank["normal"])[: int(rng.integers(0, 3))]
    parts = []
    if rng.random() < 0.8:
        parts.append(("Indication", pick(rng, bank["indication"])))
    if rng.random() < 0.6:
        parts.append(("Technique", pick(rng, bank["technique"])))
    if rng.random() < 0.7:
        parts.append(("Comparison", pick(rng, bank["comparison"])))
    parts.append(("Findings", " ".join(shuffled(rng, body + normal))))
    if rng.random() < 0.85:
        parts.append(("Impression", impression(rng, bank, film.findings)))
    return assemble(rng, parts)
