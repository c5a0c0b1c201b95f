"""A tiny corpus whose findings are bright blocks, and a model that looks at them: scores are known beforehand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.base import SampleSource
from voxtile.errors import PresetError

FINDINGS = ("nodule", "effusion", "fracture")


class BlockPreset:
    """[1, 16, 16, 16] float32, the stored values as they are."""

    version = "1"
    channels = 1
    grid = (16, 16, 16)

    def check(self, metas: Sequence[Any]) -> None:
        for meta in metas:
            if meta["units"] != "HU":
                raise PresetError(f"this model needs units HU, but the corpus holds {meta['units']}")

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        assert rng is None, "evaluation must not be random"
        return torch.from_numpy(np.asarray(source.array(), dtype=np.float32))[None]

    def to_config(self) -> dict[str, Any]:
        return {"class_path": "BlockPreset", "init_args": {}}


class BlockModel:
    """Embeds the brightness of the block of each finding; texts point along or against it."""

    name = "blocks"
    logit_scale = 10.0

    def __init__(self, fact_names: tuple[str, ...] = ()) -> None:
        self.preset = BlockPreset()
        self.fact_names = fact_names
        self.broken: set[int] = set()

    def encode_images(self, images: Tensor) -> Tensor:
        return functional.normalize(functional.pad(self.brightness(images), (0, 1), value=1.0), dim=1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        vectors = torch.zeros(len(texts), len(FINDINGS) + 1)
        for row, text in enumerate(texts):
            for column, name in enumerate(FINDINGS):
                if name in text:
                    vectors[row, column] = -1.0 if text.startswith("no ") else 1.0
        return functional.normalize(vectors + 1e-3, dim=1)

    def fact_logits(self, images: Tensor) -> Tensor:
        order = [FINDINGS.index(name) for name in self.fact_names]
        return 4 * self.brightness(images)[:, order]

    def brightness(self, images: Tensor) -> Tensor:
        return torch.stack([images[(slice(None), 0, *block)].mean(dim=(1, 2, 3)) / 100 for block in blocks()], dim=1)


def blocks() -> list[tuple[slice, slice, slice]]:
    return [(slice(0, 4), slice(0, 4), slice(4 * k, 4 * k + 4)) for k in range(len(FINDINGS))]


def write_corpus(
    root: Path,
    n: int = 160,
    *,
    seed: int = 0,
    series: int = 1,
    prevalence: Sequence[float] = (0.4, 0.3, 0.3),
    noise: float = 60.0,
    units: str = "HU",
    licence: str | None = None,
    polarity: Callable[[int, str, bool], str | None] = lambda _, __, truth: "present" if truth else "absent",
) -> Corpus:
    """n subjects with one study of `series` volumes; half of them test, a quarter val, a quarter train."""
    rng = np.random.default_rng(seed)
    new_corpus(root)
    writer = JobWriter(root, "made")
    facts, splits = [], []
    for number in range(n):
        truth = rng.random(len(FINDINGS)) < prevalence
        for scan in range(series):
            array = rng.normal(0, 5, (16, 16, 16))
            for finding, block in zip(truth, blocks(), strict=True):
                array[block] += (100 if finding else -100) + rng.normal(0, noise)
            uid = f"{number:04d}{scan}"
            row = {"uid": uid, "subject": f"p{number}", "study": f"s{number}", "kind": "volume", "modality": "CT"}
            row |= {"axes": "ZYX", "units": units, "licence": licence}
            writer.add(Sample(row, array.astype(np.int16)))
            for name, present in zip(FINDINGS, truth, strict=True):
                said = polarity(number, name, bool(present))
                if said is not None:
                    facts.append({"uid": uid, "concept": name, "polarity": said, "source": "labels@1"})
        split = ("test", "val", "test", "train")[number % 4]
        splits.append({"scheme": "default", "subject": f"p{number}", "split": split})
    writer.add_rows("facts", facts)
    writer.add_rows("splits", splits)
    writer.publish()
    return Corpus(root)


TASK = """
kind: zero-shot-multilabel
unit: study
facts_source: labels
classes:
  nodule:
    wordings: [{present: a nodule, absent: no nodule}, {present: "nodule, seen", absent: no nodule seen}]
  effusion:
    wordings: [{present: an effusion, absent: no effusion}]
  fracture:
    wordings: [{present: a fracture, absent: no fracture}]
"""


@pytest.fixture(scope="session")
def make_corpus() -> Callable[..., Corpus]:
    return write_corpus


@pytest.fixture(scope="session")
def make_model() -> type[BlockModel]:
    return BlockModel


@pytest.fixture(scope="session")
def task_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("task") / "blocks.yaml"
    path.write_text(TASK)
    return path


@pytest.fixture(scope="session")
def block_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Read only."""
    return write_corpus(tmp_path_factory.mktemp("blocks") / "corpus", licence="CC0-1.0 (phantom)")
