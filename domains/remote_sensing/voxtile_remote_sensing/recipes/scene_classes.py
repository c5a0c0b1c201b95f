"""`voxtile build aid`, `patternnet`, `resisc45`, `rsscn7`: pictures in a folder for each class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import build
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.class_folders import ClassFolders
from voxtile_remote_sensing.recipes.layouts.classes import AID, PATTERNNET, RESISC45, RSSCN7, concepts
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

AID_DATASET = Dataset(
    name="aid",
    title="AID",
    source="https://captain-whu.github.io/AID (Xia et al., IEEE TGRS 55(7), 2017)",
    licence="not stated by its makers; research use, pictures © Google Earth",
    modality="RGB",
    layout=ClassFolders(AID, "aid", ("AID", "AID_dataset/AID", ".")),
    vocabularies={"aid": concepts(AID)},
)


def build_aid(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from AID.

    Pictures of 600 pixels in 30 class folders; the dataset has no split of its own.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(AID_DATASET), source, corpus, split_fractions, RunOptions(**run))


PATTERNNET_DATASET = Dataset(
    name="patternnet",
    title="PatternNet",
    source="https://sites.google.com/view/zhouwx/dataset (Zhou et al., ISPRS J. 145, 2018)",
    licence="research use; pictures © Google",
    modality="RGB",
    layout=ClassFolders(PATTERNNET, "patternnet", ("PatternNet/images", "images", "PatternNet", ".")),
    vocabularies={"patternnet": concepts(PATTERNNET)},
)


def build_patternnet(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from PatternNet.

    Pictures of 256 pixels in 38 class folders; the dataset has no split of its own.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(PATTERNNET_DATASET), source, corpus, split_fractions, RunOptions(**run))


RESISC45_DATASET = Dataset(
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


def build_resisc45(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from NWPU-RESISC45.

    Pictures of 256 pixels in 45 class folders. The split lists of Neumann et al. (arXiv:1911.06721) are used where
    they lie beside the folder; the dataset has none of its own.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(RESISC45_DATASET), source, corpus, split_fractions, RunOptions(**run))


RSSCN7_DATASET = Dataset(
    name="rsscn7",
    title="RSSCN7",
    source="https://github.com/palewithout/RSSCN7 (Zou et al., IEEE GRSL 12(11), 2015)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=ClassFolders(RSSCN7, "rsscn7", ("RSSCN7", "RSSCN7-master", ".")),
    vocabularies={"rsscn7": concepts(RSSCN7)},
)


def build_rsscn7(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from RSSCN7.

    Pictures of 400 pixels in 7 class folders (aGrass to gParking); the dataset has no split of its own.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(RSSCN7_DATASET), source, corpus, split_fractions, RunOptions(**run))
