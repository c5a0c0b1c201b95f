"""Training, embedding, curation and evaluation on a remote corpus give what they give on the local one."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from object_stores import proxy

from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote import announcing
from voxtile.corpus.remote.payloads import see_anew
from voxtile.corpus.view.view import compile_view
from voxtile.data.batches.dataset import Draws, OrderedDraws
from voxtile.data.captions import CaptionPolicy
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.draws import DrawDataset
from voxtile.data.images import CorpusImages
from voxtile.data.loader import AnnouncedDraws
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.data.regions.policy import RegionPolicy
from voxtile.data.regions.regions import RegionDraws
from voxtile.errors import CorpusError, StoreError
from voxtile.stages.embed.command import embed_corpus

EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(EXPIRED), EXPIRED)


def batches(corpus, workers, **options):
    data = CorpusDataModule(ImagePreset(), str(corpus), batch_size=8, num_workers=workers, **options)
    return [(batch.images, list(batch.texts)) for batch in data.train_dataloader()]


def assert_equal(found, wanted):
    assert len(found) == len(wanted) > 0
    for (images, texts), (wanted_images, wanted_texts) in zip(found, wanted, strict=True):
        assert torch.equal(images, wanted_images)
        assert texts == wanted_texts


@pytest.mark.cases(1)
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_local_corpus_over_a_network_that_fails(
    any_server, place, uploaded, picture_corpus, workers
):
    wanted = batches(picture_corpus, workers)
    with proxy(any_server, latency=0.05, faults=("reset", "503", "cut"), share=0.05) as network:
        address = place(any_server, uploaded(any_server, folder=picture_corpus), network)
        assert_equal(batches(address, workers), wanted)


def test_an_epoch_takes_few_requests_and_no_byte_twice(any_server, place, uploaded, picture_corpus):
    with proxy(any_server) as network:
        address = place(any_server, uploaded(any_server, folder=picture_corpus), network)
        batches(address, 2)
        asked = [path for path in network.paths if path.endswith(".tar")]
        batches(address, 2)
    assert 2 <= len(asked) <= 8  # of two shards, for 32 pictures
    assert len([path for path in network.paths if path.endswith(".tar")]) == len(asked)


def test_batches_do_not_depend_on_a_cache_that_is_too_small_for_the_corpus(
    any_server, place, uploaded, picture_corpus, monkeypatch
):
    whole = sum(path.stat().st_size for path in picture_corpus.glob("shards/*.tar"))
    monkeypatch.setenv("VOXTILE_REMOTE_CACHE_GB", str(whole / 2e9))
    address = place(any_server, uploaded(any_server, folder=picture_corpus))
    assert_equal(batches(address, 2), batches(picture_corpus, 2))


def test_a_corpus_joined_of_a_remote_and_a_local_one_is_one(any_server, place, uploaded, picture_corpus, local_corpus):
    address = place(any_server, uploaded(any_server, folder=picture_corpus))
    both, local = Corpus(address, local_corpus), Corpus(picture_corpus, local_corpus)
    assert both.table("samples", with_root=True).equals(local.table("samples", with_root=True))
    for row in local.table("samples", with_root=True).to_pylist():
        np.testing.assert_array_equal(both.source(row).payload(), local.source(row).payload())


def test_images_for_evaluation_are_those_of_the_local_corpus(any_server, place, uploaded, picture_corpus):
    uids = sorted(Corpus(picture_corpus).table("samples")["uid"].to_pylist())
    address = place(any_server, uploaded(any_server, folder=picture_corpus))
    found, wanted = (CorpusImages(Corpus(c), ImagePreset(), uids, 7) for c in (address, picture_corpus))
    for (some, images), (others, wanted_images) in zip(found(uids), wanted(uids), strict=True):
        assert list(some) == list(others)
        assert torch.equal(images, wanted_images)


def test_vectors_go_to_a_corpus_beside_it_and_both_are_curated_as_one(
    any_server, place, uploaded, picture_corpus, model_folder, tmp_path
):
    from voxtile_datasets.curation.command import curate_corpus

    address = place(any_server, uploaded(any_server, folder=picture_corpus))
    embed_corpus(address, str(model_folder), out=tmp_path / "remote")
    embed_corpus(picture_corpus, str(model_folder), out=tmp_path / "local")
    remote, local = (Corpus(tmp_path / name).table("embeddings").sort_by("uid") for name in ("remote", "local"))
    assert remote.equals(local)
    made = {}
    for name, corpus in (("remote", address), ("local", picture_corpus)):
        curate_corpus(Path(corpus), tmp_path / name, view="near", dedup="embedding:0.9")
        made[name] = batches_of_both(corpus, tmp_path / name)
    assert made["remote"] == made["local"]


def batches_of_both(corpus, vectors):
    view = compile_view(Corpus(corpus, vectors), "near")
    return [view.entry(row).uid for row in view.rows(None)]


def test_a_store_that_ends_answering_leaves_no_sample_out(
    any_server, place, uploaded, picture_corpus, model_folder, tmp_path
):
    """`voxtile embed` notes samples that it cannot read, and goes on; a store that is gone is no sample's fault."""
    out = tmp_path / "vectors"
    with proxy(any_server) as store:
        address = place(any_server, uploaded(any_server, folder=picture_corpus), store)
        Corpus(address)
        store.answer = lambda path: REFUSAL if ".tar" in path else None
        with pytest.raises(StoreError, match="have expired"):
            embed_corpus(address, str(model_folder), out=out)
        assert not list(out.glob("tables/embeddings/*"))
        with pytest.raises(CorpusError, match="have expired"):
            batches(address, 2)
        store.answer = None
        see_anew()
        embed_corpus(address, str(model_folder), out=out)
    uids = Corpus(out).table("embeddings")["uid"].to_pylist()
    assert sorted(uids) == sorted(Corpus(picture_corpus).table("samples")["uid"].to_pylist())


