"""`voxtile build nwpu-captions`: NWPU-Captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.caption_json import CaptionJson
from voxtile_remote_sensing.recipes.layouts.classes import RESISC45, concepts
from voxtile_remote_sensing.recipes.task import build

DATASET = Dataset(
    name="nwpu-captions",
    title="NWPU-Captions",
    source="https://github.com/HaiyanHuang98/NWPU-Captions (Cheng et al., IEEE TGRS 60, 2022)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=CaptionJson(("dataset_nwpu.json",), ("NWPU_images", "NWPU-RESISC45", "images"), "", RESISC45, "resisc45"),
    vocabularies={"resisc45": concepts(RESISC45)},
)


def build_nwpu_captions(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from NWPU-Captions.

    Pictures of NWPU-RESISC45 with five captions each (dataset_nwpu.json and NWPU_images).

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
