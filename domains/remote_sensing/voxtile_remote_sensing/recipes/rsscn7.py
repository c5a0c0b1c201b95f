"""`voxtile build rsscn7`: RSSCN7."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.class_folders import ClassFolders
from voxtile_remote_sensing.recipes.layouts.classes import RSSCN7, concepts
from voxtile_remote_sensing.recipes.task import build

DATASET = Dataset(
    name="rsscn7",
    title="RSSCN7",
    source="https://github.com/palewithout/RSSCN7 (Zou et al., IEEE GRSL 12(11), 2015)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=ClassFolders(RSSCN7, "rsscn7", ("RSSCN7", "RSSCN7-master", ".")),
    vocabularies={"rsscn7": concepts(RSSCN7)},
)


def build_rsscn7(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from RSSCN7.

    Pictures of 400 pixels in 7 class folders (aGrass to gParking); the dataset has no split of its own.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
