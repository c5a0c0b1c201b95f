"""What a download lacks, in one sentence that names it, and classes of data sets in whatever spelling."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

_NAMED = 5  # of many names, in a sentence
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
_CLOSE = 0.5  # of difflib's ratio


def tell(sentence: str) -> None:
    """Say it on standard error, beside the run's own summary."""
    from rich.console import Console  # late: workers import this module and say nothing

    Console(stderr=True).print(sentence, highlight=False, markup=False, soft_wrap=True)


def tell_missing(root: Path, names: Sequence[str], title: str) -> None:
    """Say which of some files or folders a data set's folder does not have.

    Args:
        root: the folder.
        names: relative to it.
        title: of the data set.
    """
    missing = [name for name in names if not (root / name).exists()]
    if missing:
        tell(f"{title}: '{root}' has no {some_of(missing)}; download the rest if it is to be there")


def tell_incomplete(root: Path, title: str, found: int, missing: Sequence[str]) -> None:
    """Say how many samples have no file, or lack one of several, and name the first.

    Args:
        root: the data set's folder.
        title: of the data set.
        found: number of samples that are whole.
        missing: a file of each of the others.
    """
    if missing:
        tell(
            f"{title}: {len(missing)} of {found + len(missing)} samples are not in '{root}' or not wholly"
            f"{such_as(missing)}; they are dropped as missing-file, and read when they arrive"
        )


def tell_classes(root: Path, title: str, classes: Sequence[str], seen: Collection[str]) -> None:
    """Say which classes no picture has; nothing where no picture has any.

    Args:
        root: the data set's folder.
        title: of the data set.
        classes: all of a vocabulary.
        seen: those of the pictures that are there.
    """
    absent = [name for name in classes if name not in seen]
    if absent and seen:
        tell(f"{title}: '{root}' has no picture of {len(absent)} of the {len(classes)} classes: {some_of(absent)}")


def still_packed(root: Path) -> str:
    """`, but 'a.zip', which is still packed`, where a folder holds archives; else nothing."""
    return packed_among(path.name for path in root.iterdir())


def packed_among(names: Iterable[str]) -> str:
    """The same of names that are known."""
    archives = sorted(name for name in names if name.lower().endswith(_ARCHIVES))
    return f", but {some_of(archives)}, still packed: unpack them first" if archives else ""


def tell_unread(root: Path, paths: Iterable[str], endings: tuple[str, ...], advice: str) -> None:
    """Say which files are of formats that a converter does not read.

    Args:
        root: the folder.
        paths: of files that nothing has read.
        endings: of such formats, in small letters.
        advice: what to do with them.
    """
    unread = sorted(path for path in paths if path.lower().endswith(endings))
    if unread:
        one = len(unread) == 1
        files, formats = ("file", "is of a format that is") if one else ("files", "are of formats that are")
        tell(f"{len(unread)} {files} in '{root}' {formats} not read ({some_of(unread)}); {advice}")


def tell_packed(root: Path, paths: Iterable[str]) -> None:
    """Say which archives lie among the files that are read, since nothing of them is."""
    archives = sorted(path for path in paths if path.lower().endswith(_ARCHIVES))
    if archives:
        tell(f"{len(archives)} archives in '{root}' are not read ({some_of(archives)}); unpack them first")


def not_a_folder(source: Path, title: str, where: str) -> str:
    """The sentence about a source that is an archive, another file, or not there.

    Args:
        source: what was given.
        title: of the data set.
        where: it is from.
    """
    if source.is_file() and source.name.lower().endswith(_ARCHIVES):
        return f"'{source}' is packed; unpack it, and give the folder that {title} is unpacked to ({where})"
    return f"'{source}' is not a folder; give the folder that {title} is unpacked to ({where})"


def some_of(names: Sequence[str]) -> str:
    """The first few of some names."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more


def such_as(missing: Sequence[str]) -> str:
    """`, such as 'a.jpg'`, or nothing."""
    return f", such as '{missing[0]}'" if missing else ""


def spelling_key(name: str) -> str:
    """What is left of a class name when case, spaces, `_` and `-` do not matter."""
    return "".join(c for c in name.casefold() if c not in " _-")


def official_name(name: str, classes: Iterable[str]) -> str | None:
    """The class that a name is a spelling of; None where it is of none."""
    return {spelling_key(official): official for official in classes}.get(spelling_key(name))


def nearest_name(name: str, classes: Iterable[str]) -> str | None:
    """The class whose name is most like another; None where none is close."""
    known = {spelling_key(official): official for official in classes}
    close = difflib.get_close_matches(spelling_key(name), list(known), n=1, cutoff=_CLOSE)
    return known[close[0]] if close else None
