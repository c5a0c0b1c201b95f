"""`voxtile build resisc45`: NWPU-RESISC45."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.class_folders import ClassFolders
from voxtile_remote_sensing.recipes.layouts.classes import RESISC45, concepts
from voxtile_remote_sensing.recipes.task import build

DATASET = Dataset(
    name="resisc45",
    title="NWPU-RESISC45",
    source="https://doi.org/10.1109/JPROC.2017.2675998 (Cheng et al., Proc. IEEE 105(10), 2017)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=ClassFolders(
        RESISC45,
        "resisc45",
        ("NWPU-RESISC45", "."),
        {split: (f"resisc45-{split}.txt",) for split in ("train", "val", "test")},
    ),
    vocabularies={"resisc45": concepts(RESISC45)},
)


def build_resisc45(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from NWPU-RESISC45.

    Pictures of 256 pixels in 45 class folders. The split lists of Neumann et al. (arXiv:1911.06721) are used where
    they lie beside the folder; the dataset has none of its own.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
