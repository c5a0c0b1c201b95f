"""Finding the files of a tree, whatever their names."""

from __future__ import annotations

from pathlib import Path

from voxtile.corpus.header import CORPUS_FILE
from voxtile.corpus.identity import KEY_MAP_SUFFIX
from voxtile.errors import InputError
from voxtile_datasets.intake.walk import walk
from voxtile_medical.archives.entries import is_archive_name

LINK_TO_NOTHING = "a link to a file that is not there; fetch it (git-annex: git annex get), or remove the link"
ODD_NAME = "the file name is not valid UTF-8; rename the file"


def root_of(source: Path) -> Path:
    """What the paths of a source's files are relative to: a folder or an archive itself, else the file's folder."""
    return source if source.is_dir() or is_archive_name(source.name) else source.parent


def list_files(source: Path, lost: list[str] | None = None) -> tuple[Path, list[str]]:
    """Every file below a folder, in a fixed order, but those of corpora that lie in it and their key maps.

    Args:
        source: a folder, or one file.
        lost: where the paths of links to what is not there are added.

    Returns:
        The folder, and paths relative to it with forward slashes. Links to folders are
        not followed, and are named in a note.

    Raises:
        InputError: the source does not exist, holds no file, or holds a folder that cannot be listed.
    """
    if source.is_file():
        return source.parent, [source.name]
    if not source.is_dir():
        raise InputError(f"the source '{source}' does not exist; give a folder of scans")
    found: list[str] = []
    for folder, folders, names in walk(source, _refuse, lost):
        if CORPUS_FILE in names and Path(folder) != source:
            folders.clear()
            continue
        base = Path(folder).relative_to(source).as_posix()
        below = "" if base == "." else f"{base}/"
        found += [f"{below}{name}" for name in names if not name.endswith(KEY_MAP_SUFFIX)]
    if not found:
        raise InputError(f"the folder '{source}' holds no file; give a folder of scans")
    return source, sorted(found)


def _refuse(error: OSError) -> None:
    raise InputError(
        f"the folder '{error.filename}' cannot be listed ({error.strerror}); allow reading it or move it away"
    )
