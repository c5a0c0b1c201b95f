"""Stages that add to a corpus in a store: what they wrote on a local copy is there, once, whoever else writes."""

import hashlib
import io
import itertools
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from object_stores import BUCKET, has_server, proxy

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote.payloads import see_anew
from voxtile.corpus.view.view import compile_view
from voxtile.errors import ConfigError
from voxtile.stages.verify.command import verify_corpus

DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(DENIED), DENIED)


@pytest.fixture
def server(servers):
    return servers("moto")  # s3rver passes over conditions


@pytest.fixture
def copy(local_corpus, tmp_path):
    return shutil.copytree(local_corpus, tmp_path / "copy")


def voxtile(*words):
    see_anew()
    assert main([*map(str, words)]) == 0
    see_anew()


def said_of(capsys, *words, worked=False):
    """The sentence with which a command ends that does not succeed, before or after its work."""
    see_anew()
    capsys.readouterr()
    assert main([*map(str, words)]) == 2
    see_anew()
    done, said = capsys.readouterr()
    assert worked is bool(done)
    return " ".join(said.split())


def objects(server, address):
    prefix = address.split("/", 3)[3]
    found = server.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    return {entry["Key"].removeprefix(f"{prefix}/"): entry["ETag"] for entry in found}


def rows(corpus, name):
    unlike = {"created"}
    table = Corpus(corpus).table(name)
    kept = [column for column in table.column_names if column not in unlike]
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in table.select(kept).to_pylist())


CAPTION = ("--engine", "inline")


@pytest.mark.sweep(ci=True)
def test_captions_and_verdicts_are_those_of_a_local_corpus_and_nothing_is_replaced(server, place, uploaded, copy):
    address = place(server, uploaded(server))
    before = objects(server, address)
    for corpus in (address, copy):
        voxtile("caption", "template", corpus, *CAPTION)
        voxtile("check", corpus, *CAPTION)
    for name in ("captions", "verdicts", "facts"):
        assert rows(address, name) == rows(copy, name) != [], name
    after = objects(server, address)
    assert before.items() < after.items()
    voxtile("caption", "template", address, *CAPTION)
    assert objects(server, address) == after  # nothing is left to do
    verify_corpus(Path(address))


def test_a_run_that_stops_while_it_puts_shows_no_half_and_goes_on(server, place, uploaded, copy, capsys):
    with proxy(server) as network:
        address = place(server, uploaded(server), network)
        left = iter(range(3))
        network.answer_put = lambda: None if next(left, None) is not None else REFUSAL
        assert "may not be written to" in said_of(capsys, "caption", "template", address, *CAPTION, worked=True)
        network.answer_put = None
        assert Corpus(address).table("captions").equals(Corpus(copy).table("captions"))
        voxtile("caption", "template", address, *CAPTION)
        assert "from earlier runs" in capsys.readouterr().out
        voxtile("caption", "template", copy, *CAPTION)
        assert rows(address, "captions") == rows(copy, "captions")
        verify_corpus(Path(address))


def test_who_may_read_and_not_write_is_told_before_any_work(server, place, uploaded, capsys):
    with proxy(server) as network:
        address = place(server, uploaded(server), network)
        network.answer_put = lambda: REFUSAL
        said = said_of(capsys, "caption", "template", address, *CAPTION)
    assert f"'{address}/corpus.json' may not be written to with these rights" in said
    assert "AWS_ACCESS_KEY_ID" in said


def written_otherwise(files):
    """The same tables by another version of the library: other bytes, and records of these."""
    hashes = {}
    for name in sorted(files, key=lambda name: (name.startswith("manifests/"), name.startswith("done/"))):
        old = files[name]
        if name.endswith(".parquet"):
            stream = io.BytesIO()
            pq.write_table(pq.read_table(io.BytesIO(old)), stream, compression="gzip")
            files[name] = stream.getvalue()
        elif name.endswith(".json"):
            record = json.loads(old)
            record.pop("sha256", None)  # of a manifest's own bytes
            for file, entry in record["files"].items():
                entry |= hashes.get(file, {})
            files[name] = json.dumps(record).encode()
        hashes[name] = {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}
    return files


