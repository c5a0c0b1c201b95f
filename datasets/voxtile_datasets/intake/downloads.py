"""Where files that come from a server are kept while a corpus is made of them."""

from __future__ import annotations

from pathlib import Path

DOWNLOADS_SUFFIX = ".dicomweb"


def downloads_of(corpus: Path) -> Path:
    """Folder of a corpus's downloads if not said otherwise: beside it, for they name patients."""
    return corpus.resolve().with_name(corpus.resolve().name + DOWNLOADS_SUFFIX)
