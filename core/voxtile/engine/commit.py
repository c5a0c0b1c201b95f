"""The commit protocol: temporary name, fsync, rename, and `done/<id>.json` last.

A job exists once its done file does. `done/<id>.pending` is written before the first file gets its final name, so the
next run knows which files a killed run may have left and removes them.

A worker on another machine may outlive its run, or be given up for lost and go on. It has a lease, a file of the run's
scratch folder that it locks for as long as it publishes; without one it publishes nothing, and takes nothing away that
others have committed meanwhile.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.bounded_text import read_json
from voxtile.corpus.drafts import TEMPORARY_SUFFIX, is_same_file, remove_dead_drafts, try_lock
from voxtile.corpus.header import CORPUS_FILE
from voxtile.corpus.packing.exchange import EXCHANGE_FILE
from voxtile.corpus.records import Row
from voxtile.corpus.schema import LEDGER, SCHEMA_VERSION, VERSION_KEY
from voxtile.corpus.storage import write_atomically
from voxtile.engine.plan import DoneItem, DoneJob, Job, TaskIdentity
from voxtile.errors import CorpusError
from voxtile.file_edges import file_sha256

DONE = "done"
LEDGER_FOLDER = "ledger"
SCRATCH = ".scratch"  # for a run's own files; inside the corpus because they can be large
LEASE_SUFFIX = ".lease"
PUBLISHING_S = 100.0  # so long a worker that publishes is waited for; NFS lets a lost machine's locks go after 90 s


def write_ledger(root: Path, stem: str, rows: list[Row]) -> Path:
    """Write a job's ledger part: one row an input and attempt."""
    schema = LEDGER.with_metadata({VERSION_KEY: SCHEMA_VERSION.encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    path = root / LEDGER_FOLDER / f"{stem}.parquet"
    write_atomically(path, sink.getvalue().to_pybytes())
    return path


def new_lease(scratch: Path) -> Path:
    """A lease for one worker."""
    lease = scratch / f"{secrets.token_hex(8)}{LEASE_SUFFIX}"
    lease.touch(exist_ok=False)
    return lease


@contextmanager
def leased(lease: Path | None) -> Iterator[None]:
    """Hold a lease while a job is published; None where workers end with their run.

    Raises:
        CorpusError: it was taken back: the run has ended, or has given the job to another worker.
    """
    if lease is None:
        yield
        return
    refusal = CorpusError("the run of this job has ended, or has given it to another worker; nothing is written")
    try:
        handle = os.open(lease, os.O_RDWR)
    except FileNotFoundError:
        raise refusal from None
    try:
        if not try_lock(handle) or not is_same_file(handle, lease):
            raise refusal
        yield
    finally:
        os.close(handle)


def take_back(lease: Path, patience_s: float = PUBLISHING_S) -> None:
    """Let a worker publish no more; one that does just now is waited for."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            handle = os.open(lease, os.O_RDWR)
        except FileNotFoundError:
            return
        try:
            if try_lock(handle) or time.monotonic() >= deadline:
                lease.unlink(missing_ok=True)
                return
        finally:
            os.close(handle)
        time.sleep(0.05)


def remove_scratch(root: Path) -> None:
    """Remove a run's own files, when none of its workers publishes any more."""
    for lease in sorted((root / SCRATCH).glob(f"*{LEASE_SUFFIX}")):
        take_back(lease)
    shutil.rmtree(root / SCRATCH, ignore_errors=True)


def announce(root: Path, job: Job) -> None:
    """Say that the job's files are about to get their final names, and remove what is there under these.

    That is what a killed run left, or the job's own earlier files where it is done again without duplicates.
    """
    withdraw(root, job.id, job.stem)


def withdraw(root: Path, job: str, stem: str) -> None:
    """Have a job count as one that was announced and not done, without files."""
    write_atomically(root / DONE / f"{job}.pending", stem.encode())
    (root / DONE / f"{job}.json").unlink(missing_ok=True)
    remove_files_of(root, stem)


def commit(root: Path, identity: TaskIdentity, job: Job, items: list[DoneItem], files: list[Path]) -> DoneJob:
    """Write the done file: from here on the job exists."""
    done = DoneJob(
        id=job.id,
        stem=job.stem,
        task=identity.name,
        version=identity.version,
        config_sha256=identity.config_sha256,
        attempt=job.attempt,
        items=tuple(items),
        files={str(f.relative_to(root)): (file_sha256(f), f.stat().st_size) for f in sorted(files)},
    )
    write_atomically(root / DONE / f"{job.id}.json", json.dumps(_to_json(done), sort_keys=True, indent=1).encode())
    (root / DONE / f"{job.id}.pending").unlink(missing_ok=True)
    return done


def read_done(root: Path, task: str | None = None) -> Iterator[DoneJob]:
    """Committed jobs of a task, or of all, in order of their ids.

    Raises:
        CorpusError: a done file is damaged.
    """
    for path in sorted((root / DONE).glob("*.json")):
        try:
            done = _from_json(read_json(path))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CorpusError(
                f"'{path}' is damaged; delete it to convert its inputs again, then run 'voxtile verify'"
            ) from None
        if task in (None, done.task):
            yield done


def remove_leftovers(root: Path) -> None:
    """Remove what killed runs left: files of jobs that were announced but never committed, and temporary ones."""
    remove_scratch(root)
    for pending in sorted((root / DONE).glob("*.pending")):
        if not pending.with_suffix(".json").exists():
            remove_files_of(root, pending.read_text())
        pending.unlink()
    for folder in (
        root / DONE,
        root / LEDGER_FOLDER,
        root / "manifests",
        root / "shards",
        *(root / "tables").glob("*"),
    ):
        if folder.name == "reviews":  # servers write these meanwhile
            remove_dead_drafts(folder, "*")
            continue
        for temporary in folder.glob(f".*{TEMPORARY_SUFFIX}"):
            temporary.unlink()
    for name in (CORPUS_FILE, EXCHANGE_FILE):
        (root / f".{name}{TEMPORARY_SUFFIX}").unlink(missing_ok=True)


def remove_files_of(root: Path, stem: str) -> None:
    """Remove every file that a job with this stem can have published."""
    for path in files_of(root, stem):
        path.unlink(missing_ok=True)


def files_of(root: Path, stem: str) -> list[Path]:
    """Every file that a job with this stem can have published, there or not."""
    if not stem or "/" in stem:
        return []
    candidates = [root / "shards" / f"{stem}.tar", root / LEDGER_FOLDER / f"{stem}.parquet"]
    return [*candidates, *(root / "tables").glob(f"*/{stem}.parquet")]


def _to_json(done: DoneJob) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "job": done.id,
        "stem": done.stem,
        "task": done.task,
        "version": done.version,
        "config_sha256": done.config_sha256,
        "attempt": done.attempt,
        "items": [
            [i.digest, i.source, i.status, i.reason, i.samples, *([dict(i.left_out)] if i.left_out else [])]
            for i in done.items
        ],
        "files": {path: {"sha256": sha, "bytes": size} for path, (sha, size) in done.files.items()},
    }


def _from_json(data: dict[str, Any]) -> DoneJob:
    return DoneJob(
        id=data["job"],
        stem=data["stem"],
        task=data["task"],
        version=data["version"],
        config_sha256=data["config_sha256"],
        attempt=data["attempt"],
        items=tuple(DoneItem(*item) for item in data["items"]),
        files={path: (entry["sha256"], entry["bytes"]) for path, entry in data["files"].items()},
    )
