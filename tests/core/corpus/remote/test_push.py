"""`voxtile push`: what two machines write into one corpus is all there once, or the second one is told."""

import csv
import fcntl
import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from commands_here import run_here
from object_stores import BUCKET, proxy
from PIL import Image

from voxtile.corpus.header import corpus_root
from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote.address import draft_marker
from voxtile.corpus.remote.payloads import see_anew
from voxtile.corpus.schema import TABLES
from voxtile.corpus.writer import JobWriter
from voxtile.engine.ray_cluster.connection import connect
from voxtile.errors import ConfigError, CorpusError
from voxtile.stages import push
from voxtile.stages.push import push_corpus
from voxtile.stages.verify.command import verify_corpus


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two corpora of different pictures, by the command on two machines."""
    folder = tmp_path_factory.mktemp("made")
    for name, first in (("one", 0), ("two", 4)):
        source = folder / f"{name}-pictures"
        source.mkdir()
        rows = []
        for n in range(first, first + 4):
            noise = np.random.default_rng(n).integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).save(source / f"{n}.png")
            rows.append([f"{n}.png", f"Noise number {n}."])
        with (source / "texts.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([["path", "text"], *rows])
        voxtile(
            "import",
            "csv",
            source / "texts.csv",
            folder / name,
            "--image-column",
            "path",
            "--text-column",
            "text",
            "--engine",
            "inline",
        )
    return folder


def voxtile(*words):
    ran = run_here(*words)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def address(servers, place, tmp_path):
    return place(servers("moto"), f"{tmp_path.name}-{uuid4().hex}/corpus")


def rows(corpus, name):
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in corpus.table(name).to_pylist())


def assert_holds(address, *folders):
    see_anew()
    remote, local = Corpus(address), Corpus(*folders)
    for name in TABLES:
        assert rows(remote, name) == rows(local, name), name
    for row in remote.table("samples").to_pylist():
        assert remote.source(row).payload()
    verify_corpus(Path(address))


def test_two_machines_push_into_one_corpus(address, made):
    said = json.loads(voxtile("push", made / "one", address, "--json"))
    assert said["jobs"] == 1
    assert_holds(address, made / "one")
    voxtile("push", made / "two", address)
    assert_holds(address, made / "one", made / "two")
    assert json.loads(voxtile("push", made / "two", address, "--json"))["files"] == 0


def test_a_dry_run_copies_nothing(address, made, servers):
    voxtile("push", made / "one", address, "--dry-run")
    prefix = address.split("/", 3)[3]
    assert "Contents" not in servers("moto").client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)


def test_a_file_that_is_not_as_it_was_written_is_not_put(address, made, tmp_path):
    """What a store has stays: a bit that flipped here was there for good, and refused by every reader."""
    corpus = shutil.copytree(made / "one", tmp_path / "damaged")
    [shard, *_] = sorted((corpus / "shards").iterdir())
    sound = shard.read_bytes()
    shard.write_bytes(sound[:-1] + b"\1")
    with pytest.raises(CorpusError, match=f"{shard.name}' is not as it was written, and nothing was put there of it"):
        push_corpus(corpus, address)
    assert not Corpus(address).table("captions").num_rows
    shard.write_bytes(sound)
    push_corpus(corpus, address)
    assert_holds(address, made / "one")


def refused_after(network, writes):
    """The store takes so many objects more, and then says that the credentials have expired."""
    left = iter(range(writes))
    refused = b"<Error><Code>ExpiredToken</Code></Error>"
    refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
    network.answer_put = lambda: None if next(left, None) is not None else refusal % (len(refused), refused)


@pytest.mark.cases(1)
@pytest.mark.parametrize("writes", [4, 5, 6])
def test_a_push_that_stops_anywhere_shows_no_half_job_and_goes_on(servers, place, made, tmp_path, writes):
    server = servers("moto")
    with proxy(server) as network:
        address = place(server, f"{tmp_path.name}/corpus", network)
        push_corpus(made / "one", address)
        refused_after(network, writes)
        with pytest.raises(CorpusError, match="have expired"):
            push_corpus(made / "two", address)
        network.answer_put = lambda: None
        see_anew()
        seen = Corpus(address)
        uids = seen.table("samples")["uid"].to_pylist()
        assert len(uids) in {4, 8}
        assert seen.table("captions").num_rows == len(uids)
        push_corpus(made / "two", address)
        assert_holds(address, made / "one", made / "two")


def test_a_file_that_another_machine_wrote_is_not_replaced(address, made, servers, tmp_path):
    other = shutil.copytree(made / "one", tmp_path / "other")
    [done] = other.glob("done/*.json")
    done.write_text(done.read_text() + "\n")
    push_corpus(made / "one", address)
    with pytest.raises(CorpusError, match="has other results of a job of this corpus"):
        push_corpus(other, address)
    assert_holds(address, made / "one")


def test_a_sample_that_another_run_has_stored_is_refused(address, made, tmp_path):
    source = shutil.copytree(made / "one-pictures", tmp_path / "again")
    again = ["--image-column", "path", "--text-column", "text", "--licence", "CC0-1.0", "--engine", "inline"]
    voxtile("import", "csv", source / "texts.csv", tmp_path / "other", *again)
    push_corpus(made / "one", address)
    with pytest.raises(CorpusError, match=r"has 4 samples of .* from another run"):
        push_corpus(tmp_path / "other", address)
    assert_holds(address, made / "one")


def pushed_meanwhile(monkeypatch, corpus, address):
    """Another machine pushes all of its corpus when the next push has listed what is there."""
    real, others = push._Push.check_conditions, [corpus]

    def late(self):
        if others:
            push_corpus(others.pop(), address)
        real(self)

    monkeypatch.setattr(push._Push, "check_conditions", late)


def test_pushes_of_different_samples_at_once_are_all_there(address, made, monkeypatch):
    pushed_meanwhile(monkeypatch, made / "two", address)
    push_corpus(made / "one", address)
    push_corpus(made / "one", address)
    assert_holds(address, made / "one", made / "two")


@pytest.mark.cases(1)
@pytest.mark.parametrize("before", [[], ["two"]])
def test_of_pushes_of_the_same_samples_at_once_one_is_refused(address, made, monkeypatch, tmp_path, before):
    source, other = shutil.copytree(made / "one-pictures", tmp_path / "again"), tmp_path / "other"
    imported(source, other, "--licence", "CC0-1.0")
    for name in before:
        push_corpus(made / name, address)
    pushed_meanwhile(monkeypatch, made / "one", address)
    with pytest.raises(CorpusError, match=r"(has|given) 4 samples of '.*other' from another run"):
        push_corpus(other, address)
    assert_holds(address, made / "one", *(made / name for name in before))


def test_a_subject_that_another_run_has_in_another_split_is_refused(address, made, tmp_path):
    for name, split in (("one", "train"), ("two", "test")):
        source = shutil.copytree(made / f"{name}-pictures", tmp_path / f"{name}-pictures")
        table = list(csv.reader((source / "texts.csv").open()))
        table = [[*row, *(("subject", "split") if row[0] == "path" else ("Q1", split))] for row in table]
        with (source / "texts.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(table)
        imported(source, tmp_path / name)
    push_corpus(tmp_path / "one", address)
    with pytest.raises(CorpusError, match=r"has 1 subjects of '.*' in another split by another run, such as 'Q1'"):
        push_corpus(tmp_path / "two", address)
    assert_holds(address, tmp_path / "one")


def test_a_conversion_into_a_store_that_lost_a_race_is_completed_by_the_same_command(
    address, made, monkeypatch, tmp_path
):
    source = shutil.copytree(made / "one-pictures", tmp_path / "again")
    for name in ("4.png", "5.png"):
        shutil.copy(made / "two-pictures" / name, source)
    with (source / "texts.csv").open("a", newline="") as stream:
        csv.writer(stream).writerows([[f"{n}.png", f"Noise number {n}."] for n in (4, 5)])
    pushed_meanwhile(monkeypatch, made / "one", address)
    ran = run_here("import", "csv", source / "texts.csv", address, "--image-column", "path", "--engine", "inline",
                   "--text-column", "text")  # fmt: skip
    assert ran.returncode == 2
    assert f"'{address}' has 4 samples of this run from another run" in " ".join(ran.stderr.split())
    assert "Run the same command again" in " ".join(ran.stderr.split())
    see_anew()
    imported(source, address)
    see_anew()
    uids = Corpus(address).table("samples")["uid"].to_pylist()
    assert (len(uids), len(set(uids))) == (6, 6)
    verify_corpus(Path(address))


def imported(source, corpus, *options, engine="inline"):
    columns = ["--image-column", "path", "--text-column", "text"]
    return voxtile("import", "csv", source / "texts.csv", corpus, *columns, "--engine", engine, *options)


def test_a_packed_corpus_goes_where_no_other_parts_are(servers, place, made, tmp_path):
    packed, server = tmp_path / "packed", servers("moto")
    for name in ("one", "two"):
        imported(made / f"{name}-pictures", packed)
    assert "packed" in voxtile("compact", packed)
    with proxy(server) as network:
        address = place(server, f"{tmp_path.name}/packed", network)
        refused_after(network, 10)
        with pytest.raises(CorpusError, match="have expired"):
            push_corpus(packed, address)
        network.answer_put = lambda: None
        see_anew()
        seen = Corpus(address)
        assert seen.table("captions").num_rows == len(seen.table("samples")) == 0, "no half of a job is seen"
        push_corpus(packed, address)
        assert_holds(address, packed)
        assert json.loads(voxtile("push", packed, address, "--json"))["files"] == 0, "it is all there"
        other = place(server, f"{tmp_path.name}/other", network)
        push_corpus(made / "one", other)
        with pytest.raises(CorpusError, match="packed parts of tables"):
            push_corpus(packed, other)
        assert_holds(other, made / "one")


def test_a_conversion_into_a_store_is_what_one_into_a_folder_is(address, made, servers):
    server, prefix = servers("moto"), address.split("/", 3)[3]
    imported(made / "one-pictures", address, "--dry-run")
    assert "Contents" not in server.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix), "a plan writes nothing"
    assert "1 jobs" in imported(made / "one-pictures", address)
    assert_holds(address, made / "one")
    imported(made / "two-pictures", address)
    assert_holds(address, made / "one", made / "two")
    before = server.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    assert "0 jobs" in imported(made / "two-pictures", address)
    after = server.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    assert [one["ETag"] for one in after] == [one["ETag"] for one in before], "nothing is put twice"


def test_a_second_command_of_this_machine_waits_for_the_first_and_sees_what_it_put(address, made, monkeypatch):
    push_corpus(made / "one", address)
    root = draft_marker(Path(f"{corpus_root(address)}.draft")).parent
    handle = os.open(root.with_name(f".{root.name}.lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    said = []

    def first_ends(sentence):
        said.append(sentence)
        push_corpus(made / "two", address)
        os.close(handle)

    monkeypatch.setattr("voxtile.corpus.remote.draft.note", first_ends)
    imported(made / "two-pictures", address, "--licence", "CC0-1.0")  # jobs of another name, with the same samples
    assert "waiting for it, 60 s at most" in said[0]
    assert_holds(address, made / "one", made / "two")


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_on_ray_a_store_holds_and_gives_what_a_folder_does(address, made, tmp_path):
    """A conversion into it, scores of its pixels added to it, and all of it written anew, by slots of one cluster."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    preset = "{class_path: voxtile.data.ImagePreset, init_args: {size: [24, 24]}}"
    local = shutil.copytree(made / "one", tmp_path / "local")
    with cluster():
        imported(made / "one-pictures", address, engine="ray")
        assert_holds(address, made / "one")
        for corpus, engine in ((local, "inline"), (address, "ray")):
            voxtile("score", corpus, "--from", "image", "--engine", engine)
            voxtile("materialize", corpus, tmp_path / engine, "--preset", preset, "--engine", engine)
    assert_holds(address, local)
    shards = {
        name: [path.read_bytes() for path in (tmp_path / name / "shards").iterdir()] for name in ("inline", "ray")
    }
    assert shards["ray"] == shards["inline"] != []


