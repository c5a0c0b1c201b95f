"""`voxtile forget`: take subjects out of corpora, and prove by search that nothing of them is left."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.console import output
from voxtile.corpus.drafts import draft_folder
from voxtile.corpus.forgotten import ForgottenSubjects
from voxtile.corpus.header import check_corpus
from voxtile.corpus.identity import KeyMap, downloads_of, key_map_path
from voxtile.corpus.packing.rebuild_lock import rebuild_lock
from voxtile.corpus.packing.whole_folder import aside_of, exchange, put_back, remove_old
from voxtile.corpus.parts import part_dataset, part_paths, table_schema
from voxtile.corpus.remote.address import refuse_remote
from voxtile.corpus.shards.memory_maps import map_payload
from voxtile.engine.commit import remove_leftovers
from voxtile.engine.lock import corpus_lock
from voxtile.errors import ConfigError, CorpusError, InputError
from voxtile.serve.laid_out import forget_laid_out
from voxtile_datasets.captions.providers.cache import cache_of
from voxtile_datasets.forgetting.belongings import Belongings, find_belongings, stored_subjects
from voxtile_datasets.forgetting.beside import (
    forget_downloads,
    forget_replies,
    forgotten_sources,
    replies_to_keep,
    reply_texts,
)
from voxtile_datasets.forgetting.needles import Needles, pixel_windows
from voxtile_datasets.forgetting.rebuilt import Changes, build
from voxtile_datasets.forgetting.search import Searched
from voxtile_datasets.forgetting.shared_with_others import hashes_of_others, pixels_of_others, texts_of_others
from voxtile_datasets.intake.subject_table import SubjectTable

_MOST_WINDOWS = 3000  # stretches of pixels that are looked for; a slide has more patches


def forget_subject(
    *corpus: Path,
    subject: tuple[str, ...],
    key_file: Path | None = None,
    subject_table: Path | None = None,
    replies: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Take subjects out of corpora for good: pixels, masks, texts, facts, vectors, and every name of theirs.

    Each corpus is built again beside itself and takes its own place at once: whoever looks sees the old one or the new
    one, and a run that was killed is completed by the same command. Rows of the key map and replies of language models
    that lie beside the corpus go first. Then every byte of what is left is searched, and what was searched is said. A
    later conversion of the same files does not bring a forgotten subject back.

    Files that the corpus was made from, derived corpora, exports and trained models are no part of it: name derived
    corpora in the same command, and see to the rest.

    Args:
        corpus: one corpus, or several.
        subject: a subject (patient, slide, place) as the corpus calls it, or by its original identifier where the key
            or the table of subjects is there; repeat it for further ones.
        key_file: where the key and the map of sources are kept; default beside the corpus, CORPUS.sources.parquet.
        subject_table: the file that says who stands behind the pseudonyms, as `voxtile subjects` keeps it; it loses
            the subjects' rows.
        replies: folder of replies of language models; default beside the corpus, CORPUS.replies.
        dry_run: say what would go, and write nothing.

    Raises:
        InputError: no corpus has such a subject.
        CorpusError: a corpus is in use or damaged or cannot be written, or something of the subject is left.
    """
    if not corpus:
        raise ConfigError("no corpus was given; name at least one folder")
    if not subject:
        raise ConfigError("no subject was given; name at least one with --subject")
    unknown: list[set[str]] = []
    for root in corpus:
        refuse_remote(root, "rewritten")
        place = root.resolve()
        put_back(place)
        check_corpus(place)
        table = SubjectTable.of_corpus(place, subject_table, key_file) if subject_table is not None else None
        one = _Forgetting(place, key_map_path(place, key_file), replies or cache_of(place), table)
        unknown.append(one.run(subject, dry_run))
        if not dry_run:
            forget_laid_out(place)
    nowhere = set.intersection(*unknown)
    if nowhere:
        raise InputError(_no_such(sorted(nowhere)[0], corpus, key_file))


