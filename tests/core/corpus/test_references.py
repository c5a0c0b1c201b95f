"""Samples with `codec: ref` read their pixels from files outside the corpus, through a domain's reader or without."""

import io
import json
import os
import threading
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from voxtile.corpus import references
from voxtile.corpus.identity import KeyMap, file_edges
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.domain import Domain
from voxtile.errors import CorpusError
from voxtile.stages.verify.corpus import verify

SHAPE = (40, 50, 3)


class RawFile:
    """A file that holds nothing but the values of SHAPE."""

    opened: ClassVar[list] = []

    def __init__(self, path):
        self.values = np.frombuffer(path.read_bytes(), np.uint8).reshape(SHAPE)
        self.is_read = threading.Lock()
        self.opened.append(os.getpid())

    def read(self, reference, selection):
        assert self.is_read.acquire(blocking=False), "two threads read one file"
        y0, x0, y1, x1 = reference["box"]
        values = self.values[y0:y1, x0:x1][selection]
        self.is_read.release()
        return values

    def close(self):
        self.values = None


@pytest.fixture
def raw(monkeypatch):
    domain = Domain(name="raw", title="", readers={"raw": SimpleNamespace(load=lambda: RawFile)})
    monkeypatch.setattr(references, "discover", lambda: ({"raw": domain}, ()))
    monkeypatch.setattr(references, "_HANDLES", references._Handles())
    RawFile.opened.clear()


@pytest.fixture
def values(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
    (tmp_path / "values.raw").write_bytes(values.tobytes())
    return values


def corpus(tmp_path, reference, **columns):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job-1")
    row = {"uid": "u1", "subject": "s", "kind": "patch", "axes": "YXC", "ref": json.dumps(reference), **columns}
    writer.add(Sample(row, None))
    writer.publish()
    return Corpus(root)


def source(store):
    return store.source(store.row("u1"))


BOX = [5, 10, 25, 40]


def test_a_reader_gives_the_box_and_selections_inside_it(tmp_path, raw, values):
    store = corpus(tmp_path, {"uri": str(tmp_path / "values.raw"), "box": BOX, "reader": "raw"})
    expected = values[5:25, 10:40]
    np.testing.assert_array_equal(source(store).array(), expected)
    np.testing.assert_array_equal(source(store).array((slice(3, 7), slice(0, 9))), expected[3:7, :9])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(source(store).encoded()))), expected)
    assert len(RawFile.opened) == 1
    with pytest.raises(CorpusError, match="read it with array"):
        source(store).payload()


@pytest.mark.parametrize("uri", ["../values.raw", "file://{}/values.raw"])
def test_places_may_be_relative_or_file_uris(tmp_path, raw, values, uri):
    store = corpus(tmp_path, {"uri": uri.format(tmp_path), "box": BOX, "reader": "raw"})
    np.testing.assert_array_equal(source(store).array(), values[5:25, 10:40])


def test_a_hidden_name_is_found_through_the_key_map_alone(tmp_path, raw, values, monkeypatch):
    key_map = KeyMap(tmp_path / "corpus.sources.parquet")
    key_map.remember("0123", str(tmp_path / "values.raw"))
    key_map.save()
    store = corpus(tmp_path, {"uri": "source:0123", "box": BOX, "reader": "raw"})
    np.testing.assert_array_equal(source(store).array(), values[5:25, 10:40])
    elsewhere = tmp_path / "safe" / "keys.parquet"
    elsewhere.parent.mkdir()
    key_map.path.rename(elsewhere)
    with pytest.raises(CorpusError, match="VOXTILE_KEY_FILE"):
        source(store).array()
    monkeypatch.setenv("VOXTILE_KEY_FILE", str(elsewhere))
    np.testing.assert_array_equal(source(store).array(), values[5:25, 10:40])


def test_a_reader_that_no_domain_has_is_named(tmp_path, raw, values):
    store = corpus(tmp_path, {"uri": str(tmp_path / "values.raw"), "box": BOX, "reader": "wsi"})
    with pytest.raises(CorpusError, match="no installed domain reads 'wsi'"):
        source(store).array()


def test_a_file_that_is_gone_or_changed_is_refused_and_verify_says_so_once(tmp_path, raw, values):
    path = tmp_path / "values.raw"
    size, edges = file_edges(path)
    reference = {"uri": str(path), "box": BOX, "reader": "raw", "bytes": size, "edges": edges}
    store = corpus(tmp_path, reference)
    writer = JobWriter(store.roots[0], "job-2")
    row = {"uid": "u2", "subject": "s", "kind": "patch", "axes": "YXC", "ref": json.dumps(reference)}
    writer.add(Sample(row, None))
    writer.publish()
    assert not verify(store.roots[0]).problems
    path.write_bytes(values[::-1].tobytes())
    assert ["has changed" in str(problem) for problem in verify(store.roots[0]).problems] == [True]
    with pytest.raises(CorpusError, match="has changed; put the old one back"):
        source(store).array()
    path.write_bytes(b"short")
    with pytest.raises(CorpusError, match="has 5 bytes instead of 6000"):
        source(store).array()
    path.unlink()
    with pytest.raises(CorpusError, match="cannot be read; put it back"):
        source(store).array()
    assert len(verify(store.roots[0]).problems) == 1


def test_a_file_is_read_by_one_thread_at_a_time_and_a_fork_opens_its_own(tmp_path, raw, values):
    store = corpus(tmp_path, {"uri": str(tmp_path / "values.raw"), "box": BOX, "reader": "raw"})
    found = []
    threads = [threading.Thread(target=lambda: found.append(source(store).array())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    child = os.fork()
    if child == 0:
        source(store).array()
        os._exit(0 if RawFile.opened[-1] == os.getpid() else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_few_files_stay_open_and_closed_ones_open_again(tmp_path, raw, values):
    (tmp_path / "corpus").mkdir()
    for number in range(references.MAX_OPEN + 2):
        (tmp_path / f"{number}.raw").write_bytes(values.tobytes())
    rows = [
        {"uid": "u", "ref": json.dumps({"uri": f"../{number}.raw", "box": BOX, "reader": "raw"})}
        for number in range(references.MAX_OPEN + 2)
    ]
    for row in [*rows, rows[0]]:
        np.testing.assert_array_equal(references.read_reference(tmp_path / "corpus", row, ()), values[5:25, 10:40])
    assert len(RawFile.opened) == len(rows) + 1
    assert len(references._HANDLES._open) == references.MAX_OPEN


def test_a_picture_needs_no_reader(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, SHAPE, dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    store = corpus(tmp_path, {"uri": "../picture.png", "box": BOX})
    np.testing.assert_array_equal(source(store).array((slice(0, 4),)), pixels[5:9, 10:40])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(source(store).encoded()))), pixels[5:25, 10:40])