@contextmanager
def cluster():
    """One cluster for several commands, which join it."""
    connection = connect(2)
    try:
        yield
    finally:
        connection.close()


def test_a_conversion_into_a_store_refuses_before_its_work(address, made, servers, tmp_path):
    server, prefix = servers("moto"), address.split("/", 3)[3]
    ran = run_here("convert", "dicom", made / "one-pictures", address)
    assert (ran.returncode, "--key-file" in ran.stderr) == (2, True), "a key is never put into a store"
    server.client.put_object(Bucket=BUCKET, Key=f"{prefix}/letters/private.txt", Body=b"mine")
    ran = run_here("import", "csv", made / "one-pictures" / "texts.csv", address, "--image-column", "path")
    assert ran.returncode == 2
    assert "holds other objects" in " ".join(ran.stderr.split())
    assert [one["Key"] for one in server.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]] == [
        f"{prefix}/letters/private.txt"
    ]


def test_a_store_that_passes_over_conditions_is_refused(servers, place, made, tmp_path):
    server = servers("s3rver")
    with pytest.raises(CorpusError, match="replaces objects where it was asked not to"):
        push_corpus(made / "one", place(server, f"{tmp_path.name}/corpus"))


def test_other_places_are_refused(address, made, servers, tmp_path):
    with pytest.raises(ConfigError, match="no store to write to"):
        push_corpus(made / "one", "https://example.org/corpus")
    server, prefix = servers("moto"), address.split("/", 3)[3]
    server.client.put_object(Bucket=BUCKET, Key=f"{prefix}/letters/private.txt", Body=b"mine")
    with pytest.raises(CorpusError, match="holds other objects"):
        push_corpus(made / "one", address)