@dataclass
class _Forgetting:
    """One corpus, and what lies beside it."""

    root: Path
    key_path: Path
    replies: Path
    table: SubjectTable | None = None
    key_map: KeyMap | None = field(init=False, default=None)

    def run(self, asked: Sequence[str], dry_run: bool) -> set[str]:
        """Forget; the names that are no subject here."""
        if dry_run:
            return self._run(asked, dry_run=True)
        with corpus_lock(self.root), rebuild_lock(self.root):  # what is there to go must not grow after it was listed
            return self._run(asked, dry_run=False)

    def _run(self, asked: Sequence[str], *, dry_run: bool) -> set[str]:
        self.key_map = KeyMap(self.key_path) if self.key_path.exists() else None
        stored, earlier = stored_subjects(self.root), ForgottenSubjects.of(self.root)
        whose = self.key_map.subjects() if self.key_map else {}
        stored |= set(whose.values())  # those of whom nothing was used, too
        names = {name: self._as_stored(name, stored, earlier) for name in asked}
        here = {name: found for name, found in names.items() if found in stored}
        before = {name: found for name, found in names.items() if found is not None and found not in stored}
        originals = {name for name, found in names.items() if found not in (None, name)}
        originals |= {one for found in names.values() if found and (one := self._original_of(found)) is not None}
        paths = self.key_map.paths() if self.key_map else {}
        gone = find_belongings(self.root, set(here.values()), originals, paths, whose)
        if dry_run:
            self._say(gone, f"would go from '{self.root}'")
            return {name for name, found in names.items() if found is None}
        self._clear()
        if here or before:
            needles = self._needles(gone, originals | {found for found in names.values() if found is not None})
            if before:
                _print(f"forgotten before: {len(before)} of the subjects; their names alone are looked for")
            if here:
                self._rewrite(gone, needles)
            else:
                self._prove(self.root, needles)
            if self.table is not None:  # last, since a run that was killed needs it to know who is meant
                self._forget_row(self.table, {found for found in names.values() if found is not None}, needles)
        return {name for name, found in names.items() if found is None}

    def _as_stored(self, name: str, stored: set[str], earlier: ForgottenSubjects) -> str | None:
        hashed = [self.key_map.hash("subject", name)] if self.key_map else []
        if self.table is not None and (listed := self.table.subject_of(name)) is not None:
            hashed.append(listed)
        known = [one for one in (name, *hashed) if one in stored]
        return next(iter(known + [one for one in (name, *hashed) if one in earlier]), None)

    def _original_of(self, subject: str) -> str | None:
        return self.table.identifier_of(subject) if self.table is not None else None

    def _clear(self) -> None:
        """What killed runs left: of this command and of others."""
        left = aside_of(self.root)
        if left is not None:
            shutil.rmtree(left)
        with draft_folder(self.root):
            remove_leftovers(self.root)

    def _rewrite(self, gone: Belongings, needles: Needles) -> None:
        try:
            with draft_folder(self.root) as building:
                changes = build(self.root, building, gone, needles)
                self._forget_beside(gone)
                self._prove(building, needles, gone)
                exchange(building, self.root)
                if self.key_map is not None:  # from now on nobody notes them, but a plan may have until now
                    self.key_map.forget(partial(forgotten_sources, gone=gone))
                remove_old(building)
        except OSError as error:
            raise CorpusError(
                f"'{self.root}' cannot be written again beside itself ({error.strerror or error}); make room and let "
                f"the folder '{self.root.parent}' be written, then run the same command again: the corpus is as it was"
            ) from error
        self._say(gone, f"gone from '{self.root}'")
        self._say_changes(changes)

    def _forget_beside(self, gone: Belongings) -> None:
        lines: list[str] = []
        downloads, paths = downloads_of(self.root), self.key_map.paths() if self.key_map else {}
        if series := forget_downloads(downloads, gone.sources, paths):
            lines.append(f"{series} series of '{downloads}'")
        if self.key_map is not None and (sources := self.key_map.forget(partial(forgotten_sources, gone=gone))):
            nobodys = len(sources - gone.sources)
            note = f", {nobodys} of them of files of which nothing says whose they are" if nobodys else ""
            lines.append(f"{len(sources)} rows of '{self.key_path}'{note}")
        number = forget_replies(self.replies, replies_to_keep(self.root, gone))
        if number:
            lines.append(f"{number} replies of '{self.replies}' that no caption of another subject came from")
        for line in lines:
            _print(f"  {line}")

    def _forget_row(self, table: SubjectTable, subjects: set[str], needles: Needles) -> None:
        if rows := table.forget(subjects):
            _print(f"  {rows} rows of '{table.path}'")
        searched = Searched()
        searched.search_file(table.path, needles)
        if searched.found:
            raise CorpusError(f"'{table.path}' still names the subject; remove that row by hand")

    def _needles(self, gone: Belongings, names: Iterable[str]) -> Needles:
        needles = Needles()
        needles.add_names("subjects", names)
        needles.add_names("studies", gone.studies)
        needles.add_names("sources", gone.sources)
        said = gone.captions | gone.regions | gone.dialogues | gone.preferences
        needles.add_names("captions, regions, dialogues and preferences", said)
        needles.add_uids(gone.uids)
        needles.add_payload_hashes(gone.hashes - hashes_of_others(self.root, gone))
        needles.add_subject_hashes(gone.subjects, [(one, study) for one in gone.subjects for study in gone.studies])
        needles.add_texts(gone.texts - texts_of_others(self.root, gone))
        needles.add_pixels(_windows(self.root, gone))
        return needles

    def _prove(self, tree: Path, needles: Needles, gone: Belongings | None = None) -> None:
        """Search the corpus as it will be, and what lies beside it; raise where anything is left."""
        searched = self._searched(tree, needles)
        if gone is not None and (found := needles.pixels_among(searched.patterns)):
            common = pixels_of_others(self.root, gone, found)
            if common:  # scans of one device have margins alike
                needles.leave_out(common)
                _print(f"  {len(common)} stretches of pixels that samples of others have too are not looked for")
                searched = self._searched(tree, needles)
        if searched.found:
            where, kinds = next(iter(sorted(searched.found.items())))
            others = f", and {len(searched.found) - 1} further files too" if len(searched.found) > 1 else ""
            raise CorpusError(
                f"'{where}' holds {', '.join(sorted(kinds))} of the subject{others}; the corpus is as it was: remove "
                "that by hand, then run the same command again"
            )
        if searched.closed:
            raise CorpusError(
                f"'{searched.closed[0]}' cannot be decompressed, so that nothing could be proven; the corpus is as it "
                "was: restore or remove that, then run the same command again"
            )
        kinds_sought = ", ".join(f"{kind}: {number}" for kind, number in needles.counts.items() if number)
        _print(
            f"searched {searched.files:,} files of {searched.nbytes:,} bytes, and {searched.unpacked:,} bytes that "
            f"they compress, for {kinds_sought}; nothing was found"
        )
        if needles.short:
            number = len(needles.short)
            _print(f"  {number} of these names have fewer than 6 letters and were compared with whole cells of tables")

    def _searched(self, tree: Path, needles: Needles) -> Searched:
        searched = Searched()
        searched.search_tree(tree, needles, shown=self.root)
        searched.search_file(self.key_path, needles)
        searched.search_tree(self.replies, needles)
        searched.search_tree(downloads_of(self.root), needles)
        searched.search_pieces(str(self.replies), reply_texts(self.replies), needles)
        return searched

    def _say(self, gone: Belongings, what: str) -> None:
        counts = {
            "subjects": gone.subjects, "samples": gone.uids, "captions": gone.captions, "regions": gone.regions,
            "inputs": gone.sources, "shards to write again": gone.shards,
        }  # fmt: skip
        _print(f"{what}: " + ", ".join(f"{name} {len(names)}" for name, names in counts.items()))

    def _say_changes(self, changes: Changes) -> None:
        again, removed = len(changes.files), len(changes.removed)
        _print(f"  {again} files were written again, {removed} removed, the rest is as it was")
        for view in changes.views:
            _print(f"  '{view}' is removed, because it was made from rows of the subject; make it again where needed")


