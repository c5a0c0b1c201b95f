"""`voxtile build` for sets of questions and conversations about scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import ALL_TRAINING, build
from voxtile_datasets.recipes.recipe import DataSet
from voxtile_datasets.recipes.talks.recipe import Talks

RSVQA = DataSet(
    name="rsvqa", title="RSVQA", licence="CC BY 4.0",
    source="https://rsvqa.sylvainlobry.com (Lobry et al., IEEE TGRS 58(12), 2020)",
)  # fmt: skip
GEOCHAT = DataSet(
    name="geochat", title="GeoChat instructions", licence="Apache-2.0 for texts; pictures as their own sets say",
    source="https://huggingface.co/datasets/MBZUAI/GeoChat_Instruct (Kuckreja et al., CVPR 2024)",
)  # fmt: skip


def build_rsvqa(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from RSVQA, of low or high resolution: scenes with questions from maps, as dialogues.

    Args:
        source: the folder with the tables (`LR_split_…` or `USGS_split_…`) and the folder of pictures.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(Talks(RSVQA, "rsvqa", "RGB"), source, corpus, ALL_TRAINING, RunOptions(**run))


def build_geochat(source: Path, corpus: Path, *, instructions: str | None = None, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from GeoChat's instructions: scenes with conversations, whose boxes become regions.

    Args:
        source: the folder with `GeoChat_Instruct.json` and the pictures that it names.
        corpus: the corpus to add to; made if it does not exist.
        instructions: name of the file, where there are several.
        run: options of the run.
    """
    build(Talks(GEOCHAT, "conversations", "RGB", instructions), source, corpus, ALL_TRAINING, RunOptions(**run))
