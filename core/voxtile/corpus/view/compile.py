"""Write a compiled view: the selected samples, captions, facts and studies as memory-mappable arrays."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from voxtile.corpus.acquisition_time import moment
from voxtile.corpus.drafts import draft_folder
from voxtile.corpus.integrity import HASH_DIGITS
from voxtile.corpus.storage import set_room_aside, sync
from voxtile.corpus.view import files as view_files
from voxtile.corpus.view.evidence import write_evidence
from voxtile.corpus.view.files import (
    CAPTIONS,
    CODECS,
    INDEX,
    METAS,
    NO_MOMENT,
    STUDIES,
    STUDY_WEIGHTS,
    WEIGHTS,
    BatchWriter,
)
from voxtile.corpus.view.key import LAYOUT, VIEW_VERSION, ViewChoice
from voxtile.corpus.view.selection import Selection
from voxtile.corpus.view.sums import ABOUT, with_sums
from voxtile.corpus.view.tables import UNKNOWN, assign_splits, connect, join_captions, join_facts, select_samples
from voxtile.corpus.view.text import hash63, text_hash
from voxtile.errors import CorpusError


def write_view(
    roots: Sequence[Path],
    folder: Path,
    chosen: ViewChoice,
    *,
    key: str,
    name: str,
    selected: Selection | None = None,
    memory_mb: int | None = None,
) -> None:
    """Compile a view into a folder that appears only when it is complete.

    Args:
        roots: folders of the corpora.
        folder: where the view goes; an older one there is replaced.
        chosen: what is taken from the corpora.
        key: hash of the inputs, recorded in `view.json`.
        name: name of the view.
        selected: curated selection, or None for all samples and captions.
        memory_mb: memory in MB that queries may take before they spill; None leaves it to the database.

    Raises:
        ConfigError: the scheme or the condition is wrong, or nothing is selected.
        CorpusError: a table is damaged, a subject is in two splits, or the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            building = stack.enter_context(draft_folder(folder))
            unfinished = stack.pop_all()
    except OSError as error:
        raise CorpusError(
            f"cannot write the compiled view under '{folder.parent}' ({error.strerror}); "
            "make that folder writable, or train with views in another one (--data.view_folder)"
        ) from error
    with unfinished, _disk_errors(folder):
        about: dict[str, Any] = {"key": key, "name": name, "scheme": chosen.scheme, "where": chosen.where}
        about |= {"facts_source": chosen.facts_source, "closed_facts": list(chosen.closed_facts)}
        _write_files(roots, building, about, selected, memory_mb)
        for path in [*building.iterdir(), building]:
            sync(path)
        _replace(building, folder)


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CorpusError(f"cannot write the compiled view '{folder}' ({error.strerror}); is the disk full?") from error


def _replace(building: Path, folder: Path) -> None:
    if folder.exists():
        old = building.with_name(f"{building.stem}-old{building.suffix}")  # named as what is removed later
        folder.rename(old)
        building.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        building.rename(folder)


def _write_files(
    roots: Sequence[Path], building: Path, about: dict[str, Any], selected: Selection | None, memory_mb: int | None
) -> None:
    scratch = building / "scratch"
    scratch.mkdir()
    folder = selected.folder if selected is not None else None
    with connect(roots, scratch, selection=folder, memory_mb=memory_mb) as connection:
        if selected is not None:
            selected.register(connection)
        splits = assign_splits(connection, about["scheme"])
        rows = select_samples(connection, about["where"], curated=selected is not None)
        join_captions(connection, curated=selected is not None and selected.chooses_captions)
        concepts = join_facts(connection, about["facts_source"], about["closed_facts"])
        kinds = _distinct(connection, "SELECT DISTINCT kind FROM told")
        verdicts = _distinct(connection, "SELECT DISTINCT verdict FROM told")
        _write_captions(connection, building / "captions.arrow", kinds, verdicts)
        fact_rows = _write_facts(connection, building / "facts.npy", len(concepts))
        write_evidence(connection, building, concepts)
        shards = _write_index(connection, building, fact_rows)
        studies = _write_studies(connection, building / "studies.arrow")
        ranges = _split_ranges(connection, splits)
        if selected is not None and selected.weighted:
            _write_weights(connection, building, rows, studies)
            about["weighted"] = True
    shutil.rmtree(scratch)
    about |= {
        "view_version": VIEW_VERSION,
        "layout": LAYOUT,
        "batch_rows": view_files.BATCH_ROWS,
        "rows": rows,
        "studies": studies,
        "splits": ranges,
        "shards": shards,
        "codecs": CODECS,
        "kinds": kinds,
        "verdicts": verdicts,
        "concepts": concepts,
    }
    (building / ABOUT).write_text(json.dumps(with_sums(building, about)))


