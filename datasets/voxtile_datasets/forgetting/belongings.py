"""What of a corpus is a subject's: samples, what was said of them, and the names of the files that they came from."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import check_part, part_paths, read_parts, table_schema

_TOKEN = re.compile(r"[0-9A-Za-z_-]+")
Names = frozenset[str]


@dataclass(frozen=True)
class Belongings:
    """Names of all that is to go.

    Attributes:
        subjects: as they stand in the corpus.
        originals: what they are called outside it, where that is known.
        uids, studies, regions, captions: of their samples.
        requests: keys of the replies that their captions came from.
        sources: inputs of which nothing is another subject's, as ledger and samples call them.
        others: inputs that gave a sample of another subject, or a row about one.
        hashes: sha-256 of their payloads.
        texts: of their captions.
        shards: that hold pixels or masks of theirs.
        dialogues, preferences: in which any of their samples is spoken of.
    """

    subjects: Names
    originals: Names = frozenset()
    uids: Names = frozenset()
    studies: Names = frozenset()
    regions: Names = frozenset()
    captions: Names = frozenset()
    requests: Names = frozenset()
    sources: Names = frozenset()
    others: Names = frozenset()
    hashes: Names = frozenset()
    texts: Names = frozenset()
    shards: Names = frozenset()
    dialogues: Names = frozenset()
    preferences: Names = frozenset()

    def owns_source(self, source: str) -> bool:
        """Whether an input is theirs alone: a file, a block of one, or a sample that a later stage took as input."""
        if source in self.sources or base(source) in self.sources:
            return True
        return any(token in self.uids or token in self.captions for token in _TOKEN.findall(source))


def stored_subjects(root: Path) -> set[str]:
    """All subjects of a corpus, those that stand in splits alone among them."""
    return {
        subject
        for table in ("samples", "splits")
        for part in _checked(root, table)
        for subject in pc.unique(read_parts([part], table_schema(table), ["subject"])["subject"]).to_pylist()
    }


def find_belongings(
    root: Path,
    subjects: Collection[str],
    originals: Iterable[str],
    paths: Mapping[str, str],
    whose: Mapping[str, str] | None = None,
) -> Belongings:
    """Find all that is of some subjects.

    Args:
        root: the corpus.
        subjects: as they stand in it.
        originals: what they are called outside.
        paths: source → path, of the key map; empty where sources are paths themselves.
        whose: source → subject, of the key map.

    Raises:
        CorpusError: a part of a table is damaged.
    """
    found = _Found()
    others: set[str] = set()  # sources of samples of other subjects
    wanted = pa.array(sorted(subjects), pa.string())
    for rows in _tables(root, "samples", ["uid", "subject", "study", "source", "shard", "sha256"]):
        own = pc.is_in(rows["subject"], value_set=wanted)
        found.take(rows.filter(own), uids="uid", studies="study", sources="source", shards="shard", hashes="sha256")
        others.update(map(base, _texts(rows.filter(pc.invert(own))["source"])))
    uids = pa.array(sorted(found.uids), pa.string())
    for rows in _tables(root, "regions", ["uid", "region_id", "mask_shard"]):
        found.take(rows.filter(pc.is_in(rows["uid"], value_set=uids)), regions="region_id", shards="mask_shard")
    kept: set[str] = set()  # requests that captions of other subjects came from
    for rows in _tables(root, "captions", ["uid", "caption_id", "text", "request_sha"]):
        own = pc.is_in(rows["uid"], value_set=uids)
        found.take(rows.filter(own), captions="caption_id", texts="text", requests="request_sha")
        kept.update(_texts(rows.filter(pc.invert(own))["request_sha"]))
    for rows in _tables(root, "dialogues", ["dialogue_id", "uids", "text"]):
        found.take(rows.filter(names_any(rows["uids"], found.uids)), dialogues="dialogue_id", texts="text")
    for rows in _tables(root, "preferences", ["preference_id", "uids", "chosen", "rejected"]):
        own_pairs = rows.filter(names_any(rows["uids"], found.uids))
        found.take(own_pairs, preferences="preference_id", texts="chosen")
        found.take(own_pairs, texts="rejected")
    ledger = list(_tables(root, "ledger", ["source", "uid"]))
    about_others: set[str] = set()
    for rows in ledger:
        own = pc.is_in(rows["uid"], value_set=uids)
        found.take(rows.filter(own), sources="source")
        about_others.update(map(base, _texts(rows.filter(pc.and_(pc.is_valid(rows["uid"]), pc.invert(own)))["source"])))
    listed = {source for rows in ledger for source in _texts(rows["source"])}
    sources = {base(source) for source in found.sources} - others
    known = whose or {}
    sources |= {source for source, subject in known.items() if subject in subjects}
    elsewhere = others | {source for source, subject in known.items() if subject not in subjects}
    sources |= _beside(sources, elsewhere, listed | paths.keys(), paths)
    return Belongings(
        frozenset(subjects), frozenset(originals), frozenset(found.uids), frozenset(found.studies),
        frozenset(found.regions), frozenset(found.captions), frozenset(found.requests - kept),
        frozenset(sources), frozenset(others | about_others), frozenset(found.hashes), frozenset(found.texts),
        frozenset(found.shards), frozenset(found.dialogues), frozenset(found.preferences),
    )  # fmt: skip


def base(source: str) -> str:
    """The file of an input that may be a block of it (`slide.svs#00003`)."""
    return source.partition("#")[0]


@dataclass
class _Found:
    uids: set[str] = field(default_factory=set)
    studies: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    shards: set[str] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)
    regions: set[str] = field(default_factory=set)
    captions: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    requests: set[str] = field(default_factory=set)
    dialogues: set[str] = field(default_factory=set)
    preferences: set[str] = field(default_factory=set)

    def take(self, rows: pa.Table, **columns: str) -> None:
        """Add the values of columns to the sets of these names."""
        for name, column in columns.items():
            getattr(self, name).update(_texts(rows[column]))


def names_any(lists: pa.ChunkedArray, names: Collection[str]) -> pa.Array:
    """Which rows of a column of lists have any of some names in their list.

    Args:
        lists: of texts.
        names: that are looked for.
    """
    column = lists.combine_chunks()
    hits = pc.is_in(pc.list_flatten(column), value_set=pa.array(sorted(names), pa.string()))
    rows = pc.unique(pc.list_parent_indices(column).filter(hits))
    return pc.is_in(pa.array(range(len(column)), rows.type), value_set=rows)


def _texts(column: pa.ChunkedArray) -> list[str]:
    values: list[str] = pc.unique(column).drop_null().to_pylist()
    return values


def _beside(own: set[str], others: set[str], listed: Iterable[str], paths: Mapping[str, str]) -> set[str]:
    """Inputs that gave no sample and lie in a folder that holds nothing used but the subjects' own.

    A series that was refused says nowhere whose it is; its folder does, as archives are laid out.
    """
    path_of = {source: PurePosixPath(paths.get(source, source)) for source in listed}
    foreign = {folder for source in others if source in path_of for folder in path_of[source].parents}
    foreign.add(PurePosixPath("."))
    homes = {path_of[source].parent for source in own if source in path_of}
    if foreign - {PurePosixPath(".")}:  # else nothing says where the folders of one subject end
        homes |= {folder for home in homes for folder in home.parents}
    homes -= foreign
    return {base(source) for source, path in path_of.items() if not homes.isdisjoint(path.parents)} - others


def _checked(root: Path, table: str) -> Iterator[Path]:
    for part in part_paths(root, table):
        check_part(part, table_schema(table))
        yield part


def _tables(root: Path, table: str, columns: list[str]) -> Iterator[pa.Table]:
    for part in _checked(root, table):
        yield read_parts([part], table_schema(table), columns)
