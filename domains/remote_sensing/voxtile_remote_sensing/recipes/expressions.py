"""`voxtile build dior-rsvg`, `rsvg`, `vrsbench`: expressions that refer to boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import build
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.grounding import PthExpressions, VocExpressions, VrsBenchFolders
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
