"""Texts that `--replace-reports` replaced in a folder, and a store that has them as they were, or gets them."""

from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from commands_here import run_here
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote.payloads import see_anew
from voxtile.stages.verify.command import verify_corpus


@pytest.fixture
def corpus(tmp_path):
    """Two pictures with a report each, by two runs."""
    for n, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        noise = np.random.default_rng(n).integers(0, 255, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / name / f"{name}.png")
        ran = convert(tmp_path, name, tmp_path / "corpus", f"Old {name}.")
        assert ran.returncode == 0, ran.stderr
    return tmp_path / "corpus"


def convert(folder, name, corpus, text, *words):
    table = folder / f"{name}.csv"
    table.write_text(f"file,text\n{name}.png,{text}\n")
    return run_here("convert", "image", folder / name, corpus, "--reports", table, "--engine", "inline", *words)


def replace(corpus, text="New a."):
    ran = convert(corpus.parent, "a", corpus, text, "--replace-reports")
    assert ran.returncode == 0, ran.stderr


@pytest.fixture
def address(servers, place, tmp_path):
    return place(servers("moto"), f"{tmp_path.name}-{uuid4().hex}/corpus")


def push(corpus, address, *, refused=""):
    ran = run_here("push", corpus, address)
    assert (ran.returncode == 0) is not bool(refused)
    assert refused in " ".join(ran.stderr.split())


def texts(corpus):
    see_anew()
    return sorted(row["text"] for row in Corpus(corpus).table("captions").to_pylist())


def test_a_store_keeps_the_texts_that_it_has(corpus, address):
    push(corpus, address)
    replace(corpus)
    push(corpus, address, refused="as it was before its rows were replaced")
    assert texts(address) == ["Old a.", "Old b."]
    for _ in range(2):
        push(corpus, f"{address}-2")
    assert texts(f"{address}-2") == ["New a.", "Old b."]


def test_texts_that_were_replaced_beside_packed_ones_are_pushed_with_them(corpus, address):
    assert run_here("compact", corpus).returncode == 0
    replace(corpus)
    for _ in range(2):
        push(corpus, address)
    assert texts(address) == ["New a.", "Old b."]
    verify_corpus(Path(address))
    replace(corpus, "Newer a.")
    push(corpus, address, refused="as it was before its rows were replaced")
    assert texts(address) == ["New a.", "Old b."]


def test_nothing_is_replaced_by_a_conversion_into_a_store(corpus, address):
    push(corpus, address)
    keys = ("--key-file", f"{corpus}.sources.parquet")
    ran = convert(corpus.parent, "a", address, "New a.", "--replace-reports", *keys)
    assert ran.returncode == 2
    assert "nothing is replaced in a store" in " ".join(ran.stderr.split())
    assert texts(address) == ["Old a.", "Old b."]
