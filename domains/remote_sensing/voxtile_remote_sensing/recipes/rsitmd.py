"""`voxtile build rsitmd`: RSITMD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.caption_json import CaptionJson
from voxtile_remote_sensing.recipes.layouts.classes import RSITMD, concepts
from voxtile_remote_sensing.recipes.task import build

DATASET = Dataset(
    name="rsitmd",
    title="RSITMD",
    source="https://github.com/xiaoyuan1996/AMFMN (Yuan et al., IEEE TGRS 60, 2022)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=CaptionJson(
        ("dataset_RSITMD.json", "rsitmd_train.json", "rsitmd_val.json", "rsitmd_test.json"),
        ("images", "RSITMD_images"),
        "",
        RSITMD,
        "rsitmd",
    ),
    vocabularies={"rsitmd": concepts(RSITMD)},
)


def build_rsitmd(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from RSITMD.

    Pictures with five captions each, in Karpathy's form (dataset_RSITMD.json) or as one list a split.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
