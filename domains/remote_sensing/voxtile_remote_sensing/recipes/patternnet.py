"""`voxtile build patternnet`: PatternNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.class_folders import ClassFolders
from voxtile_remote_sensing.recipes.layouts.classes import PATTERNNET, concepts
from voxtile_remote_sensing.recipes.task import build

DATASET = Dataset(
    name="patternnet",
    title="PatternNet",
    source="https://sites.google.com/view/zhouwx/dataset (Zhou et al., ISPRS J. 145, 2018)",
    licence="research use; pictures © Google",
    modality="RGB",
    layout=ClassFolders(PATTERNNET, "patternnet", ("PatternNet/images", "images", "PatternNet", ".")),
    vocabularies={"patternnet": concepts(PATTERNNET)},
)


def build_patternnet(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from PatternNet.

    Pictures of 256 pixels in 38 class folders; the dataset has no split of its own.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
