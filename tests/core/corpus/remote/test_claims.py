"""Samples that a push claims in a store: nobody else's until it has put them, or until its claim is released."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from commands_here import run_here
from object_stores import proxy
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote.payloads import see_anew
from voxtile.corpus.schema import TABLES
from voxtile.errors import ConfigError, CorpusError
from voxtile.stages import claims, push
from voxtile.stages.push import push_corpus


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two corpora of the same picture, by runs with other options."""
    folder = tmp_path_factory.mktemp("made")
    noise = np.random.default_rng(1).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    (folder / "in").mkdir()
    Image.fromarray(noise).save(folder / "in/1.png")
    for name in ("one", "other"):
        ran = run_here("convert", "image", folder / "in", folder / name, "--licence", name, "--engine", "inline")
        assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture
def network(servers):
    with proxy(servers("moto")) as network:
        yield network


@pytest.fixture
def address(servers, place, network, tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "_ABOUT_TO_PUT_S", 0)
    return place(servers("moto"), f"{tmp_path.name}/corpus", network)


def stopped(network, corpus, address):
    """A push that ends after the header, its condition, what it brings, the claim and the announcement."""
    left, refused = iter(range(5)), b"<Error><Code>ExpiredToken</Code></Error>"
    refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
    network.answer_put = lambda: None if next(left, None) is not None else refusal % (len(refused), refused)
    with pytest.raises(CorpusError, match="have expired"):
        push_corpus(corpus, address)
    network.answer_put = lambda: None


def assert_holds(address, folder):
    see_anew()
    remote, local = Corpus(address), Corpus(folder)
    for name in TABLES:
        found = [
            sorted(json.dumps(row, sort_keys=True, default=str) for row in corpus.table(name).to_pylist())
            for corpus in (remote, local)
        ]
        assert found[0] == found[1], name


def test_what_a_push_claims_nobody_else_puts_until_it_goes_on(network, address, made):
    stopped(network, made / "one", address)
    with pytest.raises(CorpusError, match=r"given 1 samples of '.*other' .* \(process \d+ on .* since 20"):
        push_corpus(made / "other", address, release_claims=1)
    push_corpus(made / "one", address)
    assert_holds(address, made / "one")


def test_what_a_push_claimed_that_never_goes_on_is_released(network, address, made, capsys):
    stopped(network, made / "one", address)
    with pytest.raises(CorpusError, match="just now given"):
        push_corpus(made / "other", address, release_claims=0, dry_run=True)
    assert "claimed would be free" in " ".join(capsys.readouterr().err.split())
    push_corpus(made / "other", address, release_claims=0)
    assert re.search(r"what process \d+ on .* since 20.* claimed is free", " ".join(capsys.readouterr().err.split()))
    with pytest.raises(CorpusError, match=r"has 1 samples of '.*one' from another run"):
        push_corpus(made / "one", address, release_claims=0)
    assert_holds(address, made / "other")
    with pytest.raises(ConfigError, match="0 or more, not -1"):
        push_corpus(made / "one", address, release_claims=-1)


def test_a_push_whose_claim_was_released_lets_no_job_count(address, made, monkeypatch):
    """It stood still behind its claim; another one took it for ended, and put the same sample."""
    real, others = push._Push._announce, [made / "other"]

    def late(self, record):
        if others:
            push_corpus(others.pop(), address, release_claims=0)
        real(self, record)

    monkeypatch.setattr(push._Push, "_announce", late)
    with pytest.raises(CorpusError, match=r"took this one into .* for ended"):
        push_corpus(made / "one", address)
    assert_holds(address, made / "other")


def test_claims_of_before_say_neither_who_nor_when_and_are_released(network, address, made, monkeypatch):
    with monkeypatch.context() as before:
        real = json.dumps
        before.setattr(claims, "json", SimpleNamespace(dumps=lambda said, **how: real({"open": said["open"]}, **how)))
        stopped(network, made / "one", address)
    with pytest.raises(CorpusError, match="a push that did not say whose it is"):
        push_corpus(made / "other", address)
    push_corpus(made / "other", address, release_claims=1000)
    assert_holds(address, made / "other")
