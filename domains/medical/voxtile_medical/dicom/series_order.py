"""In which order the files of a series are taken, which decides the uids of its samples.

By their SOPInstanceUIDs, so that the same series has the same uids under any file names. Corpora of earlier versions
have it by the files' paths: a series that they hold stays in that order, or it would be stored a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile_medical.dicom.series import Series

_MOST_FRAMES = 10_000  # names of pictures or volumes that are tried


def ordered(series: Series, stored: Collection[str], content_name: Callable[[str], str]) -> Series:
    """A series with its files in order.

    Args:
        series: its files by their paths.
        stored: uids of the corpus.
        content_name: what the corpus calls the identity of a series' content.
    """
    if len(series.headers) < 2:
        return series
    if stored and any(uid in stored for uid in _uids(series, content_name(series.content()))):
        return series
    return replace(
        series, headers=tuple(sorted(series.headers, key=lambda header: (header.text("SOPInstanceUID"), header.path)))
    )


def stored_uids(corpus: Path) -> frozenset[str]:
    """Uids of all samples of a corpus; none of one that is not there yet."""
    parts = part_paths(corpus, "samples")
    return frozenset(read_parts(parts, table_schema("samples"), ["uid"])["uid"].to_pylist())


def _uids(series: Series, content: str) -> Iterator[str]:
    """Those that volumes or pictures of the series may have, see `volume_uid` and `picture_samples`."""
    frames = [int((header.values.get("NumberOfFrames") or (1,))[0] or 1) for header in series.headers]
    for geometry in ("", "resampled"):
        yield sample_uid(content, "", geometry)
        for number in range(min(_MOST_FRAMES, sum(frames))):
            yield sample_uid(content, f"volume {number}", geometry)
    for number, count in enumerate(frames):
        yield sample_uid(content, f"picture {number}")
        for frame in range(min(_MOST_FRAMES, count) if count > 1 else 0):
            yield sample_uid(content, f"picture {number} frame {frame}")
