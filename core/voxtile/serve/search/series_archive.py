"""The files of a series in one archive (zip), unpacked within limits: it comes from outside."""

from __future__ import annotations

import zipfile
from pathlib import Path

from voxtile.errors import ConfigError

_MOST_FILES = 5000
_MOST_BYTES = 2 << 30  # of all files together
_PIECE = 1 << 20


def unpacked(archive: Path, folder: Path) -> Path:
    """Write the files of an archive under numbers: their names are not used, so that none leads elsewhere.

    Args:
        archive: the zip file.
        folder: where they go; it is made.

    Returns:
        The folder, or the only file in it with its ending.

    Raises:
        ConfigError: it is no archive, is damaged or encrypted, or holds too much.
    """
    folder.mkdir()
    left = _MOST_BYTES
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            if not members or len(members) > _MOST_FILES:
                raise ConfigError(f"the archive holds {len(members):,} files; send 1 to {_MOST_FILES:,}")
            for number, member in enumerate(members):
                left -= _written(opened, member, folder / f"{number:05}{_ending(member.filename)}", left)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        raise ConfigError("the archive cannot be read; send a zip file without a password") from error
    found = sorted(folder.iterdir())
    return found[0] if len(found) == 1 else folder


def _written(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, most: int) -> int:
    """Bytes of a file, counted as they come: what the archive says of its size is not believed."""
    written = 0
    with opened.open(member) as source, path.open("wb") as target:
        while piece := source.read(_PIECE):
            written += len(piece)
            if written > most:
                raise ConfigError(f"the files of the archive are above {_MOST_BYTES >> 30} GB together; send fewer")
            target.write(piece)
    return written


def _ending(name: str) -> str:
    """The ending by which kinds are told, where it is a plain one."""
    lower = name.casefold()
    suffix = ".nii.gz" if lower.endswith(".nii.gz") else Path(lower).suffix
    return suffix if suffix.isascii() and suffix.replace(".", "").isalnum() else ""
