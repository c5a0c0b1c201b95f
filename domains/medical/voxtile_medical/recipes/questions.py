"""`voxtile build` for sets of questions and conversations about radiology and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import ALL_TRAINING, build
from voxtile_datasets.recipes.recipe import DataSet
from voxtile_datasets.recipes.talks.recipe import Talks

VQA_RAD = DataSet(
    name="vqa-rad", title="VQA-RAD", licence="CC0 1.0",
    source="https://osf.io/89kps (Lau et al., Scientific Data 5:180251, 2018)",
)  # fmt: skip
SLAKE = DataSet(
    name="slake", title="SLAKE", licence="CC BY-SA 4.0",
    source="https://www.med-vqa.com/slake (Liu et al., ISBI 2021)",
)  # fmt: skip
LLAVA_MED = DataSet(
    name="llava-med", title="LLaVA-Med instructions", licence="CC BY NC 4.0; research use",
    source="https://github.com/microsoft/LLaVA-Med (Li et al., NeurIPS 2023)",
)  # fmt: skip

GMAI_VL = DataSet(
    name="gmai-vl", title="GMAI-VL-5.5M", licence="other: each of its 219 sources has its own; research use",
    source="https://huggingface.co/datasets/General-Medical-AI/GMAI-VL-5.5M (Li et al., arXiv:2411.14522)",
)  # fmt: skip
MEDMAX = DataSet(
    name="medmax", title="MedMax", licence="Apache 2.0, as its owners state; its sources have their own",
    source="https://huggingface.co/datasets/mint-medmax/medmax_data (Bansal et al., arXiv:2412.12661)",
)  # fmt: skip


def build_vqa_rad(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from VQA-RAD: radiographs, CT and MR slices with questions by clinicians, as dialogues.

    Its parts are of questions, and share pictures: a picture that a question of the test part is about is in the test
    split with all its questions, whose own part is in the column `provider` (vqa-rad/train, vqa-rad/test).

    Args:
        source: the folder with `VQA_RAD Dataset Public.json` and `VQA_RAD Image Folder`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(Talks(VQA_RAD, "vqa-rad", "OT"), source, corpus, ALL_TRAINING, RunOptions(**run))


def build_slake(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from SLAKE: CT, MR and X-ray pictures with English questions and boxes, as dialogues.

    Args:
        source: the folder with `train.json`, `validate.json`, `test.json` and `imgs`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(Talks(SLAKE, "slake", "OT"), source, corpus, ALL_TRAINING, RunOptions(**run))


def build_llava_med(source: Path, corpus: Path, *, instructions: str | None = None, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from LLaVA-Med's instructions: figures of PubMed Central with conversations.

    Args:
        source: the folder with the file of conversations and the folder `images`.
        corpus: the corpus to add to; made if it does not exist.
        instructions: name of the file, where there are several.
        run: options of the run.
    """
    build(Talks(LLAVA_MED, "conversations", "OT", instructions), source, corpus, ALL_TRAINING, RunOptions(**run))


def build_gmai_vl(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from GMAI-VL-5.5M: captions, perception and instructions about medical pictures, as dialogues.

    Rows without a picture, about several pictures, or in Chinese are left out, and a note says how many.

    Args:
        source: the folder with `annotations` and `images` (the contents of its zips), or the one above it.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(Talks(GMAI_VL, "gmai-vl", "OT"), source, corpus, ALL_TRAINING, RunOptions(**run))


def build_medmax(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from MedMax: questions, chats, captions and reports about medical pictures, as dialogues.

    Answers that are pictures, and rows whose pictures need credentials, are left out, and a note says how many.

    Args:
        source: the folder with `train.jsonl`, `validation.jsonl` and the unpacked pictures.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(Talks(MEDMAX, "medmax", "OT"), source, corpus, ALL_TRAINING, RunOptions(**run))
