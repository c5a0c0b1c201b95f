"""`voxtile build rsvg`: RSVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.grounding import PthExpressions
from voxtile_remote_sensing.recipes.task import build

DATASET = Dataset(
    name="rsvg",
    title="RSVG",
    source="https://sunyuxi.github.io/publication/GeoVG (Sun et al., ACM Multimedia 2022)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=PthExpressions(),
)


def build_rsvg(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from RSVG.

    The folder images and rsvg_train.pth, rsvg_val.pth, rsvg_test.pth, of which only plain values are loaded. A
    picture goes to the strictest split of its expressions.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
