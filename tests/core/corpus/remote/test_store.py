"""Requests to a store: how long they are made again, what time they have, and what of the environment is refused."""

import asyncio
import hashlib
import json
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from commands_here import run_here
from object_stores import BUCKET, answer, pixels, proxy

from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote import stores
from voxtile.corpus.remote.address import Address
from voxtile.corpus.remote.objects import identity_unknown
from voxtile.corpus.remote.stores import Store
from voxtile.errors import ConfigError, CorpusError

AWAY = answer(b"503 Slow Down", b"")


@pytest.fixture
def quick(monkeypatch):
    """Each request is made by obstore once, and the pauses are short."""
    monkeypatch.setattr(stores, "_RETRIES", {**stores._RETRIES, "max_retries": 0})
    monkeypatch.setattr(stores, "ATTEMPTS", 2)
    monkeypatch.setattr(stores, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(stores, "_LONGEST_PAUSE_S", 0.01)


def header(store):
    return asyncio.run(store.read("corpus.json", identity_unknown()))[0]


@pytest.mark.parametrize(("patience", "requests"), [("60", 9), ("0", 4)])
def test_a_store_that_has_answered_is_waited_for(
    any_server, place, uploaded, local_corpus, quick, monkeypatch, patience, requests
):
    monkeypatch.setenv("VOXTILE_REMOTE_PATIENCE_S", patience)
    prefix, away = uploaded(any_server), iter([None, None, *[AWAY] * 6])
    with proxy(any_server, answer=lambda path: next(away, None)) as restarting:
        store = Store(Address(place(any_server, prefix, restarting)))
        assert header(store) == header(store)
        if patience == "0":
            with pytest.raises(CorpusError, match="cannot be read"):
                header(store)
        else:
            assert header(store) == (local_corpus / "corpus.json").read_bytes()
    assert restarting.requests == requests


@pytest.mark.parametrize("said", [AWAY, answer(b"416 Range Not Satisfiable", b"")])
def test_an_address_that_never_answered_and_a_refusal_are_not_waited_for(any_server, place, uploaded, quick, said):
    with proxy(any_server, answer=lambda path: said) as gone:
        store = Store(Address(place(any_server, uploaded(any_server), gone)))
        store._has_answered = said is not AWAY
        with pytest.raises(CorpusError, match="check the network and the address"):
            header(store)
    assert gone.requests == 2


@pytest.mark.parametrize("over_web", [False, True])
def test_a_server_that_gives_whole_files_alone_is_told_at_once(servers, place, uploaded, local_corpus, over_web):
    server = servers("moto")
    prefix, shard = uploaded(server), (local_corpus / "shards/job-0.tar").read_bytes()
    whole = answer(b"200 OK\r\nLast-Modified: Tue, 01 Dec 2020 00:00:00 GMT", shard)
    with proxy(server, answer=lambda path: whole if "job-0.tar" in path else None) as simple:
        place(server, prefix, simple)
        corpus = Corpus(f"{simple.url}/{BUCKET}/{prefix}" if over_web else f"s3://{BUCKET}/{prefix}")
        with pytest.raises(CorpusError, match="answers with whole files where parts"):
            pixels(corpus)
    assert not over_web or sum("job-0.tar" in path for path in simple.paths) <= 2


def test_a_server_that_answers_with_a_page_for_what_is_not_there_is_told(servers, place, uploaded):
    server = servers("moto")
    prefix, page = uploaded(server), answer(b"200 OK", b"<html>Our application</html>")
    with proxy(server, answer=lambda path: page if "/0002.json" in path else None) as site:
        place(server, prefix, site)
        with pytest.raises(CorpusError, match=r"'manifests/0002.json' .* a server must answer 404"):
            Corpus(f"{site.url}/{BUCKET}/{prefix}")


def test_what_is_behind_a_request_that_fails_is_told(any_server, place, quick):
    place(any_server, "nothing")
    port = any_server.url.rpartition(":")[2]
    for url, said in [
        (f"https://127.0.0.1:{port}/ct", "it does not speak TLS at that port"),
        ("https://nosuch.invalid/ct", "there is no host of that name"),
        ("http://127.0.0.1:9/ct", "nothing listens there"),
    ]:
        with pytest.raises(CorpusError, match=said):
            header(Store(Address(url)))


def test_a_certificate_that_is_not_trusted_is_told(any_server, place, quick, tmp_path):
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    made += ["-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "key", "-out", tmp_path / "certificate"]
    if shutil.which("openssl") is None or subprocess.run(made, capture_output=True).returncode:
        pytest.skip("openssl makes no certificate here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    place(any_server, "nothing")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(CorpusError, match=r"its certificate is not trusted here: .* SSL_CERT_FILE"):
            header(Store(Address(f"https://localhost:{server.server_port}/ct")))
        server.shutdown()


@pytest.mark.parametrize("patience", ["soon", "-1", "nan", "inf"])
def test_a_patience_that_is_none_is_refused(any_server, place, uploaded, quick, monkeypatch, patience):
    monkeypatch.setenv("VOXTILE_REMOTE_PATIENCE_S", patience)
    with proxy(any_server, answer=lambda path: AWAY) as gone:
        store = Store(Address(place(any_server, uploaded(any_server), gone)))
        store._has_answered = True
        with pytest.raises(ConfigError, match="no number of seconds"):
            header(store)


def test_a_large_file_has_time_to_be_sent(any_server, place, tmp_path, quick, monkeypatch):
    """A shard of 1 GB takes a quarter of an hour where 8 Mbit/s are sent."""
    monkeypatch.setenv("VOXTILE_REMOTE_PATIENCE_S", "0")
    monkeypatch.setattr(stores, "_WRITING_S", 1)
    monkeypatch.setattr(stores, "_SLOWEST", 100_000)
    with proxy(any_server, latency=2.0) as slow:
        store = Store(Address(place(any_server, f"{tmp_path.name}/slow", slow)))
        assert asyncio.run(store.create("shards/large.tar", bytes(1 << 20)))
        with pytest.raises(CorpusError, match="cannot be written to"):
            asyncio.run(store.create("shards/small.tar", b"1"))


def test_the_hash_of_a_large_object_is_taken_in_parts(any_server, place, tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "_PART_BYTES", 1000)
    store = Store(Address(place(any_server, f"{tmp_path.name}/parts")))
    for name, content in (("small", b"1" * 1000), ("large", bytes(range(256)) * 10), ("empty", b"")):
        asyncio.run(store.create(name, content))
        assert asyncio.run(store.digest(name)) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_ENDPOINT_URL", "", "AWS_ENDPOINT_URL is '', which is no address of a store"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:9000", "is '127.0.0.1:9000', which is no address of a store"),
        ("AWS_ENDPOINT_URL_S3", "nothing", "AWS_ENDPOINT_URL_S3 is 'nothing'"),
        ("AWS_ENDPOINT_URL", "me:secret@host", "AWS_ENDPOINT_URL is no address of a store"),
        (
            "AWS_ENDPOINT_URL",
            "http://store.example:9000",
            "that is not encrypted; .* AWS_ALLOW_HTTP=true",
        ),
    ],
)
def test_an_endpoint_that_is_none_or_not_encrypted_is_told(any_server, place, monkeypatch, variable, value, said):
    address = place(any_server, "anything")
    monkeypatch.setenv(variable, value)
    with pytest.raises(CorpusError, match=said) as refused:
        Corpus(address)
    assert "secret" not in str(refused.value)


