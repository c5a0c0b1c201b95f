"""`voxtile build sydney-captions`: Sydney-Captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.caption_json import CaptionJson
from voxtile_remote_sensing.recipes.task import build

DATASET = Dataset(
    name="sydney-captions",
    title="Sydney-Captions",
    source="https://github.com/201528014227051/RSICD_optimal (Qu et al., CITS 2016)",
    licence="not stated by its makers; research use, pictures © Google Earth",
    modality="RGB",
    layout=CaptionJson(("dataset.json", "Sydney_captions/dataset.json"), ("imgs", "Sydney_captions/imgs", "images")),
    gsd_m=0.5,
)


def build_sydney_captions(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from Sydney-Captions.

    Pictures with five captions each, in Karpathy's form (dataset.json and imgs).

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
