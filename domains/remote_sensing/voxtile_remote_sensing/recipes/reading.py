"""Reading the side files of datasets: JSON, split lists and class names, with errors that name the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from voxtile.bounded_text import load_json
from voxtile.errors import InputError

_NAMED = 5  # of many names, in a sentence


def tell(sentence: str) -> None:
    """Say what a download lacks, on standard error."""
    Console(stderr=True).print(sentence, highlight=False, markup=False, soft_wrap=True)


def tell_missing(root: Path, names: Sequence[str], title: str) -> None:
    """Say which files or folders of a dataset are not in its folder."""
    missing = [name for name in names if not (root / name).exists()]
    if missing:
        tell(f"{title}: '{root}' has no {some_of(missing)}; download the rest if it is to be there")


def some_of(names: Sequence[str]) -> str:
    """The first few of some names."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more


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
