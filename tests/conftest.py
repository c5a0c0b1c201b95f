"""Fixtures that every test folder uses."""

import os
from pathlib import Path

import pytest


def _test_data_root() -> Path:
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    return Path(os.environ.get("VOXTILE_TEST_DATA", default)).resolve()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real test files; tests that need it are skipped where it is absent."""
    root = _test_data_root()
    if not root.is_dir():
        pytest.skip(f"no real test files at {root}; set VOXTILE_TEST_DATA")
    return root
