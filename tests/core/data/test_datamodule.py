"""The datamodule: what a batch holds, and that interruption changes nothing."""

import dataclasses
import shutil

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.view.text import hash63, text_hash
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.captions import CaptionPolicy
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.presets.image import ImageAugment, ImagePreset
from voxtile.data.presets.volume import VolumeAugment, VolumePreset
from voxtile.errors import CheckpointError, ConfigError, CorpusError, PresetError

AUGMENTED = VolumePreset(
    shape=(8, 8, 8), spacing=(2.0, 2.0, 2.0), augment=VolumeAugment(shift=(1, 2, 2), flip=("x",), noise=5.0, scale=0.1)
)


def module(corpus, preset=AUGMENTED, **options):
    defaults = {"batch_size": 4, "captions": CaptionPolicy(unit="sentence"), "seed": 3}
    return CorpusDataModule(preset, [str(root) for root in corpus.roots], **{**defaults, **options})


def equal(a, b):
    for field in dataclasses.fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, torch.Tensor):
            assert x.dtype == y.dtype
            assert torch.equal(x, y), field.name
        else:
            assert x == y, field.name


def stream(data, batches):
    """Batches over epochs as a training loop would take them, with the cursor advanced."""
    taken, loader = [], data.train_dataloader()
    while len(taken) < batches:
        remaining = (len(loader.dataset) - data.cursor.consumed) // data.batch_size
        for batch in loader:
            taken.append(batch)
            remaining -= 1
            data.cursor.advance(data.batch_size, last=remaining == 0)
            if len(taken) == batches:
                break
    return taken


def test_a_batch_says_what_the_tables_say(volume_corpus):
    data = module(volume_corpus)
    data.setup("fit")
    assert data.fact_names == ("nodule",)
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape == (4, 1, 8, 8, 8)
    assert batch.images.dtype == torch.float32
    assert batch.image_item.tolist() == batch.text_item.tolist() == [0, 1, 2, 3]
    assert batch.facts.dtype == torch.int8
    for place, uid in enumerate(batch.uids):
        row = volume_corpus.row(uid)
        texts = volume_corpus.table("captions").to_pylist()
        number = next(int(c["caption_id"][-3:]) for c in texts if c["uid"] == uid)
        assert batch.facts[place].tolist() == [number % 2]
        assert batch.subject[place].item() == hash63(row["subject"])
        assert any(batch.texts[place] in c["text"] for c in texts if c["uid"] == uid)
        assert batch.text_hash[place].item() == text_hash(batch.texts[place])


def test_an_epoch_draws_every_training_item_once(volume_corpus):
    data = module(volume_corpus, batch_size=4)
    uids = [uid for batch in stream(data, 5) for uid in batch.uids]
    view = data.compiled
    assert len(uids) == len(set(uids)) == 20
    assert set(uids) == {view.entry(row).uid for row in view.rows("train")}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_run_resumes_with_the_same_batches(volume_corpus, workers):
    whole = stream(module(volume_corpus), 9)  # five batches an epoch: into the second
    for stop in (1, 4, 5, 7):
        first = module(volume_corpus)
        head = stream(first, stop)
        again = module(volume_corpus, num_workers=workers)
        again.load_state_dict(first.state_dict())
        for a, b in zip(whole, head + stream(again, 9 - stop), strict=True):
            equal(a, b)


def test_ranks_share_the_same_global_batch(volume_corpus, monkeypatch):
    whole = stream(module(volume_corpus), 3)
    for ranks in (2, 4):
        parts = []
        for rank in range(ranks):
            data = module(volume_corpus)
            monkeypatch.setattr(data, "_place", lambda rank=rank, ranks=ranks: (rank, ranks))
            parts.append(stream(data, 3))
        for number, batch in enumerate(whole):
            assert [uid for part in parts for uid in part[number].uids] == batch.uids
            assert torch.equal(torch.cat([part[number].images for part in parts]), batch.images)
            assert [text for part in parts for text in part[number].texts] == batch.texts


def test_a_batch_that_processes_cannot_share_says_which_they_could(volume_corpus, monkeypatch):
    data = module(volume_corpus, batch_size=8)
    monkeypatch.setattr(data, "_place", lambda: (0, 3))
    with pytest.raises(
        ConfigError, match=r"data\.batch_size: 8 items .* by 3 processes; set it to a multiple, e\.g\. 9,"
    ):
        data.train_dataloader()


