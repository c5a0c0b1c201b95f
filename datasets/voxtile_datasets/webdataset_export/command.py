"""`voxtile export-wds`: pictures and chosen captions as WebDataset shards that open_clip and others train on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from rich.markup import escape
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.header import corpus_root
from voxtile.corpus.records import check_recorded_parts
from voxtile.corpus.reference_roots import named_roots, only_references_in
from voxtile.corpus.storage import storage_errors, write_atomically
from voxtile.corpus.view.key import INPUT_TABLES, ViewChoice, view_key
from voxtile.corpus.view.selection import EVERYTHING
from voxtile.engine.lock import LOCK, corpus_lock
from voxtile.engine.report import Progress
from voxtile.errors import ConfigError, CorpusError, RunFailedError
from voxtile_datasets.licences.combine import combine_licences, refuse_derivatives
from voxtile_datasets.webdataset_export.records import FAILED, Record, RecordStream
from voxtile_datasets.webdataset_export.selection import Selection, curated_view
from voxtile_datasets.webdataset_export.settings import (
    ExportSettings,
    parse_names,
    parse_weights,
    parse_window,
)
from voxtile_datasets.webdataset_export.shards import STATE, ExportState, Feed, held_state, open_state, write_split
from voxtile_datasets.webdataset_export.terms import readme

_MEGABYTE = 1_000_000
_LARGEST_MB = 1e12  # of a shard: what an infinite number stands for


def export_wds(
    corpus: Path,
    out: Path,
    *,
    view: str = EVERYTHING,
    split: str = "",
    scheme: str = "default",
    where: str | None = None,
    kinds: str = "",
    exclude_verdicts: str = "contradicted",
    per_sample: int = 1,
    study_captions: bool = False,
    picture: Literal["preview", "render"] = "preview",
    window: str | None = None,
    shard_mb: float = 256,
    shard_records: int = 10_000,
    seed: int = 0,
    allow_no_derivatives: bool = False,
    references: Path | None = None,
) -> None:
    """Write a folder of WebDataset shards a split: a picture, its caption and what is known of it, a record a sample.

    JPEG and PNG keep their bytes. Of an array its stored preview is taken, or else a rendering; the record's JSON says
    which, with facts, geometry, licence and where the caption came from. Captions are chosen as a training loader
    chooses them: by kind and weight, never one that the checker found contradicted. The order is shuffled once, by the
    seed. Run the same command again to go on after an interruption: the bytes are the same. `sizes.json` in each folder
    tells open_clip how many records there are.

    Args:
        corpus: the corpus.
        out: new folder for the export.
        view: a curated view (voxtile curate); its choice of samples and captions is taken, its weights are not.
        split: splits to export, separated by commas; all by default, each in its own folder.
        scheme: split scheme.
        where: SQL condition on the samples, e.g. "modality = 'CT'".
        kinds: caption kinds to take, with weights if they should differ, e.g. rewrite=2,template; all alike by default.
        exclude_verdicts: captions with these verdicts are left out, separated by commas, and contradicted ones with any
            of them; empty to take all.
        per_sample: captions of a sample, each a record of its own with the same picture; 0 for all.
        study_captions: let a sample without a caption of its own have those of its study.
        picture: what stands for an array; preview (as stored where there is one) or render (always made anew).
        window: low and high of renderings in the sample's units, e.g. --window=-160,240.
        shard_mb: close a shard before it is larger than this many MB.
        shard_records: close a shard before it has more records than this.
        seed: of the order and of the choice among captions.
        allow_no_derivatives: export samples whose licence forbids derivatives all the same, for use that is not shared.
        references: folder whose files may be copied where samples are references to them.

    Raises:
        ConfigError: a setting is wrong, nothing is selected, or the folder holds something else.
        CorpusError: the corpus is damaged or the folder cannot be written.
        LicenceError: a licence forbids derivatives; the message names it.
        RunFailedError: some samples could not be read; the rest is exported.
    """
    settings = ExportSettings(
        view=view,
        splits=parse_names(split),
        scheme=scheme,
        where=where,
        kinds=parse_weights(kinds),
        exclude_verdicts=parse_names(exclude_verdicts),
        per_sample=per_sample,
        study_captions=study_captions,
        picture=picture,
        window=parse_window(window),
        shard_bytes=int(min(shard_mb, _LARGEST_MB) * _MEGABYTE),
        shard_records=shard_records,
        seed=seed,
    )
    _ = settings.policy  # a weight that cannot be is refused before anything is read
    corpus = corpus_root(corpus)
    if out.resolve().is_relative_to(corpus.resolve()) or corpus.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"'{out}' and '{corpus}' lie inside each other; name another folder for the export")
    key = _key(corpus, settings)
    held_state(out, key, settings.to_json())  # a folder of other things is refused before anything is made in it
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with corpus_lock(out), only_references_in(named_roots(references)):
        try:
            state = open_state(out, key, settings.to_json())
            _export(corpus, out, settings, state, allow_no_derivatives=allow_no_derivatives)
        finally:  # while the lock is ours: another's must stay
            (out / LOCK).unlink(missing_ok=True)
            if not any(out.iterdir()):
                out.rmdir()
    _report(out, state)


def _key(corpus: Path, settings: ExportSettings) -> str:
    curated = curated_view(corpus, settings)
    chosen = ViewChoice(settings.scheme, settings.where, selection=curated.key if curated else None)
    check_recorded_parts(corpus, INPUT_TABLES, contents=True)  # as of a view that is compiled
    tables = view_key([corpus], chosen)
    text = json.dumps([tables, settings.to_json()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _export(
    corpus: Path, out: Path, settings: ExportSettings, state: ExportState, *, allow_no_derivatives: bool
) -> None:
    scratch = out / ".scratch"
    scratch.mkdir(exist_ok=True)
    try:
        with Selection(corpus, settings, scratch) as selection:
            licences = selection.licences()
            if not allow_no_derivatives:
                _refuse(licences)
            state.save(out)
            done = 0
            with Progress("export-wds", sum(map(selection.count, selection.splits))) as progress:
                for split in selection.splits:
                    if split not in state.finished:
                        _write(corpus, out, settings, state, selection, split, progress, done)
                    done += selection.count(split)
        if not state.shards:
            if unread := state.examples.get(FAILED):
                raise CorpusError(f"no sample could be read; the first: {unread[0]}")
            raise ConfigError(
                "no selected sample has a caption that the policy takes; make some with 'voxtile caption', "
                "or take more by --kinds, --exclude-verdicts or --study-captions"
            )
        write_atomically(out / "README.md", readme(corpus.resolve().name, state, combine_licences(licences)).encode())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not state.shards:
            _remove_all(out)


def _write(
    corpus: Path,
    out: Path,
    settings: ExportSettings,
    state: ExportState,
    selection: Selection,
    split: str,
    progress: Progress,
    done: int,
) -> None:
    shards = state.of(split)
    start = shards[-1].place if shards else 0
    stream = RecordStream(corpus, settings, selection.rows(split, start), start)

    def reporting() -> Iterator[Record]:
        for record in stream:
            progress.reach(done + record.place)
            yield record

    write_split(out, state, split, Feed(reporting(), stream.skipped), (settings.shard_bytes, settings.shard_records))


def _refuse(licences: Mapping[str | None, int]) -> None:
    for text in licences:
        refuse_derivatives(
            [text],
            "a set of its pictures with captions",
            f"leave these samples out with --where \"licence IS DISTINCT FROM '{text}'\", or keep the export to "
            "yourself with --allow-no-derivatives",
        )


def _remove_all(out: Path) -> None:
    """Nothing was exported: leave nothing behind."""
    for entry in out.iterdir():
        if entry.is_dir() and not entry.name.startswith("."):
            shutil.rmtree(entry, ignore_errors=True)
    (out / STATE).unlink(missing_ok=True)


def _report(out: Path, state: ExportState) -> None:
    console = output()
    console.print(f"export-wds → {out}", highlight=False, markup=False, soft_wrap=True)
    table = Table()
    for heading in ("split", "shards", "records", "MB"):
        table.add_column(heading, justify="left" if heading == "split" else "right")
    for split in state.finished:
        shards = state.of(split)
        size = sum(shard.nbytes for shard in shards) / _MEGABYTE
        table.add_row(escape(split), f"{len(shards):,}", f"{sum(s.records for s in shards):,}", f"{size:,.1f}")
    console.print(table)
    skipped = state.skipped()
    for reason, count in sorted(skipped.items()):
        examples = "; ".join(state.examples.get(reason, [])[:2])
        console.print(
            f"left out: {count:,} samples, {reason} ({examples})", highlight=False, markup=False, soft_wrap=True
        )
    if skipped[FAILED]:
        raise RunFailedError(
            f"{skipped[FAILED]:,} samples could not be read and are left out of '{out}' (export.json names some); "
            "run 'voxtile verify' on the corpus"
        )
