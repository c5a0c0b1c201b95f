"""`voxtile verify`: every byte of a corpus against its hash, every row against what it points at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from voxtile.console import output, print_json
from voxtile.corpus.header import corpus_name, corpus_root
from voxtile.corpus.remote.address import refuse_remote
from voxtile.errors import ConfigError, CorpusError
from voxtile.stages.verify.supervised import verify_supervised
from voxtile.stages.verify.verification import Verification

_SHOWN = 50


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
        accept_missing: parts of tables that are missing were removed on purpose: note that in the corpus, which is then
            read without them.
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
    result = verify_supervised(corpus, memory_limit_gb=memory_limit_gb, time_limit_s=time_limit_s)
    if json:
        print_json(_answer(name, result, gone))
    else:
        _print(name, result)
    if result.problems:
        number = len(result.problems)
        raise CorpusError(f"'{name}' has {number} problem{'s' if number > 1 else ''}; {result.problems[0]}")


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
