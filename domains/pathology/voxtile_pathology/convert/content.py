"""What identifies a slide's content without reading gigabytes: sizes, heads and tails of its files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from voxtile.corpus.ingest.duplicates import file_edges
from voxtile_pathology.slides.dicom_files import is_dicom, series_files
from voxtile_pathology.slides.protocol import SlideError

_MIRAX = ".mrxs"


def slide_files(path: Path) -> list[Path]:
    """The files that make up a slide, sorted: its own, those of its MIRAX folder, or those of its DICOM series."""
    if path.suffix.lower() == _MIRAX and path.with_suffix("").is_dir():
        return [path, *sorted(p for p in path.with_suffix("").iterdir() if p.is_file())]
    with path.open("rb") as file:
        head = file.read(4096)
    return series_files(path) if is_dicom(head) else [path]


def slide_content(path: Path) -> tuple[str, int]:
    """Digest of a slide's content, which does not depend on its name or place, and its size in bytes.

    Raises:
        SlideError: a file is gone or cannot be read.
    """
    try:
        edges = [file_edges(file) for file in slide_files(path)]
    except OSError as error:
        raise SlideError(f"{path.name} cannot be read ({error.strerror or error}); was it moved or removed?") from error
    digest = hashlib.sha256("\n".join(sorted(f"{size} {edge}" for size, edge in edges)).encode()).hexdigest()
    return digest, sum(size for size, _ in edges)
