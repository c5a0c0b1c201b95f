"""The lists of mutations fit the code: each text stands once in its file, so that `make mutants` says what it means."""

import runpy
from pathlib import Path

MUTANTS = Path(__file__).parents[2] / "benchmarks" / "mutants.py"


def test_every_mutation_finds_its_place():
    mutations = runpy.run_path(str(MUTANTS))["read_mutations"]()
    assert len(mutations) >= 300
    assert all(mutation.find != mutation.replace for mutation in mutations)
    assert len({(mutation.file, mutation.find, mutation.replace) for mutation in mutations}) == len(mutations)
