"""`voxtile build spacenet`: SpaceNet buildings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import build
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.building_footprints import BuildingFootprints
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

# Folders: torchgeo.datasets.SpaceNet1, SpaceNet2 and SpaceNet6. SpaceNet 4's pictures have four bands and are not read.
SPACENET_DATASET = Dataset(
    name="spacenet",
    title="SpaceNet buildings",
    source="https://spacenet.ai/datasets (Van Etten et al., arXiv:1807.01232)",
    licence="CC BY-SA 4.0",
    modality="RGB",
    layout=BuildingFootprints(),
    vocabularies={"spacenet-buildings": ("building",)},
)


def build_spacenet(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from SpaceNet buildings.

    Areas of a building challenge (SpaceNet 1, 2 or 6) with the three-band pictures beside the GeoJSON footprints:
    every building becomes an upright and a rotated box, and their number and area facts.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(SPACENET_DATASET), source, corpus, split_fractions, RunOptions(**run))
