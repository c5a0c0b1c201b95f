"""`voxtile build vrsbench`: VRSBench."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.grounding import VrsBenchFolders
from voxtile_remote_sensing.recipes.task import build

# Licence: README.md of https://github.com/lx709/VRSBench.
DATASET = Dataset(
    name="vrsbench",
    title="VRSBench",
    source="https://huggingface.co/datasets/xiang709/VRSBench (Li et al., NeurIPS 2024)",
    licence="CC BY 4.0 (texts); pictures of DOTA and DIOR, academic use only",
    modality="RGB",
    layout=VrsBenchFolders(),
    caption_kind="vlm",
)


def build_vrsbench(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from VRSBench.

    Annotations_train, Images_train and the same for val: captions, and objects with expressions, upright and
    rotated boxes.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
