"""`voxtile build fmow`: fMoW-rgb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import build
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.classes import FMOW, concepts
from voxtile_remote_sensing.recipes.layouts.fmow_folders import FmowFolders
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

# Classes, form of the boxes (left, top, width, height) and licence: README.md of the source. The ground truth of the
# test set comes with a file that maps it to folders like those of train and val.
FMOW_DATASET = Dataset(
    name="fmow",
    title="fMoW-rgb",
    source="https://github.com/fMoW/dataset (Christie et al., CVPR 2018)",
    licence="Functional Map of the World Challenge Public License; pictures © DigitalGlobe",
    modality="RGB",
    layout=FmowFolders(FMOW),
    vocabularies={"fmow": concepts(FMOW)},
)


def build_fmow(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from fMoW-rgb.

    Folders train, val and test_gt with a folder a class and place; the dates of a place are one study. Pictures
    with more channels (*_msrgb) are left out.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(FMOW_DATASET), source, corpus, split_fractions, RunOptions(**run))
