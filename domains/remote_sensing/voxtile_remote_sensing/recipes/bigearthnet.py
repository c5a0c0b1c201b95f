"""`voxtile build bigearthnet`: BigEarthNet v2.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import build
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.band_files import BandFiles, Sensor
from voxtile_remote_sensing.recipes.layouts.classes import BIGEARTHNET, concepts
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

BIGEARTHNET_DATASET = Dataset(
    name="bigearthnet",
    title="BigEarthNet v2.0",
    source="https://bigearth.net (Clasen et al., arXiv:2407.03653)",
    licence="CDLA-Permissive-1.0; contains modified Copernicus Sentinel data",
    modality="MSI",
    layout=BandFiles(
        table="metadata.parquet",
        sensors=(
            Sensor("BigEarthNet-S2", "patch_id", "sentinel-2-msi", "L2A", "MSI"),
            Sensor("BigEarthNet-S1", "s1_name", "sentinel-1-sar", "dB", "SAR", ("VV", "VH")),
        ),
        key="patch_id",
        concepts=BIGEARTHNET,
        vocabulary="bigearthnet-19",
        attributes=("country", "contains_seasonal_snow", "contains_cloud_or_shadow"),
    ),
    vocabularies={"bigearthnet-19": concepts(BIGEARTHNET)},
    gsd_m=10.0,
)


def build_bigearthnet(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from BigEarthNet v2.0.

    metadata.parquet and the folders BigEarthNet-S2 and BigEarthNet-S1 (either may be missing). The bands of a patch
    become one array of 120 × 120 pixels, those of 20 and 60 m repeated pixel by pixel; both sensors are one study.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(BIGEARTHNET_DATASET), source, corpus, split_fractions, RunOptions(**run))
