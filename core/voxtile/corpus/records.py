"""What runs recorded of the files that they wrote: manifests, and done files of jobs that no manifest covers yet."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voxtile.bounded_text import load_json, record_bytes
from voxtile.corpus.parts import uncommitted_stems
from voxtile.errors import CorpusError

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class EncodedArray:
    """An array that is compressed already, so that a task with thousands of tiles need not hold their pixels.

    Attributes:
        data: the frame, as `voxtile.corpus.shards.codecs.compress` makes it.
        shape: of the array.
        dtype: name of its type.
    """

    data: bytes = field(repr=False)
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Sample:
    """One sample to be stored.

    Attributes:
        row: columns of `schema.SAMPLES` that the task knows (uid, subject, kind, …); the writer fills shard, codec,
            offset, nbytes, sha256, and shape and dtype of arrays.
        payload: an array (stored as `.b2nd`, in the order of `axes`; compressed by the writer if it is not yet), or
            encoded JPEG or PNG bytes passed through, or None for `codec: ref`.
        preview: 8-bit picture [Y, X] or [Y, X, 3] for people, stored as `.preview.jpg`; only for arrays.
    """

    row: Row
    payload: npt.NDArray[Any] | EncodedArray | bytes | None
    preview: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Mask:
    """A region whose shape is stored pixel by pixel.

    Attributes:
        row: columns of `schema.REGIONS` that the task knows (region_id, uid, phrase, box, source); the writer fills
            mask_shard, mask_offset and mask_nbytes. The region_id names the shard's member `<region_id>.mask.b2nd`.
        array: bool, or uint8 for shares or classes; spatial axes of the sample, in the order of its `axes`, the whole
            sample or a coarser grid over it.
        shape: of the whole mask where `array` is a part of it, outside which the mask is 0; None where it is all. A
            hundred masks of a volume fit into memory only as parts.
        corner: index in the whole mask of the part's first element.
    """

    row: Row
    array: npt.NDArray[np.bool_] | npt.NDArray[np.uint8]
    shape: tuple[int, ...] | None = None
    corner: tuple[int, ...] = ()

    def whole(self) -> npt.NDArray[np.bool_] | npt.NDArray[np.uint8]:
        """The mask at its full shape.

        Raises:
            ValueError: the part does not lie inside the whole.
        """
        if self.shape is None:
            return self.array
        box = tuple(slice(low, low + size) for low, size in zip(self.corner, self.array.shape, strict=True))
        if any(part.start < 0 or part.stop > size for part, size in zip(box, self.shape, strict=True)):
            raise ValueError(f"a part {box} lies outside a mask of shape {self.shape}")
        whole = np.zeros(self.shape, np.uint8)
        whole[box] = self.array
        return whole.view(np.bool_) if self.array.dtype == np.bool_ else whole


Hashes: TypeAlias = dict[str, tuple[str, int]]
"""Path relative to the corpus → sha-256 (hex) and size in bytes."""

STEM_DIGITS = 16  # 64 bits of a job's id in the names of its files; the whole id is in the done file
REMOVED = "removed"  # field of a manifest: paths that are gone for good
_SEAL = "sha256"  # last field of a manifest: hash of all bytes before it, since no other file vouches for them
_SEALED = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n}\Z')


@dataclass(frozen=True)
class Record:
    """One manifest or done file.

    Attributes:
        name: path relative to the corpus.
        files: what it vouches for.
        jobs: ids of the jobs that a manifest covers.
        removed: paths that are gone for good.
    """

    name: str
    files: Hashes
    jobs: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()


def read_record(root: Path, path: Path) -> Record:
    """Read one of them.

    Raises:
        CorpusError: it is damaged.
    """
    name = path.relative_to(root).as_posix()
    try:
        raw = record_bytes(path)
        content: dict[str, Any] = load_json(raw)
        if _SEAL in content:
            _check_seal(raw)
        files = {file: (str(entry["sha256"]), int(entry["bytes"])) for file, entry in content["files"].items()}
        gone = frozenset(map(str, content.get(REMOVED, ())))
        return Record(name, files, frozenset(content.get("jobs", ())), gone)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(
            f"'{root / name}' is damaged ({type(error).__name__}); restore it from a copy, "
            "then run 'voxtile verify' on the corpus"
        ) from error


def sealed(content: Mapping[str, Any]) -> str:
    """Text of a manifest that ends with the hash of what stands before."""
    text = json.dumps({key: value for key, value in content.items() if key != _SEAL}, indent=1, ensure_ascii=False)
    before = text.removesuffix("\n}")
    return f'{before},\n "{_SEAL}": "{hashlib.sha256(before.encode()).hexdigest()}"\n}}'


def _check_seal(raw: bytes) -> None:
    end = _SEALED.search(raw)
    if end is None or hashlib.sha256(raw[: end.start()]).hexdigest() != end[1].decode():
        raise ValueError("it is not what was written")


def missing_manifests(root: Path) -> list[str]:
    """Paths of manifests that are gone, since manifests are numbered without gaps, and not noted as removed."""
    _, paths = record_paths(root)
    numbers = {int(path.stem) for path in paths if path.stem.isdecimal()}
    gone = (f"manifests/{n:04d}.json" for n in range(1, max(numbers, default=0)) if n not in numbers)
    noted = {name for path in paths for name in _noted(root, path)}
    return [name for name in gone if name not in noted]


def _noted(root: Path, path: Path) -> frozenset[str]:
    try:
        return read_record(root, path).removed
    except CorpusError:  # is told of by itself
        return frozenset()


def record_paths(root: Path) -> tuple[list[Path], list[Path]]:
    """Done files in the order of their names, and manifests in that of their numbers."""
    manifests = sorted((root / "manifests").glob("*.json"), key=lambda path: (len(path.name), path.name))
    return sorted((root / "done").glob("*.json")), manifests


def recorded_files(root: Path) -> Hashes:
    """Every file that must be there, by the newest record of it.

    The files of a job without its done file are not: it was to be done again, and its files went. Where a corpus has no
    done file at all, as a copy of it may, the manifests alone count.

    Raises:
        CorpusError: a record is damaged.
    """
    done, manifests = record_paths(root)
    files: Hashes = {}
    covered: set[str] = set()
    for record in (read_record(root, path) for path in manifests):
        files.update(record.files)
        covered |= record.jobs
        for name in record.removed:
            files.pop(name, None)
    committed = {path.stem for path in done}
    for path in done:
        if path.stem not in covered:
            files = read_record(root, path).files | files
    if not committed:
        return files
    gone = tuple(f"-{job[:STEM_DIGITS]}" for job in covered - committed)
    return {name: known for name, known in files.items() if not Path(name).stem.endswith(gone)}


def check_parts(root: Path, tables: Sequence[str], files: Hashes, *, contents: bool = False) -> None:
    """Check that the recorded parts of tables are there; parts that nobody recorded are not asked for.

    Args:
        root: the corpus.
        tables: names of tables; `ledger` is one.
        files: of `recorded_files`.
        contents: compare sizes and hashes too.

    Raises:
        CorpusError: a part is missing, or not as it was written.
    """
    folders = {"ledger" if table == "ledger" else f"tables/{table}" for table in tables}
    hidden = uncommitted_stems(root)
    for name, known in files.items():
        path = root / name
        if name.rpartition("/")[0] not in folders or path.suffix != ".parquet" or path.stem in hidden:
            continue
        if not path.is_file():
            raise CorpusError(
                f"'{path}' is missing, though the corpus says that it was written: {path.parent.name} would be "
                "incomplete; restore it from a copy, or, where it was removed on purpose, run "
                f"'voxtile verify {root} --accept-missing'"
            )
        if contents and _hashed(path) != known:
            raise CorpusError(
                f"'{path}' is not as it was written; run 'voxtile verify {root}', which says how to get it back"
            )


def check_recorded_parts(root: Path, tables: Sequence[str], *, contents: bool = False) -> None:
    """The same by the records of now, and anew where parts were packed, or forgotten, while they were compared.

    Raises:
        CorpusError: as `check_parts`.
    """
    files = recorded_files(root)
    try:
        check_parts(root, tables, files, contents=contents)
    except (CorpusError, FileNotFoundError):
        if (now := recorded_files(root)) == files:
            raise
        check_parts(root, tables, now, contents=contents)


def require_as_written(root: Path, name: str, files: Hashes, what: str) -> None:
    """Refuse to write again what is not as it was written: its damage would get a valid hash.

    Args:
        root: the corpus.
        name: path of the file, relative to it.
        files: of `recorded_files`; what is not among them is taken as it is.
        what: has not been done to it, such as `packed`.

    Raises:
        CorpusError: it differs.
    """
    if name in files and files[name] != _hashed(root / name):
        raise CorpusError(
            f"'{root / name}' is not as it was written, and nothing was {what}; run 'voxtile verify {root}', which "
            "says how to get it back"
        )


def missing_parts(root: Path, files: Hashes) -> Iterator[str]:
    """Recorded parts of tables and of the ledger that are not there."""
    for name in sorted(files):
        if name.startswith(("tables/", "ledger/")) and not (root / name).is_file():
            yield name


def _hashed(path: Path) -> tuple[str, int]:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()
