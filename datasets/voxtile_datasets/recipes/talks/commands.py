"""`voxtile build` for conversations as LLaVA lays them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import ALL_TRAINING, build
from voxtile_datasets.recipes.recipe import DataSet
from voxtile_datasets.recipes.talks.recipe import Talks


def build_conversations(
    source: Path,
    corpus: Path,
    *,
    instructions: str | None = None,
    modality: str = "RGB",
    licence: str = "not stated",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from conversations about pictures as LLaVA lays them out (PA-LLaVA, PathChat, sets of one's own).

    Args:
        source: the folder with a `.json` list or `.jsonl` of `image` and `conversations`, and the pictures.
        corpus: the corpus to add to; made if it does not exist.
        instructions: name of the file, where there are several.
        modality: of the pictures.
        licence: of the set, as its owners state it.
        run: options of the run.
    """
    data = DataSet(name="conversations", title="conversations", source="a folder of one's own", licence=licence)
    build(Talks(data, "conversations", modality, instructions), source, corpus, ALL_TRAINING, RunOptions(**run))
