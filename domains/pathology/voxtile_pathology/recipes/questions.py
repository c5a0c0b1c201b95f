"""`voxtile build` for sets of questions about pictures of pathology."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import ALL_TRAINING, build
from voxtile_datasets.recipes.recipe import DataSet
from voxtile_datasets.recipes.talks.recipe import Talks

PATH_VQA = DataSet(
    name="path-vqa", title="PathVQA", licence="not stated for the pictures, which are of textbooks; research use",
    source="https://github.com/UCSD-AI4H/PathVQA (He et al., arXiv:2003.10286)",
)  # fmt: skip

PATH_MMU = DataSet(
    name="path-mmu", title="PathMMU", licence="CC BY-ND 4.0; the pictures of its sources have their own",
    source="https://github.com/PathMMU-Benchmark/PathMMU (Sun et al., ECCV 2024)",
)  # fmt: skip


def build_path_vqa(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from PathVQA: pictures of pathology with questions, as dialogues.

    Its pickled lists are read as lists of texts alone; one that names any class of Python's is refused.

    Args:
        source: the folder with `qas` and `images`, or the one above it.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(Talks(PATH_VQA, "path-vqa", "RGB"), source, corpus, ALL_TRAINING, RunOptions(**run))


def build_path_mmu(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from PathMMU: pictures of pathology with questions of several choices, as dialogues.

    Its own parts are kept (val, test; test_tiny is a part of the test), and there is none to train on.

    Args:
        source: the folder with `data.json` and `images`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(Talks(PATH_MMU, "path-mmu", "RGB"), source, corpus, ALL_TRAINING, RunOptions(**run))
