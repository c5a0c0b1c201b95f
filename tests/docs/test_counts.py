"""What pages list or count of the code is what the code has: tables, record sets, voices, concepts."""

import re
from pathlib import Path

import pytest

from voxtile.corpus.schema import TABLES
from voxtile.stages.inspect import command as inspect
from voxtile_datasets.cards.record_sets import descriptions_of_tables
from voxtile_medical.reports.lexicon import load_lexicon as radiology
from voxtile_pathology.reports.lexicon import load_lexicon as histology

ROOT = Path(__file__).parents[2]
_NEAR = 0.1  # of a number that a page says about


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_tree_of_a_corpus_has_every_table():
    assert set(re.findall(r"tables/(\w+)/\*\.parquet", page("corpus.md"))) >= set(TABLES)


def test_every_table_that_a_data_card_describes_is_listed():
    [listed] = re.findall(r"a record set for each table that holds anything \(([^)]+)\)", page("cards-and-exports.md"))
    assert set(re.findall(r"`(\w+)`", listed)) == set(descriptions_of_tables())


def test_what_inspect_says_of_a_sample_is_listed():
    [listed] = re.findall(r"\| `inspect CORPUS UID` \| (.+) \|", page("command-line.md"))
    assert re.findall(r"`(\w+)`", listed) == ["corpus", "sample", *(name for name, *_ in inspect._OF_SAMPLE)]


def test_every_voice_is_listed():
    [listed] = re.findall(r"The shipped voices: (.+?)\.\n\n", page("evaluation.md"), re.DOTALL)
    names = re.findall(r"`([\w/-]+)`", listed)
    last = ""
    for place, name in enumerate(names):  # `overhead-ar`, `-de`
        names[place] = f"{last.rpartition('-')[0]}{name}" if name.startswith("-") else name
        last = names[place]
    voices = [path for domain in (ROOT / "domains").iterdir() for path in domain.glob("voices/*.yaml")]
    assert sorted(names) == sorted(f"{path.parents[1].name}/{path.stem}" for path in voices)


@pytest.mark.parametrize(
    ("name", "words", "count"),
    [
        ("medical-facts.md", "concepts, a file a region", lambda: len(radiology().concepts)),
        ("pathology.md", "findings: ", lambda: _histology(lambda concept: not concept.kind)),
        ("pathology.md", "stains ", lambda: _histology(lambda concept: concept.kind == "antibody")),
    ],
)
def test_counts_of_concepts_are_near_those_of_the_lexicons(name, words, count):
    [said] = re.findall(rf"([\d,]+) {words}", page(name))
    assert int(said.replace(",", "")) == pytest.approx(count(), rel=_NEAR)


def _histology(of):
    return sum(map(of, histology().concepts.values()))
