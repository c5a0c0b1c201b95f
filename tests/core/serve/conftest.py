"""What the tests of `voxtile serve` look at: the planted corpus, opened and served without a network."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from judging import client_of, copied
from serve_corpus import write_served_corpus

from voxtile.corpus.reader import Corpus


@pytest.fixture(scope="session")
def served_corpus(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("served") / "corpus"
    write_served_corpus(root)
    return root


@dataclass
class ToyTexts:
    """Reads three words."""

    name: str = "toy"

    def encode_texts(self, texts):
        known = {"scan": (1.0, 0.0, 0.1), "tissue": (0.0, 1.0, 0.0), "land": (0.0, 0.0, 1.0)}
        return torch.tensor([known[text] for text in texts])


@pytest.fixture(scope="session")
def explored(served_corpus, tmp_path_factory):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from voxtile.serve.explored import explore
    from voxtile.serve.sample_index import SampleIndex
    from voxtile.serve.search.meaning import MeaningSearch
    from voxtile.serve.search.vector_cache import vector_file

    corpus = Corpus(served_corpus)
    index = SampleIndex(corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOXTILE_CACHE", str(tmp_path_factory.mktemp("cache")))
        vectors = vector_file([corpus], index, "toy")
    return explore(corpus, index, meaning=MeaningSearch(ToyTexts(), vectors))


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    (folder / "index.html").write_text("<!doctype html><title>voxtile</title>")
    return folder


@pytest.fixture
def client(explored, pages):
    from starlette.testclient import TestClient

    from voxtile.serve.access import Access
    from voxtile.serve.application import application

    app = application(explored, Access(frozenset({"127.0.0.1:8000"})), pages)
    return TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


@pytest.fixture
def root(served_corpus, tmp_path):
    """A copy with captions to judge."""
    return copied(served_corpus, tmp_path / "copy")


@pytest.fixture
def open_judge(pages):
    """A server on a corpus, in this process."""
    return lambda root, meaning=None: client_of(root, pages, meaning)


@pytest.fixture
def judge(open_judge, root):
    return open_judge(root)


@pytest.fixture(scope="session")
def serving(pages):
    """A client of a server for a corpus's folder, or for what is opened already."""
    from starlette.testclient import TestClient

    from voxtile.serve.access import Access
    from voxtile.serve.application import application
    from voxtile.serve.explored import Explored, explore
    from voxtile.serve.sample_index import SampleIndex

    def make(served, **options):
        if not isinstance(served, Explored):
            corpus = Corpus(served)
            served = explore(corpus, SampleIndex(corpus), **options)
        app = application(served, Access(frozenset({"testserver"})), pages)
        return TestClient(app, raise_server_exceptions=False)

    return make
