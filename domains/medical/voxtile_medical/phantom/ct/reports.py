"""Free-text reports: true to what was painted, worded in many ways, silent about much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxtile.phantom.noise import stream
from voxtile.phantom.wording import listing, measure, pick, sentence, shuffled, wording_bank
from voxtile_medical.phantom.ct.findings import CONCEPTS
from voxtile_medical.phantom.ct.render import REPORT_STREAM, Study
from voxtile_medical.phantom.ct.scene import Finding

WORDING = Path(__file__).with_name("wording.yaml")
_COUNTS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
# How often a report mentions what is absent, and what is benign.
_MENTION_ABSENT = 0.5
_MENTION_MIMIC = 0.5


def write_report(seed: int, study: Study) -> str:
    """Report of one study; the same study always gets the same words."""
    rng, bank = stream(seed, study.number, REPORT_STREAM), wording_bank(WORDING)
    absent = [concept for concept in CONCEPTS if not study.present[concept]]
    body = present_sentences(rng, bank, study.findings) + absent_sentences(rng, bank, absent)
    body += mimic_sentences(rng, bank, study.mimics)
    normal = shuffled(rng, bank["normal"])[: int(rng.integers(0, 4))]
    findings = shuffled(rng, body + normal)
    parts = []
    if rng.random() < 0.8:
        parts.append(("Indication", pick(rng, bank["indication"])))
    if rng.random() < 0.7:
        parts.append(("Technique", pick(rng, bank["technique"][study.patient.phase])))
    if rng.random() < 0.8:
        parts.append(("Comparison", pick(rng, bank["comparison"])))
    parts.append(("Findings", " ".join(findings)))
    if rng.random() < 0.85:
        parts.append(("Impression", impression(rng, bank, study.findings)))
    return assemble(rng, parts)


def assemble(rng: np.random.Generator, parts: Sequence[tuple[str, str]]) -> str:
    """Join (heading, text) parts in one of the usual layouts."""
    upper = rng.random() < 0.6
    break_line = "\n" if rng.random() < 0.4 else " "
    return "\n\n".join(f"{heading.upper() if upper else heading}:{break_line}{text}" for heading, text in parts)


def by_concept(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings by their concept, in order."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.concept, []).append(finding)
    return found


def values_of(rng: np.random.Generator, finding: Finding) -> Mapping[str, str]:
    """Slots of the wordings that a finding fills."""
    return {
        "side": finding.side or "",
        "place": finding.place or "",
        "size": measure(rng, finding.size_mm) if finding.size_mm else "",
        "count": _COUNTS.get(finding.count, ""),
        "density": finding.details.get("density", ""),
        "character": finding.details.get("character", ""),
    }


def present_sentences(rng: np.random.Generator, bank: Mapping[str, Any], findings: Iterable[Finding]) -> list[str]:
    """Sentences that state findings, several of one concept in one where the bank has words for it."""
    sentences = []
    for concept, found in by_concept(findings).items():
        words = bank["findings"][concept]
        sides = {f.side for f in found}
        if len(found) > 1 and "multiple" in words:
            largest = max(found, key=lambda f: f.size_mm or 0)
            sentences.append(sentence(rng, words["multiple"], values_of(rng, largest)))
        elif len(sides) > 1 and "bilateral" in words and rng.random() < 0.6:
            sentences.append(pick(rng, words["bilateral"]))
        else:
            sentences.extend(sentence(rng, words["present"], values_of(rng, f)) for f in found)
    return sentences


def absent_sentences(rng: np.random.Generator, bank: Mapping[str, Any], concepts: Sequence[str]) -> list[str]:
    """Sentences that deny about half of the absent concepts, some of them together."""
    absent = shuffled(rng, [c for c in concepts if rng.random() < _MENTION_ABSENT])
    sentences = []
    while absent:
        if len(absent) > 1 and rng.random() < 0.35:
            size = int(rng.integers(2, 4))
            together, absent = absent[:size], absent[size:]
            names = [pick(rng, bank["findings"][c]["name"]) for c in together]
            sentences.append(pick(rng, bank["denial"]).format(list=listing(names)))
        else:
            concept, absent = absent[0], absent[1:]
            sentences.append(pick(rng, bank["findings"][concept]["absent"]))
    return sentences


def mimic_sentences(
    rng: np.random.Generator, bank: Mapping[str, Any], mimics: Iterable[tuple[str, str | None]]
) -> list[str]:
    """Sentences about half of the benign things that look like findings."""
    told = [m for m in mimics if rng.random() < _MENTION_MIMIC]
    return [sentence(rng, bank["mimics"][name], {"side": side or ""}) for name, side in told]


def impression(rng: np.random.Generator, bank: Mapping[str, Any], findings: Sequence[Finding]) -> str:
    """The impression: most findings again, in short."""
    lines = []
    for concept, found in by_concept(findings).items():
        if rng.random() < 0.85:
            largest = max(found, key=lambda f: f.size_mm or 0)
            lines.append(sentence(rng, bank["findings"][concept]["impression"], values_of(rng, largest)))
    if not lines:
        return str(pick(rng, bank["unremarkable"])) if not findings else "As above."
    lines = shuffled(rng, lines)
    if len(lines) > 1 and rng.random() < 0.5:
        return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))
    return " ".join(lines)
