"""`voxtile build eurosat` and `eurosat-ms`: EuroSAT in colour, and with all 13 bands of Sentinel-2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import build
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.class_folders import ClassFolders
from voxtile_remote_sensing.recipes.layouts.classes import EUROSAT, concepts
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

_SOURCE = "https://doi.org/10.5281/zenodo.7711810 (Helber et al., IEEE JSTARS 12(7), 2019)"
_LICENCE = "MIT; contains modified Copernicus Sentinel data"
_SPLITS = {split: (f"eurosat-{split}.txt",) for split in ("train", "val", "test")}
# The files hold B8A last, after B12 (the band order of the release, see its README); elsewhere it stands after B08.
BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A")

RGB = Dataset(
    name="eurosat",
    title="EuroSAT",
    source=_SOURCE,
    licence=_LICENCE,
    modality="RGB",
    layout=ClassFolders(EUROSAT, "eurosat", ("EuroSAT_RGB", "2750", "EuroSAT", "."), _SPLITS),
    vocabularies={"eurosat": concepts(EUROSAT)},
    gsd_m=10.0,
)
MULTISPECTRAL = Dataset(
    name="eurosat-ms",
    title="EuroSAT (13 bands)",
    source=_SOURCE,
    licence=_LICENCE,
    modality="MSI",
    layout=ClassFolders(
        EUROSAT,
        "eurosat",
        ("EuroSAT_MS", "ds/images/remote_sensing/otherDatasets/sentinel_2/tif", "tif", "."),
        _SPLITS,
        sensor="sentinel-2-msi",
        product="L1C",
        bands=BANDS,
    ),
    vocabularies={"eurosat": concepts(EUROSAT)},
    gsd_m=10.0,
)


def build_eurosat(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from EuroSAT in colour (EuroSAT_RGB or 2750).

    The split lists of Neumann et al. (arXiv:1911.06721) are used where they lie beside the folder.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test where there are no split lists.
        run: options of the run.
    """
    build(SceneFiles(RGB), source, corpus, split_fractions, RunOptions(**run))


def build_eurosat_ms(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from EuroSAT with 13 bands (EuroSAT_MS), named and in the file's own integers.

    Its split lists are those of `voxtile build eurosat`, where they lie beside the folder.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test where there are no split lists.
        run: options of the run.
    """
    build(SceneFiles(MULTISPECTRAL), source, corpus, split_fractions, RunOptions(**run))