@pytest.mark.cases(1)
@pytest.mark.parametrize("differ", [True, False])
def test_of_two_machines_that_do_the_same_one_wins_and_the_other_takes_what_is_there(
    server, place, uploaded, capsys, tmp_path, monkeypatch, differ
):
    winner, prefix = place(server, uploaded(server)), uploaded(server)
    before = objects(server, winner)
    voxtile("caption", "template", winner, *CAPTION)
    kept = rows(winner, "captions")
    new = {name: read(server, winner, name) for name in objects(server, winner).keys() - before.keys()}
    if differ:
        new = written_otherwise(new)
    with proxy(server) as network:
        loser = place(server, prefix, network)
        monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / "second"))
        puts = itertools.count()

        def first_machine_finishes():
            """After the second one has done its work: its first put tries its rights, its second announces its job."""
            if next(puts) == 1:
                for name, body in new.items():
                    server.client.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=body)

        network.answer_put = first_machine_finishes
        if differ:
            said = said_of(capsys, "caption", "template", loser, *CAPTION, worked=True)
            assert "another machine wrote it" in said
            assert "Run the same command again: it takes what is there and adds what is missing" in said
        else:
            voxtile("caption", "template", loser, *CAPTION)
        network.answer_put = None
        assert {name: read(server, loser, name) for name in new} == new  # the winner's, whole
        there = objects(server, loser)
        voxtile("caption", "template", loser, *CAPTION)
        assert objects(server, loser) == there
        assert rows(loser, "captions") == kept
        verify_corpus(Path(loser))


def read(server, address, name):
    return server.client.get_object(Bucket=BUCKET, Key=f"{address.split('/', 3)[3]}/{name}")["Body"].read()


@pytest.mark.skipif(not has_server("s3rver"), reason="of the servers here only s3rver passes over conditions")
def test_a_store_that_passes_over_conditions_is_found_out_before_any_work(servers, place, uploaded, capsys):
    server = servers("s3rver")
    address = place(server, uploaded(server))
    before = objects(server, address)
    said = said_of(capsys, "caption", "template", address, *CAPTION)
    assert "replaces objects where it was asked not to (If-None-Match)" in said
    assert objects(server, address) == before


def test_a_web_server_takes_nothing(server, place, uploaded, capsys):
    prefix = uploaded(server)
    place(server, prefix)
    said = said_of(capsys, "caption", "template", f"{server.url}/{BUCKET}/{prefix}")
    assert "is a web server, which takes no files; name the corpus in its store" in said


def test_views_are_curated_here_and_put_there_once(server, place, uploaded, copy, capsys, tmp_path, monkeypatch):
    prefix = uploaded(server)
    address = place(server, prefix)
    voxtile("curate", address, "--view", "few", "--where", "subject <> 's1'")
    chosen = selected(address)
    assert 0 < len(chosen) < Corpus(address).table("samples").num_rows
    voxtile("push", address, address)
    for name in objects(server, address):
        server.client.put_object_acl(Bucket=BUCKET, Key=f"{prefix}/{name}", ACL="public-read")
    for cache, where in (("listed", address), ("web", f"{server.url}/{BUCKET}/{prefix}")):
        monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / cache))  # another machine
        see_anew()
        assert selected(where) == chosen
        see_anew()
        assert selected(where) == chosen
        with pytest.raises(ConfigError, match="no curated view 'many'"):
            compile_view(Corpus(where), "many")
    voxtile("curate", copy, "--view", "few", "--where", "subject <> 's2'")
    assert "has another view 'few'; curate this one under another name" in said_of(capsys, "push", copy, address)
    voxtile("push", address, address)
    assert selected(address) == chosen


def selected(corpus):
    view = compile_view(Corpus(corpus), "few")
    return sorted(view.entry(row).uid for row in view.rows(None))
