"""`voxtile build skyscript`: SkyScript."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import build
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.pair_table import PairTables
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

# Folders, columns, names of the tables and of the pictures (object, source, year): README.md and LICENSE of the source.
_TABLES = PairTables(
    ("SkyScript_*.csv", "dataframe/SkyScript_*.csv"),
    ("title", "title_multi_objects"),
    subject=r"^([awn]\d+)_",
    one_a_split=True,
    rewritten="language_polished",
)
SKYSCRIPT_DATASET = Dataset(
    name="skyscript",
    title="SkyScript",
    source="https://github.com/wangzhecheng/SkyScript (Wang et al., AAAI 2024)",
    licence="MIT (repository); tags ODbL 1.0, © OpenStreetMap contributors; pictures under their collections' terms",
    modality="RGB",
    layout=_TABLES,
    caption_kind="template",
)


def build_skyscript(
    source: Path,
    corpus: Path,
    *,
    tables: str | None = None,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from SkyScript.

    The folders images2 to images7 and tables SkyScript_*.csv, at the top or in dataframe. The training tables
    (unfiltered, top50pct, top30pct, by two filters, polished) choose among the same pictures, as do those of validation
    and test, so that one of each split is read and never their union. Pictures of one OpenStreetMap object are one
    subject: where it is in the test table, its other pictures are left out of training.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        tables: names of the tables to read, separated by commas, where there are several of a split.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset, or has several tables of a split.
        ConfigError: a table that is named is not there.
    """
    names = tuple(name.strip().removesuffix(".csv") for name in (tables or "").split(",") if name.strip())
    build(
        SceneFiles(replace(SKYSCRIPT_DATASET, layout=replace(_TABLES, chosen=names))),
        source,
        corpus,
        split_fractions,
        RunOptions(**run),
    )
