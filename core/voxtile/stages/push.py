"""`voxtile push CORPUS ADDRESS`: a local corpus into a store, so that several machines may add to one there.

Every file is put on the condition that there is none of its name (`If-None-Match: *`), in the order in which a run
commits: samples are claimed (`voxtile.stages.claims`), a job is announced, its files follow, its done file makes it
count, and manifests come last. So a reader sees whole jobs, a push that was stopped goes on, and of two machines that
write one name the second finds the other's file: an equal one is taken for its own, another one ends the push.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voxtile.bounded_text import read_json
from voxtile.console import output, print_json
from voxtile.corpus.forgotten import FORGOTTEN_FILE
from voxtile.corpus.header import CORPUS_FILE, check_corpus, corpus_root, new_corpus
from voxtile.corpus.packing.reading import packed_files
from voxtile.corpus.parts import table_folder
from voxtile.corpus.records import Hashes, Record, read_record, record_paths, recorded_files, require_as_written
from voxtile.corpus.remote.address import Address, draft_marker, parse_address, refuse_remote
from voxtile.corpus.remote.client import create, stored_digest, stored_names
from voxtile.corpus.remote.draft import stored_in
from voxtile.corpus.remote.mirror import Mirror
from voxtile.corpus.remote.objects import is_wanted, removed_files
from voxtile.corpus.schema import TABLES
from voxtile.corpus.view.selection import ABOUT, SUFFIX
from voxtile.engine.commit import withdraw
from voxtile.engine.lock import corpus_lock
from voxtile.errors import ConfigError, CorpusError
from voxtile.file_edges import file_sha256
from voxtile.stages.claims import Claimed, ClashError, claim, release_old_claims
from voxtile.stages.pushed_references import notes_on_references

_MOST_PUT = 5 << 30  # bytes; https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html
_TRIES = 20  # for the number of a manifest, while others write theirs


def push_corpus(
    corpus: Path, address: str, *, release_claims: float | None = None, dry_run: bool = False, json: bool = False
) -> None:
    """Copy what a local corpus has and a remote one lacks, while others may do the same from elsewhere.

    Args:
        corpus: folder of the local corpus; or the address once more, for the views that were curated of it here.
        address: of the remote one, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX; nothing need be there yet.
        release_claims: samples that pushes claimed so many hours ago, and did not put there, are free again; such a
            push ends before its next job if it still goes on.
        dry_run: say what would be copied, and copy nothing.
        json: print one JSON object: address, jobs, files and bytes that were copied.

    Raises:
        ConfigError: the address is none of a store.
        CorpusError: the store holds something else, another result of a job, or a sample from another run.
        StoreError: the store refuses or does not answer.
    """
    target = parse_address(address)
    if target is None or not target.is_listable:
        raise ConfigError(f"'{address}' is no store to write to; name s3://BUCKET/PREFIX or gs://BUCKET/PREFIX")
    if release_claims is not None:
        release_old_claims(target, release_claims, dry_run=dry_run)
    notes: list[str] = []
    if parse_address(corpus) == target:
        push = push_views(target, dry_run=dry_run)
    else:
        refuse_remote(corpus, "copied")
        check_corpus(corpus)
        with corpus_lock(corpus):
            notes = list(notes_on_references(corpus, target))
            push = _Push(corpus, target, dry_run, stored_names(target))
            push.check_packed()
            push.run()
    if json:
        print_json({"address": target.url, "jobs": push.jobs, "files": push.files, "bytes": push.nbytes})
        return
    word = "would be copied" if dry_run else "copied"
    said = f"{word} to {target.url}: {push.jobs:,} jobs, {push.files:,} files, {push.nbytes / 1e6:,.1f} MB"
    for line in (said, *notes):
        output().print(line, markup=False, highlight=False)


def push_draft(root: Path, address: Address) -> Pushed:
    """Copy what a stage wrote into a draft of a remote corpus (`voxtile.corpus.remote.draft`).

    Raises:
        CorpusError: another machine did the same jobs with other results, or the store holds something else.
        StoreError: the store refuses or does not answer.
    """
    push = _Push(root, address, False, stored_names(address), stored_in(root))
    push.run()
    return push


def push_views(address: Address, *, dry_run: bool = False) -> Pushed:
    """Copy the views that were curated of a remote corpus on this machine.

    Raises:
        CorpusError: the store has another view of such a name.
        StoreError: the store refuses or does not answer.
    """
    root = corpus_root(address.url)
    push = _Push(root, address, dry_run, stored_names(address), frozenset(Mirror.read(root).small))
    push.check_conditions()
    push.put_views()
    return push


def put_header(address: Address) -> None:
    """Begin a corpus in a store: an empty one is there then, unless another machine has begun it meanwhile.

    Raises:
        CorpusError: the prefix holds something else.
        StoreError: the store refuses or does not answer.
    """
    if stored_names(address):
        raise CorpusError(
            f"'{address.url}' holds other objects and no {CORPUS_FILE}; choose an empty prefix for the corpus"
        )
    with tempfile.TemporaryDirectory() as folder:
        new_corpus(Path(folder, "corpus"))
        create(address, CORPUS_FILE, Path(folder, "corpus", CORPUS_FILE))


def check_writable(root: Path, address: Address) -> None:
    """Find out before any work whether objects may be put, and whether the store heeds conditions.

    Args:
        root: of the corpus's mirror.
        address: of the corpus.

    Raises:
        CorpusError: the store passes over conditions.
        StoreError: the rights do not allow it.
    """
    _Push(root, address, False, set()).check_conditions()


@dataclass
class Pushed:
    """What was copied.

    Attributes:
        jobs, files, nbytes: how much.
    """

    jobs: int = field(default=0, init=False)
    files: int = field(default=0, init=False)
    nbytes: int = field(default=0, init=False)


@dataclass
class _Push(Pushed):
    """One push.

    Attributes:
        root: the local corpus.
        target: the remote one.
        dry_run: copy nothing.
        there: names of objects that are there.
        same: names of local files that are known to be the store's.
    """

    root: Path
    target: Address
    dry_run: bool
    there: set[str]
    same: frozenset[str] = frozenset()
    _seen: set[str] = field(default_factory=set)
    _claimed: Claimed | None = None
    _written: Hashes = field(default_factory=dict)

    def run(self) -> None:
        """Copy in the order of commits."""
        self._check_target()
        done, manifests = record_paths(self.root)
        records = sorted((read_record(self.root, path) for path in done), key=_adds_to_others)
        self._check_sizes()
        self._written = recorded_files(self.root)
        fresh = [record for record in records if not self._has(record)]
        self._check_replaced(record for record in records if record not in fresh)
        self._put(CORPUS_FILE)
        self.check_conditions()
        self._claim(fresh, {name for record in records if record not in fresh for name in record.files})
        if (self.root / FORGOTTEN_FILE).is_file():
            self._put(FORGOTTEN_FILE)
        packed = self._packed()
        within = {name for names in packed.values() for name in names}
        for record in fresh:
            self._put_job(record, within)
        for name in packed:
            self._put(name)
        for record in fresh:  # what their rows are packed in is there now
            if within.intersection(record.files):
                self._put_done(record)
        pending = {f"{path.stem}" for path in (self.root / "done").glob("*.pending")}
        for name in self._others(records, pending):
            self._put(name)
        self.put_views()
        for path in manifests:
            self._put_manifest(path)

    def put_views(self) -> None:
        """Copy curated views, what says how each was made last."""
        for folder in sorted((self.root / "views").glob(f"*{SUFFIX}")):
            for path in sorted(folder.iterdir(), key=lambda path: path.name == ABOUT):
                if is_wanted(name := path.relative_to(self.root).as_posix()):
                    self._put(name)

    @property
    def _advice(self) -> str:
        if draft_marker(self.root).is_file():
            return "Run the same command again: it takes what is there and adds what is missing"
        return "Push to a new prefix"

    def _check_target(self) -> None:
        """A prefix that holds anything but a corpus is left alone, and so is one that has forgotten others."""
        if self.there and CORPUS_FILE not in self.there and any(not is_wanted(name) for name in self.there):
            raise CorpusError(
                f"'{self.target.url}' holds other objects and no {CORPUS_FILE}; choose an empty prefix for the corpus"
            )
        local = (self.root / FORGOTTEN_FILE).is_file()
        if CORPUS_FILE in self.there and local != (FORGOTTEN_FILE in self.there):
            raise CorpusError(
                f"subjects were forgotten in one of '{self.root}' and '{self.target.url}' alone, and would come back; "
                "forget them in both, and push to a new prefix"
            )
        if any(name.startswith("done/") for name in removed_files(self.root) & self.there):
            raise CorpusError(
                f"'{self.target.url}' has runs that 'voxtile retract' took back in '{self.root}': push to a new prefix"
            )

    def _check_sizes(self) -> None:
        """What the store would refuse after all of it was sent is told before anything is."""
        for folder in ("shards", "tables", "ledger"):
            for path in (self.root / folder).rglob("*"):
                if self.target.scheme == "s3" and path.is_file() and (size := path.stat().st_size) > _MOST_PUT:
                    raise CorpusError(
                        f"'{path}' has {size / 1e9:.1f} GB, and one put takes {_MOST_PUT / 1e9:.1f} GB, which "
                        "alone knows conditions; copy the corpus by the store's own tools while nobody else writes"
                    )

    def check_conditions(self) -> None:
        """A store that passes over conditions would let the last writer win; the header, which is there, tells."""
        if not self.dry_run and create(self.target, CORPUS_FILE, self.root / CORPUS_FILE):
            raise CorpusError(
                f"the store of '{self.target.url}' replaces objects where it was asked not to (If-None-Match), so that "
                "two writers could not be told apart; copy the corpus by the store's own tools while nobody else writes"
            )

    def _has(self, record: Record) -> bool:
        """Whether the store has a job's done file; it must be the same one."""
        if record.name not in self.there:
            return False
        path = self.root / record.name
        if record.name not in self.same and stored_digest(self.target, record.name) != file_sha256(path):
            raise CorpusError(
                f"'{self.target.url}' has other results of a job of this corpus ('{record.name}'): it was done again "
                f"or by another version, on another machine, and what is there counts. {self._advice}"
            )
        return True

    def _check_replaced(self, records: Iterable[Record]) -> None:
        """Rows of jobs that the store has stay there as they were, and its manifests must not say otherwise."""
        vouched = recorded_files(self.root)
        for record in records:
            for name, before in record.files.items():
                now = vouched.get(name, before)
                if now[0] == before[0] or name in self.same:
                    continue
                if name not in self.there or stored_digest(self.target, name) != now[0]:
                    raise CorpusError(
                        f"'{self.target.url}' has '{name}' as it was before its rows were replaced in '{self.root}' "
                        "(--replace-reports), and what a store has stays as it is: push to a new prefix"
                    )

    def _claim(self, records: Iterable[Record], settled: set[str]) -> None:
        """Claim what is new of samples and splits; of a draft, jobs that clash with others count as never done."""
        try:
            self._claimed = claim(self.root, self.target, self.there, settled | self.same, dry_run=self.dry_run)
        except ClashError as clash:
            if not draft_marker(self.root).is_file():
                raise CorpusError(f"{clash}; convert each input on one machine, or push to a new prefix") from None
            for record in records:
                if clash.parts.intersection(record.files):
                    withdraw(self.root, Path(record.name).stem, str(read_json(self.root / record.name)["stem"]))
            raise CorpusError(f"{clash}. {self._advice}") from None

    def _put_job(self, record: Record, within: set[str]) -> None:
        """Announce a job, which hides its files, put them, and let the job count.

        Parts that are `within` packed files come with these, and so the job counts after them.
        """
        self.jobs += 1
        if not self.dry_run:
            self._announce(record)
        for name in sorted(set(record.files) - within):
            self._put(name)
        if not within.intersection(record.files):
            self._put_done(record)

    def _put_done(self, record: Record) -> None:
        """Let a job count, whose rows nobody else may have brought since they were claimed."""
        if self._claimed is not None:
            self._claimed.require()
        self._put(record.name)

    def _packed(self) -> dict[str, list[str]]:
        """Names of packed files, and of the parts that come with them: one that is a file, too, counts as that."""
        found = {}
        for table in (*TABLES, "ledger"):
            for packed in packed_files(table_folder(self.root, table)):
                folder = packed.path.parent.relative_to(self.root).as_posix()
                names = [f"{folder}/{stem}.parquet" for stem in packed.members]
                found[f"{folder}/{packed.path.name}"] = [name for name in names if not (self.root / name).is_file()]
        return found

    def check_packed(self) -> None:
        """Packed files go where there are no other parts: beside what they hold of a table it would be there twice.

        Raises:
            CorpusError: the store has parts of tables that the corpus has no files of, and the corpus is packed.
        """
        others = {
            name for name in self.there
            if name.startswith(("tables/", "ledger/")) and name.endswith(".parquet")
            and not (self.root / name).is_file()
        }  # fmt: skip
        packed = self._packed()
        if others and packed:
            raise CorpusError(
                f"'{self.root / next(iter(packed))}' holds packed parts of tables (voxtile compact), which push does "
                f"not put beside what '{self.target.url}' has already; push to an empty prefix"
            )

    def _announce(self, record: Record) -> None:
        stem = str(read_json(self.root / record.name)["stem"])
        with tempfile.NamedTemporaryFile() as announcement:
            announcement.write(stem.encode())
            announcement.flush()
            create(self.target, str(Path(record.name).with_suffix(".pending")), Path(announcement.name))

    def _others(self, records: Iterable[Record], pending: set[str]) -> Iterator[str]:
        """Parts of tables that no job wrote, such as splits that a stage added."""
        own = {name for record in records for name in record.files}
        hidden = {(self.root / "done" / f"{job}.pending").read_text("utf-8") for job in pending}
        for folder in ("shards", "tables", "ledger"):
            for path in sorted((self.root / folder).rglob("*")):
                name = path.relative_to(self.root).as_posix()
                if path.is_file() and is_wanted(name) and name not in own and path.stem not in hidden:
                    yield name

    def _put(self, name: str) -> None:
        """Put a file, or find the same there."""
        path = self.root / name
        if name in self.same:
            return
        if not is_wanted(name) or not path.is_file():
            raise CorpusError(f"'{path}' is missing or no file of a corpus; run 'voxtile verify' on '{self.root}'")
        if name not in self.there:
            self.files, self.nbytes = self.files + 1, self.nbytes + path.stat().st_size
            if not self.dry_run and name.startswith(("shards/", "tables/", "ledger/")):  # what is there once stays
                require_as_written(self.root, name, self._written, "put there of it")
            if self.dry_run or create(self.target, name, path):
                return
        if stored_digest(self.target, name) != file_sha256(path):
            if name.startswith("views/"):
                raise CorpusError(
                    f"'{self.target.url}' has another view '{path.parent.name.removesuffix(SUFFIX)}'; curate this one "
                    "under another name, since others may be training on that"
                )
            raise CorpusError(
                f"'{self.target.url}/{name}' is there and is another file than '{path}': "
                f"another machine wrote it; of this push those jobs count that were complete. {self._advice}"
            )

    def _put_manifest(self, path: Path) -> None:
        """Put a manifest under the next number that is free, unless it is there under some number."""
        if path.relative_to(self.root).as_posix() in self.same:
            return
        digest = file_sha256(path)
        if not self._seen:
            names = {name for name in self.there if re.fullmatch(r"manifests/\d+\.json", name)} - self.same
            self._seen |= {stored_digest(self.target, name) or "" for name in names} | {""}
        if digest in self._seen:
            return
        self.files, self.nbytes = self.files + 1, self.nbytes + path.stat().st_size
        for _ in range(1 if self.dry_run else _TRIES):
            taken = [int(found[1]) for name in self.there if (found := re.fullmatch(r"manifests/(\d+)\.json", name))]
            name = f"manifests/{max(taken, default=0) + 1:04d}.json"
            self.there.add(name)
            if self.dry_run or create(self.target, name, path) or stored_digest(self.target, name) == digest:
                self._seen.add(digest)
                return
        raise CorpusError(f"no number for a manifest is free in '{self.target.url}'; push again when others are done")


def _adds_to_others(record: Record) -> bool:
    """Whether a job adds to samples of other jobs: it comes after them, or a reader would meet texts of no sample."""
    return not any(name.startswith("tables/samples/") for name in record.files)
