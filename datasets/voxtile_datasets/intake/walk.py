"""Going through a folder of sources: links to folders are not followed, and that is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def walk(
    source: Path, onerror: Callable[[OSError], object] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk`, with a note on links to folders once all is listed.

    A link may lead out of the source, to what is there already, or into a loop; its files would have paths, and so
    subjects and splits, that are not their own.

    Args:
        source: the folder.
        onerror: what to do where a folder cannot be listed.

    Yields:
        A folder, the names of folders in it, which may be changed in place, and of files.
    """
    links = []
    for folder, names, files in os.walk(source, onerror=onerror):
        links += [
            os.path.relpath(os.path.join(folder, name), source)
            for name in names
            if not name.startswith(".") and os.path.islink(os.path.join(folder, name))
        ]
        yield folder, names, files
    if links:
        from voxtile.console import note  # workers import this module, and say nothing

        which = f"'{min(links)}'" if len(links) == 1 else f"'{min(links)}' and {len(links) - 1} more"
        note(
            f"links to folders in '{source}' are not followed ({which}); convert what they lead to as a source of its "
            "own, or put the folder itself there"
        )
