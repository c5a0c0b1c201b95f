"""`voxtile convert … --replace-reports`: stored report texts give way to those that a corrected table has."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.console import note
from voxtile.corpus.header import CORPUS_FILE
from voxtile.corpus.packing.exchange import Exchange, begin_exchange, finish_exchange
from voxtile.corpus.packing.reading import locate
from voxtile.corpus.parts import part_paths, part_table, read_parts, table_schema
from voxtile.corpus.records import Hashes, Row, recorded_files, require_as_written
from voxtile.corpus.remote.address import draft_marker
from voxtile.corpus.remote.mirror import Mirror
from voxtile.corpus.storage import storage_errors, sync, temporary_path
from voxtile.corpus.writer import write_part
from voxtile.engine.commit import read_done, remove_leftovers
from voxtile.engine.lock import corpus_lock
from voxtile.engine.manifest import compose_manifest
from voxtile.engine.plan import TaskIdentity
from voxtile.engine.task import Item
from voxtile.errors import CorpusError
from voxtile.file_edges import file_sha256
from voxtile.stages.upkeep.packing import exchange_drafts
from voxtile_datasets.intake.reports_file import raw_captions

NAME = "replace-reports"
# Table whose rows may be about texts, and the column that says so.
_ABOUT = (("verdicts", "caption_id"), ("instructions", "caption_id"), ("scores", "uid"), ("captions", "parents"),
          ("dialogues", "parents"))  # fmt: skip
_READ_STUDIES = ("mentions",)  # stages whose inputs are studies, with all their texts


class StoredTexts(Protocol):
    """How a converter stores the texts of its inputs."""

    def is_one(self, part: Path, row: Mapping[str, str]) -> bool:
        """Whether a raw caption of a part is such a text."""

    def source(self, item: Item) -> str:
        """Of the sample that an input's texts are about."""

    def rows(self, uid: str, items: Sequence[Item]) -> list[Row]:
        """Captions of a sample, by the inputs whose texts are about it."""


class ReportTexts:
    """Texts of examinations: each once, whichever file of its study they came with (`texts` of an item's inputs)."""

    def is_one(self, part: Path, row: Mapping[str, str]) -> bool:
        """Whatever converter wrote it."""
        return row["provider"] == "reports"

    def source(self, item: Item) -> str:
        """Without the place of one image of a file."""
        return item.source.partition("#")[0]

    def rows(self, uid: str, items: Sequence[Item]) -> list[Row]:
        """As converters of examinations write them."""
        return raw_captions(uid, [text for item in items for text in item.inputs.get("texts") or ()])


@dataclass(frozen=True)
class Outdated:
    """Texts that the corpus has and the table has otherwise.

    Attributes:
        ids: of the captions.
        parts: of the table of captions that hold them.
        rows: sample → its captions by the table.
    """

    ids: frozenset[str]
    parts: tuple[Path, ...]
    rows: Mapping[str, Sequence[Row]]


def replace_reports(
    root: Path, items: Iterable[Item], *, dry_run: bool = False, stored: StoredTexts | None = None
) -> None:
    """Replace the report texts of samples whose inputs have other ones now; samples without a text stay as they are.

    Args:
        root: the corpus.
        items: of the conversion's plan.
        dry_run: say what would go, and write nothing.
        stored: how the converter stores texts; `ReportTexts` where left out.

    Raises:
        CorpusError: facts, verdicts or captions were made of a text that would go, or the corpus is in use, damaged, in
            a store or cannot be written to. Nothing has changed.
    """
    if not (root / CORPUS_FILE).exists():
        return
    if draft_marker(root).is_file():
        raise CorpusError(
            f"'{Mirror.read(root).address.url}' keeps the texts that it has, since nothing is replaced in a store; "
            "give --replace-reports for a copy of the corpus in a folder, and push that to a new prefix"
        )
    stored = stored or ReportTexts()
    if dry_run:
        found = _outdated(root, items, stored)
        _refuse_left_behind(root, found)
    else:
        with storage_errors(root), corpus_lock(root):
            remove_leftovers(root)
            found = _outdated(root, items, stored)
            _refuse_left_behind(root, found)
            if found.ids:
                _replace(root, found)
    if found.ids:
        what = "would be" if dry_run else "are"
        note(
            f"report texts of {len(found.rows)} samples {what} replaced by those of the table; views, captions and "
            "figures that were made of the old ones stay: make them again"
        )


