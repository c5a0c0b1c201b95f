"""WebDataset tars (also img2dataset's): consecutive members with the same name up to the first dot are one pair."""

from __future__ import annotations

import hashlib
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.corpus.identity import EDGE, edge_digest
from voxtile.corpus.splits import SPLIT_NAMES, splits_of_files
from voxtile.engine.failure import Failure, how_lost
from voxtile.stages.ingest.pairs import NO_IMAGE, Pair, PairTask, files_under, of_one_split, placed
from voxtile.stages.ingest.picture import PictureError
from voxtile.stages.ingest.table import SUBJECT_COLUMNS, as_text, composed, is_missing
from voxtile.stages.ingest.tar import Damage, Member, read_range, scan_tar

_IMAGES = ("jpg", "jpeg", "png", "webp")
_TEXT_KEYS = ("caption", "captions", "text", "texts", "TEXT")
# CLIP_benchmark's layout (`build_wds_dataset`): what a set is for, and names of its classes, a line each.
SET_TYPE, CLASS_NAMES, RETRIEVAL = "dataset_type.txt", "classnames.txt", "retrieval"
_SHARDS = "nshards.txt"  # of that layout, beside the tars of a split
_LONGEST_NUMBER = 20  # bytes
_LONGEST_TEXT = 16 * 2**20  # bytes of a txt or json member that are read; more is no caption


@dataclass(frozen=True)
class WdsTask(PairTask):
    """Reads `jpg|png|webp` with `txt` or `json` members by their offsets."""

    @property
    def name(self) -> str:
        """Short name of the format."""
        return "wds"

    def pairs(self) -> Iterator[Pair]:
        """List every tar's keys; a damaged tar gives what comes before the damage and one broken pair."""
        root = Path(self.root)
        tars = [
            (path, path.name if path == root else path.relative_to(root).as_posix())
            for path in files_under(root, frozenset({".tar"}))
        ]
        splits = _splits_of_sets(tars) | splits_of_files(name for _, name in tars)
        return of_one_split(placed(self._listed(tars), splits))

    def _listed(self, tars: Sequence[tuple[Path, str]]) -> Iterator[Pair]:
        for (path, name), found in zip(tars, self.reader.map(pairs_of, tars, title="listing tars"), strict=True):
            if isinstance(found, Failure):
                sentence = f"listing '{name}' {how_lost(found)}; download it again"
                yield Pair(name, {"file": name, "nbytes": path.stat().st_size}, broken=sentence)
            else:
                yield from found

    def image(self, where: Mapping[str, Any]) -> bytes:
        """The image's bytes.

        Raises:
            PictureError: the sample has no picture.
        """
        if where["image"] is None:
            raise PictureError(NO_IMAGE, f"no jpg, png or webp member (there is: {', '.join(where['members'])})")
        return read_range(self._path(where), *where["image"])

    def texts(self, where: Mapping[str, Any]) -> list[str | bytes | None]:
        """The `txt` members, else the caption fields of the `json` members; each line where the set says retrieval."""
        found: list[str | bytes | None] = []
        for kind, offset, nbytes in where["texts"]:
            data = read_range(self._path(where), offset, min(nbytes, _LONGEST_TEXT))
            if kind != "txt":
                found += texts_in_json(data)
            elif where.get("lines"):
                found += [line for line in data.splitlines() if line.strip()]
            else:
                found.append(data)
        return found

    def class_of(self, where: Mapping[str, Any]) -> tuple[str, Sequence[str]] | None:
        """By the number in the `cls` member and the set's `classnames.txt`.

        Raises:
            PictureError: the number is that of no class.
        """
        if where.get("class") is None:
            return None
        path = self._path(where)
        names = _words_of_set(str(path.parent), CLASS_NAMES)
        text = read_range(path, *where["class"]).strip()
        number = int(text) if text.isdigit() else -1
        if names is None or not 0 <= number < len(names):
            raise PictureError("unknown-class", f"its cls member is the number of no line of {CLASS_NAMES}")
        return names[number], names

    def _path(self, where: Mapping[str, Any]) -> Path:
        root = Path(self.root)
        return root if root.is_file() else root / where["file"]


def pairs_of(tar: tuple[Path, str]) -> Iterator[Pair]:
    """The pairs of a tar by its path and its name, in a supervised process: a header may claim any length."""
    path, name = tar
    for group in _groups(scan_tar(path)):
        if isinstance(group, Damage):
            sentence = group.sentence.replace(str(path), name)
            yield Pair(name, {"file": name, "nbytes": path.stat().st_size}, broken=sentence)
        elif (twice := _twice(group)) is not None:
            key = _split(group[0].name)[0]
            where = {"file": name, "key": key, "nbytes": path.stat().st_size}
            sentence = f"two {twice} members in a row are called '{key}', so that nothing says whose a text is"
            yield Pair(f"{name}/{key}", where, broken=f"{sentence}; give each pair a name of its own")
        else:
            yield _pair(path, name, group)


