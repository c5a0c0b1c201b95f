"""`voxtile build dior-rsvg`, `rsvg`, `vrsbench`, `air-slt`: expressions that refer to boxes or outlines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import build
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.grounding import PthExpressions, VocExpressions, VrsBenchFolders
from voxtile_remote_sensing.recipes.layouts.outlined_sentences import OutlinedSentences
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

# Folders, and splits by the number of the expression over all annotation files in order: README.md and data_loader.py
# of the source.
DIOR_RSVG_DATASET = Dataset(
    name="dior-rsvg",
    title="DIOR-RSVG",
    source="https://github.com/ZhanYang-nwpu/RSVG-pytorch (Zhan et al., IEEE TGRS 61, 2023)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=VocExpressions(),
)


def build_dior_rsvg(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from DIOR-RSVG.

    Annotations, JPEGImages and train.txt, val.txt, test.txt. The official split is by expression: a picture goes to
    the strictest split of its expressions, and the expression's own is in its region's source.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(DIOR_RSVG_DATASET), source, corpus, split_fractions, RunOptions(**run))


RSVG_DATASET = Dataset(
    name="rsvg",
    title="RSVG",
    source="https://sunyuxi.github.io/publication/GeoVG (Sun et al., ACM Multimedia 2022)",
    licence="not stated by its makers; research use",
    modality="RGB",
    layout=PthExpressions(),
)


def build_rsvg(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from RSVG.

    The folder images and rsvg_train.pth, rsvg_val.pth, rsvg_test.pth, of which only plain values are loaded. A
    picture goes to the strictest split of its expressions.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(RSVG_DATASET), source, corpus, split_fractions, RunOptions(**run))


# Licence: README.md of https://github.com/lx709/VRSBench.
VRSBENCH_DATASET = Dataset(
    name="vrsbench",
    title="VRSBench",
    source="https://huggingface.co/datasets/xiang709/VRSBench (Li et al., NeurIPS 2024)",
    licence="CC BY 4.0 (texts); pictures of DOTA and DIOR, academic use only",
    modality="RGB",
    layout=VrsBenchFolders(),
    caption_kind="vlm",
)


def build_vrsbench(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from VRSBench.

    Annotations_train, Images_train and the same for val: captions, and objects with expressions, upright and
    rotated boxes.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(VRSBENCH_DATASET), source, corpus, split_fractions, RunOptions(**run))


# Layout: test_data/imgs/README.md and predict/generate_selo.py of the source. Its licence (MIT) is of code and
# annotation; README.md says that the pictures are of Google Earth.
AIR_SLT_DATASET = Dataset(
    name="air-slt",
    title="AIR-SLT",
    source="https://github.com/xiaoyuan1996/SemanticLocalizationMetrics (Yuan et al., IEEE TGRS 2022)",
    licence="MIT (annotation); pictures of Google Earth, no licence stated",
    modality="RGB",
    layout=OutlinedSentences(),
)


def build_air_slt(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from AIR-SLT, the test set of semantic localisation.

    annotations/anno.json and imgs: sentences of large pictures, with one or more outlines each. All of it is test.
    A sentence is a caption, and the phrase of a region for each outline; the outlines are in `attributes`.

    Args:
        source: the folder test_data, or that above it, with the pictures unpacked to imgs.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(SceneFiles(AIR_SLT_DATASET), source, corpus, "0.8,0.1,0.1", RunOptions(**run))
