"""What a corpus calls a picture is opened as JPEG or PNG, and never handed to a program that draws what it says."""

import io
import os
import stat

import pytest
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.source import StoredSample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import CorpusError
from voxtile_datasets.captions.context.picture import shown

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n"


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A file that a `gs` of ours makes where it is called."""
    trace = tmp_path / "drawn"
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gs"
    program.write_text(f"#!/bin/sh\ntouch {trace}\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return trace


def test_no_program_draws_what_a_corpus_holds(tmp_path, drawn, monkeypatch):
    root = tmp_path / "corpus"
    new_corpus(root)
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    work = JobWriter(root, "job")
    work.add(Sample({"uid": "0" * 32, "subject": "s", "kind": "image", "axes": "YXC"}, stream.getvalue()))
    work.publish()
    monkeypatch.setattr(StoredSample, "payload", lambda _: EPS)  # as a stranger's writer would store it, hashes and all
    opened = Corpus(root)
    source = opened.source(opened.table("samples").to_pylist()[0])
    with pytest.raises(CorpusError, match="neither JPEG nor PNG"):
        source.encoded()
    with pytest.raises(OSError, match="cannot identify"):
        shown(EPS)
    assert not drawn.exists()
