"""Reading the side files of datasets: JSON, split lists and class names, with errors that name the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.errors import InputError


def first_existing(root: Path, names: Sequence[str], what: str) -> Path:
    """The first of some paths below a folder that exists.

    Raises:
        InputError: none does; the sentence lists them.
    """
    for name in names:
        if (root / name).exists():
            return root / name
    raise InputError(f"'{root}' has no {what}; expected {' or '.join(names)}")


def read_json(path: Path) -> Any:  # noqa: ANN401
    """A JSON file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return load_json(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' is not readable JSON ({error}); download it again") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is not a readable text file ({error}); download it again") from error


def find_files(root: Path, folder: str, suffixes: Iterable[str]) -> dict[str, str]:
    """File name → path relative to `root`, of the files below a folder with one of the suffixes (the first wins)."""
    wanted = tuple(suffixes)
    found: dict[str, str] = {}
    for path in sorted((root / folder).rglob("*")):
        if path.suffix.lower() in wanted and not path.name.startswith("."):
            found.setdefault(path.name, path.relative_to(root).as_posix())
    return found
