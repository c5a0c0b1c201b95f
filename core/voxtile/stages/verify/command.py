"""`voxtile verify`: every byte of a corpus against its hash, every row against what it points at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from voxtile.console import note, output, print_json
from voxtile.corpus.header import corpus_name, corpus_root
from voxtile.corpus.remote.address import refuse_remote
from voxtile.engine.lock import writer_of
from voxtile.errors import ConfigError, CorpusError, VoxtileError
from voxtile.stages.verify.supervised import verify_supervised
from voxtile.stages.verify.verification import Verification

_SHOWN = 50
_TRIES = 2  # further ones, while others write


def verify_corpus(
    corpus: Path,
    *,
    accept_missing: bool = False,
    memory_limit_gb: float = 4.0,
    time_limit_s: float = 600.0,
    json: bool = False,
) -> None:
    """Check every file of a corpus and say what to do about each problem.

    Args:
        corpus: folder of the corpus, or the address of a remote one, all of which is then read.
        accept_missing: parts of tables, or records of runs, that are missing were removed on purpose: note that in the
            corpus, which is then read without them.
        memory_limit_gb: memory that the check may take, in GiB.
        time_limit_s: time that reading one part of a table may take, in seconds.
        json: print one JSON object instead of tables: corpus, ok, rows (of each table), shards, bytes, removed, and
            problems with where, what and advice.

    Raises:
        ConfigError: a limit is not above 0.
        CorpusError: there is a problem; the sentence names the first one.
    """
    for name, limit in (("memory_limit_gb", memory_limit_gb), ("time_limit_s", time_limit_s)):
        if not limit > 0 or (limit == math.inf and name != "time_limit_s"):
            raise ConfigError(f"'{name}' must be greater than 0 and finite, not {limit}")
    if accept_missing:
        refuse_remote(corpus, "written to")
    name = corpus_name(corpus)
    corpus = corpus_root(corpus)
    gone = _note_removed(corpus) if accept_missing else []
    if accept_missing and not json:
        output().print(f"noted as removed: {', '.join(gone) or 'nothing is missing'}", markup=False, highlight=False)
    result = _undisturbed(corpus, lambda: verify_supervised(corpus, memory_limit_gb, time_limit_s))
    if json:
        print_json(_answer(name, result, gone))
    else:
        _print(name, result)
    if result.problems:
        number = len(result.problems)
        raise CorpusError(f"'{name}' has {number} problem{'s' if number > 1 else ''}; {result.problems[0]}")


def _undisturbed(corpus: Path, check: Callable[[], Verification]) -> Verification:
    """What a check finds, made again where others write: files that are written or packed meanwhile are no problem.

    Raises:
        CorpusError: the check, or others write whenever something cannot be read.
    """
    for again in range(_TRIES, -1, -1):
        before = _written(corpus)
        found = failure = None
        try:
            found = check()
        except (VoxtileError, RuntimeError) as error:
            failure = error
        writer = writer_of(corpus) or ("another process" if _written(corpus) != before else "")
        if found is not None and not (writer and again and found.problems):
            if writer and found.problems:
                note(f"{writer} wrote to '{corpus}' meanwhile, and what is named may be of that; check it again later")
            return found
        if failure is not None and not (writer and again):
            raise failure
        note(f"{writer} wrote to '{corpus}' while it was checked; it is checked again")
    raise AssertionError


def _written(corpus: Path) -> list[int]:
    """What changes when somebody adds a file to a corpus or takes one away."""
    folders = (corpus, *(corpus / name for name in ("done", "manifests", "ledger", "shards")), *corpus.glob("tables/*"))
    return [folder.stat().st_mtime_ns for folder in folders if folder.is_dir()]


def _note_removed(corpus: Path) -> list[str]:
    from voxtile.stages.verify.files import note_removed  # late: the check runs in a process that imports this itself

    return note_removed(corpus)


def _answer(corpus: str, result: Verification, removed: Sequence[str]) -> dict[str, object]:
    problems = [{"where": one.where, "what": one.what, "advice": one.advice} for one in result.problems]
    return {
        "corpus": corpus,
        "ok": not problems,
        "rows": dict(result.rows),
        "shards": result.shards,
        "bytes": result.nbytes,
        "removed": list(removed),
        "problems": problems,
    }


def _print(corpus: str, result: Verification) -> None:
    console = output()
    counts = Table(title=escape(corpus), title_justify="left")
    counts.add_column("table")
    counts.add_column("rows", justify="right")
    for name, number in result.rows.items():
        counts.add_row(name, f"{number:,}")
    counts.add_section()
    counts.add_row("shards", f"{result.shards:,} ({result.nbytes / 1e6:,.1f} MB)")
    console.print(counts)
    if not result.problems:
        console.print("no problem found")
        return
    table = Table(title="problems", title_justify="left", show_lines=True)
    for heading in ("where", "what is wrong", "what to do"):
        table.add_column(heading, overflow="fold")
    for problem in result.problems[:_SHOWN]:
        table.add_row(escape(problem.where), escape(problem.what), escape(problem.advice))
    console.print(table)
    if len(result.problems) > _SHOWN:
        console.print(f"and {len(result.problems) - _SHOWN} more")
