"""What fails on the way is asked for again or told in one sentence; nothing is lost, and nothing is read wrong."""

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from object_stores import BUCKET, DENIED, answer, assert_same, has_server, pixels, proxy

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote.payloads import see_anew
from voxtile.errors import CorpusError

EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"


def run(script, *arguments, limit=""):
    """A process of its own, perhaps with a limit of the shell."""
    command = [sys.executable, "-P", "-c", script, *arguments]
    return subprocess.run(["bash", "-c", f'{limit} exec "$@"', "-", *command], capture_output=True, text=True)


READ_ALL = """
import sys
from voxtile.corpus.reader import Corpus
from voxtile.errors import VoxtileError
try:
    corpus = Corpus(sys.argv[1])
    print(sum(int(corpus.source(row).array().sum()) for row in corpus.table("samples").to_pylist()))
except VoxtileError as error:
    print(error)
"""


@pytest.mark.parametrize("share", [0.05, 0.4])
def test_requests_that_fail_are_made_again(any_server, place, uploaded, local_corpus, share):
    with proxy(any_server, faults=("reset", "503", "cut"), share=share) as bad:
        remote = Corpus(place(any_server, uploaded(any_server), bad))
        for _ in range(1 if share > 0.1 else 6):  # until some have failed
            assert_same(pixels(remote), pixels(Corpus(local_corpus)))
            for blocks in (remote.roots[0].parent / "blocks").iterdir():
                blocks.unlink()
    assert bad.failed > 0


def test_a_bucket_that_may_not_be_read_is_named_with_what_gives_rights(any_server, place, uploaded, monkeypatch):
    with proxy(any_server, answer=lambda path: answer(b"403 Forbidden", DENIED)) as closed:
        address = place(any_server, uploaded(any_server), closed)
        with pytest.raises(CorpusError, match=r"may not be read with these rights; .*AWS_ACCESS_KEY_ID") as refused:
            Corpus(address)
    assert address in str(refused.value)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("list-type=2", r"corpus' may not be listed with these rights; .*AWS_ACCESS_KEY_ID"),
        ("/tables/samples/", r"/tables/samples/job-\d.parquet' may not be read with these rights"),
        (".tar", r"/shards/job-\d.tar' may not be read with these rights"),
    ],
)
def test_each_right_that_lacks_is_named_with_where(any_server, place, uploaded, part, said):
    with proxy(any_server, answer=lambda path: answer(b"403 Forbidden", DENIED) if part in path else None) as closed:
        address = place(any_server, uploaded(any_server), closed)
        with pytest.raises(CorpusError, match=said):
            pixels(Corpus(address))


