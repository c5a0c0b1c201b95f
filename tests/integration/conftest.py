"""What several integration tests share: a corpus to train on."""

from pathlib import Path

import pytest

from voxtile.phantom.xrays import write_xrays


@pytest.fixture(scope="session")
def xray_corpus(tmp_path_factory) -> Path:
    """A captioned corpus of tiny synthetic X-rays with labels as facts."""
    from voxtile_datasets.captions.command import caption_corpus
    from voxtile_datasets.recipes.medmnist import build_medmnist

    folder = tmp_path_factory.mktemp("xrays")
    corpus = folder / "corpus"
    build_medmnist(write_xrays(folder), corpus, engine="inline")
    caption_corpus(corpus, provider="template", engine="inline")
    return corpus