def test_a_sample_drawn_again_differs(volume_corpus):
    batches = stream(module(volume_corpus), 10)
    first = {uid: image for b in batches[:5] for uid, image in zip(b.uids, b.images, strict=True)}
    again = {uid: image for b in batches[5:] for uid, image in zip(b.uids, b.images, strict=True)}
    assert first.keys() == again.keys()
    assert all(not torch.equal(first[uid], again[uid]) for uid in first)


def test_another_view_seed_or_unit_is_refused(volume_corpus):
    state = module(volume_corpus).state_dict()
    assert set(state) == {"seed", "epoch", "consumed", "view"}
    for other in ({"unit": "study"}, {"where": "uid > '4'", "view": "part", "batch_size": 1}):
        changed = module(volume_corpus, **other)
        changed.load_state_dict(state)
        with pytest.raises(CheckpointError, match="trained on view"):
            _ = changed.cursor
    reseeded = module(volume_corpus, seed=4)
    reseeded.load_state_dict(state)
    with pytest.raises(CheckpointError, match="seed 3, but the config says 4"):
        _ = reseeded.cursor


@pytest.mark.parametrize("workers", [0, 2])
def test_the_memory_cache_changes_no_bit(volume_corpus, workers):
    plain = stream(module(volume_corpus), 7)
    for a, b in zip(plain, stream(module(volume_corpus, cache_in_memory=True, num_workers=workers), 7), strict=True):
        equal(a, b)


def test_a_random_crop_cannot_be_cached(volume_corpus):
    data = module(volume_corpus, VolumePreset(shape=(4, 4, 4), crop="random"), cache_in_memory=True)
    with pytest.raises(ConfigError, match="no deterministic part"):
        data.train_dataloader()


def test_a_study_is_a_bag_of_its_samples(volume_corpus):
    data = module(volume_corpus, unit="study", captions=CaptionPolicy(per_item=0))
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape[0] == 8
    assert batch.image_item.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert np.bincount(batch.text_item).tolist() == [4, 4, 4, 4]
    assert len(set(batch.study.tolist())) == 4
    assert batch.facts.flatten().tolist() == [1, 1, 1, 1]  # one of the two samples shows it
    limited = next(iter(module(volume_corpus, unit="study", max_images_per_item=1).train_dataloader()))
    assert limited.image_item.tolist() == [0, 1, 2, 3]
    assert limited.uids == batch.uids


def test_validation_and_test_are_ordered_and_repeatable(volume_corpus):
    data = module(volume_corpus, batch_size=3)
    view = data.compiled
    for loader, split in ((data.val_dataloader(), "val"), (data.test_dataloader(), "test")):
        first, again = list(loader), list(loader)
        assert [uid for b in first for uid in b.uids] == [view.entry(row).uid for row in view.rows(split)]
        for a, b in zip(first, again, strict=True):
            equal(a, b)


def test_samples_that_a_model_cannot_read_come_with_the_condition_that_leaves_them_out(
    volume_corpus, picture_corpus, tmp_path
):
    """A folder of CT, MR and radiographs is one corpus, and a model is of one of them."""
    folders = [str(corpus.roots[0]) for corpus in (volume_corpus, picture_corpus)]
    for preset, condition in ((AUGMENTED, "kind = 'volume'"), (ImagePreset(), "kind = 'image'")):
        with pytest.raises(PresetError, match=f'to leave out what it cannot read: --data.where "{condition}"'):
            CorpusDataModule(preset, folders).setup("fit")
        assert CorpusDataModule(preset, folders, where=condition).compiled.metas()
    other = tmp_path / "other"
    new_corpus(other)
    writer = JobWriter(other, "job-0")
    row = volume_corpus.table("samples").to_pylist()[0] | {"uid": "f" * 32, "units": "a.u."}
    writer.add(Sample(row, np.zeros((12, 16, 20), np.int16)))
    writer.publish()
    with pytest.raises(PresetError, match=r"--data.where \"units = 'HU'\"$"):  # kind and modality are the same
        CorpusDataModule(AUGMENTED, [folders[0], str(other)]).setup("fit")
    with pytest.raises(PresetError) as none:
        CorpusDataModule(VolumePreset(shape=(4, 4, 4), units="SUVbw"), folders).setup("fit")
    assert "data.where" not in str(none.value)