def test_what_was_taken_back_does_not_come_back_by_a_store(address, made, tmp_path):
    corpus = shutil.copytree(made / "one", tmp_path / "own")
    labels = tmp_path / "labels.csv"
    labels.write_text("source,loud\n0.png,1\n1.png,0\n")
    adding = ("facts", corpus, "--from", "labels", "--labels", labels, "--engine", "inline")
    voxtile(*adding)
    push_corpus(corpus, address)
    voxtile("retract", corpus, "--stage", "labels")
    with pytest.raises(CorpusError, match=r"has runs that 'voxtile retract' took back .* push to a new prefix"):
        push_corpus(corpus, address)
    push_corpus(corpus, f"{address}-new")
    assert_holds(f"{address}-new", corpus)
    voxtile(*adding)  # the same again
    push_corpus(corpus, address)
    assert_holds(address, corpus)
    assert len(rows(Corpus(address), "facts")) == 2


def test_what_adds_to_samples_comes_after_them(servers, place, made, tmp_path):
    """Else whoever opens the corpus while a push goes on, or after it was stopped, meets texts of no sample."""
    corpus = shutil.copytree(made / "one", tmp_path / "own")
    [uid] = Corpus(corpus).table("samples", ["uid"])["uid"].to_pylist()[:1]
    adding = JobWriter(corpus, "0")  # before the samples' own job in the order of names
    adding.add_rows("facts", [{"uid": uid, "concept": "loud", "polarity": "present"}])
    adding.publish()
    (corpus / "done/0.json").write_bytes(_done_of(corpus, "0"))
    with proxy(servers("moto")) as store:
        push_corpus(corpus, place(servers("moto"), f"{tmp_path.name}/corpus", store))
    puts = [path.partition("/corpus/")[2] for path in store.paths]
    samples = next(n for n, name in enumerate(puts) if name.startswith("done/") and name[5:6] != "0")
    assert samples < puts.index("tables/facts/0.parquet")


def _done_of(corpus, stem):
    files = {}
    for path in corpus.glob(f"*/*/{stem}.parquet"):
        content = path.read_bytes()
        entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        files[path.relative_to(corpus).as_posix()] = entry
    other = json.loads(next((corpus / "done").glob("*.json")).read_text())
    return json.dumps({**other, "stem": stem, "files": files}).encode()


def test_a_file_that_is_more_than_one_put_takes_is_told_before_anything_is_sent(
    servers, address, made, tmp_path, monkeypatch
):
    monkeypatch.setattr(push, "_MOST_PUT", 1000)
    with pytest.raises(CorpusError, match=r"shards/.*\.tar' has .* GB, and one put takes"):
        push_corpus(made / "one", address)
    assert servers("moto").client.list_objects_v2(Bucket=BUCKET, Prefix=tmp_path.name)["KeyCount"] == 0
