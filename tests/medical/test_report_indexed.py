"""Agreement with the index terms that people gave to real reports, on the half that the rules were written on.

The other half is read by `benchmarks/reports.py --half held-out` only, so that nobody tunes on it.
"""

from pathlib import Path

import pytest
from tests.benchmark_script import benchmark_script

from voxtile_medical.reports.lexicon import load_lexicon

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reports.py"


@pytest.fixture(scope="module")
def benchmark():
    return benchmark_script("reports")


@pytest.mark.sweep(ci=True)
def test_development_half_agrees_with_its_index_terms(benchmark, test_data: Path):
    folder = test_data / "medical" / "iu_cxr_reports"
    if not folder.is_dir():
        pytest.skip("iu_cxr_reports is absent")
    indexed = list(benchmark.reports(folder, "development"))
    assert len(indexed) == 1848
    counts = benchmark.micro(benchmark.agreement(indexed, load_lexicon()))
    assert counts.f1 >= 0.90
    assert benchmark.coverage(indexed) >= 0.95


def test_every_label_names_concepts_of_the_lexicon(benchmark):
    known = load_lexicon().concepts.keys()
    assert all(set(entry["concepts"]) <= known for entry in benchmark.labels().values())


def test_halves_are_about_equal_and_fixed(benchmark):
    halves = [benchmark.half_of(str(uid)) for uid in range(1, 4000)]
    assert 0.48 < halves.count("held-out") / len(halves) < 0.52
    assert benchmark.half_of("1") == "held-out"
    assert benchmark.half_of("3") == "development"
