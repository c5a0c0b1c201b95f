"""Writing shards so that a run that was killed goes on where it stopped, and gives the same bytes.

A shard appears whole or not at all, and `export.json` notes it afterwards with its hash and how far the order of the
split it went. What lies beyond the last noted shard is written again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from voxtile.bounded_text import load_json
from voxtile.corpus.drafts import TEMPORARY_SUFFIX
from voxtile.corpus.shards.tar import DeterministicTar
from voxtile.corpus.storage import publish_all, write_atomically
from voxtile.errors import ConfigError
from voxtile.file_edges import file_sha256
from voxtile_datasets.webdataset_export.records import Record

STATE = "export.json"
_EXAMPLES = 5
_END_OF_TAR = 1024


@dataclass(frozen=True)
class Shard:
    """A published shard.

    Attributes:
        path: relative to the export.
        place: place in the split's order from which the next shard goes on.
        skipped: reason → samples between its first and last record that gave none.
    """

    path: str
    split: str
    records: int
    nbytes: int
    sha256: str
    place: int
    skipped: dict[str, int]


@dataclass
class ExportState:
    """What is done of an export: the content of `export.json`.

    Attributes:
        key: hash of the settings and of the corpus's tables.
        settings: as JSON.
        shards: in order.
        finished: split → reason → samples after the last shard that gave none; a split is here once it is complete.
        examples: reason → some of the samples.
    """

    key: str
    settings: dict[str, object]
    shards: list[Shard] = field(default_factory=list)
    finished: dict[str, dict[str, int]] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def of(self, split: str) -> list[Shard]:
        """Shards of a split."""
        return [shard for shard in self.shards if shard.split == split]

    def skipped(self) -> Counter[str]:
        """Reason → samples that gave no record."""
        total: Counter[str] = Counter()
        for counts in [*(shard.skipped for shard in self.shards), *self.finished.values()]:
            total.update(counts)
        return total

    def note(self, skipped: Sequence[tuple[str, str]]) -> dict[str, int]:
        """Keep some as examples; the counts by reason."""
        for reason, example in skipped:
            held = self.examples.setdefault(reason, [])
            if len(held) < _EXAMPLES and example not in held:
                held.append(example)
        return dict(Counter(reason for reason, _ in skipped))

    def save(self, out: Path) -> None:
        """Write it.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_atomically(out / STATE, (json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n").encode())


def open_state(out: Path, key: str, settings: dict[str, object]) -> ExportState:
    """Begin an export, or go on with one of the same settings and corpus. Call it with the folder's lock.

    Raises:
        ConfigError: the folder holds something else, or another export.
    """
    state = held_state(out, key, settings)
    for leftover in out.rglob(f".*{TEMPORARY_SUFFIX}"):
        leftover.unlink()
    state.shards = _intact(out, state)
    return state


def held_state(out: Path, key: str, settings: dict[str, object]) -> ExportState:
    """The state that a folder holds, as it says; a new one where it is empty.

    Raises:
        ConfigError: the folder holds something else, or another export.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"'{out}' is a file; name a folder for the export")
    path = out / STATE
    if not path.is_file():
        if out.exists() and any(not entry.name.startswith(".") for entry in out.iterdir()):
            raise ConfigError(f"the folder '{out}' exists and holds other files; name a new one for the export")
        return ExportState(key, settings)
    try:
        held = load_json(path.read_text("utf-8"))
        state = ExportState(**{**held, "shards": [Shard(**shard) for shard in held["shards"]]})
    except (ValueError, TypeError, KeyError):
        raise ConfigError(f"'{path}' is damaged; name a new folder for the export") from None
    if state.key != key:
        raise ConfigError(
            f"the folder '{out}' holds an export with other settings or of an earlier state of the corpus; "
            "name a new one"
        )
    return state


def write_split(out: Path, state: ExportState, split: str, feed: Feed, limits: tuple[int, int]) -> None:
    """Write what is left of a split's shards.

    Args:
        out: folder of the export.
        state: what is done; saved after each shard.
        split: name of the split, and of its folder.
        feed: its records from the last shard on.
        limits: bytes and records of a shard at most; one record always fits.

    Raises:
        StorageError: a shard cannot be written; those before it stay.
    """
    while feed.head() is not None:
        name = f"{split}/{len(state.of(split)):06d}.tar"
        taken: list[Record] = []
        publish_all([(out / name, partial(_fill, feed=feed, limits=limits, taken=taken))])
        skipped = [pair for record in taken for pair in record.skipped]
        size, digest = (out / name).stat().st_size, file_sha256(out / name)
        state.shards.append(Shard(name, split, len(taken), size, digest, taken[-1].place + 1, state.note(skipped)))
        state.save(out)
    state.finished[split] = state.note(feed.rest())
    sizes = {Path(shard.path).name: shard.records for shard in state.of(split)}
    write_atomically(out / split / "sizes.json", (json.dumps(sizes, indent=1) + "\n").encode())
    state.save(out)


class Feed:
    """Records with a look at the next one.

    Args:
        records: the stream.
        rest: gives what was skipped after the last record.
    """

    def __init__(self, records: Iterator[Record], rest: list[tuple[str, str]]) -> None:
        self._records = records
        self._rest = rest
        self._head: Record | None = None
        self._empty = False

    def head(self) -> Record | None:
        """The next record; None at the end."""
        if self._head is None and not self._empty:
            self._head = next(self._records, None)
            self._empty = self._head is None
        return self._head

    def take(self) -> None:
        """Go on to the record after it."""
        self._head = None

    def rest(self) -> list[tuple[str, str]]:
        """(reason, uid) of what came after the last record."""
        return list(self._rest)


def _fill(target: Path, *, feed: Feed, limits: tuple[int, int], taken: list[Record]) -> None:
    """Write one shard and note its records in `taken`."""
    nbytes, records = limits
    with target.open("wb", buffering=1 << 20) as file:
        tar = DeterministicTar(file)
        size = _END_OF_TAR
        while (record := feed.head()) is not None:
            full = size + record.nbytes > nbytes or len(taken) >= records
            if taken and full and record.place != taken[-1].place:  # the records of a sample stay together
                break
            for name, data in record.members:
                tar.add(name, data)
            size += record.nbytes
            taken.append(record)
            feed.take()
        tar.finish()


def _intact(out: Path, state: ExportState) -> list[Shard]:
    """Noted shards up to the first, in each split, that is not there as noted; later ones are written again."""
    kept: list[Shard] = []
    broken: set[str] = set()
    for shard in state.shards:
        path = out / shard.path
        if shard.split not in broken and path.is_file() and path.stat().st_size == shard.nbytes:
            kept.append(shard)
        else:
            broken.add(shard.split)
            state.finished.pop(shard.split, None)
    return kept
