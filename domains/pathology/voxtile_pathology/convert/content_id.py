"""What identifies a slide's content without reading gigabytes: sizes of its files, and probes spread over them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from voxtile.file_edges import probe
from voxtile_pathology.slides.dicom_files import is_dicom, series_files
from voxtile_pathology.slides.protocol import SlideError

PROBES = 64
PROBE_BYTES = 16_384  # a page of most network file systems, and so not dearer than less
CLOSE_PROBES = 4_096  # all of 64 MiB
_MIRAX = ".mrxs"


def slide_files(path: Path) -> list[Path]:
    """The files that make up a slide, sorted: its own, those of its MIRAX folder, or those of its DICOM series."""
    if path.suffix.lower() == _MIRAX and path.with_suffix("").is_dir():
        return [path, *sorted(p for p in path.with_suffix("").iterdir() if p.is_file())]
    with path.open("rb") as file:
        head = file.read(4096)
    return series_files(path) if is_dicom(head) else [path]


def slide_content(path: Path, probes: int = PROBES) -> tuple[str, int]:
    """Digest of a slide's content, which does not depend on its name or place, and its size in bytes.

    Compressed slides of different tissue differ in size or near their directories. Uncompressed slides of one scanner
    do not; there, the probes between see the pixels. A full hash would read every slide twice.

    Args:
        path: of the slide.
        probes: places at which each of its files is read.

    Raises:
        SlideError: a file is gone or cannot be read.
    """
    try:
        probed = [probe(file, probes, PROBE_BYTES) for file in slide_files(path)]
    except OSError as error:
        raise SlideError(f"{path.name} cannot be read ({error.strerror or error}); was it moved or removed?") from error
    digest = hashlib.sha256("\n".join(sorted(f"{size} {digest}" for size, digest in probed)).encode()).hexdigest()
    return digest, sum(size for size, _ in probed)


def told_apart(slides: Iterable[tuple[Path, str]]) -> list[str]:
    """Contents of slides, in their order, where each is looked at closely that has the probes of an earlier one.

    Uncompressed slides may differ only between the probes, and so may a damaged copy and a whole one. The first of
    them keeps its digest, and so do those that are its copies.

    Args:
        slides: path and digest of each, by `slide_content`.
    """
    firsts: dict[str, Path] = {}
    return [
        _closer(path, firsts[content], content) if firsts.setdefault(content, path) != path else content
        for path, content in slides
    ]


def _closer(path: Path, first: Path, content: str) -> str:
    try:
        digest, _ = slide_content(path, CLOSE_PROBES)
        return content if digest == slide_content(first, CLOSE_PROBES)[0] else digest
    except SlideError:  # it was removed meanwhile, which reading it will say
        return content
