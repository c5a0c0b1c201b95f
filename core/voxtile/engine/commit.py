"""The commit protocol: temporary name, fsync, rename, and `done/<id>.json` last.

A job exists once its done file does. `done/<id>.pending` is written before the first file gets its final name, so the
next run knows which files a killed run may have left and removes them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.bounded_text import load_json
from voxtile.corpus.drafts import TEMPORARY_SUFFIX
from voxtile.corpus.header import CORPUS_FILE
from voxtile.corpus.packing.exchange import EXCHANGE_FILE
from voxtile.corpus.records import Row
from voxtile.corpus.schema import LEDGER, SCHEMA_VERSION, VERSION_KEY
from voxtile.corpus.storage import write_atomically
from voxtile.engine.plan import DoneItem, DoneJob, Job, TaskIdentity
from voxtile.errors import CorpusError

DONE = "done"
LEDGER_FOLDER = "ledger"
SCRATCH = ".scratch"  # for a run's own files; inside the corpus because they can be large


def write_ledger(root: Path, stem: str, rows: list[Row]) -> Path:
    """Write a job's ledger part: one row an input and attempt."""
    schema = LEDGER.with_metadata({VERSION_KEY: SCHEMA_VERSION.encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    path = root / LEDGER_FOLDER / f"{stem}.parquet"
    write_atomically(path, sink.getvalue().to_pybytes())
    return path


def announce(root: Path, job: Job) -> None:
    """Say that the job's files are about to get their final names, and remove what is there under these.

    That is what a killed run left, or the job's own earlier files where it is done again without duplicates.
    """
    write_atomically(root / DONE / f"{job.id}.pending", job.stem.encode())
    (root / DONE / f"{job.id}.json").unlink(missing_ok=True)
    remove_files_of(root, job.stem)


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
        files={str(f.relative_to(root)): (sha256_of(f), f.stat().st_size) for f in sorted(files)},
    )
    write_atomically(root / DONE / f"{job.id}.json", json.dumps(_to_json(done), sort_keys=True, indent=1).encode())
    (root / DONE / f"{job.id}.pending").unlink(missing_ok=True)
    return done


def read_done(root: Path, task: str) -> Iterator[DoneJob]:
    """Committed jobs of a task, in order of their ids.

    Raises:
        CorpusError: a done file is damaged.
    """
    for path in sorted((root / DONE).glob("*.json")):
        try:
            done = _from_json(load_json(path.read_bytes()))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CorpusError(
                f"'{path}' is damaged; delete it to convert its inputs again, then run 'voxtile verify'"
            ) from None

        if done.task == task:
            yield done


def remove_leftovers(root: Path) -> None:
    """Remove what killed runs left: files of jobs that were announced but never committed, and temporary ones."""
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
        for temporary in folder.glob(f".*{TEMPORARY_SUFFIX}"):
            temporary.unlink()
    for name in (CORPUS_FILE, EXCHANGE_FILE):
        (root / f".{name}{TEMPORARY_SUFFIX}").unlink(missing_ok=True)
    shutil.rmtree(root / SCRATCH, ignore_errors=True)


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


def sha256_of(path: Path) -> str:
    """Hash of a file's content, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
