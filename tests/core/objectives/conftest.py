"""Batches and stored embeddings that the tests of objectives share."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.types import Batch


def _batch(items, text_item=None, *, texts=10**6, subjects=10**6, seed=0):
    g = torch.Generator().manual_seed(seed)
    text_item = torch.arange(items) if text_item is None else text_item
    return Batch(
        images=torch.randn(items, 1, 16, 16, generator=g),
        image_item=torch.arange(items),
        texts=[f"text {n}" for n in range(len(text_item))],
        text_item=text_item,
        study=torch.arange(items),
        subject=torch.randint(0, subjects, (items,), generator=g),
        text_hash=torch.randint(0, texts, (len(text_item),), generator=g),
        facts=torch.randint(-1, 2, (items, 2), generator=g, dtype=torch.int8),
        fact_names=("a", "b"),
        uids=[f"{n:032x}" for n in range(items)],
        draws=torch.arange(items),
    )


@pytest.fixture(scope="session")
def made_batch():
    """Make a batch of so many items; `text_item` says whose each text is."""
    return _batch


@pytest.fixture
def embedded(tmp_path):
    """Make a corpus with embeddings of items 0 to n − 1 by each of some models, shuffled, and their vectors."""

    def make(items=40, models=("teacher",), width=6):
        root = tmp_path / "corpus"
        new_corpus(root)
        rng = np.random.default_rng(3)
        vectors = {}
        for model in models:
            vectors[model] = rng.normal(size=(items, width)).astype(np.float16)
            order = rng.permutation(items)
            for part in np.array_split(order, 2):
                rows = [{"uid": f"{n:032x}", "model": model, "vector": vectors[model][n]} for n in part]
                writer = JobWriter(root, f"{model}-{part[0]}")
                writer.add_rows("embeddings", rows)
                writer.publish()
        return str(root), vectors

    return make


class _Watch(TorchDispatchMode):
    """Notes the largest tensor, in elements, that any operation makes."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.untyped_storage().nbytes() // tensor.element_size())
        return out


@pytest.fixture
def watch():
    """Enter it around forward and backward; `largest` then says how large the largest tensor was."""
    return _Watch()
