"""What the tests of `voxtile serve` look at: the planted corpus, opened and served without a network."""

import importlib
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from judging import client_of, copied
from PIL import Image
from serve_corpus import write_served_corpus
from small_checkpoints import write_checkpoint

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """What servers lay out goes nowhere else; servers in processes of their own are told, too."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("VOXTILE_CACHE", str(folder))
        yield folder


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
def explored(served_corpus, cache):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from voxtile.serve.explored import explore
    from voxtile.serve.sample_index import SampleIndex
    from voxtile.serve.search.meaning import MeaningSearch
    from voxtile.serve.search.vector_cache import vector_file

    corpus = Corpus(served_corpus)
    index = SampleIndex(corpus)
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


PICTURES = 8


def picture(number, size=(48, 64)):
    """A picture unlike the others: blocks of colours."""
    blocks = np.random.default_rng(number).integers(0, 255, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


def as_png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_pictures(root, numbers, job):
    writer = JobWriter(root, job)
    for n in numbers:
        row = {"uid": f"{n:032x}", "subject": f"s{n}", "kind": "patch", "modality": "SM", "axes": "YXC"}
        writer.add(Sample(row, as_png(picture(n))))
    writer.publish()


@pytest.fixture(scope="session")
def picture_model(tmp_path_factory):
    """Reads pictures of slides, and English words."""
    preset = {"class_path": "voxtile.data.ImagePreset", "init_args": {"size": [32, 32], "modalities": ["SM"]}}
    path = tmp_path_factory.mktemp("models") / "pictures.ckpt"
    return write_checkpoint(path, preset, dimensions=2, channels=3, texts=["a gland", "no gland", "a tumour"])


def in_this_process(making, module, arguments):
    """`Making.run` without a process of its own, whose imports cost more than all that it makes here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *arguments])
        patch.setattr(os, "nice", lambda _: 0)
        importlib.import_module(module).main()
    making._finished = True


@pytest.fixture(scope="session")
def pictured(tmp_path_factory, cache, picture_model):
    """Pictures that had no vector when a server opened them with a model; they were made in this process."""
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from voxtile.serve.current import CurrentCorpus
    from voxtile.serve.search.making import Making
    from voxtile.serve.search.meaning import load_search_model

    root = tmp_path_factory.mktemp("pictured") / "corpus"
    new_corpus(root)
    write_pictures(root, range(PICTURES), "first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Making, "run", in_this_process)
        current = CurrentCorpus([root], load_search_model(str(picture_model)), str(picture_model))
        current.wait()
    yield current
    current.stop()


@pytest.fixture
def ask_pictures(pictured, pages):
    from starlette.testclient import TestClient

    from voxtile.serve.access import Access
    from voxtile.serve.application import application

    app = application(pictured.explored, Access(frozenset({"127.0.0.1:8000"})), pages)
    return TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)