def test_impossible_settings_are_refused(volume_corpus, picture_corpus):
    with pytest.raises(PresetError, match="this model reads pictures, but the corpus holds a volume"):
        module(volume_corpus, ImagePreset()).setup("fit")
    with pytest.raises(PresetError, match=r"needs units SUVbw, but the corpus holds .* with units HU"):
        module(volume_corpus, VolumePreset(shape=(4, 4, 4), units="SUVbw")).setup("fit")
    with pytest.raises(ConfigError, match="no corpus was given"):
        CorpusDataModule(AUGMENTED).setup("fit")
    assert module(picture_corpus, ImagePreset()).val_dataloader() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_sample_is_one_sentence_that_names_it(picture_corpus, tmp_path, workers):
    root = tmp_path / "damaged"
    shutil.copytree(picture_corpus.roots[0], root)
    row = next(r for r in picture_corpus.table("samples").to_pylist() if r["codec"] == "jpg")
    with (root / row["shard"]).open("r+b") as shard:
        shard.seek(row["offset"] + 2)
        shard.write(bytes(row["nbytes"] - 2))
    data = module(Corpus(root), ImagePreset(size=(8, 8)), num_workers=workers, train_split="train", batch_size=12)
    with pytest.raises(CorpusError, match=rf"^sample {row['uid']} cannot be loaded: [^\n]+$"):
        list(data.train_dataloader()) + list(data.test_dataloader())


class Probe(pl.LightningModule):
    """Records the draws of every step."""

    def __init__(self, kill_at=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen, self.kill_at = [], kill_at

    def training_step(self, batch, batch_idx):
        if len(self.seen) == self.kill_at:
            raise KeyboardInterrupt
        self.seen.append(batch.draws.tolist())
        return (self.weight * batch.images.mean()).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(corpus, folder, probe, *, workers=0, steps=12, resume=None, **options):
    data = module(
        corpus, ImagePreset(size=(8, 8), augment=ImageAugment(scale=(0.3, 1))), num_workers=workers, **options
    )
    checkpoint = pl.callbacks.ModelCheckpoint(folder, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    trainer = pl.Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[checkpoint], default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(probe, datamodule=data, ckpt_path=resume, weights_only=True)
    return probe.seen, probe.weight.detach().clone()


@pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*does not have many workers.*")
def test_lightning_resumes_at_any_step_with_the_same_draws_and_weights(picture_corpus, tmp_path):
    whole, weight = fit(picture_corpus, tmp_path / "whole", Probe())
    assert len(whole) == 12  # three steps an epoch
    for stop, workers in ((1, 0), (3, 2), (5, 0), (6, 0)):
        saved = tmp_path / "whole" / f"step={stop}.ckpt"
        rest, resumed = fit(picture_corpus, tmp_path / f"resumed{stop}", Probe(), workers=workers, resume=saved)
        assert rest == whole[stop:]
        assert torch.equal(resumed, weight)


def test_the_marks_are_those_of_the_training_split(volume_corpus):
    table = volume_corpus.table("samples", columns=["uid", "subject"])
    splits = volume_corpus.splits("default")
    split = {uid: splits.get(s) for uid, s in zip(*(table[c].to_pylist() for c in ("uid", "subject")), strict=True)}
    marks = module(volume_corpus).training_marks
    found = marks.shared(list(split))
    assert found == [uid for uid, name in split.items() if name == "train"]
    stored = dict(zip(*(volume_corpus.table("samples")[c].to_pylist() for c in ("uid", "sha256")), strict=True))
    assert set(marks.shared_bytes(list(stored.values()))) == {stored[uid] for uid in found}
    assert 0 < len(found) < len(split)


def test_it_is_known_whether_facts_differ_between_items(volume_corpus):
    """Every study has a nodule in one of its two volumes, so that volumes differ and studies do not."""
    native = VolumePreset(shape=(8, 8, 8), spacing="native")
    assert module(volume_corpus, native).contrasts_facts
    assert not module(volume_corpus, native, unit="study").contrasts_facts
    assert module(volume_corpus, native).region_phrases == 0
