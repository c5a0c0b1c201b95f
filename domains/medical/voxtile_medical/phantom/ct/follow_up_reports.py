"""Reports of pairs of examinations: the later one says what has become of each finding of the earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from voxtile.phantom.noise import stream
from voxtile.phantom.wording import pick, sentence, shuffled, wording_bank
from voxtile_medical.phantom.ct.findings import CONCEPTS
from voxtile_medical.phantom.ct.follow_up import Examination
from voxtile_medical.phantom.ct.render import REPORT_STREAM
from voxtile_medical.phantom.ct.reports import WORDING, assemble, by_concept, values_of
from voxtile_medical.phantom.ct.scene import Finding

_PAIR_WORDS, _REPORT_WORDS = 30, 31
_MENTION_ABSENT = 0.9


def write_follow_up_report(seed: int, number: int, made: Examination) -> str:
    """Report of study `number` of the pairs of `seed`; both of a pair word a finding alike, with its size."""
    rng, bank = stream(seed, number, REPORT_STREAM, _REPORT_WORDS), wording_bank(WORDING)
    found = by_concept(made.study.findings)
    body, lines = [], []
    for concept, findings in found.items():
        words = stream(seed, number // 2, REPORT_STREAM, _PAIR_WORDS, CONCEPTS.index(concept))
        course = [pick(rng, bank["follow_up"][made.courses[concept]])] if made.is_later else []
        body.append(" ".join([*_stated(words, bank["findings"][concept], findings), *course]))
        name = bank["findings"][concept]["name"][0]
        lines.append(f"{made.courses[concept].capitalize()} {name}." if made.is_later else f"{name.capitalize()}.")
    for concept in (concept for concept in CONCEPTS if concept not in found):
        names = bank["findings"][concept]
        if made.is_later and made.courses[concept] == "resolved":
            body.append(pick(rng, bank["follow_up"]["resolved"]).format(name=names["name"][0]))
        elif rng.random() < _MENTION_ABSENT:
            body.append(pick(rng, names["absent"]))
    compared = f"CT of {_written(made.prior.study_date)}." if made.prior else str(pick(rng, bank["comparison"]))
    parts = [("Comparison", compared), ("Findings", " ".join(shuffled(rng, body)))]
    parts.append(("Impression", " ".join(lines) or str(pick(rng, bank["unremarkable"]))))
    return assemble(rng, parts)


def _stated(rng: np.random.Generator, words: Mapping[str, Any], findings: Sequence[Finding]) -> list[str]:
    """What states the findings of one concept, with a size where they have one."""
    if len(findings) > 1 and "multiple" in words:
        largest = max(findings, key=lambda finding: finding.size_mm or 0)
        return [sentence(rng, _sized(words["multiple"]), values_of(rng, largest))]
    templates = _sized(words["present"])
    return [sentence(rng, templates, values_of(rng, finding)) for finding in findings]


def _sized(templates: Sequence[str]) -> Sequence[str]:
    return [text for text in templates if "{size}" in text] or templates


def _written(day: str) -> str:
    when = date(int(day[:4]), int(day[4:6]), int(day[6:]))
    return f"{when.day} {when:%B} {when.year}"
