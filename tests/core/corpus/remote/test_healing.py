"""Bytes that the cache holds and the corpus does not record are fetched again: they may have come wrong only once."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from commands_here import run_here
from object_stores import BUCKET, DENIED, answer, assert_same, pixels, proxy

from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote import synchronise
from voxtile.corpus.remote.extents import BLOCK, ObjectBlocks
from voxtile.corpus.remote.mirror import Mirror
from voxtile.corpus.remote.objects import Recorded
from voxtile.corpus.remote.payloads import see_anew
from voxtile.errors import CorpusError


def poison(root):
    """Wrong bytes with checksums that fit them, in all blocks: as they came wrong from the network."""
    mirror = Mirror.read(root)
    for name, known in mirror.shards.items():
        for first in range(-(-known.size // BLOCK)):
            length = min(BLOCK, known.size - first * BLOCK)
            ObjectBlocks(mirror.block_path(name), known.size).write(first, b"\x5a" * length)


def masks(corpus):
    return {row["region_id"]: corpus.mask(row) for row in corpus.table("regions").to_pylist()}


def test_pixels_and_masks_that_came_wrong_are_fetched_once_more(any_server, place, uploaded, local_corpus):
    remote, local = Corpus(place(any_server, uploaded(any_server))), Corpus(local_corpus)
    poison(remote.roots[0])
    assert_same(pixels(remote), pixels(local))
    poison(remote.roots[0])
    assert_same(masks(remote), masks(local))


def test_pictures_that_came_wrong_are_fetched_once_more(any_server, place, uploaded, picture_corpus):
    remote = Corpus(place(any_server, uploaded(any_server, folder=picture_corpus)))
    local = Corpus(picture_corpus)
    poison(remote.roots[0])
    for row in local.table("samples").to_pylist():
        assert remote.source(row).encoded() == local.source(row).encoded()


def test_a_shard_that_is_mended_in_the_store_is_read_as_it_is_now(any_server, place, uploaded, local_corpus):
    prefix = uploaded(any_server)
    remote = place(any_server, prefix)
    key, shard = f"{prefix}/shards/job-1.tar", (local_corpus / "shards/job-1.tar").read_bytes()
    any_server.client.put_object(Bucket=BUCKET, Key=key, Body=bytes(len(shard)))
    with pytest.raises(CorpusError, match=f"'{remote}/shards/job-1.tar' .*run 'voxtile verify'"):
        pixels(Corpus(remote))
    assert run_here("verify", remote).returncode == 2
    any_server.client.put_object(Bucket=BUCKET, Key=key, Body=shard)
    see_anew()
    assert_same(pixels(Corpus(remote)), pixels(Corpus(local_corpus)))


def test_verify_judges_the_store_and_not_the_cache(any_server, place, uploaded):
    address = place(any_server, uploaded(any_server))
    poison(Corpus(address).roots[0])
    ran = run_here("verify", address, "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["corpus"] == address


def test_verify_of_a_store_that_refuses_advises_on_rights_and_not_to_convert_again(any_server, place, uploaded):
    with proxy(any_server, answer=lambda path: answer(b"403 Forbidden", DENIED) if ".tar" in path else None) as closed:
        ran = run_here("verify", place(any_server, uploaded(any_server), closed), "--json")
    assert ran.returncode == 2
    for problem in json.loads(ran.stdout)["problems"]:
        assert "may not be read with these rights" in problem["what"]
        assert problem["advice"].startswith("credentials come from the environment")


def test_a_table_that_changed_in_the_cache_is_fetched_again(any_server, place, uploaded, local_corpus):
    address = place(any_server, uploaded(any_server))
    for part in (Corpus(address).roots[0] / "tables/captions").iterdir():
        content = bytearray(part.read_bytes())
        at = content.index(b"Noise number ")
        content[at] = ord("X")
        part.write_bytes(content)
    see_anew()
    assert Corpus(address).table("captions").equals(Corpus(local_corpus).table("captions"))


def test_no_more_of_a_cache_is_hashed_at_opening_than_a_second_or_two_take(tmp_path, monkeypatch):
    monkeypatch.setattr(synchronise, "_HASHED_BYTES", 5)
    names = ["tables/samples/a.parquet", "tables/samples/b.parquet"]
    work = synchronise._Work(None, SimpleNamespace(root=tmp_path), None)
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"abcd")
        work._records[name] = Recorded("of other bytes", 4)
    sound = [asyncio.run(work._is_sound(name, tmp_path / name, 4)) for name in names]
    assert sound == [False, True]  # 4 bytes of 5, and 8 were too many
    assert not asyncio.run(work._is_sound(names[1], tmp_path / names[1], 3))


def test_the_newest_manifest_counts_in_whichever_order_they_come(any_server, place, uploaded, local_corpus):
    def change(folder):
        first = json.loads((folder / "manifests/0001.json").read_text())
        del first["sha256"]  # of its own bytes
        (folder / "manifests/0002.json").write_text(json.dumps(first))
        part = next(name for name in first["files"] if name.startswith("tables/"))
        first["files"][part]["sha256"] = "0" * 64  # as of a file that was rewritten since
        (folder / "manifests/0001.json").write_text(json.dumps(first))

    late = iter([answer(b"503 Slow Down", b"")])
    prefix = uploaded(any_server, change)
    with proxy(any_server, answer=lambda path: next(late, None) if "0001.json" in path else None) as store:
        remote = Corpus(place(any_server, prefix, store))
    assert remote.table("captions").num_rows == Corpus(local_corpus).table("captions").num_rows
