"""Compiled views: the samples, captions, facts and studies of a selection, memory-mapped for training.

Parquet is the record; a view is derived from it, keyed by what it was made from, and rebuilt when that changes. Opening
reads a footer, whatever the number of samples; a row costs arithmetic and a few page reads. Training never joins uids.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from voxtile.bounded_text import read_json
from voxtile.console import note
from voxtile.corpus.drafts import wait_for_lock
from voxtile.corpus.parts import part_paths, part_rows
from voxtile.corpus.records import check_recorded_parts
from voxtile.corpus.remote.announcing import Place, is_mirror
from voxtile.corpus.source import StoredSample
from voxtile.corpus.view.compile import write_view
from voxtile.corpus.view.evidence import FACTS, HASHES
from voxtile.corpus.view.files import NO_MOMENT, STUDY_WEIGHTS, WEIGHTS, JsonRows, MappedBatches, mapped_array
from voxtile.corpus.view.key import INPUT_TABLES, LAYOUT, ViewChoice, view_key, view_stamp
from voxtile.corpus.view.selection import ABOUT, CAPTIONS, EVERYTHING, SAMPLES, SUFFIX, find_selection
from voxtile.corpus.view.sums import damage
from voxtile.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from voxtile.corpus.reader import Corpus


class Entry(NamedTuple):
    """One row of the index."""

    row: int
    uid: str
    shard: int
    offset: int
    nbytes: int
    codec: str
    meta: int
    subject: int
    study: int
    caption_start: int
    caption_count: int
    facts: int
    moment: int | None = None
    """Of the acquisition, microseconds since 1970; None where unknown."""
    digest: str | None = None
    """First 16 hexadecimal digits of the payload's sha-256; None where it is not known."""


class Caption(NamedTuple):
    """One caption of a sample, with the newest checker's verdict."""

    text: str
    kind: str
    verdict: str
    text_hash: int


