"""The whole check of a corpus, in the calling process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.compute as pc
from rich.console import Console
from rich.progress import track

from voxtile.corpus.header import check_corpus
from voxtile.corpus.identity import file_edges
from voxtile.corpus.parts import part_rows, read_parts, table_schema, uncommitted_stems
from voxtile.corpus.references import check_unchanged, parse_reference, reference_path
from voxtile.corpus.shards.memory_maps import shard_sizes
from voxtile.corpus.source import REFERENCE_CODEC, StoredSample
from voxtile.engine.worker import Report
from voxtile.errors import CorpusError
from voxtile.processors import usable_processors
from voxtile.stages.verify.files import check_file, leftovers, read_records
from voxtile.stages.verify.shards import check_shard
from voxtile.stages.verify.tables import cross_checks, masks_by_shard, samples_by_shard, sound_parts
from voxtile.stages.verify.verification import Problem, Verification
from voxtile.stages.verify.views import check_views

_T = TypeVar("_T")


def _nobody(_mark: int | None) -> None:
    """Nobody watches."""


def verify(root: Path, *, refused: Mapping[str, str] | None = None, report: Report = _nobody) -> Verification:
    """Check a corpus in this process and only return what was found.

    Args:
        root: folder of the corpus.
        refused: parts of tables that must not be read, and why.
        report: called with the number of each part of a table before it is read, and with None after the last.

    Raises:
        CorpusError: the folder is not a corpus, or was made by a newer version.
    """
    check_corpus(root)
    recorded = read_records(root)
    sound, damaged = sound_parts(root, refused or {}, report)
    masks: dict[str, list[dict[str, Any]]] = {}
    for row in masks_by_shard(sound.get("regions", [])).to_pylist():
        masks.setdefault(row["mask_shard"], []).append(row)
    shards = _rows_by_shard(root, sound.get("samples", []), masks)
    problems = list(recorded.problems)
    with ThreadPoolExecutor(usable_processors()) as pool:  # hashing releases the interpreter's lock
        checks = pool.map(
            lambda shard: check_shard(root, shard, shards[shard], recorded.repair(shard), masks.get(shard, ())), shards
        )
        for found in _progress(checks, "shards", len(shards)):
            problems += found
        problems += damaged
        # A file that a finer check has named already is not named again.
        named = {problem.where.partition(",")[0] for problem in problems}
        rest = sorted(recorded.files.keys() - named)
        for problem in _progress(pool.map(lambda path: check_file(root, path, recorded), rest), "files", len(rest)):
            problems += [problem] if problem else []
    problems += [*cross_checks(sound), *_check_references(root, sound.get("samples", []))]
    problems += [*check_views(root), *leftovers(root)]
    rows = {name: sum(part_rows(path) for path in paths) for name, paths in sound.items()}
    there = shard_sizes(root)
    sizes = [there[shard] for shard in shards if shard in there]
    return Verification(problems, rows, len(sizes), sum(sizes))


def _rows_by_shard(root: Path, parts: Sequence[Path], masks: Mapping[str, object]) -> dict[str, list[dict[str, Any]]]:
    """Rows of each shard that a row names or that lies on disk, in the order of their offsets."""
    shards: dict[str, list[dict[str, Any]]] = {name: [] for name in shard_sizes(root)}
    interrupted = {f"shards/{stem}.tar" for stem in uncommitted_stems(root)}
    for shard in interrupted & shards.keys():
        del shards[shard]
    for row in samples_by_shard(parts).to_pylist():
        shards.setdefault(row["shard"], []).append(row)
    for shard in masks:
        shards.setdefault(shard, [])
    return dict(sorted(shards.items()))


def _check_references(root: Path, parts: Sequence[Path]) -> Iterator[Problem]:
    schema = table_schema("samples")
    table = read_parts(parts, schema, ["uid", "codec", "ref", "sha256"])
    files: dict[str, str | None] = {}  # uri → what is wrong with the file that a reader opens
    for row in table.filter(pc.equal(table["codec"], REFERENCE_CODEC)).to_pylist():
        where = f"tables/samples, sample {row['uid']}"
        try:
            reference = parse_reference(row)
            if reference.get("reader"):
                if reference["uri"] not in files:
                    files[reference["uri"]] = _changed(root, row["uid"], reference)
                    if files[reference["uri"]]:
                        raise CorpusError(str(files[reference["uri"]]))
                continue
            StoredSample(root, row).payload()
        except CorpusError as error:
            what, _, advice = str(error).partition("; ")
            yield Problem(where, what, advice or "put the file back")


def _changed(root: Path, uid: str, reference: Mapping[str, Any]) -> str | None:
    """What is wrong with a referenced file; said once, however many samples refer to it."""
    try:
        path = reference_path(root, uid, reference)
        check_unchanged(path, reference)
    except CorpusError as error:
        return str(error)
    edges = reference.get("edges")
    if edges and path.is_file() and file_edges(path)[1] != edges:
        return f"the referenced file '{path}' has changed; put the old one back, or convert it again"
    return None


def _progress(found: Iterable[_T], what: str, total: int) -> Iterable[_T]:
    console = Console(stderr=True)
    return track(found, what, total, console=console, transient=True, disable=not console.is_terminal)
