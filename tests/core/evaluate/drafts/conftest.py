"""The corpus of cases with drafts, written once."""

import pytest
from drafted_cases import corpus_of_cases


@pytest.fixture(scope="session")
def cases(tmp_path_factory):
    return corpus_of_cases(tmp_path_factory.mktemp("cases") / "corpus")
