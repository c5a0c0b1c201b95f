import shutil
from pathlib import Path

import pytest
from growing_corpus import add


@pytest.fixture(scope="session")
def grown(tmp_path_factory):
    """Six jobs of one sample."""
    return add(tmp_path_factory.mktemp("grown") / "corpus", *range(6))


@pytest.fixture
def root(grown, tmp_path):
    return Path(shutil.copytree(grown, tmp_path / "corpus"))
