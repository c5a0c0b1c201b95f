"""Files against what runs recorded of them, and leftovers of interrupted runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voxtile.corpus.drafts import TEMPORARY_SUFFIX
from voxtile.corpus.packing.exchange import EXCHANGE_FILE, is_exchanging
from voxtile.corpus.parts import uncommitted_stems
from voxtile.corpus.records import missing_manifests, missing_parts, read_record, record_paths, recorded_files
from voxtile.corpus.shards.memory_maps import map_shard
from voxtile.engine.lock import corpus_lock
from voxtile.engine.manifest import write_manifest
from voxtile.engine.plan import TaskIdentity
from voxtile.errors import CorpusError, StoreError
from voxtile.stages.verify.verification import Problem


@dataclass(frozen=True)
class Recorded:
    """What done files and manifests say.

    Attributes:
        files: path relative to the corpus → sha-256 and size in bytes.
        jobs: path relative to the corpus → done file that vouches for it.
        problems: records that cannot be read.
    """

    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def repair(self, path: str, *, is_there: bool = True) -> str:
        """How to get a damaged file back, or one that is missing."""
        if path.startswith("done/"):
            if not is_there:
                return "restore the file from a copy, or run the same conversion again"
            return "restore the file from a copy, or delete it and run the same conversion again"
        if path in self.jobs:
            return f"restore the file from a copy, or delete '{self.jobs[path]}' and run the same conversion again"
        return "restore the file from a copy"


def read_records(root: Path) -> Recorded:
    """Collect the hashes that done files and manifests state; the newest manifest counts."""
    recorded = Recorded()
    done, manifests = record_paths(root)
    for path in [*done, *manifests]:
        try:
            record = read_record(root, path)
        except CorpusError as error:
            name, cause = path.relative_to(root).as_posix(), type(error.__cause__).__name__
            advice = "restore it from a copy, or delete it and run the same conversion again"
            if path.parent.name != "done":
                advice = "restore it from a copy, or delete it and run 'voxtile verify CORPUS --accept-missing'"
            recorded.problems.append(Problem(name, f"the record is damaged ({cause})", advice))
            continue
        recorded.files.update(record.files)
        for gone in record.removed:
            recorded.files.pop(gone, None)
        if path.parent.name == "done":
            recorded.jobs.update(dict.fromkeys(record.files, record.name))
    what = "the record is missing: what its run wrote, and under which terms, nothing else says in full"
    advice = "restore it from a copy, or note that it is gone with 'voxtile verify CORPUS --accept-missing'"
    recorded.problems.extend(Problem(name, what, advice) for name in missing_manifests(root))
    return recorded


def checked_anew(path: Path, check: Callable[[], list[Problem]]) -> list[Problem]:
    """What a check finds; of a shard of a remote corpus what it finds in the store, whatever the cache held.

    Args:
        path: of the shard, or of another file.
        check: reads it and says what is wrong.
    """
    problems = check()
    if not problems or path.exists():
        return problems
    from voxtile.corpus.remote.payloads import forget_cached, remote_size  # late: local corpora do without

    size = remote_size(path)
    if size is None or not forget_cached(path, 0, size):
        return problems
    problems = check()
    if problems:  # what is mended in the store must not be met in the cache again
        forget_cached(path, 0, size)
    return problems


def out_of_reach(where: str, error: StoreError, repair: str) -> Problem:
    """What is wrong where a store gives no bytes, with its own advice: the file may be as it should be.

    Args:
        where: the file.
        error: of the store, a sentence with what to do behind a semicolon.
        repair: what to do where the error says no more than to verify.
    """
    what, _, advice = str(error).partition("; ")
    return Problem(where, what, advice if advice and "voxtile verify" not in advice else repair)


def check_file(root: Path, path: str, recorded: Recorded) -> Problem | None:
    """Compare one recorded file with its hash."""
    found = checked_anew(root / path, lambda: _check_file(root, path, recorded))
    return found[0] if found else None


def _check_file(root: Path, path: str, recorded: Recorded) -> list[Problem]:
    digest, size = recorded.files[path]
    target = root / path
    try:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise CorpusError("it lies outside the corpus")
        found, content = _size_and_hash(target, size)
        if found != size:
            return [Problem(path, f"the file has {found} bytes instead of {size}", recorded.repair(path))]
        if content != digest:
            return [Problem(path, "the content differs from what was written", recorded.repair(path))]
    except FileNotFoundError:
        return [Problem(path, "the file is missing", recorded.repair(path, is_there=False))]
    except StoreError as error:
        return [out_of_reach(path, error, recorded.repair(path))]
    except (OSError, CorpusError) as error:
        return [Problem(path, f"the file cannot be read ({error})", recorded.repair(path))]
    return []


def _size_and_hash(path: Path, expected: int) -> tuple[int, str]:
    """Size and sha-256 of a file, or of a shard of a remote corpus; a file of another size is not read."""
    if path.is_file():
        size = path.stat().st_size
        with path.open("rb") as stream:
            return size, hashlib.file_digest(stream, "sha256").hexdigest() if size == expected else ""
    view = map_shard(path)
    return len(view), hashlib.sha256(view).hexdigest() if len(view) == expected else ""


def note_removed(root: Path) -> list[str]:
    """Write a manifest that says which recorded parts of tables, and which manifests, are gone for good; their paths.

    Raises:
        CorpusError: a record is damaged, or the corpus cannot be written to.
    """
    gone = [*missing_parts(root, recorded_files(root)), *missing_manifests(root)]
    if gone:
        with corpus_lock(root):
            write_manifest(
                root, TaskIdentity("verify", "1", "{}"), [], counts={}, reasons={}, files={}, seconds=0, removed=gone
            )
    return gone


def leftovers(root: Path) -> Iterator[Problem]:
    """Half-written files, and files of jobs that were never committed."""
    if is_exchanging(root):
        what = "files were being exchanged for others when a command was killed, so that some are there twice"
        yield Problem(EXCHANGE_FILE, what, "run voxtile compact, or another command that writes to it")
    advice = "run the same command again, which removes it, unless a run is still going"
    for path in sorted(root.rglob(f".*{TEMPORARY_SUFFIX}")):
        yield Problem(path.relative_to(root).as_posix(), "a half-written file was left behind", advice)
    for stem in sorted(uncommitted_stems(root)):
        candidates = [root / "shards" / f"{stem}.tar", root / "ledger" / f"{stem}.parquet"]
        for path in [*candidates, *sorted((root / "tables").glob(f"*/{stem}.parquet"))]:
            if path.exists():
                yield Problem(
                    path.relative_to(root).as_posix(), "the file belongs to a job that was interrupted", advice
                )
