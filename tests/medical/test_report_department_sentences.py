"""What chest, abdominal and neuroradiologists write, by a writer who had seen no rule: statements read right.

Each line of `report_departments.tsv` is a text, a tab, and what it states: + present, - absent, ? uncertain, with the
side and the size in mm where the text gives them, and ! where it says nothing of the kind.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon

LINES = Path(__file__).with_name("report_departments.tsv").read_text(encoding="utf-8").splitlines()
_POLARITIES = {"+": "present", "-": "absent", "?": "uncertain"}
_STATEMENT = re.compile(r"([+?!-])(\w+)(?:\(([^)]*)\))?")


@pytest.mark.parametrize("line", LINES)
def test_a_text_is_read_as_its_writer_meant_it(line: str) -> None:
    text, statements = line.split("\t")
    reading = read_report(text.replace("\\n", "\n"), load_lexicon())
    for sign, concept, details in _STATEMENT.findall(statements):
        if sign == "!":
            assert all((fact.concept, fact.polarity) != (concept, "present") for fact in reading.facts), concept
            continue
        there = [
            {str(fact.attributes.laterality), "x".join(f"{size:g}" for size in fact.attributes.size_mm)}
            for fact in (*reading.facts, *reading.elsewhere)
            if (fact.concept, fact.polarity) == (concept, _POLARITIES[sign])
        ]
        assert any(set(filter(None, details.split(","))) <= found for found in there), (sign, concept, details, there)