def test_a_store_that_only_the_name_for_s3_gives_is_another_corpus(any_server, place, uploaded, monkeypatch):
    address = Address(place(any_server, uploaded(any_server)))
    here = address.id
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", any_server.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert Corpus(address.url).table("samples").num_rows
    assert address.id == here
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    assert address.id != here


def test_a_clock_that_is_wrong_is_told_from_rights(any_server, place, uploaded):
    skewed = answer(b"403 Forbidden", b"<Error><Code>RequestTimeTooSkewed</Code></Error>")
    with proxy(any_server, answer=lambda path: skewed) as store:
        address = place(any_server, uploaded(any_server), store)
        with pytest.raises(CorpusError, match="set this machine's clock"):
            Corpus(address)


@pytest.mark.parametrize("name", ["a%20b", "100%", "%2e%2e", "kö rper"])
def test_a_prefix_is_taken_as_it_is_written(servers, place, tmp_path, local_corpus, name):
    address = place(servers("moto"), f"{tmp_path.name}/{name}")
    assert run_here("push", local_corpus, address).returncode == 0
    stored = servers("moto").client.get_object(Bucket=BUCKET, Key=f"{tmp_path.name}/{name}/corpus.json")
    assert stored["Body"].read() == (local_corpus / "corpus.json").read_bytes()
    assert Corpus(address).table("samples").equals(Corpus(local_corpus).table("samples"))


def test_a_list_that_is_a_page_to_log_in_is_no_empty_corpus(any_server, place, uploaded):
    page = answer(b"200 OK", b"<html>Log in</html>")
    with proxy(any_server, answer=lambda path: page if "list-type" in path else None) as hotel:
        address = place(any_server, uploaded(any_server), hotel)
        with pytest.raises(CorpusError, match=r"lacks corpus.json, which is there; .* a page to log in"):
            Corpus(address)


def test_a_cache_that_cannot_be_made_is_not_blamed_on_the_corpus(any_server, place, uploaded, monkeypatch):
    address = place(any_server, uploaded(any_server))
    monkeypatch.setenv("VOXTILE_CACHE", "/proc/nobody")
    with pytest.raises(CorpusError, match=r"the disk of the cache .* cannot be written to"):
        Corpus(address)


@pytest.mark.parametrize("address", ["S3://bucket/ct", "az://bucket/ct", "file:///tmp/ct", "gcs:/bucket/ct"])
def test_addresses_of_other_kinds_are_refused_and_no_folders(address, tmp_path, monkeypatch, local_corpus):
    monkeypatch.chdir(tmp_path)
    for words in (["inspect", address], ["embed", local_corpus, "timm:resnet18", "--out", address]):
        ran = run_here(*words)
        assert ran.returncode == 2
        assert "begins no address of a corpus; corpora are in folders and at s3://" in " ".join(ran.stderr.split())
    assert not list(tmp_path.iterdir())


def test_outputs_are_not_written_to_a_folder_that_is_called_as_a_store(tmp_path, monkeypatch, local_corpus):
    monkeypatch.chdir(tmp_path)
    for words in (
        ["card", local_corpus, "s3://bucket/card"],
        ["inspect", local_corpus, "--html", "s3://bucket/a.html"],
    ):
        ran = run_here(*words)
        assert ran.returncode == 2
        assert "lies in a store; name a folder or a file here" in " ".join(ran.stderr.split())
    assert not list(tmp_path.iterdir())


def test_a_card_names_the_corpus_by_its_address(any_server, place, uploaded, tmp_path):
    address = place(any_server, uploaded(any_server))
    ran = run_here("card", address, tmp_path / "card", "--name", "noise", "--creator", "tests")
    assert ran.returncode == 0, ran.stderr
    files = json.loads((tmp_path / "card/croissant.json").read_text())["distribution"]
    assert {one["contentUrl"] for one in files if "contentUrl" in one} == {address}
