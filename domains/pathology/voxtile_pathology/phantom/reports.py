"""Case reports: true to what was painted, worded in many ways, silent about part of what is absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from voxtile.phantom.noise import stream
from voxtile.phantom.wording import listing, measure, pick, sentence, shuffled, wording_bank
from voxtile_pathology.phantom.case import FINDINGS, MPP, Case

WORDING = Path(__file__).with_name("wording.yaml")
_REPORT_STREAM = 5
_MENTION_ABSENT = 0.8
_MENTION_ORDINARY = 0.5
_PARTS = ((0.12, "a small part"), (0.3, "about a fifth"), (1.0, "a large part"))


def write_report(seed: int, case: Case) -> str:
    """Report of one case; the same case always gets the same words."""
    rng, bank = stream(seed, case.number, _REPORT_STREAM), wording_bank(WORDING)
    parts = []
    if rng.random() < 0.7:
        parts.append(("Clinical history", pick(rng, bank["clinical"])))
    if rng.random() < 0.5:
        parts.append(("Procedure", pick(rng, bank["technique"])))
    body = _present(rng, case, "present") + _absent(rng, case) + _ordinary(rng, case)
    parts.append((pick(rng, ("Microscopy", "Microscopic description")), " ".join(shuffled(rng, body))))
    if rng.random() < 0.8:
        lines = _present(rng, case, "diagnosis") or [pick(rng, bank["unremarkable"])]
        parts.append((pick(rng, ("Diagnosis", "Conclusion")), " ".join(lines)))
    upper, line_break = rng.random() < 0.6, "\n" if rng.random() < 0.5 else " "
    return "\n\n".join(f"{heading.upper() if upper else heading}:{line_break}{text}" for heading, text in parts)


def _present(rng: np.random.Generator, case: Case, part: str) -> list[str]:
    bank = wording_bank(WORDING)["findings"]
    return [sentence(rng, bank[name][part], _values(rng, case, name)) for name in FINDINGS if case.findings[name]]


def _values(rng: np.random.Generator, case: Case, finding: str) -> Mapping[str, str]:
    areas = [region.polygon.area for region in case.regions if region.tissue == FINDINGS[finding]]
    share = sum(areas) / case.tissue.area
    extent = 2 * np.sqrt(max(areas) / np.pi) * MPP / 1000
    return {
        "size": measure(rng, extent * 10),  # the phantom's blocks are a tenth of what a pathologist measures
        "part": next(words for limit, words in _PARTS if share < limit),
    }


def _absent(rng: np.random.Generator, case: Case) -> list[str]:
    bank = wording_bank(WORDING)
    absent: Sequence[str] = [name for name in FINDINGS if not case.findings[name] and rng.random() < _MENTION_ABSENT]
    absent = shuffled(rng, absent)
    if len(absent) > 1 and rng.random() < 0.35:
        together, absent = absent[:2], absent[2:]
        names = [pick(rng, bank["findings"][name]["name"]) for name in together]
        joint = [str(pick(rng, bank["denial"])).format(list=listing(names))]
    else:
        joint = []
    return joint + [pick(rng, bank["findings"][name]["absent"]) for name in absent]


def _ordinary(rng: np.random.Generator, case: Case) -> list[str]:
    there = {region.tissue for region in case.regions}
    return [
        pick(rng, sentences)
        for tissue, sentences in wording_bank(WORDING)["ordinary"].items()
        if tissue in there and rng.random() < _MENTION_ORDINARY
    ]
