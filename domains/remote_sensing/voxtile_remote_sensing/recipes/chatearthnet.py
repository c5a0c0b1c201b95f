"""`voxtile build chatearthnet`: ChatEarthNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import build
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.colour_triples import ColourTriples
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

CHATEARTHNET_DATASET = Dataset(
    name="chatearthnet",
    title="ChatEarthNet",
    source="https://doi.org/10.5281/zenodo.11003436 (Yuan et al., ESSD 17, 2025)",
    licence="CC BY 4.0; contains modified Copernicus Sentinel data",
    modality="MSI",
    layout=ColourTriples(
        tuple(
            f"json_files/ChatEarthNet_caps_{version}_{split}.json"
            for version in ("35", "4v")
            for split in ("train", "val", "test")
        ),
        {
            "s2_rgb_images/s2_images": ("B04", "B03", "B02"),  # as the zips unpack: each into a folder of its own,
            "s2_images": ("B04", "B03", "B02"),  # or side by side
            "s2_rgb_images": ("B04", "B03", "B02"),
            "s2_band_5_6_7_images": ("B05", "B06", "B07"),
            "s2_band_8_11_12_images": ("B08", "B11", "B12"),
        },
        "sentinel-2-msi",
        "L2A",
    ),
    caption_kind="vlm",
    gsd_m=10.0,
)


def build_chatearthnet(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from ChatEarthNet.

    json_files and the three folders of pictures; each holds three bands in 8 bits, so values are no reflectances.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(CHATEARTHNET_DATASET), source, corpus, split_fractions, RunOptions(**run))
