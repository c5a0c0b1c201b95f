"""The README of an export: what it is, how to read it, and under which terms it may be used."""

from __future__ import annotations

from collections.abc import Iterator

import voxtile
from voxtile_datasets.licences.combine import CombinedLicence
from voxtile_datasets.webdataset_export.shards import ExportState


def readme(name: str, state: ExportState, licence: CombinedLicence) -> str:
    """Markdown; the same export gives the same text.

    Args:
        name: of the corpus.
        state: the complete export.
        licence: of its samples together.
    """
    return "\n".join([*_content(name, state), *_reading(state), *_terms(licence), ""])


def _content(name: str, state: ExportState) -> Iterator[str]:
    yield f"# {name} as WebDataset"
    yield ""
    yield (
        "A record is a picture (`.jpg` or `.png`), its caption (`.txt`) and what is known of it (`.json`: facts, "
        "geometry, licence, how the picture was made, where the caption came from and what the checker said of it)."
    )
    yield ""
    yield "| split | shards | records |"
    yield "|---|---:|---:|"
    for split in state.finished:
        shards = state.of(split)
        yield f"| {split} | {len(shards):,} | {sum(shard.records for shard in shards):,} |"
    yield ""
    excluded = state.settings["exclude_verdicts"]
    verdicts = ", ".join(map(str, excluded)) if isinstance(excluded, (list, tuple)) and excluded else "none"
    yield f"Captions with these verdicts are left out: {verdicts}. `export.json` holds all settings and every hash."
    yield ""


def _reading(state: ExportState) -> Iterator[str]:
    split = next(split for split in state.finished if state.of(split))
    shards = state.of(split)
    pattern = f"{{000000..{len(shards) - 1:06d}}}" if len(shards) > 1 else "000000"
    yield "## Reading"
    yield ""
    yield "```"
    yield f"python -m open_clip_train.main --dataset-type webdataset --train-data '{split}/{pattern}.tar' \\"
    yield f"    --train-num-samples {sum(shard.records for shard in shards)} --model ViT-B-32 --batch-size 256"
    yield "```"
    yield ""


def _terms(licence: CombinedLicence) -> Iterator[str]:
    yield "## Terms"
    yield ""
    yield f"**{licence.headline}**{f' (`{licence.spdx}`)' if licence.spdx else ''}"
    yield ""
    for consequence in licence.consequences:
        yield f"- {consequence.sentence}"
    yield ""
    yield "| licence as stated | samples |"
    yield "|---|---:|"
    for stated, count in licence.counts:
        yield f"| {str(stated).replace('|', ' ')} | {count:,} |"
    yield ""
    yield "A summary by rule, not legal advice. Each record's JSON states its own licence."
    yield ""
    yield f"Made by voxtile {voxtile.__version__}."
