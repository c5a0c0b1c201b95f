"""`voxtile build dior-rsvg`: DIOR-RSVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.grounding import VocExpressions
from voxtile_remote_sensing.recipes.task import build

# Folders, and splits by the number of the expression over all annotation files in order: README.md and data_loader.py
# of the source.
DATASET = Dataset(
    name="dior-rsvg",
    title="DIOR-RSVG",
    source="https://github.com/ZhanYang-nwpu/RSVG-pytorch (Zhan et al., IEEE TGRS 61, 2023)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=VocExpressions(),
)


def build_dior_rsvg(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from DIOR-RSVG.

    Annotations, JPEGImages and train.txt, val.txt, test.txt. The official split is by expression: a picture goes to
    the strictest split of its expressions, and the expression's own is in its region's source.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
