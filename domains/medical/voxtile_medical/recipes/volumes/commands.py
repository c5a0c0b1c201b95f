"""The commands of the data sets of volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_medical.recipes.volumes.build import build_volumes
from voxtile_medical.recipes.volumes.volume_set import load_volume_set


def build_ct_rate(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from CT-RATE: chest CT with reports and 18 abnormalities, official splits.

    Volumes of both releases are read: headers of the first one are blank, and geometry and scale come from the metadata
    tables; those of the second one (`train_fixed`, `valid_fixed`) hold them. The official validation set, on which
    results are published, is the test; a twentieth of the training patients becomes the validation split.

    Licence: CC BY-NC-SA 4.0, after agreeing to the terms of https://huggingface.co/datasets/ibrahimhamamci/CT-RATE.

    Args:
        source: the folder with `train` and `valid` and the tables of reports, labels and metadata, in whatever folders.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build_volumes(load_volume_set("ct-rate"), source, corpus, RunOptions(**run))
