"""`voxtile retract`: what runs added to the samples of a corpus, taken back, so that it can be made anew."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.bounded_text import read_json
from voxtile.console import note, output
from voxtile.corpus.header import check_corpus
from voxtile.corpus.packing.exchange import Exchange, begin_exchange, exchanging_task, finish_exchange
from voxtile.corpus.packing.reading import packed_files
from voxtile.corpus.parts import part_paths, part_rows, read_parts, table_folder, table_schema
from voxtile.corpus.records import Hashes, recorded_files, require_as_written
from voxtile.corpus.remote.address import refuse_remote
from voxtile.corpus.schema import TABLES
from voxtile.corpus.storage import storage_errors
from voxtile.engine.commit import DONE, files_of, read_done, remove_leftovers
from voxtile.engine.lock import corpus_lock
from voxtile.engine.manifest import FOLDER as MANIFESTS
from voxtile.engine.manifest import compose_manifest
from voxtile.engine.plan import DoneJob, TaskIdentity
from voxtile.errors import ConfigError, CorpusError
from voxtile.file_edges import file_sha256
from voxtile.stages.upkeep.packing import Pack, draft_packed, exchange_drafts, packed_name

NAME, VERSION = "retract", "1"
_KEPT = ("samples", "splits")
# Table whose rows may go, its id → tables whose rows are about these, and the column that says so.
_ABOUT: Mapping[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("captions", "caption_id"): (("verdicts", "caption_id"), ("instructions", "caption_id"), ("scores", "uid")),
    ("regions", "region_id"): (("facts", "region_id"), ("instructions", "region_id"), ("dialogues", "region_ids")),
}


def retract_runs(
    corpus: Path, *, run: tuple[int, ...] = (), stage: tuple[str, ...] = (), dry_run: bool = False
) -> None:
    """Take back what runs added to the samples of a corpus: facts, captions, verdicts, outlines, scores, vectors.

    Without --run and --stage the runs that can be taken back are listed. After a label table, a report or an outline
    was corrected, take back the runs that read the old one, then run their commands again: what was added is gone as if
    it had never been there, and what these runs had done they do again.

    What later runs made of it (captions of facts, curated views, reports of an evaluation) stays; take it back too, or
    make it again. Runs that stored samples are not taken back.

    Args:
        corpus: folder of the corpus.
        run: number of a run, as the list and the corpus's manifests have it; repeat it for further ones.
        stage: all runs of this name, such as labels; repeat it for further ones.
        dry_run: say what would go, and write nothing.

    Raises:
        ConfigError: there is no such run or stage.
        CorpusError: a run stored samples, rows that would stay are about rows that would go, a later run of the stage
            would stay; or the corpus is in use, damaged, newer, remote, or cannot be written to. Nothing has changed.
    """
    refuse_remote(corpus, "written to")
    check_corpus(corpus)
    if not run and not stage:
        _list(corpus)
        return
    if dry_run:
        _say(corpus, find_rows(corpus, run, stage), "would go")
        return
    is_begun = exchanging_task(corpus) == NAME  # by a run that met a full disk, say; holding the corpus ends it
    with storage_errors(corpus), corpus_lock(corpus):
        remove_leftovers(corpus)
        try:
            gone = find_rows(corpus, run, stage)
        except ConfigError:
            if not is_begun:
                raise
            note(f"what an earlier command began to take back is gone from '{corpus}'")
            return
        _take_back(corpus, gone)
    _say(corpus, gone, "gone")


@dataclass(frozen=True)
class Run:
    """A run that a manifest tells of.

    Attributes:
        number: of its manifest.
        stage: name of its task.
        created: when it ended, as the manifest says.
        jobs: that are there and that no earlier manifest has.
    """

    number: int
    stage: str
    created: str
    jobs: tuple[DoneJob, ...]


@dataclass(frozen=True)
class Retracted:
    """What goes.

    Attributes:
        jobs: with all that they wrote.
        rows: of each table.
        later: stages of later runs, which may have been made of it and stay.
    """

    jobs: tuple[DoneJob, ...]
    rows: Counter[str]
    later: tuple[str, ...]

    @property
    def stems(self) -> frozenset[str]:
        """Names of the parts."""
        return frozenset(job.stem for job in self.jobs)


def find_runs(root: Path) -> list[Run]:
    """The runs whose jobs are there, oldest first.

    Raises:
        CorpusError: a record is damaged.
    """
    done, found = {job.id: job for job in read_done(root)}, []
    for path in sorted((root / MANIFESTS).glob("*.json"), key=lambda path: (len(path.stem), path.stem)):
        try:
            content = read_json(path)
            jobs = [done.pop(str(name)) for name in content["jobs"] if name in done]
            run = Run(int(path.stem), str(content["task"]), str(content["created"]), tuple(jobs))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorpusError(f"the manifest '{path}' is damaged; run 'voxtile verify' on the corpus") from error
        found += [run] if jobs else []
    return found


def find_rows(root: Path, numbers: Collection[int], stages: Collection[str]) -> Retracted:
    """What some runs added.

    Args:
        root: the corpus.
        numbers: of runs.
        stages: all runs of these.

    Raises:
        ConfigError: there is no such run or stage.
        CorpusError: it cannot be taken back.
    """
    runs, done = find_runs(root), list(read_done(root))
    if unknown := sorted(set(numbers) - {one.number for one in runs}):
        raise ConfigError(f"'{root}' has no run {unknown[0]} whose rows are there; 'voxtile retract {root}' lists them")
    if unnamed := sorted(set(stages) - {job.task for job in done}):
        raise ConfigError(f"'{root}' has no run of '{unnamed[0]}'; 'voxtile retract {root}' lists them")
    chosen = [one for one in runs if one.number in numbers or one.stage in stages]
    jobs = {job.id: job for job in done if job.task in stages}
    jobs |= {job.id: job for one in chosen for job in one.jobs}
    first = min((one.number for one in chosen), default=0)
    later = [one.stage for one in runs if one.number > first and one not in chosen]
    rows = _counts(root, {job.stem: None for job in jobs.values()})[None]
    gone = Retracted(tuple(jobs.values()), rows, tuple(dict.fromkeys(later)))
    if stored := [table for table in _KEPT if gone.rows[table]]:
        name = next(job.task for job in gone.jobs if _parts(root, stored[0], {job.stem}))
        raise CorpusError(
            f"'{name}' stored samples, to which all else belongs; convert into a new corpus, or take subjects out with "
            "voxtile forget"
        )
    _refuse_later(runs, chosen, [job for job in done if job.id not in jobs])
    _refuse_left_behind(root, gone.stems)
    return gone


def _counts(root: Path, runs: Mapping[str, int | None]) -> defaultdict[int | None, Counter[str]]:
    """Rows of each table by run, of parts by name."""
    found: defaultdict[int | None, Counter[str]] = defaultdict(Counter)
    for table in TABLES:
        for part in part_paths(root, table):
            if part.stem in runs:
                found[runs[part.stem]][table] += part_rows(part)
    return found


def _refuse_later(runs: Sequence[Run], chosen: Sequence[Run], staying: Sequence[DoneJob]) -> None:
    """Refuse where jobs that stay came after a chosen run of their stage: what it had added they may have left out.

    Raises:
        CorpusError: names the run.
    """
    told = {job.id: run.number for run in runs for job in run.jobs}
    for one in chosen:
        after = [told.get(job.id) for job in staying if job.task == one.stage]
        for number in (number for number in after if number is None or number > one.number):
            other = "a run that was stopped before its end" if number is None else f"run {number}"
            raise CorpusError(
                f"{other} of '{one.stage}' came after run {one.number}, and may have left out what that one had added; "
                f"take back all of them, --stage {one.stage}, and make anew what shall stay"
            )


def _parts(root: Path, table: str, stems: Collection[str]) -> list[Path]:
    return [part for part in part_paths(root, table) if part.stem in stems]


def _refuse_left_behind(root: Path, stems: Collection[str]) -> None:
    """Refuse where rows that stay are about rows that go.

    Raises:
        CorpusError: names the stage of the rows that would stay.
    """
    for (table, key), others in _ABOUT.items():
        parts = _parts(root, table, stems)
        if not parts:
            continue
        ids = pc.unique(read_parts(parts, table_schema(table), [key])[key])
        for other, column in others:
            for part in part_paths(root, other):
                if part.stem in stems:
                    continue
                named = read_parts([part], table_schema(other), [column])[column]
                if pa.types.is_list(named.type):
                    named = pc.list_flatten(named)
                if pc.any(pc.is_in(named, ids)).as_py():
                    stage = part.stem.rpartition("-")[0]
                    raise CorpusError(
                        f"rows of {other} by '{stage}' are about {table} that would go; take them back too: --stage "
                        f"{stage}"
                    )


def _take_back(root: Path, gone: Retracted) -> None:
    started = time.monotonic()
    with exchange_drafts() as ready:
        packed = [old for table in ("ledger", *TABLES) for old in _packed_again(root, table, gone.stems, ready)]
        begin_exchange(root, _exchange(root, gone, ready, packed, started))
    finish_exchange(root)


def _exchange(
    root: Path, gone: Retracted, ready: Mapping[Path, Path], packed: Sequence[Path], started: float
) -> Exchange:
    """A job that is announced and has no done file is read by nobody: by these the rows of each go at once."""
    pending = {f"{DONE}/{job.id}.pending": job.stem for job in gone.jobs}
    records = [root / DONE / f"{job.id}.json" for job in gone.jobs]
    own = [path for job in gone.jobs for path in files_of(root, job.stem) if path.is_file()]
    removed = [path.relative_to(root).as_posix() for path in (*records, *packed, *own)]
    moved = {draft: target.relative_to(root).as_posix() for draft, target in ready.items()}
    files: Hashes = {name: (file_sha256(draft), draft.stat().st_size) for draft, name in moved.items()}
    name, text = compose_manifest(
        root,
        TaskIdentity(NAME, VERSION, "{}"),
        [],
        counts={table: number for table, number in gone.rows.items() if number},
        reasons={},
        files=files,
        seconds=time.monotonic() - started,
        removed=removed,
    )
    drafts = {draft.relative_to(root).as_posix(): name for draft, name in moved.items()}
    return Exchange(pending, drafts, {name: text}, [*removed, *pending])


def _packed_again(root: Path, table: str, stems: Collection[str], ready: dict[Path, Path]) -> list[Path]:
    """Packed files of a table that hold some parts; what else they hold is packed anew, draft → path in `ready`."""
    folder = table_folder(root, table)
    found = [packed for packed in packed_files(folder) if packed.members.keys() & stems]
    known = recorded_files(root) if found else {}
    for packed in found:
        require_as_written(root, packed.path.relative_to(root).as_posix(), known, "taken back")
        if parts := tuple(folder / f"{stem}.parquet" for stem in packed.members if stem not in stems):
            draft_packed(root, Pack(table, parts, packed_name(parts)), ready)
    return [packed.path for packed in found]


def _list(root: Path) -> None:
    runs = find_runs(root)
    counts = _counts(root, {job.stem: run.number for run in runs for job in run.jobs})
    listed = [run for run in runs if counts[run.number] and not any(counts[run.number][table] for table in _KEPT)]
    for run in listed:
        _print(f"run {run.number}, {run.created[:16].replace('T', ' ')}, {run.stage}: {_told(counts[run.number])}")
    if listed:
        _print(f"take back with: voxtile retract {root} --stage {listed[-1].stage}, or --run {listed[-1].number}")
    else:
        _print(f"no run added anything to the samples of '{root}' that could be taken back")


def _told(rows: Counter[str]) -> str:
    return ", ".join(f"{number:,} {table}" for table, number in rows.items() if number) or "no rows"


def _say(root: Path, gone: Retracted, what: str) -> None:
    jobs = f"{len(gone.jobs):,} job{'s' if len(gone.jobs) > 1 else ''}"
    _print(f"'{root}': {_told(gone.rows)} {what}, of {jobs}")
    if gone.later:
        _print(f"what later runs made of it stays: {', '.join(gone.later)}; take it back too, or make it again")


def _print(line: str) -> None:
    output().print(line, markup=False, highlight=False, soft_wrap=True)
