"""SIGKILL to the process group at random moments of a conversion: after resuming, every byte is as undisturbed."""

import hashlib
import os
import random
import signal
import time

import numpy as np
import pytest
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.stages.verify.corpus import verify

PICTURES = 60


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Sixty small pictures in two class folders, one of them twice."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for index in range(PICTURES):
        path = folder / ("cat" if index % 2 else "dog") / f"{index:03}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    (folder / "dog" / "copy.png").write_bytes((folder / "dog" / "000.png").read_bytes())
    return folder


@pytest.fixture
def nursery(make_nursery):
    imports = "import voxtile.cli.options, voxtile_datasets.converters.image\nfrom voxtile.cli.main import main"
    return make_nursery(imports, "main(argv)")


def _start(nursery, pictures, corpus, workers):
    options = ["--workers", workers, "--job-items", 2]
    return nursery.start(pictures, ["convert", "image", pictures, corpus, *options])


def _finish(nursery, pictures, corpus, workers):
    _start(nursery, pictures, corpus, workers)
    assert nursery.wait() == 0, nursery.said()


def _bytes(corpus):
    parts = [path for name in ("shards", "tables", "ledger", "done") for path in (corpus / name).rglob("*")]
    return {
        str(path.relative_to(corpus)): hashlib.sha256(path.read_bytes()).hexdigest() for path in parts if path.is_file()
    }


def _check_what_is_visible(corpus):
    """Whatever moment the kill hit, what a reader sees is whole."""
    if not (corpus / "corpus.json").is_file():
        return
    reader = Corpus(corpus)
    rows = reader.table("samples").to_pylist()
    for row in rows:
        with (corpus / row["shard"]).open("rb") as shard:
            shard.seek(row["offset"])
            assert hashlib.sha256(shard.read(row["nbytes"])).hexdigest() == row["sha256"]
    ledger = reader.ledger().to_pylist()
    assert {row["uid"] for row in rows} == {row["uid"] for row in ledger if row["status"] == "used"}


def _kill(nursery, child, corpus, rng):
    """At a random moment: some jobs after the start, and up to 50 ms later or in the middle of a commit."""
    done = corpus / "done"
    target = len(list(done.glob("*.json"))) + rng.randint(0, 3)
    in_commit = rng.random() < 0.5
    while nursery.is_running(child) and len(list(done.glob("*.json"))) < target:
        time.sleep(0.0005)
    patience = time.monotonic() + (2.0 if in_commit else rng.uniform(0.0, 0.05))
    while nursery.is_running(child) and time.monotonic() < patience:
        if in_commit and any(done.glob("*.pending")):
            break
        time.sleep(0.0002)
    if nursery.is_running(child):
        os.killpg(child, signal.SIGKILL)
    return nursery.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [4, pytest.param(10, marks=pytest.mark.sweep)])
def test_a_conversion_killed_some_times_is_byte_identical(wanted, nursery, pictures, tmp_path):
    _finish(nursery, pictures, tmp_path / "undisturbed", workers=2)
    expected = _bytes(tmp_path / "undisturbed")
    _finish(nursery, pictures, tmp_path / "three", workers=3)
    assert _bytes(tmp_path / "three") == expected

    rng = random.Random(2)
    kills = finished = 0
    corpus = tmp_path / "killed-0"
    while kills < wanted:
        if _kill(nursery, _start(nursery, pictures, corpus, rng.randint(1, 3)), corpus, rng):
            kills += 1
            _check_what_is_visible(corpus)
        else:  # it was through before the moment came: start over with an empty corpus
            assert _bytes(corpus) == expected
            finished += 1
            corpus = tmp_path / f"killed-{finished}"
    _finish(nursery, pictures, corpus, workers=2)
    assert _bytes(corpus) == expected
    assert not verify(corpus).problems
    samples = Corpus(corpus).table("samples")
    assert len(samples) == PICTURES
