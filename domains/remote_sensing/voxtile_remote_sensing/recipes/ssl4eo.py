"""`voxtile build ssl4eo-s12`: SSL4EO-S12 v1.1 with the captions of Llama3-MS-CLIP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile.errors import ConfigError
from voxtile_datasets.recipes.build import build
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.seasonal_zarr import MODALITIES, SeasonalZarr
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

# Variables of the Zarr files: README.md of https://github.com/DLR-MF-DAS/SSL4EO-S12-v1.1; columns of the captions: the
# card of the captions.
SSL4EO_DATASET = Dataset(
    name="ssl4eo-s12",
    title="SSL4EO-S12 v1.1",
    source=(
        "https://huggingface.co/datasets/embed2scale/SSL4EO-S12-v1.1 (Blumenstiel et al., arXiv:2503.00168); captions "
        "https://huggingface.co/datasets/ibm-esa-geospatial/Llama3-SSL4EO-S12-v1.1-captions (Marimo et al., ECML 2025)"
    ),
    licence="CC BY 4.0 (pictures; contains modified Copernicus Sentinel data); Llama 3 licence (captions)",
    modality="MSI",
    layout=SeasonalZarr(),
    caption_kind="vlm",
    gsd_m=10.0,
)


def build_ssl4eo(
    source: Path,
    corpus: Path,
    *,
    modalities: str = "S2L2A",
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from SSL4EO-S12 v1.1 (folders train and val with S2L2A, S2L1C, S1GRD).

    Each place has four dates, which are one study, and each Sentinel-2 sample its caption where the captions are
    found: in train/captions, captions/train, or Llama3-SSL4EO-S12-v1.1-captions/train beside it.

    Args:
        source: the folder that the download lies in.
        corpus: the corpus to add to; made if it does not exist.
        modalities: of S2L2A, S2L1C and S1GRD, separated by commas.
        split_fractions: not used, since the dataset is split; there for the shape of all recipes.
        run: options of the run.

    Raises:
        ConfigError: no such modality.
        InputError: the folder is not laid out like the dataset.
    """
    chosen = tuple(name.strip() for name in modalities.split(",") if name.strip())
    unknown = [name for name in chosen if name not in MODALITIES]
    if unknown or not chosen:
        raise ConfigError(f"--modalities '{modalities}' must be of {', '.join(MODALITIES)}")
    build(
        SceneFiles(replace(SSL4EO_DATASET, layout=SeasonalZarr(chosen))),
        source,
        corpus,
        split_fractions,
        RunOptions(**run),
    )
