"""A file's elements by pydicom, for the few that an ordinary header does not need.

Pydicom comes with its dictionaries, its decoders and their libraries: half a second of a process that reads nothing
but ordinary images. It is imported when the first file asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtile_medical.archives.stored import stored

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def read_dataset(path: Path, tags: Sequence[Any] | None = None, **options: Any) -> Dataset:  # noqa: ANN401
    """The elements before the pixels.

    Args:
        path: of a file, or of a member of an archive.
        tags: keywords or numbers of the elements that are wanted; None for all.
        options: further ones of `pydicom.dcmread`.

    Raises:
        Exception: what a parser on hostile bytes raises.
    """
    import pydicom

    wanted = None if tags is None else list(tags)
    return pydicom.dcmread(stored(path), stop_before_pixels=True, force=True, specific_tags=wanted, **options)
