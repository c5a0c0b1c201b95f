"""What is read of a remote corpus is what a reader of the same files on a disk gets, to the byte."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from object_stores import BUCKET, proxy

from voxtile.cli.main import main
from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.remote.payloads import see_anew
from voxtile.corpus.schema import TABLES
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import CorpusError


def pixels(corpus):
    return {row["uid"]: corpus.source(row).array() for row in corpus.table("samples").to_pylist()}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for uid in wanted:
        np.testing.assert_array_equal(found[uid], wanted[uid])


def cached(root: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in (root.parent / "blocks").iterdir())


def test_tables_pixels_masks_and_previews_are_those_of_the_local_corpus(server, place, uploaded, local_corpus):
    local, remote = Corpus(local_corpus), Corpus(place(server, uploaded(server)))
    for name in TABLES:
        assert remote.table(name).equals(local.table(name)), name
    assert remote.ledger().equals(local.ledger())
    assert_same(pixels(remote), pixels(local))
    regions = [region for region in local.table("regions").to_pylist() if region["mask_shard"]]
    assert regions
    for region in regions:
        np.testing.assert_array_equal(remote.mask(region), local.mask(region))
    row = local.table("samples").to_pylist()[0]
    assert remote.source(row).preview() == local.source(row).preview() is not None


def test_a_web_server_that_lists_nothing_gives_the_same(servers, place, uploaded, local_corpus):
    server = servers("moto")
    prefix = uploaded(server)
    place(server, prefix)
    remote, local = Corpus(f"{server.url}/{BUCKET}/{prefix}"), Corpus(local_corpus)
    for name in TABLES:
        assert remote.table(name).equals(local.table(name)), name
    assert_same(pixels(remote), pixels(local))


@pytest.mark.parametrize("again", [False, True])
def test_a_web_server_gives_what_was_taken_back_only_where_it_was_made_again(servers, place, uploaded, tmp_path, again):
    labels = tmp_path / "labels.csv"
    labels.write_text("subject,loud\ns0,1\ns1,0\n")

    def change(root):
        adding = ["facts", str(root), "--from", "labels", "--labels", str(labels), "--engine", "inline"]
        for words in (adding, ["retract", str(root), "--stage", "labels"], adding)[: 2 + again]:
            assert main(words) == 0

    server = servers("moto")
    prefix = uploaded(server, change)
    place(server, prefix)
    facts = Corpus(f"{server.url}/{BUCKET}/{prefix}").table("facts").to_pylist()
    assert sorted(fact["polarity"] for fact in facts if fact["concept"] == "loud") == ["absent", "present"] * again


def test_a_crop_of_a_sample_fetches_that_sample_and_not_the_shard(any_server, place, uploaded, local_corpus):
    remote = Corpus(place(any_server, uploaded(any_server)))
    row = remote.table("samples").to_pylist()[-1]
    assert remote.source(row).array((slice(2, 3),)).size
    assert (
        row["nbytes"] <= cached(remote.roots[0]) < sum(p.stat().st_size for p in local_corpus.glob("shards/*.tar")) / 2
    )


def test_a_box_of_a_large_array_fetches_its_chunks_alone(any_server, place, uploaded, tmp_path):
    root, uid = tmp_path / "large" / "corpus", sample_uid("large")
    values = np.random.default_rng(0).integers(0, 1 << 14, (64, 448, 384), dtype=np.uint16)
    new_corpus(root)
    writer = JobWriter(root, "job")
    row = {"uid": uid, "subject": "s", "kind": "volume", "modality": "CT", "axes": "ZYX"}
    writer.add(Sample(row, values))
    writer.publish()
    remote = Corpus(place(any_server, uploaded(any_server, folder=root)))
    found = remote.row(uid)
    for box in ((slice(3, 9), slice(100, 140), slice(60, 70)), (slice(0, 64), slice(440, 448), slice(380, 384))):
        np.testing.assert_array_equal(remote.source(found).array(box), values[box])
    assert cached(remote.roots[0]) < found["nbytes"] / 4
    np.testing.assert_array_equal(remote.source(found).array(), values)
    # A chunk that was damaged in the store is noticed as in a local file, and chunks that are not read are not.
    [shard] = root.glob("shards/*.tar")
    content = bytearray(shard.read_bytes())
    content[found["offset"] + found["nbytes"] // 2] ^= 1
    shard.write_bytes(bytes(content))
    see_anew()
    damaged = Corpus(place(any_server, uploaded(any_server, folder=root)))
    source = damaged.source(damaged.row(uid))
    np.testing.assert_array_equal(source.array((slice(0, 4), slice(0, 4), slice(0, 4))), values[:4, :4, :4])
    wrong = 0
    for start in range(0, 448, 64):
        box = (slice(0, 64), slice(start, start + 64))
        with suppress(CorpusError):
            found, wrong = None, wrong + 1
            found, wrong = source.array(box), wrong - 1
        if found is not None:
            np.testing.assert_array_equal(found, values[box])
    assert wrong == 1


def test_what_was_read_once_is_not_asked_for_again(any_server, place, uploaded):
    with proxy(any_server) as before:
        address = place(any_server, uploaded(any_server), before)
        first = pixels(Corpus(address))
        asked = len(before.paths)
        see_anew()
        assert_same(pixels(Corpus(address)), first)
    again = before.paths[asked:]
    assert again  # it is asked what there is
    assert not [path for path in again if path.endswith((".tar", ".parquet"))]


def test_what_was_added_is_seen_when_the_corpus_is_opened_anew(any_server, place, uploaded, local_corpus):
    part, _ = (local_corpus / "tables/facts").glob("*.parquet")
    name = part.relative_to(local_corpus).as_posix()
    prefix = uploaded(any_server, lambda folder: ((folder / name).unlink(), [p.unlink() for p in _records(folder)]))
    address = place(any_server, prefix)
    assert 0 < Corpus(address).table("facts").num_rows < Corpus(local_corpus).table("facts").num_rows
    any_server.client.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=part.read_bytes())
    see_anew()
    assert Corpus(address).table("facts").num_rows == Corpus(local_corpus).table("facts").num_rows


def _records(folder):
    return [*folder.glob("manifests/*"), *folder.glob("done/*")]


def test_a_bit_that_flips_in_the_cache_is_fetched_again(any_server, place, uploaded, local_corpus):
    address = place(any_server, uploaded(any_server))
    remote = Corpus(address)
    pixels(remote)
    for data in (remote.roots[0].parent / "blocks").glob("*.extent"):
        with data.open("r+b") as stream:
            for at in range(100, data.stat().st_size, 4096):
                stream.seek(at)
                stream.write(b"\xff\x00\xff")
    see_anew()
    assert_same(pixels(Corpus(address)), pixels(Corpus(local_corpus)))


def test_the_cache_stays_below_its_limit(any_server, place, uploaded, local_corpus, monkeypatch):
    whole = sum(path.stat().st_size for path in local_corpus.glob("shards/*.tar"))
    limit = whole // 2
    monkeypatch.setenv("VOXTILE_REMOTE_CACHE_GB", str(limit / 1e9))
    remote = Corpus(place(any_server, uploaded(any_server)))
    wanted = pixels(Corpus(local_corpus))
    for _ in range(2):
        for row in remote.table("samples").to_pylist():
            np.testing.assert_array_equal(remote.source(row).array(), wanted[row["uid"]])
            assert cached(remote.roots[0]) <= limit
    regions = [region for region in remote.table("regions").to_pylist() if region["mask_shard"]]
    assert all(remote.mask(region) is not None for region in regions)
    assert cached(remote.roots[0]) <= limit


def test_processes_that_are_forked_or_started_anew_read_as_well(any_server, place, uploaded, local_corpus):
    address = place(any_server, uploaded(any_server))
    wanted = pixels(Corpus(local_corpus))
    remote = Corpus(address)
    uid, *others = wanted
    np.testing.assert_array_equal(remote.source(remote.row(uid)).array(), wanted[uid])
    child = os.fork()
    if child == 0:
        same = all(np.array_equal(remote.source(remote.row(o)).array(), wanted[o]) for o in others)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    script = "import sys; from voxtile.corpus.reader import Corpus; c = Corpus(sys.argv[1]); "
    script += "print(int(c.source(c.row(sys.argv[2])).array().sum()))"
    command = [sys.executable, "-P", "-c", script, address, others[0]]
    assert int(subprocess.check_output(command)) == int(wanted[others[0]].sum())


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://user:secret@example.org/corpus", "credentials are taken from the environment"),
        ("https://example.org/corpus?token=secret", "credentials are taken from the environment"),
        ("http://example.org/corpus", "by https"),
        ("s3://bucket/../other", "not the address"),
    ],
)
def test_addresses_that_are_none(address, said):
    with pytest.raises(CorpusError, match=said) as refused:
        Corpus(address)
    assert "secret" not in str(refused.value)