def test_masks_are_announced_with_their_images(local_corpus, tmp_path):
    corpus = Corpus(shutil.copytree(local_corpus, tmp_path / "own"))  # a view is compiled in it
    view, preset = compile_view(corpus), VolumePreset(shape=(8, 16, 16))
    regions = RegionDraws(corpus, RegionPolicy(), preset, view.concepts)
    data = DrawDataset(view, preset, CaptionPolicy(), split="train", regions=regions)
    items = np.arange(len(data))
    found = {(place.shard, place.offset, place.nbytes) for place in data.places(Draws(items, items + 100))}
    uids = {view.entry(row).uid for row in view.rows("train")}
    rows = [row for name in ("samples", "regions") for row in corpus.table(name).to_pylist() if row["uid"] in uids]
    names = [[f"{kind}{part}" for part in ("shard", "offset", "nbytes")] for kind in ("", "mask_")]
    addresses = {tuple(row.get(name) for name in own) for row in rows for own in names}
    assert found == addresses - {(None, None, None)}
    assert len(found) == 2 * len(items)


@pytest.mark.parametrize("most", [1 << 30, 700_000], ids=["a batch at once", "a batch in pieces"])
def test_a_batch_is_announced_by_its_worker_where_it_was_too_much_before(local_corpus, tmp_path, monkeypatch, most):
    view = compile_view(Corpus(shutil.copytree(local_corpus, tmp_path / "own")))
    data, said = DrawDataset(view, VolumePreset(shape=(8, 16, 16)), CaptionPolicy()), []
    monkeypatch.setattr(announcing, "announce", said.extend)
    monkeypatch.setattr(announcing, "_MOST_BYTES", most)
    monkeypatch.setattr(DrawDataset, "is_remote", True)
    [draws] = AnnouncedDraws(OrderedDraws(len(data), len(data)), data)
    everything = list(data.places(draws))
    assert len(everything) == len(data) == 6
    assert draws.is_announced == (most > sum(place.nbytes for place in everything))
    assert said == (everything if draws.is_announced else everything[:1])
    if draws.is_announced:
        monkeypatch.delattr(DrawDataset, "_places")  # nor is it worked out again
    data.load(draws)
    assert said == (everything if draws.is_announced else everything[:1] + everything)
