"""Verdicts that are older than facts about their samples: what was supported may be contradicted by now."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.bounded_text import load_json
from voxtile.corpus.parts import part_paths, part_table

_PART = re.compile(r"tables/(facts|scopes|verdicts)/([^/]+)\.parquet")
_WORDED = ("template-", "compose-")  # jobs whose facts say again what captions state


def outdated(corpus: Path, checker: str, version: str) -> int:
    """How many captions have a verdict that was written before facts or scopes of their sample were.

    The manifests say which came first, since they are numbered. Parts that no manifest names are of the beginning.

    Args:
        corpus: the corpus.
        checker: whose verdicts.
        version: of the verdicts.
    """
    numbers = _numbers(corpus)
    newest = max((number for (table, stem), number in numbers.items() if _is_news(table, stem)), default=0)
    judged = _latest(corpus, "verdicts", "caption_id", numbers, lambda rows: _of(rows, checker, version))
    if not judged.num_rows or newest <= pc.min(judged["number"]).as_py():
        return 0
    told = pa.concat_tables(_latest(corpus, table, "uid", numbers) for table in ("facts", "scopes"))
    known = told.group_by("uid").aggregate([("number", "max")])
    captions = pa.concat_tables(part_table(part, ["caption_id", "uid"]) for part in part_paths(corpus, "captions"))
    both = captions.join(judged, "caption_id", join_type="inner").join(known, "uid", join_type="inner")
    return int(pc.sum(pc.less(both["number"], both["number_max"])).as_py() or 0)


def _numbers(corpus: Path) -> dict[tuple[str, str], int]:
    """(table, stem of a part) → number of the run that wrote it."""
    found: dict[tuple[str, str], int] = {}
    for number, path in enumerate(sorted((corpus / "manifests").glob("*.json")), start=1):
        with suppress(ValueError, AttributeError):  # damaged: `voxtile verify` says so
            for name in load_json(path.read_bytes()).get("files", {}):
                if part := _PART.fullmatch(name):
                    found.setdefault((part[1], part[2]), number)
    return found


def _is_news(table: str, stem: str) -> bool:
    return table != "verdicts" and not stem.startswith(_WORDED)


def _of(rows: pa.Table, checker: str, version: str) -> pa.Table:
    ours = pc.and_(pc.equal(rows["checker"], checker), pc.equal(rows["checker_version"], version))
    return rows.filter(pc.fill_null(ours, False))


def _latest(
    corpus: Path,
    table: str,
    key: str,
    numbers: dict[tuple[str, str], int],
    chosen: Callable[[pa.Table], pa.Table] = lambda rows: rows,
) -> pa.Table:
    """Key and `number` of the last run that wrote a row of it."""
    columns = [key, "checker", "checker_version"] if table == "verdicts" else [key]
    found = [pa.table({key: pa.array([], pa.string()), "number": pa.array([], pa.int64())})]
    for part in part_paths(corpus, table):
        if table == "verdicts" or _is_news(table, part.stem):
            keys = pc.unique(chosen(part_table(part, columns))[key])
            number = pa.array([numbers.get((table, part.stem), 0)] * len(keys), pa.int64())
            found.append(pa.table({key: keys, "number": number}))
    latest = pa.concat_tables(found).group_by(key).aggregate([("number", "max")])
    return latest.rename_columns([key, "number"])
