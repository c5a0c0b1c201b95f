"""What identifies a slide's content without reading gigabytes: sizes of its files, and probes spread over them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from voxtile.file_edges import probe
from voxtile_pathology.slides.dicom_files import is_dicom, series_files
from voxtile_pathology.slides.protocol import SlideError

PROBES = 64
PROBE_BYTES = 16_384  # a page of most network file systems, and so not dearer than less
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

    Compressed slides of different tissue differ in size or near their directories. Uncompressed slides of one scanner
    do not; there, the probes between see the pixels. A full hash would read every slide twice.

    Raises:
        SlideError: a file is gone or cannot be read.
    """
    try:
        probed = [probe(file, PROBES, PROBE_BYTES) for file in slide_files(path)]
    except OSError as error:
        raise SlideError(f"{path.name} cannot be read ({error.strerror or error}); was it moved or removed?") from error
    digest = hashlib.sha256("\n".join(sorted(f"{size} {probes}" for size, probes in probed)).encode()).hexdigest()
    return digest, sum(size for size, _ in probed)