def _outdated(root: Path, items: Iterable[Item], stored: StoredTexts) -> Outdated:
    now: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        now[stored.source(item)].append(item)
    samples = read_parts(part_paths(root, "samples"), table_schema("samples"), ["uid", "source"])
    told = {
        uid: rows
        for uid, source in zip(samples["uid"].to_pylist(), samples["source"].to_pylist(), strict=True)
        if source and (rows := stored.rows(uid, now.get(source.partition("#")[0], [])))
    }
    has: dict[str, set[str]] = defaultdict(set)
    found = [
        (part, row) for part in part_paths(root, "captions") for row in _raw(part)
        if row["uid"] in told and stored.is_one(part, row)
    ]  # fmt: skip
    for _, row in found:
        has[row["uid"]].add(row["text"])
    changed = {uid: told[uid] for uid, texts in has.items() if texts != {row["text"] for row in told[uid]}}
    gone = [(part, row["caption_id"]) for part, row in found if row["uid"] in changed]
    return Outdated(frozenset(name for _, name in gone), tuple(dict.fromkeys(part for part, _ in gone)), changed)


def _raw(part: Path) -> Iterator[Mapping[str, str]]:
    for row in part_table(part, ["caption_id", "uid", "text", "kind", "provider"]).to_pylist():
        if row["kind"] == "raw":
            yield row


def _refuse_left_behind(root: Path, found: Outdated) -> None:
    """Refuse where something that stays was made of a text that would go.

    Raises:
        CorpusError: names the stage.
    """
    stems = {part.stem for part in found.parts}
    stages = {
        job.task
        for job in read_done(root)
        for item in job.items
        if stems and (job.task in _READ_STUDIES or _part_read(item.source) in stems)
    }
    ids = pa.array(sorted(found.ids), pa.string())
    for table, column in _ABOUT:
        for part in part_paths(root, table):
            named = read_parts([part], table_schema(table), [column])[column]
            named = pc.list_flatten(named) if pa.types.is_list(named.type) else named
            if pc.any(pc.is_in(named, ids)).as_py():
                stages.add(part.stem.rpartition("-")[0])
    if stages:
        words = " ".join(f"--stage {name}" for name in sorted(stages))
        raise CorpusError(
            f"texts that would be replaced have been read by {', '.join(sorted(stages))}; take back what these added "
            f"(voxtile retract {root} {words}), run this again, and then their commands"
        )


def _part_read(source: str) -> str | None:
    """The part of captions that a reader of reports has as its input: `reports/STEM`, `concepts:…/STEM`."""
    kind, _, stem = source.partition("#")[0].rpartition("/")
    return stem if kind == "reports" or kind.startswith("concepts:") else None


def _replace(root: Path, found: Outdated) -> None:
    """Each part is written again, as a file under its name, which goes before the same part in a packed file."""
    started = time.monotonic()
    left, recorded = dict(found.rows), recorded_files(root)
    with exchange_drafts() as ready:
        files: Hashes = {}
        for part in found.parts:
            require_as_written(root, locate(part).path.relative_to(root).as_posix(), recorded, "replaced")
            rows: list[Row] = []
            for row in part_table(part).to_pylist():
                if row["caption_id"] not in found.ids:
                    rows.append(row)
                else:  # the first of a sample's texts stands for all of them
                    rows += left.pop(row["uid"], ())
            draft = temporary_path(part)
            ready[draft] = part
            write_part(draft, table_schema("captions"), rows)
            sync(draft)
            files[part.relative_to(root).as_posix()] = file_sha256(draft), draft.stat().st_size
        identity = TaskIdentity(NAME, "1", "{}")
        counts = {"captions": len(found.ids)}
        seconds = time.monotonic() - started
        name, text = compose_manifest(root, identity, [], counts=counts, reasons={}, files=files, seconds=seconds)
        moved = {draft.relative_to(root).as_posix(): part.relative_to(root).as_posix() for draft, part in ready.items()}
        begin_exchange(root, Exchange({}, moved, {name: text}, ()))
    finish_exchange(root)
