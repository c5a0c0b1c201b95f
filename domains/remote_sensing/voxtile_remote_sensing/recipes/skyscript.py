"""`voxtile build skyscript`: SkyScript."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.pair_table import PairTables
from voxtile_remote_sensing.recipes.task import build

# Folders, columns, names of the tables and of the pictures (object, source, year): README.md and LICENSE of the source.
DATASET = Dataset(
    name="skyscript",
    title="SkyScript",
    source="https://github.com/wangzhecheng/SkyScript (Wang et al., AAAI 2024)",
    licence="MIT (repository); tags ODbL 1.0, © OpenStreetMap contributors; pictures under their collections' terms",
    modality="RGB",
    layout=PairTables(
        ("SkyScript_*.csv", "dataframe/SkyScript_*.csv"),
        ("title", "title_multi_objects"),
        subject=r"^([awn]\d+)_",
    ),
    caption_kind="template",
)


def build_skyscript(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from SkyScript.

    The folders images2 to images7 and any of the tables SkyScript_*.csv, at the top or in dataframe. Pictures of one
    OpenStreetMap object are one subject: where it is in the test table, its other pictures are left out of training.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
