import hashlib
from pathlib import Path

import pytest

VARIABLE = {".lock", "manifests"}  # the lock's content and the manifests' wall-clock time


def _snapshot(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file() and not VARIABLE & set(path.relative_to(root).parts))
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="session")
def snapshot():
    """Hash of every file of a corpus that must not depend on how it was made."""
    return _snapshot