def _windows(root: Path, gone: Belongings) -> Iterator[bytes]:
    """Stretches of the stored pixels of up to a thousand samples."""
    parts = part_paths(root, "samples")
    if not parts or not gone.uids:
        return
    columns = ["shard", "offset", "nbytes"]
    wanted = pc.field("uid").isin(pa.array(sorted(gone.uids), pa.string())) & pc.field("shard").is_valid()
    rows = part_dataset(parts, table_schema("samples")).to_table(columns=columns, filter=wanted)
    rows = rows.slice(0, _MOST_WINDOWS // 3)
    for row in rows.to_pylist():
        yield from pixel_windows(bytes(map_payload(root / row["shard"], row["offset"], row["nbytes"])))


def _no_such(name: str, corpora: Sequence[Path], key_file: Path | None) -> str:
    known = sorted(set().union(*(stored_subjects(root) for root in corpora)))
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    key = key_file or key_map_path(corpora[0].resolve())
    where = "as the corpus calls it" if key.exists() else f"as the corpus calls it (there is no key at '{key}')"
    folders = ", ".join(f"'{root}'" for root in corpora)
    return f"no subject '{name}' is in {folders}{hint}; give it {where}, as the column 'subject' of tables/samples does"


def _print(line: str) -> None:
    output().print(line, markup=False, highlight=False, soft_wrap=True)
