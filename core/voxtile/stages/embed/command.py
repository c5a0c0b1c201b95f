"""`voxtile embed CORPUS MODEL`: vectors of all samples as a table of the corpus."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Literal

import duckdb

from voxtile.console import output
from voxtile.corpus.parts import part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote.address import refuse_remote
from voxtile.corpus.schema import OVERVIEW
from voxtile.corpus.sql_condition import disk_error
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError, InputError, PresetError
from voxtile.stages.embed.extractor import Extractor, load_extractor
from voxtile.stages.embed.task import EmbedTask

_ROWS = 16_384  # of the samples table that are held at a time


def embed_corpus(
    corpus: Path,
    model: str,
    *,
    where: str | None = None,
    out: Path | None = None,
    batch_size: int = 64,
    chunk: int = 2048,
    retry: bool = False,
    dry_run: bool = False,
    trust_package: tuple[str, ...] = (),
    engine: Literal["inline", "ray"] = "inline",
    workers: int = 0,
) -> None:
    """Embed the samples of a corpus with an image model, by the model's own transforms.

    The vectors are added to the corpus as a table `embeddings` of float16 with the columns uid, model and vector. A run
    that was stopped goes on where it was; samples that arrive later are embedded by a further run.

    Args:
        corpus: the corpus to add to.
        model: a checkpoint, open_clip:NAME[/PRETRAINED], timm:NAME[/FILE], hf:ORG/REPO, hub:NAME[/FILE]
            (docs/models.md), or a folder of open_clip, timm or transformers.
        where: SQL condition over the samples table, such as "kind = 'patch'"; overviews are never embedded.
        out: another corpus that gets the vectors, such as a new folder where the corpus is remote; name both where
            vectors are used: voxtile curate CORPUS OUT.
        batch_size: samples a batch.
        chunk: samples that are written at once; what a stopped run loses at most.
        retry: also try samples again that could not be read.
        dry_run: print the plan and write nothing.
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.
        engine: where it is done: inline (this process), or ray: each GPU of a cluster (docs/clusters.md), or each
            processor where it has none, loads the model and embeds chunks.
        workers: with ray, how many do so at most; 0 means all.

    Raises:
        ConfigError: no such model, a condition that is none, or a number out of range.
        InputError: no sample is chosen.
        PresetError: the model cannot take the corpus's samples.
    """
    if batch_size < 1 or chunk < 1:
        raise ConfigError(f"--batch-size and --chunk must be at least 1, not {batch_size} and {chunk}")
    refuse_remote(out or corpus, "written to (give --out FOLDER)")
    opened = Corpus(corpus)
    chosen = _chosen(opened, where)
    extractor = load_extractor(model, trust_package)
    _check(extractor, opened, {uid for uids in chosen.values() for uid in uids})
    again = str(Path(model).absolute()) if Path(model).exists() else model
    task = EmbedTask(opened, extractor, chosen, chunk, batch_size, (again, trust_package))
    options = RunOptions(workers=workers, engine=engine, job_items=1, retry=retry, dry_run=dry_run)
    summary = run_task(task, out or corpus, options)
    output().print(f"embeddings by '{extractor.name}', {extractor.width} numbers each", markup=False, highlight=False)
    summary.raise_if_failed()


def _check(extractor: Extractor, corpus: Corpus, wanted: set[str]) -> None:
    """What the model needs of the samples that it shall embed: any column may be part of it."""
    for batch in corpus.table("samples").to_batches(max_chunksize=_ROWS):
        metas = [meta for meta in batch.to_pylist() if meta["uid"] in wanted]
        try:
            extractor.check(metas)
        except PresetError as error:
            raise PresetError(
                f"{error}; where there are samples that it takes, choose them with --where, such as "
                '"units = \'HU\'" or "gsd_m = 10"'
            ) from error


def _chosen(corpus: Corpus, where: str | None) -> dict[str, list[str]]:
    """Uids to embed, sorted, by stem of the samples part that holds them."""
    condition = f" AND ({where}\n)" if where else ""
    try:
        with closing(corpus.connection()) as connection:
            rows = connection.execute(
                f"SELECT uid FROM samples WHERE kind <> '{OVERVIEW}'{condition} ORDER BY uid"
            ).fetchall()
    except duckdb.Error as error:
        if (of_the_disk := disk_error(error)) is not None:
            raise of_the_disk from error
        first = str(error).splitlines()[0]
        raise ConfigError(f"--where is not a condition over the samples table ({where}): {first}") from error
    if not rows:
        hint = f" by --where {where!r}" if where else "; convert something into it first"
        raise InputError(f"no sample of the corpus is chosen{hint}")
    uids = {row[0] for row in rows}
    chosen: dict[str, list[str]] = defaultdict(list)
    for part in corpus.parts("samples"):
        own = uids.intersection(part_table(part, ["uid"])["uid"].to_pylist())
        if own:
            chosen[part.stem] = sorted(own)
    return dict(chosen)