class CompiledView:
    """An opened view. Cheap to open and to pickle; every process maps the same pages.

    All its files are opened at once, so that it stays what it was when the view is compiled again in its place.

    Attributes:
        folder: where the compiled files lie.
        roots: the corpora that its shards belong to.
        key: hash of all inputs; a run resumes only on the same key.
        concepts: names of the columns of `facts`.
        outgrown: what to say where the corpus has grown since its samples were chosen, else None.
    """

    def __init__(self, folder: Path, roots: Sequence[Path]) -> None:
        about = read_json(folder / "view.json")
        self.folder = folder
        self.roots = tuple(roots)
        self.key: str = about["key"]
        self.name: str = about["name"]
        self.scheme: str = about["scheme"]
        self.concepts: tuple[str, ...] = tuple(about["concepts"])
        self.outgrown: str | None = None
        self._about: dict[str, Any] = about
        rows = about["batch_rows"]
        self._index = MappedBatches(folder / "index.arrow", rows)
        self._captions = MappedBatches(folder / "captions.arrow", rows)
        self._studies = MappedBatches(folder / "studies.arrow", rows)
        self._metas = MappedBatches(folder / "metas.arrow", rows)
        self._facts: npt.NDArray[np.int8] = mapped_array(folder / "facts.npy")
        self._evidence = mapped_array(folder / HASHES), mapped_array(folder / FACTS)
        if read_json(folder / "view.json")["key"] != self.key:
            raise _made_again(folder)
        self._meta_of = lru_cache(maxsize=4096)(self._read_meta)

    def __reduce__(self) -> tuple[Callable[..., CompiledView], tuple[Path, tuple[Path, ...], str]]:
        return _opened_again, (self.folder, self.roots, self.key)

    def __len__(self) -> int:
        return int(self._about["rows"])

    def cumulative_weights(self, split: str | None, *, studies: bool = False) -> npt.NDArray[np.float64] | None:
        """Running sums of the sampling weights of a split's samples or studies; None where all weigh the same.

        Returns:
            [n + 1] float64, ascending, memory-mapped; item i weighs the difference between i + 1 and i. A study weighs
            the mean of its samples.
        """
        if not self._about.get("weighted"):
            return None
        items = self.studies(split) if studies else self.rows(split)
        path = self.folder / (STUDY_WEIGHTS if studies else WEIGHTS)
        sums: npt.NDArray[np.float64] = np.load(path, mmap_mode="r", allow_pickle=False)
        return sums[items.start : items.stop + 1]

    @property
    def split_names(self) -> tuple[str, ...]:
        """Splits that hold at least one sample."""
        return tuple(name for name, r in self._about["splits"].items() if r[1] > r[0])

    def rows(self, split: str | None) -> range:
        """Rows of a split; of the whole view for None.

        Raises:
            ConfigError: no sample is in this split.
        """
        return range(len(self)) if split is None else range(*self._split(split)[:2])

    def studies(self, split: str | None) -> range:
        """Study numbers of a split; of the whole view for None.

        Raises:
            ConfigError: no sample is in this split.
        """
        return range(int(self._about["studies"])) if split is None else range(*self._split(split)[2:])

    def _split(self, split: str) -> list[int]:
        found: list[int] = self._about["splits"].get(split, [0, 0, 0, 0])
        if found[1] == found[0]:
            there = ", ".join(self.split_names) or "none"
            raise ConfigError(
                f"view '{self.name}' has no sample in split '{split}' of scheme '{self.scheme}'; there are: {there}"
            )
        return found

    def uid_marks(self, split: str | None, of: str = "uid") -> Iterator[npt.NDArray[np.int64]]:
        """First 63 bits of the uid, or `digest`, of each sample of a split (of all for None), [n] for some at a time.

        Raises:
            ConfigError: no sample is in this split.
        """
        rows = self.rows(split)
        row = rows.start
        while row < rows.stop:
            columns, at = self._index.at(row)
            stop = min(len(columns[of]), at + rows.stop - row)
            first = np.ascontiguousarray(columns[of][at:stop, :8]).view(">u8")[:, 0]
            yield (first & np.uint64(2**63 - 1)).astype(np.int64)
            self._index.release()
            row += stop - at

    def study_rows(self, study: int) -> range:
        """Rows of one study."""
        columns, at = self._studies.at(study)
        start = int(columns["start"][at])
        return range(start, start + int(columns["count"][at]))

    def prior_rows(self, study: int) -> range:
        """Rows of the latest earlier study of the same subject, by the times of their first samples."""
        columns, at = self._studies.at(study)
        prior = int(columns["prior"][at])
        return range(0) if prior < 0 else self.study_rows(prior)

    def entry(self, row: int) -> Entry:
        """One row of the index."""
        c, at = self._index.at(row)
        moment = int(c["moment"][at])
        return Entry(
            row,
            c["uid"][at].tobytes().hex(),
            int(c["shard"][at]),
            int(c["offset"][at]),
            int(c["nbytes"][at]),
            self._about["codecs"][c["codec"][at]],
            int(c["meta"][at]),
            int(c["subject"][at]),
            int(c["study"][at]),
            int(c["caption_start"][at]),
            int(c["caption_count"][at]),
            int(c["facts"][at]),
            None if moment == NO_MOMENT else moment,
            c["digest"][at].tobytes().hex() if c["digest"][at].any() else None,
        )

    def captions(self, entry: Entry) -> list[Caption]:
        """All captions of a sample, in the order of their ids."""
        found = []
        for row in range(entry.caption_start, entry.caption_start + entry.caption_count):
            c, at = self._captions.at(row)
            kind, verdict = self._about["kinds"][c["kind"][at]], self._about["verdicts"][c["verdict"][at]]
            found.append(Caption(c["text"][at].as_py(), kind, verdict, int(c["text_hash"][at])))
        return found

    def facts(self, entry: Entry) -> npt.NDArray[np.int8]:
        """[concepts] int8: 1 present, 0 absent, -1 unknown."""
        if entry.facts < 0:
            return np.full(len(self.concepts), -1, np.int8)
        return np.array(self._facts[entry.facts])

    def text_facts(self, hashes: Sequence[int]) -> npt.NDArray[np.int8]:
        """Facts that sentences state, by text hash: [texts, concepts] int8 as in `facts`; -1 where nothing is known."""
        known, facts = self._evidence
        wanted = np.asarray(hashes, np.int64)
        found = np.full((len(wanted), len(self.concepts)), -1, np.int8)
        if len(known):
            place = np.searchsorted(known, wanted).clip(max=len(known) - 1)
            hit = known[place] == wanted
            found[hit] = facts[place[hit]]
        return found

    def meta(self, entry: Entry) -> dict[str, Any]:
        """Metadata that presets use; shared between rows that agree in all of it, so do not change it."""
        return self._meta_of(entry.meta)

    def _read_meta(self, number: int) -> dict[str, Any]:
        columns, at = self._metas.at(number)
        meta: dict[str, Any] = json.loads(columns["json"][at].as_py())
        return meta

    def metas(self) -> Sequence[dict[str, Any]]:
        """Every distinct metadata of the view, for `Preset.check`; each is read when it is asked for."""
        return JsonRows(self._metas)

    def source(self, entry: Entry) -> StoredSample:
        """Pixels of a sample."""
        root, shard = self._about["shards"][entry.shard]
        address = {"uid": entry.uid, "shard": shard, "offset": entry.offset, "nbytes": entry.nbytes}
        address |= {"sha256": entry.digest}
        return StoredSample(self.roots[root], {**self.meta(entry), **address})

    def places(self, entry: Entry) -> list[Place]:
        """Where the payload lies; none of a reference."""
        root, shard = self._about["shards"][entry.shard]
        return [] if shard is None else [Place(self.roots[root], str(shard), entry.offset, entry.nbytes)]

    def shard_path(self, entry: Entry) -> Path:
        """The tar that holds the payload.

        Raises:
            CorpusError: the pixels of a reference sample are not in the corpus.
        """
        root, path = self._about["shards"][entry.shard]
        if path is None:
            raise CorpusError(f"sample {entry.uid} is a reference; its pixels are not in the corpus")
        return Path(self.roots[root], str(path))


