"""Going through a folder of sources: links to folders, or to what is not there, are not followed, and that is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def walk(
    source: Path, onerror: Callable[[OSError], object] | None = None, lost: list[str] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk`, with a note on links to folders, and on links to what is not there, once all is listed.

    A link to a folder may lead out of the source, to what is there already, or into a loop; its files would have paths,
    and so subjects and splits, that are not their own. git-annex and DataLad leave a link to nothing where a file has
    not been fetched.

    Args:
        source: the folder.
        onerror: what to do where a folder cannot be listed.
        lost: where the paths of links to what is not there are added, relative to the folder, with forward slashes.

    Yields:
        A folder, the names of folders in it, which may be changed in place, and of regular files (no pipes or devices).
    """
    links = []
    lost = [] if lost is None else lost
    for folder, names, files in os.walk(source, onerror=onerror):
        links += [
            os.path.relpath(os.path.join(folder, name), source)
            for name in names
            if not name.startswith(".") and os.path.islink(os.path.join(folder, name))
        ]
        there = [name for name in files if os.path.isfile(os.path.join(folder, name))]
        gone = set(files) - set(there)
        lost += [
            Path(folder, name).relative_to(source).as_posix()
            for name in sorted(gone)
            if os.path.islink(os.path.join(folder, name)) and not name.startswith(".")
        ]
        yield folder, names, there
    if links or lost:
        from voxtile.console import note  # workers import this module, and say nothing

        if links:
            note(
                f"links to folders in '{source}' are not followed ({_some(links)}); convert what they lead to as a "
                "source of its own, or put the folder itself there"
            )
        if lost:
            note(
                f"links in '{source}' lead to files that are not there ({_some(lost)}); fetch them (git-annex: git "
                "annex get), or remove the links"
            )


def _some(paths: list[str]) -> str:
    return f"'{min(paths)}'" if len(paths) == 1 else f"'{min(paths)}' and {len(paths) - 1} more"
