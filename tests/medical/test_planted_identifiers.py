"""Planted identifiers through the commands: in no byte of a corpus, its pages, card, files and WebDataset.

The whole of it, 40 objects, is `python benchmarks/deidentification/leaks.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "deidentification"


@pytest.fixture
def leaks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARK))
    import leaks

    yield leaks
    for name in ("leaks", "planted", "score"):
        sys.modules.pop(name, None)


@pytest.mark.cases(1)
@pytest.mark.parametrize("surrogates", [False, True])
def test_nothing_planted_is_in_any_byte_that_comes_out(tmp_path, leaks, surrogates):
    planted = leaks.write_objects(tmp_path / "source", 1 + surrogates)
    assert planted.number > 4000
    leaks.run(tmp_path / "source", tmp_path / "out", surrogates=surrogates)
    found, nbytes, files = leaks.search(tmp_path / "out", planted.needles())
    assert sorted(found) == []
    assert nbytes > 100_000
    assert files > 15
    (text, *_) = Corpus(tmp_path / "out" / "corpus").table("captions")["text"].to_pylist()
    assert "Nodule of 12 mm in the left lower lobe. No pleural effusion." in text
    regions = Corpus(tmp_path / "out" / "corpus").table("regions")["phrase"].to_pylist()
    assert regions == (["Liver"] if surrogates else [])


def test_the_search_finds_what_is_not_hidden(tmp_path, leaks):
    planted = leaks.write_objects(tmp_path / "source", 1)
    options = ["--reports", str(tmp_path / "reports.csv"), "--no-deidentify", "--engine", "inline"]
    assert main(["convert", "dicom", str(tmp_path / "source"), str(tmp_path / "corpus"), *options]) == 0
    found = leaks.search(tmp_path / "corpus", planted.needles())[0]
    assert {b"zqfolder00", b"2017-09-23", "müller-lüdenscheidt".encode(), b"zq00100020x00", b"(555) 0100-7700"} <= found


def test_the_search_opens_what_it_searches(tmp_path, leaks):
    import gzip
    import io
    import json
    import tarfile

    import blosc2
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    needles = [f"needle-{k}".encode() for k in range(6)]
    array = blosc2.asarray(np.frombuffer(needles[0] * 999, np.uint8), cparams={"clevel": 9}).to_cframe()
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("x.b2nd")
        member.size = len(array)
        archive.addfile(member, io.BytesIO(array))
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"x" * 99 + needles[1] + b"x" * 99))
    pq.write_table(pa.table({"a": [needles[2].decode() * 99]}), tmp_path / "a.parquet", compression="zstd")
    (tmp_path / "a.json").write_text(json.dumps("é" + needles[3].decode()).replace("n", "\\u006e"))
    (tmp_path / "a.html").write_text(needles[4].decode().replace("-", "&#45;"))
    (tmp_path / needles[5].decode()).mkdir()
    assert leaks.search(tmp_path, needles)[0] == set(needles)