def _opened_again(folder: Path, roots: Sequence[Path], key: str) -> CompiledView:
    view = CompiledView(folder, roots)
    if view.key != key:
        raise _made_again(folder)
    return view


def _made_again(folder: Path) -> CorpusError:
    """What to say where a view's files are those of another one now: rows of the two must not be mixed."""
    return CorpusError(
        f"the compiled view '{folder}' was made again meanwhile, since the corpus has changed; run the command again"
    )


def compile_view(
    corpus: Corpus,
    name: str = "all",
    *,
    scheme: str = "default",
    where: str | None = None,
    facts_source: str | None = None,
    closed_facts: Sequence[str] = (),
    folder: Path | None = None,
    memory_mb: int | None = None,
) -> CompiledView:
    """Open a view, compiling it first where it is missing or its inputs have changed.

    A view that was curated under this name holds what was selected; `where` narrows it further.

    Args:
        corpus: one or more corpora.
        name: name of the view. It lies under `views/NAME` of the first corpus; that of a union under `views/NAME@HASH`,
            where the hash tells the other corpora.
        scheme: split scheme.
        where: SQL condition on the samples table, e.g. `modality = 'CT'`; it sees no file and no network.
        facts_source: only facts whose source begins so (`reports`, `labels`), or with one of several names separated by
            commas, and closed scopes of vocabularies so named; None for all.
        closed_facts: concepts that are taken as absent of a sample that has facts, but none of them, also no doubtful
            one: what its report would have mentioned.
        folder: folder to keep views in instead of the first corpus's `views`; curated selections are found in either.
        memory_mb: memory in MB that compiling may take for its queries; None leaves it to the database.

    Raises:
        ConfigError: the name, scheme or condition is wrong, or nothing is selected.
        CorpusError: the corpus is damaged or lacks a part, a subject is in two splits, or the view cannot be written.
    """
    roots = tuple(Path(root) for root in corpus.roots)
    label, home = view_label(roots, name), roots[0] / "views"
    target = (folder or home) / label
    if name != EVERYTHING and where is None and not (home / f"{label}{SUFFIX}").is_dir():
        _fetch_selection(roots[0], label)
    places = [place for place in (folder, home) if place is not None and place.is_dir()]
    selected = find_selection(places, label, name, where)
    if selected is not None:
        selected.check_scheme(scheme, name)
    chosen = ViewChoice(scheme, where, facts_source, tuple(closed_facts), selected.key if selected else None)
    stamp = view_stamp(roots, chosen)
    samples = _recorded(target, "stamp.json", "samples")
    stamped = _recorded(target, "stamp.json", "stamp")
    if stamped != stamp or not isinstance(samples, int) or damage(target) is not None:
        for root in roots:
            check_recorded_parts(root, INPUT_TABLES, contents=True)
        key = view_key(roots, chosen)
        with view_lock(target):
            # Another process may have compiled it meanwhile.
            if not _is_current(target, key):
                write_view(roots, target, chosen, key=key, name=name, selected=selected, memory_mb=memory_mb)
            samples = sum(part_rows(part) for root in roots for part in part_paths(root, "samples"))
            with suppress(OSError):  # on a read-only disk the key is computed at every opening
                (target / "stamp.json").write_text(json.dumps({"stamp": stamp, "samples": samples}))
    made = CompiledView(target, roots)
    made.outgrown = selected.outgrown(name, samples) if selected is not None else None
    return made