class _Renewing(BaseHTTPRequestHandler):
    """Gives other credentials at each question, which expire at once, as a container's own server does."""

    def do_GET(self):
        self.server.given += 1
        until = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = {"AccessKeyId": f"KEY{self.server.given}", "SecretAccessKey": "secret", "Token": "token"}
        body = json.dumps({**keys, "Expiration": until}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def test_credentials_that_their_giver_renews_are_renewed_in_mid_run(
    servers, place, uploaded, local_corpus, monkeypatch, tmp_path
):
    (tmp_path / "token").write_text("token")
    server = servers("moto")  # takes any key
    with HTTPServer(("127.0.0.1", 0), _Renewing) as giver, proxy(server) as network:
        giver.given = 0
        threading.Thread(target=giver.serve_forever, daemon=True).start()
        address = place(server, uploaded(server), network)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{giver.server_port}/keys")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
        assert_same(pixels(Corpus(address)), pixels(Corpus(local_corpus)))
        giver.shutdown()
    assert network.keys[0].startswith("KEY")
    assert len(set(network.keys)) > 1


@pytest.mark.skipif(not has_server("s3rver"), reason="only s3rver checks who asks")
def test_wrong_credentials_are_refused_and_not_told(servers, place, uploaded, monkeypatch):
    server = servers("s3rver")
    address = place(server, uploaded(server))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(CorpusError, match="may not be read with these rights") as refused:
        Corpus(address)
    assert "not-the-secret" not in str(refused.value)


def test_credentials_that_expire_end_the_run_in_a_sentence_and_new_ones_go_on(
    any_server, place, uploaded, local_corpus
):
    wanted = pixels(Corpus(local_corpus))
    with proxy(any_server) as store:
        address = place(any_server, uploaded(any_server), store)
        remote = Corpus(address)
        first, *_, last = remote.table("samples").to_pylist()
        remote.source(first).array()
        store.answer = lambda path: answer(b"400 Bad Request", EXPIRED)
        with pytest.raises(CorpusError, match=r"credentials .* have expired; renew them and run the same"):
            remote.source(last).array()
        store.answer = None
        see_anew()
        assert_same(pixels(Corpus(address)), wanted)


def test_a_shard_that_changes_under_a_reader_is_noticed(server, place, uploaded, local_corpus):
    prefix = uploaded(server)
    remote = Corpus(place(server, prefix))
    first, *_, last = remote.table("samples").to_pylist()
    assert first["shard"] != last["shard"]
    remote.source(first).array()
    for shard in local_corpus.glob("shards/*.tar"):
        content = bytearray(shard.read_bytes())
        content[last["offset"] + 4000] ^= 1
        server.client.put_object(Bucket=BUCKET, Key=f"{prefix}/shards/{shard.name}", Body=bytes(content))
    with pytest.raises(CorpusError, match="is not what it was when the corpus was opened"):
        remote.source(last).array()
    see_anew()  # a run that starts now sees the new one, and that its bytes are not those of the corpus
    with pytest.raises(CorpusError, match="differ from their checksum"):
        pixels(Corpus(remote_address(prefix)))


def remote_address(prefix):
    return f"s3://{BUCKET}/{prefix}"


def test_a_store_that_answers_with_other_bytes_gives_no_other_values(any_server, place, uploaded):
    """As Ceph's radosgw 18.2.7 does over its dbstore: the right number of bytes, from another place."""

    def lie(path):
        return answer(b"206 Partial Content\r\nContent-Range: bytes 0-9/10", b"0123456789") if ".tar" in path else None

    with proxy(any_server, answer=lie) as liar:
        remote = Corpus(place(any_server, uploaded(any_server), liar))
        with pytest.raises(CorpusError):
            pixels(remote)


def test_a_table_that_is_not_as_recorded_is_not_read(any_server, place, uploaded):
    def change(folder):
        for part in (folder / "tables/captions").iterdir():
            part.write_bytes(part.read_bytes()[:-1] + b"2")

    address = place(any_server, uploaded(any_server, change))
    with pytest.raises(CorpusError, match=r"tables/captions/job-\d.parquet' is not as the corpus records it"):
        Corpus(address)


def test_a_corpus_of_a_newer_version_is_refused_before_anything_else_is_read(any_server, place, uploaded):
    def change(folder):
        (folder / "corpus.json").write_text(json.dumps({"format": "voxtile-corpus", "schema": "99.0"}))

    with proxy(any_server) as store:
        address = place(any_server, uploaded(any_server, change), store)
        with pytest.raises(CorpusError, match=r"schema version 99.0.*upgrade it"):
            Corpus(address)
    assert [path.rpartition("/")[2] for path in store.paths] == ["corpus.json"]


def test_what_is_no_corpus_is_said(any_server, place):
    with pytest.raises(CorpusError, match=r"'s3://data/nothing/here' is not a corpus \(it has no corpus.json\)"):
        Corpus(place(any_server, "nothing/here"))


def test_a_bucket_that_does_not_exist_is_told_from_one_without_a_corpus(any_server, place, capsys):
    place(any_server, "nothing")
    assert main(["inspect", "s3://nobodys-bucket/corpus"]) == 2
    assert "the store has no bucket 's3://nobodys-bucket'; check its name" in " ".join(capsys.readouterr().err.split())


def test_a_disk_that_fills_ends_in_a_sentence(any_server, place, uploaded, local_corpus):
    address = place(any_server, uploaded(any_server))
    size = sum(path.stat().st_size for path in local_corpus.glob("shards/*.tar"))
    kilobytes = size // 4096  # each of two shards takes twice as much
    full = run(READ_ALL, address, limit=f"ulimit -f {kilobytes};")
    assert "the disk of the cache of remote corpora" in full.stdout, full.stderr
    assert "is full; free space there" in full.stdout
    whole = run(READ_ALL, address)
    assert int(whole.stdout) == sum(int(a.sum()) for a in pixels(Corpus(local_corpus)).values())


def test_a_cache_that_cannot_hold_a_sample_says_so(any_server, place, uploaded, monkeypatch):
    monkeypatch.setenv("VOXTILE_REMOTE_CACHE_GB", "0.00001")
    with pytest.raises(CorpusError, match=r"raise VOXTILE_REMOTE_CACHE_GB"):
        pixels(Corpus(place(any_server, uploaded(any_server))))


@pytest.mark.parametrize("limit", ["none", "-1", "0", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(any_server, place, uploaded, monkeypatch, limit):
    monkeypatch.setenv("VOXTILE_REMOTE_CACHE_GB", limit)
    with pytest.raises(CorpusError, match="no number of gigabytes"):
        Corpus(place(any_server, uploaded(any_server)))


def test_what_a_server_names_is_written_inside_the_mirror_alone(servers, place, uploaded, tmp_path):
    def change(folder):
        manifest = json.loads((folder / "manifests/0001.json").read_text())
        del manifest["sha256"]  # of its own bytes
        entry = {"sha256": "0" * 64, "bytes": 5}
        manifest["files"] |= {"../../../escaped.json": entry, "tables/x/../../../../escaped.parquet": entry}
        (folder / "manifests/0001.json").write_text(json.dumps(manifest))

    server = servers("moto")
    prefix = uploaded(server, change)
    place(server, prefix)
    remote = Corpus(f"{server.url}/{BUCKET}/{prefix}")  # over the web the names come from the manifest
    assert remote.table("samples").num_rows
    assert not list(tmp_path.rglob("escaped*"))
    kept = {path.suffix for path in Path(remote.roots[0]).rglob("*") if path.is_file()}
    assert kept == {".json", ".parquet"}


def test_a_fetcher_that_is_killed_is_started_again(any_server, place, uploaded, local_corpus):
    import os
    import signal

    import psutil

    remote = Corpus(place(any_server, uploaded(any_server)))
    for child in psutil.Process().children():
        if "voxtile.corpus.remote.fetcher" in " ".join(child.cmdline()):
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
    assert_same(pixels(remote), pixels(Corpus(local_corpus)))
