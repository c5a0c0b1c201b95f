"""Files of a corpus exchanged for others, whole or not at all: new ones are ready, a list is written, then it is done.

The list is `.exchange.json` in the corpus. Before it is there nothing has changed; once it is, whoever next holds the
corpus for writing does what it says, as often as it is interrupted. In between every part of a table is read once: a
part that is a file comes before the same part in a packed file, so new files come first and old ones go last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxtile.bounded_text import load_json, read_json
from voxtile.corpus.storage import storage_errors, sync, write_atomically
from voxtile.errors import CorpusError

EXCHANGE_FILE = ".exchange.json"


@dataclass(frozen=True)
class Exchange:
    """What is exchanged, by paths relative to the corpus.

    Attributes:
        first: files with their text that are written before the others: the header, for older readers.
        moved: ready file → the name that it gets.
        then: files with their text that are written after these: the manifest, which vouches for them.
        removed: files that go, in this order.
    """

    first: Mapping[str, str]
    moved: Mapping[str, str]
    then: Mapping[str, str]
    removed: Sequence[str]


def begin_exchange(root: Path, exchange: Exchange) -> None:
    """Write the list: from here on the exchange happens.

    Raises:
        StorageError: it cannot be written; nothing has changed.
    """
    for folder in {(root / name).parent for name in exchange.moved}:
        sync(folder)
    content: dict[str, object] = {name: dict(getattr(exchange, name)) for name in ("first", "moved", "then")}
    content["removed"] = list(exchange.removed)
    write_atomically(root / EXCHANGE_FILE, json.dumps(content, indent=1, ensure_ascii=False).encode())


def is_exchanging(root: Path) -> bool:
    """Whether an exchange was begun and not ended."""
    return (root / EXCHANGE_FILE).is_file()


def exchanging_task(root: Path) -> str:
    """Which task began an exchange that was not ended, as its manifest says; empty where there is none.

    Raises:
        CorpusError: the list is damaged.
    """
    if not is_exchanging(root):
        return ""
    return next((str(load_json(text.encode())["task"]) for text in _read(root).then.values()), "")


def finish_exchange(root: Path) -> bool:
    """Do what is left of an exchange that was begun; whether there was one. Call it with the corpus's lock.

    Raises:
        CorpusError: the list is damaged, or the corpus cannot be written to.
    """
    if not is_exchanging(root):
        return False
    exchange = _read(root)
    with storage_errors(root):
        for name, text in exchange.first.items():
            write_atomically(root / name, text.encode())
        for ready, name in exchange.moved.items():
            if (root / ready).exists():
                os.replace(root / ready, root / name)
        _sync_folders(root, exchange.moved.values())
        for name, text in exchange.then.items():
            write_atomically(root / name, text.encode())
        for name in exchange.removed:
            (root / name).unlink(missing_ok=True)
        _sync_folders(root, exchange.removed)
        (root / EXCHANGE_FILE).unlink()
        sync(root)
    return True


def _sync_folders(root: Path, names: Iterable[str]) -> None:
    for folder in {(root / name).parent for name in names}:
        if folder.is_dir():
            sync(folder)


def _read(root: Path) -> Exchange:
    path = root / EXCHANGE_FILE
    try:
        content = read_json(path)
        first, moved, then = (dict(content[name]) for name in ("first", "moved", "then"))
        found = Exchange(first, moved, then, list(content["removed"]))
        for name in (*found.first, *found.then, *found.moved, *found.moved.values(), *found.removed):
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            f"'{path}' is damaged ({type(error).__name__}); restore the corpus from a copy, or, where 'voxtile verify' "
            "finds nothing else, remove that file"
        ) from error
    return found