def _is_current(target: Path, key: str) -> bool:
    """Whether the view that lies there was made from these inputs, and is what was written."""
    if _recorded(target, "view.json", "key") != key or _recorded(target, "view.json", "layout") != LAYOUT:
        return False
    if (what := damage(target)) is not None:
        note(f"the compiled view '{target}' is damaged ({what}) and is made again")
    return what is None


def _fetch_selection(root: Path, label: str) -> None:
    """A web server does not tell which curated views it has; it is asked for the one that is wanted."""
    if is_mirror(root):
        from voxtile.corpus.remote.payloads import remote_address  # late: for remote corpora alone

        if (remote_address(root) or "").startswith("http"):
            from voxtile.corpus.remote.client import fetch_view

            fetch_view(root, [f"views/{label}{SUFFIX}/{name}" for name in (ABOUT, SAMPLES, CAPTIONS)])


def view_label(roots: Sequence[Path], name: str) -> str:
    """Name of a view's folder: NAME, or NAME@HASH for a union, where the hash tells the other corpora.

    Raises:
        ConfigError: it is not a valid name.
    """
    if not name or name.startswith(".") or name.endswith(SUFFIX) or "/" in name or "\\" in name:
        raise ConfigError(f"view: '{name}' is not a valid name; use letters, digits, '-' and '_'")
    others = "\n".join(str(root.resolve()) for root in roots[1:])
    return f"{name}@{hashlib.sha256(others.encode()).hexdigest()[:8]}" if others else name


def _recorded(folder: Path, name: str, field: str) -> object:
    try:
        value: object = read_json(folder / name)[field]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return value


@contextmanager
def view_lock(target: Path) -> Iterator[None]:
    """One process at a time compiles a view; the lock ends with its process.

    Raises:
        CorpusError: the folder of the view cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(target.parent / f".{target.name}.lock", os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise CorpusError(
            f"cannot write the compiled view under '{target.parent}' ({error.strerror}); "
            "make that folder writable, or train with views in another one (--data.view_folder)"
        ) from error
    try:
        wait_for_lock(lock, f"another process compiles the view '{target}' just now; this one waits for it")
        yield
    finally:
        os.close(lock)
