"""Sentences of pathology reports by what is hard about them: grades, hedges, history, margins, negation, scores.

`reports/classes.tsv` has a class, a text (`\\n` for a new line) and what it says, `finding: polarity` with p, a, u for
present, absent and uncertain and n for what is no finding of this specimen. The findings are named as the field names
them; the lexicon says which concepts these are. Written before the rules were changed for them.
"""

from pathlib import Path

import pytest

from voxtile.words.tokens import words_of
from voxtile_pathology.reports.lexicon import load_lexicon
from voxtile_pathology.reports.read import read_slide_report

POLARITIES = {"p": "present", "a": "absent", "u": "uncertain"}
GRADES = ["histologic_grade", "grade_group", "gleason_score"]
ROWS = [
    line.split("\t") for line in (Path(__file__).parent / "reports" / "classes.tsv").read_text("utf-8").splitlines()
]


def concepts_called(finding, lexicon):
    """The concepts whose names end the name of a finding, as the outside benchmark takes them."""
    if finding == "grade":
        return GRADES
    words = words_of(finding).words
    return [match.payload for match in lexicon.terms.find(words) if match.end == len(words)]


@pytest.mark.parametrize(("kind", "text", "says"), ROWS, ids=[f"{row[0]}-{i}" for i, row in enumerate(ROWS)])
def test_what_a_sentence_of_a_class_says(kind, text, says):
    lexicon = load_lexicon()
    facts = read_slide_report(text.replace("\\n", "\n"), lexicon).facts
    for item in says.split(";"):
        finding, polarity = (part.strip() for part in item.rsplit(":", 1))
        concepts = concepts_called(finding, lexicon)
        assert concepts, f"the lexicon has no '{finding}'"
        read = {fact.polarity for fact in facts if fact.concept in concepts}
        stated = {fact.polarity for fact in facts if fact.concept in concepts and fact.implied_by is None}
        if polarity == "n":
            assert not stated, (kind, finding, stated)
        else:
            assert POLARITIES[polarity] in read, (kind, finding, read)
