"""Files of a download of questions and conversations: which is there, and what rows it has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.errors import InputError

_LARGEST = 8 << 30  # bytes of one table of questions


def only_file(root: Path) -> Path:
    """The only file of conversations of a folder.

    Raises:
        InputError: there is none, or there are several.
    """
    found = sorted([*root.glob("*.json"), *root.glob("*.jsonl")])
    if len(found) != 1:
        what = "no file" if not found else f"{len(found)} files"
        raise InputError(f"'{root}' has {what} of conversations (.json, .jsonl); name one with --instructions")
    return found[0]


def rows_of(file: Path) -> Iterator[Mapping[str, Any]]:
    """The mappings that a JSON list or a file of JSON lines holds, one after the other.

    Raises:
        InputError: it is neither.
    """
    if file.suffix != ".jsonl":
        rows = read_json(file)
        if not isinstance(rows, list):
            raise InputError(f"'{file}' is no list of conversations; give the file that the set's page names")
        yield from (row for row in rows if isinstance(row, Mapping))
        return
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise InputError(f"line {number} of '{file}' is no JSON ({error}); download it again") from error
                if isinstance(row, Mapping):
                    yield row


def one_file(root: Path, names: list[str], title: str) -> Path:
    """The first of some names that a folder has.

    Raises:
        InputError: it has none.
    """
    found = next((root / name for name in names if (root / name).is_file()), None)
    if found is None:
        raise InputError(f"'{root}' has no '{names[0]}'; give the folder that {title} is unpacked to")
    return found


def folder_of(root: Path, names: list[str], title: str) -> str:
    """The first of some names of folders that a folder has.

    Raises:
        InputError: it has none.
    """
    found = next((name for name in names if (root / name).is_dir()), None)
    if found is None:
        raise InputError(f"'{root}' has no folder '{names[0]}'; give the folder that {title} is unpacked to")
    return found


def read_json(path: Path) -> Any:  # noqa: ANN401
    """A JSON file.

    Raises:
        InputError: it is none, or larger than any table of questions.
    """
    if path.stat().st_size > _LARGEST:
        raise InputError(f"'{path}' has {path.stat().st_size:,} bytes and is no table of questions")
    try:
        return load_json(path.read_bytes())
    except (ValueError, TypeError) as error:
        raise InputError(f"'{path}' is no JSON ({' '.join(str(error).split())}); download it again") from error
