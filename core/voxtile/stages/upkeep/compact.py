"""`voxtile compact`: many small parts of tables become few files, and stay the parts that they are."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voxtile.bounded_text import read_json
from voxtile.console import output
from voxtile.corpus.header import CORPUS_FILE, check_corpus, corpus_version, header_bytes
from voxtile.corpus.packing.exchange import Exchange, begin_exchange, finish_exchange
from voxtile.corpus.packing.reading import PackedFile, locate, packed_files
from voxtile.corpus.parts import part_bytes, part_paths, table_folder
from voxtile.corpus.records import Hashes, recorded_files, require_as_written
from voxtile.corpus.remote.address import refuse_remote
from voxtile.corpus.schema import PACKED_VERSION, TABLES
from voxtile.corpus.storage import storage_errors
from voxtile.engine.commit import DONE, remove_leftovers
from voxtile.engine.lock import corpus_lock
from voxtile.engine.manifest import compose_manifest, jobs_in_manifests
from voxtile.engine.plan import TaskIdentity
from voxtile.errors import ConfigError
from voxtile.file_edges import file_sha256
from voxtile.stages.upkeep.packing import Pack, can_be_packed, draft_packed, exchange_drafts, group_parts

NAME, VERSION = "compact", "1"
_MIB = 2**20


def compact_corpus(corpus: Path, *, part_mb: float = 64.0, dry_run: bool = False) -> None:
    """Put the many small parts of a corpus's tables and of its ledger into few files.

    Each part keeps its name, its rows and their order within its packed file, so that stages know what they have done,
    compiled views and runs that resume stay valid, and readers get the same rows in the same order. Shards and reviews
    stay as they are. A run that is killed leaves the corpus as it was or is completed by the next command that writes
    to it. Older versions of voxtile refuse a corpus with packed files.

    Args:
        corpus: folder of the corpus.
        part_mb: put parts together up to so many MB a file; parts of this size stay alone.
        dry_run: say what would be put together, and write nothing.

    Raises:
        ConfigError: `part_mb` is not above 0.
        CorpusError: the corpus is in use, damaged, newer, remote, or cannot be written to.
    """
    if not 0 < part_mb < math.inf:
        raise ConfigError(f"'part_mb' must be greater than 0 and finite, not {part_mb}")
    refuse_remote(corpus, "written to")
    check_corpus(corpus)
    limit = int(part_mb * _MIB)
    if dry_run:
        _say(corpus, plan_compaction(corpus, limit), "would be packed")
        return
    with storage_errors(corpus), corpus_lock(corpus):
        remove_leftovers(corpus)
        plan = plan_compaction(corpus, limit)
        if plan.packs:
            compact(corpus, plan)
        _say(corpus, plan, "packed")


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        packs: files to be written.
        replaced: paths of files that go, relative to the corpus, in the order in which they must go.
        waiting: names of jobs that no manifest covers yet; their parts stay.
    """

    packs: list[Pack] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    waiting: frozenset[str] = frozenset()


def plan_compaction(root: Path, most_bytes: int) -> Plan:
    """Which parts go together.

    The ledger comes first: a part is packed only where the ledger of its job is packed too or there is none, since a
    ledger that is a file says that the job was done again.

    Raises:
        CorpusError: a part or a record is damaged.
    """
    known = recorded_files(root)
    waiting = frozenset(_waiting(root))
    ledger, kept = _packs(root, "ledger", most_bytes, waiting, known)
    within = {part.stem for pack in ledger for part in pack.parts} | {stem for file in kept for stem in file.members}
    alone = {part.stem for part in part_paths(root, "ledger")} - within
    packs, old = list(ledger), _old(root, "ledger", ledger, kept)
    for table in (name for name in TABLES if name != "reviews"):  # servers write those, and hold no lock of the corpus
        made, kept = _packs(root, table, most_bytes, waiting | alone, known)
        packs += made
        old += _old(root, table, made, kept)
    files = [part for pack in packs for part in pack.parts if part.is_file()]  # those of the ledger are first
    return Plan(packs, [path.relative_to(root).as_posix() for path in [*old, *files]], waiting)


def compact(root: Path, plan: Plan, identity: TaskIdentity | None = None) -> None:
    """Write the files of a plan and put them in the place of the parts; call it with the corpus's lock.

    Raises:
        CorpusError: a part is damaged, or the corpus cannot be written to; nothing has changed.
    """
    started = time.monotonic()
    with exchange_drafts() as ready:
        for pack in plan.packs:
            draft_packed(root, pack, ready)
        begin_exchange(root, _exchange(root, plan, ready, identity, started))
    finish_exchange(root)


