"""`voxtile build rsicd`, `rsitmd`, `ucm-captions`, `sydney-captions`, `nwpu-captions`: five captions a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import build
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.caption_json import CaptionJson
from voxtile_remote_sensing.recipes.layouts.classes import AID, RESISC45, RSITMD, concepts
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

RSICD_DATASET = Dataset(
    name="rsicd",
    title="RSICD",
    source="https://github.com/201528014227051/RSICD_optimal (Lu et al., IEEE TGRS 56(4), 2018)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=CaptionJson(
        (
            "dataset_rsicd.json",
            "annotations_rsicd/dataset_rsicd.json",
            "rsicd_train.json",
            "rsicd_val.json",
            "rsicd_test.json",
        ),
        ("RSICD_images", "images"),
        "txtclasses_rsicd",
        AID,
        "aid",
    ),
    vocabularies={"aid": concepts(AID)},
)


def build_rsicd(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from RSICD.

    Pictures with five captions each, in Karpathy's form (dataset_rsicd.json) or as one list a split; classes are
    those of AID, by the lists in txtclasses_rsicd or the pictures' names.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(RSICD_DATASET), source, corpus, split_fractions, RunOptions(**run))


RSITMD_DATASET = Dataset(
    name="rsitmd",
    title="RSITMD",
    source="https://github.com/xiaoyuan1996/AMFMN (Yuan et al., IEEE TGRS 60, 2022)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=CaptionJson(
        ("dataset_RSITMD.json", "rsitmd_train.json", "rsitmd_val.json", "rsitmd_test.json"),
        ("images", "RSITMD_images"),
        "",
        RSITMD,
        "rsitmd",
    ),
    vocabularies={"rsitmd": concepts(RSITMD)},
)


def build_rsitmd(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from RSITMD.

    Pictures with five captions each, in Karpathy's form (dataset_RSITMD.json) or as one list a split.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(RSITMD_DATASET), source, corpus, split_fractions, RunOptions(**run))


UCM_CAPTIONS_DATASET = Dataset(
    name="ucm-captions",
    title="UCM-Captions",
    source="https://github.com/201528014227051/RSICD_optimal (Qu et al., CITS 2016)",
    licence="not stated by its makers; pictures USGS, public domain",
    modality="RGB",
    layout=CaptionJson(("dataset.json", "UCM_captions/dataset.json"), ("imgs", "UCM_captions/imgs", "images")),
    gsd_m=0.3048,
)


def build_ucm_captions(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from UCM-Captions.

    Pictures with five captions each, in Karpathy's form (dataset.json and imgs).

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(UCM_CAPTIONS_DATASET), source, corpus, split_fractions, RunOptions(**run))


SYDNEY_CAPTIONS_DATASET = Dataset(
    name="sydney-captions",
    title="Sydney-Captions",
    source="https://github.com/201528014227051/RSICD_optimal (Qu et al., CITS 2016)",
    licence="not stated by its makers; research use, pictures © Google Earth",
    modality="RGB",
    layout=CaptionJson(("dataset.json", "Sydney_captions/dataset.json"), ("imgs", "Sydney_captions/imgs", "images")),
    gsd_m=0.5,
)


def build_sydney_captions(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from Sydney-Captions.

    Pictures with five captions each, laid out as those of UCM-Captions (dataset.json and imgs).

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(SYDNEY_CAPTIONS_DATASET), source, corpus, split_fractions, RunOptions(**run))


NWPU_CAPTIONS_DATASET = Dataset(
    name="nwpu-captions",
    title="NWPU-Captions",
    source="https://github.com/HaiyanHuang98/NWPU-Captions (Cheng et al., IEEE TGRS 60, 2022)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=CaptionJson(("dataset_nwpu.json",), ("NWPU_images", "NWPU-RESISC45", "images"), "", RESISC45, "resisc45"),
    vocabularies={"resisc45": concepts(RESISC45)},
)


def build_nwpu_captions(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from NWPU-Captions.

    Pictures of NWPU-RESISC45 with five captions each (dataset_nwpu.json and NWPU_images).

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(NWPU_CAPTIONS_DATASET), source, corpus, split_fractions, RunOptions(**run))
