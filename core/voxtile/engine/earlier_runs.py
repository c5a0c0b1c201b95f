"""What earlier runs stored of the inputs of this one, so that what arrives later is added and nothing is doubled.

An input whose files or options have changed is processed again and gives samples that the corpus has. The samples stay
as they are; rows about them (regions, captions, facts, …) are added where the corpus has none of the same origin. Rows
are not replaced (but texts of reports, where a conversion is told to), so where it has some the new ones are left out,
and the summary says so. What arrives later of a
known subject goes into the split that the subject has.

Stages that add facts to samples take nothing back: where a table was corrected the corpus holds both, which is said,
until `voxtile retract` takes the earlier ones back.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.corpus.records import Row
from voxtile.corpus.schema import DESCRIPTIVE
from voxtile.engine.plan import DoneJob, Job, TaskIdentity
from voxtile.engine.task import Outcome
from voxtile.engine.uid_owners import KnownUids, write_sorted

ADDED = "added"
ADDED_IN_PART = "added-in-part"
BESIDE_EARLIER = "beside-earlier"
STORED_OTHERWISE = "stored-otherwise"
CONVERTED_BEFORE = "converted-before"
KEPT_SPLIT = "kept-split"
LEFT_WITH_DUPLICATE = "left-with-duplicate"

ADVICE: Mapping[str, str] = {
    ADDED: "samples of an earlier run got what is new about them; the rest of them stays as it was stored",
    ADDED_IN_PART: "samples of an earlier run got what is new about them, but where they had outlines, texts or facts "
    "of the same origin these stay as they were stored; to have the new ones instead, convert into a new corpus "
    "(reports: --replace-reports)",
    BESIDE_EARLIER: "an earlier run made other samples of the same inputs, of other files or under other options, and "
    "the corpus now holds both; to have the new ones alone, convert into a new corpus",
    STORED_OTHERWISE: "an earlier run stored other outlines, texts or facts of the same origin with these samples, and "
    "they stay as they are; to have the new ones instead, convert into a new corpus (reports: --replace-reports)",
    KEPT_SPLIT: "the corpus has the subjects of these inputs in another split than this run gives them, and they stay "
    "there; to have other splits, convert into a new corpus",
    LEFT_WITH_DUPLICATE: "these inputs repeat samples that the corpus has from other inputs, and the texts, outlines "
    "or facts that they bring are left out, the same ones or others; where they differ, give each to the input that is "
    "stored, in a new corpus",
    CONVERTED_BEFORE: "an earlier run stored these samples under other options or with other tables, and their "
    "subjects, splits, licences and pixels stay as they are; to have others, convert into a new corpus",
}
"""Reason → what it means for the corpus, and what to do."""

USED = (ADDED, ADDED_IN_PART, BESIDE_EARLIER, KEPT_SPLIT)
"""Reasons of inputs that are used."""

_SHOWN = 5
_OF_FACTS = ("uid", "source", "concept", "polarity", "value")
_SPLITS, _OF_SPLITS = "splits", ("scheme", "subject", "split")

# Table → the columns that say who or what a row comes from, and those that say what it states.
_COLUMNS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "captions": (("kind", "provider"), ("text",)),
    "facts": (("source",), ("concept", "polarity", "value", "unit", "attributes", "region_id", "code")),
    "regions": (("source",), ("phrase", "box")),
    "scopes": (("vocabulary",), ("closed", "concepts")),
    "scores": (("name", "producer"), ("value",)),
}


class EarlierRows:
    """The samples that earlier runs stored of inputs of this run, and the rows that the corpus has about them.

    Args:
        path: a file by `save_earlier_rows`; None where no input was converted before.
    """

    def __init__(self, path: Path | None) -> None:
        self._keys: KnownUids | tuple[()] = KnownUids(path) if path else ()

    def has_sample(self, uid: str, source: str) -> bool:
        """Whether an earlier run stored the sample, from this very source."""
        return _key("samples", uid, source) in self._keys

    def has_source(self, source: str) -> bool:
        """Whether an earlier run stored any sample from this source."""
        return _key("source", source) in self._keys

    def has_row(self, table: str, row: Row) -> bool:
        """Whether the corpus has a row that states the same."""
        return bool(self._keys) and table in _COLUMNS and _exact(table, _normal(table, row)) in self._keys

    def has_kind(self, table: str, row: Row) -> bool:
        """Whether the corpus has any row about the sample of the same origin; true of tables that take none later."""
        return table not in _COLUMNS or _origin(table, _normal(table, row)) in self._keys


class KnownSplits:
    """Split of each subject that earlier runs stored, by scheme.

    Args:
        path: a file by `save_known_splits`; None where there are none.
    """

    def __init__(self, path: Path | None) -> None:
        self._rows: KnownUids | tuple[()] = KnownUids(path) if path else ()

    def split_of(self, scheme: str, subject: str) -> str | None:
        """The split, or None where the corpus gave none, or several."""
        begin = f"{scheme}\0{subject}\0"
        place = bisect_left(self._rows, begin)
        found = [row for row in self._rows[place : place + 2] if row.startswith(begin)]
        return found[0].removeprefix(begin) if len(found) == 1 else None

    def kept(self, outcome: Outcome) -> Outcome:
        """An outcome whose subjects are in the splits that they have; its reason says so where it gave them others."""
        rows = outcome.tables.get(_SPLITS, ())
        if not self._rows or not rows:
            return outcome
        known = [self._as_known(row) for row in rows]
        if known == list(rows):
            return outcome
        tables = {**outcome.tables, _SPLITS: known}
        return replace(outcome, tables=tables, reason=outcome.reason or KEPT_SPLIT)

    def _as_known(self, row: Row) -> Row:
        split = self.split_of(row["scheme"], row["subject"])
        return row if split is None else {**row, "split": split}


def converted_again(pending: Iterable[Job], done: Iterable[DoneJob], own: Collection[str]) -> set[str]:
    """Stems of committed jobs outside this plan that hold an input of the pending ones, in another form.

    Args:
        pending: what is to be done.
        done: committed jobs of the task, of any version and config.
        own: ids of the plan's jobs.
    """
    sources = {_base(item.source) for job in pending for item in job.items}
    return {job.stem for job in done if job.id not in own and any(_base(item.source) in sources for item in job.items)}


def save_earlier_rows(root: Path, stems: Collection[str], own_stems: Collection[str], path: Path) -> Path | None:
    """Write what the corpus has of the samples that jobs `stems` speak of; None where there are no such jobs.

    Args:
        root: the corpus.
        stems: as `converted_again` finds them.
        own_stems: jobs of this run, whose rows do not count.
        path: of the file.
    """
    if not stems:
        return None
    uids: set[str] = set()
    for table in ("samples", *_COLUMNS):
        parts = [part for part in part_paths(root, table) if part.stem in stems]
        uids.update(read_parts(parts, table_schema(table), ["uid"])["uid"].to_pylist())
    keys = set(_sample_keys(root, uids, own_stems))
    for table, (origin, content) in _COLUMNS.items():
        for row in _rows_about(root, table, ["uid", *origin, *content], uids, own_stems):
            keys |= {_origin(table, row), _exact(table, row)}
    write_sorted(pa.chunked_array([pa.array(sorted(keys), pa.string())]), path)
    return path


def save_known_splits(root: Path, own_stems: Collection[str], path: Path) -> Path | None:
    """Write the splits that the corpus has, but those of the jobs `own_stems`; None where there are none."""
    parts = [part for part in part_paths(root, _SPLITS) if part.stem not in own_stems]
    if not parts:
        return None
    import pyarrow.compute as pc  # late: most runs are a corpus's first

    rows = read_parts(parts, table_schema(_SPLITS), _OF_SPLITS)
    texts = pc.binary_join_element_wise(*(rows[name].cast(pa.string()) for name in _OF_SPLITS), "\0")
    write_sorted(pa.chunked_array([pc.unique(texts)], pa.string()).sort(), path)
    return path


def facts_otherwise(root: Path, identity: TaskIdentity, done: Iterable[DoneJob]) -> Counter[str]:
    """Concept → number of samples of which a task's facts and those of its earlier runs say different things.

    That is another polarity or value under the same source, or a fact of one run that the closed scope of the other
    leaves out. Nothing is read where all runs of the task had one version and config.

    Args:
        root: the corpus.
        identity: of the task as it ran now.
        done: committed jobs of the task, of any version and config.
    """
    own: set[str] = set()
    earlier: set[str] = set()
    for job in done:
        (own if identity.made(job) else earlier).add(job.stem)
    if not own or not earlier:
        return Counter()
    now, before = _Said(root, own), _Said(root, earlier)
    return Counter(pair.partition("\0")[2] for pair in now.otherwise(before) | before.otherwise(now))


def otherwise_sentence(found: Mapping[str, int], stage: str, corpus: str) -> str:
    """What is said of such facts."""
    most = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    listed = ", ".join(f"{concept} ({count})" for concept, count in most[:_SHOWN])
    more = f" and {len(most) - _SHOWN} more" if len(most) > _SHOWN else ""
    return (
        f"earlier runs of this stage say otherwise of samples: {listed}{more}; the corpus holds both, and what one of "
        "them states counts above what the other denies or leaves out; to have the new facts alone, take the stage's "
        f"runs back (voxtile retract {corpus} --stage {stage}) and run this command again"
    )


class _Said:
    """What some jobs say of samples, as texts that can be compared.

    Args:
        root: the corpus.
        stems: of the jobs.
    """

    def __init__(self, root: Path, stems: Collection[str]) -> None:
        import pyarrow.compute as pc  # late: most runs are a stage's first

        parts = [path for path in part_paths(root, "facts") if path.stem in stems]
        facts = read_parts(parts, table_schema("facts"), _OF_FACTS)
        facts = facts.filter(pc.invert(pc.is_in(facts["concept"], pa.array(DESCRIPTIVE))))
        self.facts = pa.table(
            {
                "fact": _joined_texts([facts[name] for name in _OF_FACTS]),
                "of": _joined_texts([facts[name] for name in _OF_FACTS[:3]]),
                "pair": _joined_texts([facts["uid"], facts["concept"]]),
                "stated": pc.not_equal(facts["polarity"], "absent"),
            }
        )
        parts = [path for path in part_paths(root, "scopes") if path.stem in stems]
        scopes = read_parts(parts, table_schema("scopes"), ("uid", "closed", "concepts")).combine_chunks()
        scopes = scopes.filter(pc.fill_null(scopes["closed"], False))
        uids = scopes["uid"].take(pc.list_parent_indices(scopes["concepts"]))
        self.scoped = _joined_texts([uids, pc.list_flatten(scopes["concepts"])])

    def otherwise(self, other: _Said) -> set[str]:
        """Pairs of sample and concept of which these facts say what the others do not."""
        import pyarrow.compute as pc

        theirs = other.facts
        new = self.facts.filter(pc.invert(pc.is_in(self.facts["fact"], theirs["fact"])))
        differing = new.filter(pc.is_in(new["of"], theirs["of"]))
        silent = pc.and_(pc.is_in(new["pair"], other.scoped), pc.invert(pc.is_in(new["pair"], theirs["pair"])))
        left_out = new.filter(pc.and_(new["stated"], silent))
        return {*differing["pair"].to_pylist(), *left_out["pair"].to_pylist()}


def _joined_texts(columns: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    texts = [pc.fill_null(column.cast(pa.string()), "") for column in columns]
    return pc.binary_join_element_wise(*texts, "\0")


def _sample_keys(root: Path, uids: set[str], own_stems: Collection[str]) -> Iterator[str]:
    for row in _rows_about(root, "samples", ["uid", "source"], uids, own_stems):
        yield _key("samples", row["uid"], row["source"])
        yield _key("source", row["source"])


def _rows_about(
    root: Path, table: str, columns: list[str], uids: set[str], own_stems: Collection[str]
) -> Iterator[Row]:
    import pyarrow.compute as pc  # late: most runs are a corpus's first

    wanted = pa.array(sorted(uids), pa.string())
    for part in part_paths(root, table):
        if part.stem not in own_stems:
            rows = read_parts([part], table_schema(table), columns)
            yield from rows.filter(pc.is_in(rows["uid"], value_set=wanted)).to_pylist()


def _normal(table: str, row: Row) -> Row:
    """The row as Parquet gives it back: numbers of the column's type, None for what is not said."""
    origin, content = _COLUMNS[table]
    schema = pa.schema([table_schema(table).field(name) for name in ("uid", *origin, *content)])
    normal: Row = pa.Table.from_pylist([{name: row.get(name) for name in schema.names}], schema=schema).to_pylist()[0]
    return normal


def _origin(table: str, row: Row) -> str:
    return _key(table, row["uid"], *(row[name] for name in _COLUMNS[table][0]))


def _exact(table: str, row: Row) -> str:
    origin, content = _COLUMNS[table]
    return _key(table, row["uid"], *(row[name] for name in origin), "states", *(row[name] for name in content))


def _key(*parts: Any) -> str:  # noqa: ANN401
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _base(source: str) -> str:
    """Source of a file, of which an item may be a block (`slide.svs#00003`)."""
    return source.partition("#")[0]