def _exchange(
    root: Path, plan: Plan, ready: Mapping[Path, Path], identity: TaskIdentity | None, started: float
) -> Exchange:
    files: Hashes = {
        target.relative_to(root).as_posix(): (file_sha256(draft), draft.stat().st_size)
        for draft, target in ready.items()
    }
    first: dict[str, str] = {}
    if corpus_version(root) != PACKED_VERSION:
        header = header_bytes(PACKED_VERSION)
        first[CORPUS_FILE] = header.decode()
        files[CORPUS_FILE] = (_sha256(header), len(header))
    name, text = compose_manifest(
        root,
        identity or TaskIdentity(NAME, VERSION, "{}"),
        [],
        counts={"parts": sum(len(pack.parts) for pack in plan.packs), "files": len(plan.packs)},
        reasons={},
        files=files,
        seconds=time.monotonic() - started,
        removed=plan.replaced,
    )
    moved = {draft.relative_to(root).as_posix(): target.relative_to(root).as_posix() for draft, target in ready.items()}
    return Exchange(first, moved, {name: text}, plan.replaced)


def _packs(
    root: Path, table: str, most_bytes: int, left_out: frozenset[str] | set[str], known: Hashes
) -> tuple[list[Pack], list[PackedFile]]:
    """Files to be written for a table, and those that stay."""
    parts = part_paths(root, table)
    visible = {part.stem for part in parts if not part.is_file()}
    stored = packed_files(table_folder(root, table))
    kept = [file for file in stored if _stays(file, visible, most_bytes)]
    done = {stem for file in kept for stem in file.members}
    small = [part for part in parts if part.stem not in done and _is_small(part, most_bytes, left_out)]
    packs = list(group_parts(table, [part for part in small if _is_sound(root, table, part, known)], most_bytes))
    folder = table_folder(root, table)
    again = {pack.name for pack in packs if (folder / pack.name).is_file() and not any(p.is_file() for p in pack.parts)}
    kept += [file for file in stored if file.path.name in again]
    return [pack for pack in packs if pack.name not in again], kept


def _stays(file: PackedFile, visible: set[str], most_bytes: int) -> bool:
    """Whether a packed file is large enough, and holds nothing that was written again."""
    return file.members.keys() <= visible and sum(one.nbytes for one in file.members.values()) >= most_bytes // 2


def _is_small(part: Path, most_bytes: int, left_out: frozenset[str] | set[str]) -> bool:
    if not part.is_file():
        return True  # packed already, in a file that is written again
    return part.stem not in left_out and part_bytes(part) < most_bytes


def _is_sound(root: Path, table: str, part: Path, known: Hashes) -> bool:
    """Whether a part can be packed; one that is not as it was written must not get new hashes.

    Raises:
        CorpusError: it is damaged.
    """
    require_as_written(root, locate(part).path.relative_to(root).as_posix(), known, "packed")
    return can_be_packed(table, part)


def _old(root: Path, table: str, packs: Sequence[Pack], kept: Sequence[PackedFile]) -> list[Path]:
    """Packed files that go: all that is read of them is in new ones, or nothing is."""
    staying = {file.path for file in kept} | {table_folder(root, table) / pack.name for pack in packs}
    return [file.path for file in packed_files(table_folder(root, table)) if file.path not in staying]


def _waiting(root: Path) -> Iterator[str]:
    """Names of committed jobs whose run was killed before its manifest: they are read by their own records."""
    covered = jobs_in_manifests(root)
    for path in sorted((root / DONE).glob("*.json")):
        if path.stem not in covered:
            yield str(read_json(path).get("stem"))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _say(root: Path, plan: Plan, what: str) -> None:
    console = output()
    parts = sum(len(pack.parts) for pack in plan.packs)
    if not plan.packs:
        line = f"'{root}': nothing to pack"
    else:
        files = f"{len(plan.packs):,} file{'s' if len(plan.packs) > 1 else ''}"
        line = f"'{root}': {parts:,} parts {what} into {files}, in the place of {len(plan.replaced):,}"
    console.print(line, markup=False, highlight=False, soft_wrap=True)
    if plan.waiting:
        console.print(
            f"  {len(plan.waiting):,} jobs of a run that was killed stay as they are; run its command again first",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