def _distinct(connection: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return sorted(row[0] for row in connection.execute(query).fetchall())


def _stream(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    yield from connection.sql(query).to_arrow_reader(view_files.BATCH_ROWS)


def _write_captions(connection: duckdb.DuckDBPyConnection, path: Path, kinds: list[str], verdicts: list[str]) -> None:
    writer = BatchWriter(path, CAPTIONS)
    for batch in _stream(connection, "SELECT text, kind, verdict FROM told ORDER BY row, caption_id"):
        texts = batch.column("text")
        writer.write(
            {
                "text": texts.cast(pa.large_string()),
                "kind": [kinds.index(kind) for kind in batch.column("kind").to_pylist()],
                "verdict": [verdicts.index(verdict) for verdict in batch.column("verdict").to_pylist()],
                "text_hash": [text_hash(text) for text in texts.to_pylist()],
            }
        )
    writer.close()


def _write_facts(connection: duckdb.DuckDBPyConnection, path: Path, concepts: int) -> npt.NDArray[np.int64]:
    """Write the [rows with facts, concepts] int8 matrix and return the index rows that it describes, ascending."""
    described = connection.execute("SELECT DISTINCT row FROM known ORDER BY row").fetchnumpy()["row"].astype(np.int64)
    matrix = (
        np.lib.format.open_memmap(path, mode="w+", dtype=np.int8, shape=(len(described), concepts))
        if len(described)
        else None
    )
    if matrix is None:
        np.save(path, np.zeros((0, concepts), np.int8), allow_pickle=False)
        return np.asarray(described)
    set_room_aside(path)
    matrix[:] = UNKNOWN
    for batch in _stream(connection, "SELECT row, id, value FROM known"):
        rows = np.searchsorted(np.asarray(described), batch.column("row").to_numpy(zero_copy_only=False))
        matrix[rows, batch.column("id").to_numpy(zero_copy_only=False)] = batch.column("value").to_numpy(
            zero_copy_only=False
        )
    matrix.flush()
    return np.asarray(described)


def _write_index(
    connection: duckdb.DuckDBPyConnection, building: Path, fact_rows: npt.NDArray[np.int64]
) -> list[list[Any]]:
    """Write `index.arrow` and `metas.arrow`; return the shards as [root, path] in the order of their ids."""
    shards = connection.execute("SELECT DISTINCT corpus, shard FROM picked ORDER BY 1, 2").fetchall()
    shard_ids = {tuple(shard): i for i, shard in enumerate(shards)}
    connection.execute("""
        CREATE TEMP TABLE metas AS
        SELECT meta, row_number() OVER (ORDER BY meta) - 1 AS meta_id FROM (SELECT DISTINCT meta FROM picked)""")
    metas = BatchWriter(building / "metas.arrow", METAS)
    for batch in _stream(connection, "SELECT meta FROM metas ORDER BY meta_id"):
        metas.write({"json": batch.column("meta").cast(pa.large_string())})
    metas.close()
    writer, row, caption = BatchWriter(building / "index.arrow", INDEX), 0, 0
    query = """
        SELECT uid, subject, study, corpus, shard, "offset", nbytes, sha256, codec, split, meta_id, datetime,
            coalesce(captions, 0) AS captions
        FROM picked JOIN metas USING (meta)
        LEFT JOIN (SELECT row, count(*) AS captions FROM told GROUP BY row) USING (row) ORDER BY row"""
    for batch in _stream(connection, query):
        columns = {
            name: batch.column(name).to_pylist() for name in ("uid", "subject", "study", "corpus", "shard", "codec")
        }
        moments = [moment(text) for text in batch.column("datetime").to_pylist()]
        counts = batch.column("captions").to_numpy(zero_copy_only=False).astype(np.int64)
        starts = caption + np.cumsum(counts) - counts
        writer.write(
            {
                "uid": [_uid_bytes(uid) for uid in columns["uid"]],
                "shard": [shard_ids[key] for key in zip(columns["corpus"], columns["shard"], strict=True)],
                "offset": batch.column("offset").fill_null(-1),
                "nbytes": batch.column("nbytes").fill_null(-1),
                "digest": [_digest(sha256) for sha256 in batch.column("sha256").to_pylist()],
                "codec": [_codec(codec) for codec in columns["codec"]],
                "meta": batch.column("meta_id").to_numpy(zero_copy_only=False),
                "split": batch.column("split"),
                "subject": [hash63(subject) for subject in columns["subject"]],
                "study": [hash63(f"{s}\0{t}") for s, t in zip(columns["subject"], columns["study"], strict=True)],
                "caption_start": starts,
                "caption_count": counts,
                "facts": _facts_of(np.arange(row, row + len(counts)), fact_rows),
                "moment": [NO_MOMENT if value is None else value for value in moments],
            }
        )
        row, caption = row + len(counts), caption + int(counts.sum())
    writer.close()
    return [list(shard) for shard in shards]


def _uid_bytes(uid: str) -> bytes:
    try:
        raw = bytes.fromhex(uid)
    except ValueError:
        raw = b""
    if len(raw) != 16:
        raise CorpusError(f"uid '{uid[:60]}' is not 32 hexadecimal digits; run `voxtile verify` on the corpus")
    return raw


def _digest(sha256: str | None) -> bytes:
    """The first bytes of a hash; zeros where there is none. One that is no hash fits nothing."""
    if not sha256:
        return bytes(HASH_DIGITS // 2)
    try:
        return bytes.fromhex(sha256[:HASH_DIGITS]).ljust(HASH_DIGITS // 2, b"\xff")
    except ValueError:
        return b"\xff" * (HASH_DIGITS // 2)


def _codec(codec: str) -> int:
    if codec not in CODECS:
        raise CorpusError(f"codec '{codec}' is not one of {', '.join(CODECS)}; was the corpus made by a newer version?")
    return CODECS.index(codec)


def _facts_of(rows: npt.NDArray[np.int64], fact_rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Row of the facts matrix for each index row, -1 where there is none."""
    if not len(fact_rows):
        return np.full(len(rows), -1, np.int64)
    places = np.searchsorted(fact_rows, rows).clip(max=len(fact_rows) - 1)
    return np.where(fact_rows[places] == rows, places, -1)


def _write_studies(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Write each study's range of rows and the subject's study before it; return the number of studies."""
    writer, total = BatchWriter(path, STUDIES), 0
    query = """
        WITH studies AS (
            SELECT subject, study, min(row) AS start, count(*) AS count, min(datetime) AS time, min(split) AS split
            FROM picked GROUP BY subject, study
        ),
        numbered AS (SELECT *, row_number() OVER (ORDER BY start) - 1 AS number FROM studies)
        SELECT start, count, coalesce(arg_max(number, (time, study)) FILTER (time IS NOT NULL) OVER (
            PARTITION BY subject, split ORDER BY time NULLS FIRST
            RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE GROUP
        ), -1) AS prior FROM numbered ORDER BY number"""
    for batch in _stream(connection, query):
        writer.write({name: batch.column(name).to_numpy() for name in ("start", "count", "prior")})
        total += len(batch)
    writer.close()
    return total


def _write_weights(connection: duckdb.DuckDBPyConnection, building: Path, rows: int, studies: int) -> None:
    """Write the running sums of the weights of samples and studies, memory-mapped as they are filled."""
    for name, count, query in (
        (WEIGHTS, rows, "SELECT weight FROM picked ORDER BY row"),
        (STUDY_WEIGHTS, studies, "SELECT avg(weight) FROM picked GROUP BY subject, study ORDER BY min(row)"),
    ):
        sums = np.lib.format.open_memmap(building / name, mode="w+", dtype=np.float64, shape=(count + 1,))
        set_room_aside(building / name)
        sums[0], done = 0.0, 0
        for batch in _stream(connection, query):
            own = np.cumsum(batch.column(0).to_numpy(zero_copy_only=False))
            sums[done + 1 : done + 1 + len(own)] = sums[done] + own
            done += len(own)
        sums.flush()


def _split_ranges(connection: duckdb.DuckDBPyConnection, splits: dict[str, int]) -> dict[str, list[int]]:
    """Per split name: first row, end row, first study, end study."""
    counts = {
        code: (samples, studies)
        for code, samples, studies in connection.execute(
            "SELECT split, count(*), count(DISTINCT (subject, study)) FROM picked GROUP BY split"
        ).fetchall()
    }
    ranges, row, study = {}, 0, 0
    for name, code in sorted(splits.items(), key=lambda item: item[1]):
        samples, studies = counts.get(code, (0, 0))
        ranges[name] = [row, row + samples, study, study + studies]
        row, study = row + samples, study + studies
    return ranges