def _twice(members: Iterable[Member]) -> str | None:
    """The kind of picture of which a key has two, as no WebDataset may; several texts are captions of one."""
    kinds = Counter(_split(member.name)[1] for member in members)
    return next((kind for kind in _IMAGES if kinds[kind] > 1), None)


def _splits_of_sets(tars: Iterable[tuple[Path, str]]) -> dict[str, str]:
    """Splits of tars of CLIP_benchmark, whose folder says one, also where a set has its test alone."""
    folders = {name: path.resolve().parent for path, name in tars}
    return {
        name: SPLIT_NAMES[folder.name.lower()]
        for name, folder in folders.items()
        if folder.name.lower() in SPLIT_NAMES and (folder / _SHARDS).is_file()
    }


@lru_cache(maxsize=64)
def _words_of_set(folder: str, name: str) -> tuple[str, ...] | None:
    """Lines of a file that describes a set of CLIP_benchmark, beside its tars or in the folder above; None without."""
    for place in (Path(folder), Path(folder).resolve().parent):
        file = place / name
        if file.is_file() and file.stat().st_size <= _LONGEST_TEXT:
            return tuple(line.strip() for line in file.read_text("utf-8", errors="replace").splitlines())
    return None


def texts_in_json(data: bytes) -> list[str | None]:
    """The caption or captions in a JSON member; none where it has no such field, and one None where it is damaged."""
    try:
        record = load_json(data)
    except ValueError:
        return [None]
    if not isinstance(record, dict):
        return []
    value = next((record[key] for key in _TEXT_KEYS if record.get(key)), None)
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def _split(name: str) -> tuple[str, str]:
    """Key and extension as webdataset splits them: at the first dot after the last slash."""
    folder, base = posixpath.split(name)
    stem, _, extension = base.partition(".")
    return posixpath.join(folder, stem), extension.lower()


def _groups(entries: Iterable[Member | Damage]) -> Iterator[list[Member] | Damage]:
    """Runs of members with one key; a damage stands alone."""
    group: list[Member] = []
    for entry in entries:
        if group and (isinstance(entry, Damage) or _split(entry.name)[0] != _split(group[0].name)[0]):
            yield group
            group = []
        if isinstance(entry, Damage):
            yield entry
        else:
            group.append(entry)
    if group:
        yield group


def _pair(path: Path, name: str, members: list[Member]) -> Pair:
    key = _split(members[0].name)[0]
    extensions = {_split(member.name)[1]: member for member in reversed(members)}
    image = next((extensions[e] for e in _IMAGES if e in extensions), None)
    texts = [["txt", m.offset, m.nbytes] for m in members if _split(m.name)[1].split(".")[-1] == "txt"]
    if not texts:
        texts = [["json", m.offset, m.nbytes] for m in members if _split(m.name)[1].split(".")[-1] == "json"]
    where: dict[str, Any] = {"file": name, "key": key, "texts": texts, "image": None}
    if _words_of_set(str(path.parent), SET_TYPE) == (RETRIEVAL,):
        where["lines"] = True
    if "cls" in extensions and _words_of_set(str(path.parent), CLASS_NAMES) is not None:
        where["class"] = [extensions["cls"].offset, min(extensions["cls"].nbytes, _LONGEST_NUMBER)]
    if "json" in extensions and (subject := _subject_in_json(path, extensions["json"])) is not None:
        where["subject"] = subject
    source = f"{name}/{key}"
    told = hashlib.sha256()
    for _, offset, nbytes in where["texts"]:
        told.update(read_range(path, offset, min(nbytes, _LONGEST_TEXT)) + b"\0")
    if image is None:
        return Pair(source, {**where, "members": sorted(extensions)}, told=told.hexdigest())
    where["image"] = [image.offset, image.nbytes]
    head = read_range(path, image.offset, min(image.nbytes, EDGE))
    tail = read_range(path, image.offset + max(0, image.nbytes - EDGE), min(image.nbytes, EDGE))
    full_hash = partial(_range_sha256, path, image.offset, image.nbytes)
    edges = edge_digest(image.nbytes, head, tail)
    return Pair(source, where, image.nbytes, edges, full_hash, told=told.hexdigest())


def _subject_in_json(path: Path, member: Member) -> str | None:
    """Who or what a JSON member says its picture is of, as `voxtile export-wds` writes it; None where it does not."""
    if member.nbytes > _LONGEST_TEXT:
        return None
    data = read_range(path, member.offset, member.nbytes)
    if not any(b'"%s"' % name.encode() in data for name in SUBJECT_COLUMNS):
        return None
    try:
        record = load_json(data)
    except ValueError:
        return None
    given = [record.get(name) for name in SUBJECT_COLUMNS] if isinstance(record, dict) else []
    names = [as_text(value) for value in given if isinstance(value, str | int | float)]
    return next((composed(name) for name in names if name is not None and not is_missing(name)), None)


def _range_sha256(path: Path, offset: int, nbytes: int) -> str:
    return hashlib.sha256(read_range(path, offset, nbytes)).hexdigest()
