"""Joins a label table to the samples of a corpus, also where the corpus holds keyed hashes instead of identifiers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from voxtile.corpus.identity import KeyMap, key_map_path
from voxtile.corpus.parts import read_parts, table_schema
from voxtile.corpus.reader import Corpus
from voxtile.stages.ingest.table import composed, file_key
from voxtile_datasets.captions.label_table import Labels, Polarity, merge

_COLUMNS = ("uid", "subject", "study", "source")


@dataclass(frozen=True)
class Join:
    """What came of joining.

    Attributes:
        key: the key that was used.
        parts: stem of the samples part → its uids.
        labels: uid → concept → polarity; only of samples that a row matches.
        unmatched_rows: rows of the table that match no sample.
        unmatched_keys: some of their keys.
        matched_subjects, unlabelled_subjects: number of subjects with and without a label.
        spread_subjects: number of subjects whose label, by their own name, counts for several studies.
        disputed: number of labels about which the rows of one sample disagree.
    """

    key: str
    parts: Mapping[str, Sequence[str]]
    labels: Mapping[str, Mapping[str, Polarity]]
    unmatched_rows: int
    unmatched_keys: Sequence[str]
    matched_subjects: int
    unlabelled_subjects: int
    spread_subjects: int
    disputed: int


@dataclass(frozen=True)
class _Samples:
    parts: Mapping[str, Sequence[str]]
    rows: Sequence[tuple[str, str, str | None, str | None]]  # uid, subject, study, source


def join_labels(store: Corpus, corpus: Path, labels: Labels, keys: Sequence[str], key_file: Path | None) -> Join:
    """Find the samples of each row.

    Args:
        store: the corpus, open.
        corpus: its folder.
        labels: the table.
        keys: keys to try in this order; the first one that matches anything is used.
        key_file: the key map, if it is not beside the corpus.
    """
    samples = _read_samples(store)
    path = key_map_path(corpus, key_file)
    key_map = KeyMap(path) if path.exists() else None
    best = _join(samples, labels, keys[0], key_map)
    for key in keys[1:]:
        if best.labels:
            break
        best = _join(samples, labels, key, key_map)
    return best


def _read_samples(store: Corpus) -> _Samples:
    parts: dict[str, list[str]] = {}
    rows: list[tuple[str, str, str | None, str | None]] = []
    for part in store.parts("samples"):
        columns = read_parts([part], table_schema("samples"), _COLUMNS)
        read = list(zip(*(columns[name].to_pylist() for name in _COLUMNS), strict=True))
        parts[part.stem] = [row[0] for row in read]
        rows += read
    return _Samples(parts, rows)


def _join(samples: _Samples, labels: Labels, key: str, key_map: KeyMap | None) -> Join:
    index = _index(samples, key, key_map)
    found: dict[str, list[Mapping[str, Polarity]]] = defaultdict(list)
    unmatched: list[str] = []
    for value, row in zip(labels.keys[key], labels.rows, strict=True):
        uids = _matches(index, value, key, key_map)
        if not uids:
            unmatched.append(value or "(blank)")
        for uid in uids:
            if row:
                found[uid].append(row)
    merged: dict[str, Mapping[str, Polarity]] = {}
    disputed = 0
    for uid, rows in found.items():
        merged[uid], count = merge(rows)
        disputed += count
    matched = {subject for uid, subject, _, _ in samples.rows if uid in merged}
    subjects = {row[1] for row in samples.rows}
    return Join(
        key=key,
        parts=samples.parts,
        labels=merged,
        unmatched_rows=len(unmatched),
        unmatched_keys=unmatched[:3],
        matched_subjects=len(matched),
        unlabelled_subjects=len(subjects - matched),
        spread_subjects=_spread(samples, merged) if key == "subject" else 0,
        disputed=disputed,
    )


def _spread(samples: _Samples, labelled: Collection[str]) -> int:
    """Number of subjects with labelled samples of several studies."""
    studies: dict[str, set[str]] = defaultdict(set)
    for uid, subject, study, _ in samples.rows:
        if uid in labelled and study:
            studies[subject].add(study)
    return sum(len(found) > 1 for found in studies.values())


def _index(samples: _Samples, key: str, key_map: KeyMap | None) -> Mapping[str, Sequence[str]]:
    """Key as the corpus (or its key map) has it → uids. Files also by name and by stem where these are unique."""
    index: dict[str, list[str]] = defaultdict(list)
    column = _COLUMNS.index(key)
    if key != "source":
        for row in samples.rows:
            if row[column]:
                index[composed(row[column] or "")].append(row[0])
        return index
    paths: dict[str, list[str]] = defaultdict(list)
    for uid, _, _, source in samples.rows:
        if source:
            index[source].append(uid)
            paths[(key_map.path_of(source) if key_map else None) or source].append(uid)
    names = Counter(PurePosixPath(path).name for path in paths)
    stems = Counter(PurePosixPath(path).stem for path in paths)
    for path, uids in paths.items():
        pure = PurePosixPath(path)
        if stems[pure.stem] == 1:
            index.setdefault(composed(pure.stem), uids)
        if names[pure.name] == 1:
            index.setdefault(composed(pure.name), uids)
        index.setdefault(path, uids)
        index.setdefault(composed(path), uids)
    return index


def _matches(index: Mapping[str, Sequence[str]], value: str | None, key: str, key_map: KeyMap | None) -> Sequence[str]:
    if not value:
        return ()
    if value in index:
        return index[value]
    plain = file_key(value) if key == "source" else composed(value)
    if plain in index or key in ("source", "uid") or key_map is None:
        return index.get(plain, ())
    return index.get(key_map.hash(key, value)) or index.get(key_map.hash(key, plain), ())
