"""What of a remote corpus is read: names that are safe as local paths, and what identifies an object's content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from voxtile.bounded_text import load_json
from voxtile.errors import CorpusError

HEADER = "corpus.json"
SHARD = re.compile(r"shards/[^/\\\0]+\.tar")
# Whatever else lies there (compiled views, locks, drafts, pages of people) is no part of the corpus as it is read.
_SMALL = re.compile(
    r"corpus\.json|forgotten\.json|(?:manifests|done)/[^/\\\0]+\.json|done/[^/\\\0]+\.pending"
    r"|(?:ledger|tables/[a-z_]+)/[^/\\\0]+\.parquet|views/[^/\\\0]+\.selection/[^/\\\0]+\.(?:parquet|json)"
)
_RECORDS = re.compile(r"(?:manifests|done)/[^/]+\.json")
_LONGEST_NAME = 200  # bytes of a part of a name: file systems know 255, and drafts add to it
_LARGEST = 1 << 50  # bytes of a file; stores end below


class Identity(NamedTuple):
    """What tells the content of an object from what it was before.

    Attributes:
        size: bytes; -1 where it is not known yet.
        tag: its ETag, or the time of its last change; empty where it is not known yet.
    """

    size: int
    tag: str


@dataclass(frozen=True)
class Recorded:
    """What the corpus itself says of a file.

    Attributes:
        sha256: hexadecimal.
        size: bytes.
    """

    sha256: str
    size: int


def is_wanted(name: str) -> bool:
    """Whether an object is part of a corpus as it is read; hidden files and names that no file can have are not."""
    for part in name.split("/"):
        if part.startswith(".") or len(part.encode("utf-8", "surrogatepass")) > _LONGEST_NAME:
            return False
    return bool(SHARD.fullmatch(name) or _SMALL.fullmatch(name))


def is_record(name: str) -> bool:
    """Whether it says which files there must be: a manifest or a done file."""
    return bool(_RECORDS.fullmatch(name))


def recorded_in(name: str, content: bytes) -> dict[str, Recorded]:
    """The files that a manifest or a done file vouches for.

    Raises:
        CorpusError: it is damaged.
    """
    try:
        files = load_json(content)["files"]
        return {
            str(file): Recorded(str(entry["sha256"]), _size(entry["bytes"]))
            for file, entry in files.items()
            if is_wanted(str(file))
        }
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"'{name}' of the remote corpus is damaged ({type(error).__name__})") from error


def _size(value: Any) -> int:  # noqa: ANN401 - of JSON
    size = int(value)
    if not 0 <= size <= _LARGEST:
        raise ValueError(f"{size} bytes")
    return size


def removed_files(root: Path) -> set[str]:
    """Files that are gone for good, by the newest manifest that names them; one that came again is not.

    Args:
        root: of a corpus, or of the mirror of one.

    Raises:
        CorpusError: a manifest is damaged.
    """
    gone: set[str] = set()
    for path in sorted((root / "manifests").glob("*.json"), key=lambda path: (len(path.name), path.name)):
        content = path.read_bytes()
        gone -= recorded_in(path.name, content).keys()
        gone |= set(map(str, load_json(content).get("removed", ())))
    return gone


def identity_of(meta: Any) -> Identity:  # noqa: ANN401 - obstore's ObjectMeta, a TypedDict that exists for checkers only
    """Identity of an object by what its store says of it."""
    tag = meta.get("e_tag") or meta["last_modified"].isoformat()
    return Identity(int(meta["size"]), str(tag))


def identity_unknown() -> Identity:
    """Of an object that was not read yet."""
    return Identity(-1, "")
