"""`voxtile build aid`: AID."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.class_folders import ClassFolders
from voxtile_remote_sensing.recipes.layouts.classes import AID, concepts
from voxtile_remote_sensing.recipes.task import build

DATASET = Dataset(
    name="aid",
    title="AID",
    source="https://captain-whu.github.io/AID (Xia et al., IEEE TGRS 55(7), 2017)",
    licence="not stated by its makers; research use, pictures © Google Earth",
    modality="RGB",
    layout=ClassFolders(AID, "aid", ("AID", "AID_dataset/AID", ".")),
    vocabularies={"aid": concepts(AID)},
)


def build_aid(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from AID.

    Pictures of 600 pixels in 30 class folders; the dataset has no split of its own.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
