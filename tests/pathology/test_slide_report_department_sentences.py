"""What pathologists write, by one writer who had seen no rule: statements that are read right.

Each line of `reports/departments.tsv` is a text, a tab, and what it states: + present, - absent, ? uncertain, with the
side and the size in mm where the text gives them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voxtile_pathology.reports.lexicon import load_lexicon
from voxtile_pathology.reports.read import read_slide_report

LINES = (Path(__file__).parent / "reports" / "departments.tsv").read_text(encoding="utf-8").splitlines()
_POLARITIES = {"+": "present", "-": "absent", "?": "uncertain"}
_STATEMENT = re.compile(r"([+?-])(\w+)(?:\(([^)]*)\))?")


@pytest.mark.parametrize("line", LINES)
def test_a_text_is_read_as_its_writer_meant_it(line: str) -> None:
    text, statements = line.split("\t")
    facts = read_slide_report(text.replace("\\n", "\n"), load_lexicon()).facts
    for sign, concept, details in _STATEMENT.findall(statements):
        there = [
            {str(fact.attributes.laterality), "x".join(f"{size:g}" for size in fact.attributes.size_mm)}
            for fact in facts
            if (fact.concept, fact.polarity) == (concept, _POLARITIES[sign])
        ]
        assert any(set(filter(None, details.split(","))) <= found for found in there), (sign, concept, details, there)
