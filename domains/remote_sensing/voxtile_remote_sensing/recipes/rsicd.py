"""`voxtile build rsicd`: RSICD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.caption_json import CaptionJson
from voxtile_remote_sensing.recipes.layouts.classes import AID, concepts
from voxtile_remote_sensing.recipes.task import build

DATASET = Dataset(
    name="rsicd",
    title="RSICD",
    source="https://github.com/201528014227051/RSICD_optimal (Lu et al., IEEE TGRS 56(4), 2018)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=CaptionJson(
        (
            "dataset_rsicd.json",
            "annotations_rsicd/dataset_rsicd.json",
            "rsicd_train.json",
            "rsicd_val.json",
            "rsicd_test.json",
        ),
        ("RSICD_images", "images"),
        "txtclasses_rsicd",
        AID,
        "aid",
    ),
    vocabularies={"aid": concepts(AID)},
)


def build_rsicd(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from RSICD.

    Pictures with five captions each, in Karpathy's form (dataset_rsicd.json) or as one list a split; classes are
    those of AID, by the lists in txtclasses_rsicd or the pictures' names.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
