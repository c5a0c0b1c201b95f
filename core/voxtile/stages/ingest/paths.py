"""Paths that a table from outside names: they must stay inside the table's own folder."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from voxtile.stages.ingest.picture import PictureError


def local_file(root: Path, name: str) -> Path:
    """Resolve a path from a table.

    Args:
        root: folder that relative names start from and that every name must stay in.
        name: relative, or absolute inside `root`.

    Raises:
        PictureError: reason `unreadable-name`, `outside-root` or `file-missing`.
    """
    try:
        path = (root / name).resolve()
        if not path.is_file():  # another system wrote the table: \ for /, or accents as signs of their own
            plain = name.replace("\\", "/")
            others = ((root / unicodedata.normalize(form, plain)).resolve() for form in ("NFC", "NFD"))
            path = next((other for other in others if other.is_file()), path)
    except (ValueError, OSError, RuntimeError) as error:  # a NUL in it, or a link that points to itself
        raise PictureError("unreadable-name", f"no file can have the name {name!r}; mend the table") from error
    if not path.is_relative_to(root.resolve()):
        raise PictureError("outside-root", f"the path '{name}' leaves the folder '{root}'; name the folder with --root")
    if not path.is_file():
        raise PictureError("file-missing", f"the file '{name}' does not exist in the folder '{root}'")
    return path
