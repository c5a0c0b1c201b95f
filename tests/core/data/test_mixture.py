"""Mixtures: shares, groups, curricula and resuming, by the items that are drawn."""

import collections
import copy
import dataclasses
import io
import itertools
import re
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from tests.core.data.small_model import small_model

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Sample
from voxtile.corpus.view.text import hash63, text_hash
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.batches.dataset import Draws
from voxtile.data.captions import CaptionPolicy
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.draws import DrawDataset
from voxtile.data.epoch_order import EpochOrder
from voxtile.data.mixture.draws import MixtureDataset, merged
from voxtile.data.mixture.mixture import Mixture, MixtureSource
from voxtile.data.mixture.order import UNIT, MixtureOrder, whole_parts
from voxtile.data.presets.image import ImageAugment, ImagePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import CheckpointError, ConfigError, CorpusError, VoxtileError
from voxtile.export.source import read_source
from voxtile.inference.load import load_model
from voxtile.training.module import ContrastiveModule
from voxtile.training.step.large_batch import split_items
from voxtile.types import Batch, Regions

DOCS = Path(__file__).parents[3] / "docs" / "mixtures.md"
DOCUMENTED = re.compile(r"```yaml\n(.*?)```", re.S)
PRESET = ImagePreset(size=(8, 8), augment=ImageAugment(scale=(0.3, 1)))


def order(sizes, shares, *, group=1, batch=8, epoch=None, phases=None, seed=5):
    orders = [EpochOrder.automatic(size, seed + place) for place, size in enumerate(sizes)]
    return MixtureOrder(orders, phases or [(0, shares)], batch, group, epoch or sum(sizes), seed)


def drawn(mixture, epoch=0, start=0, stop=None):
    return mixture.rows(epoch, np.arange(start, mixture.size if stop is None else stop))


def source_of(items, sizes):
    return np.searchsorted(np.cumsum(sizes), items, side="right")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=6).filter(any), st.sampled_from([1, 4]), st.integers(0, 9))
def test_each_source_has_its_share_of_every_stretch(shares, group, seed):
    sizes = [50 + 7 * place for place in range(len(shares))]
    mixture = order(sizes, shares, group=group, epoch=960, seed=seed)
    sources = source_of(drawn(mixture, 3), sizes)[::group]
    counts = np.cumsum(sources[:, None] == np.arange(len(sizes)), 0)
    wanted = np.arange(1, len(sources) + 1)[:, None] * (np.array(shares) / sum(shares))
    assert np.abs(counts - wanted).max() <= 2 * len(sizes)  # within n before either end of a stretch
    assert not set(sources.tolist()) & {place for place, share in enumerate(shares) if share == 0}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1e308), min_size=1, max_size=8).filter(any))
def test_parts_of_shares_sum_up_and_none_is_lost(shares):
    parts = whole_parts(shares)
    assert sum(parts) == UNIT
    assert all((part > 0) == (share > 0) for part, share in zip(parts, shares, strict=True))


def test_a_source_goes_through_its_items_before_any_comes_again():
    sizes = (10, 33, 21)
    mixture = order(sizes, (3, 1, 1), epoch=640)
    items = np.concatenate([drawn(mixture, epoch) for epoch in range(3)])
    for place, (size, first) in enumerate(zip(sizes, (0, 10, 43), strict=True)):
        own = items[source_of(items, sizes) == place] - first
        rounds = [own[start : start + size] for start in range(0, len(own) - size, size)]
        assert len(rounds) >= 10 // len(sizes)
        assert all(sorted(turn) == list(range(size)) for turn in rounds)
        assert (rounds[0] != rounds[1]).any()


def test_a_position_alone_says_what_is_drawn():
    mixture = order((40, 70), (1, 2.5), group=4, phases=[(0, (1, 2.5)), (9, (1, 0)), (30, (0, 1))])
    whole = np.concatenate([drawn(mixture, epoch) for epoch in range(4)])
    for epoch, position in itertools.product(range(4), (0, 1, 17, 62, 109)):
        assert drawn(mixture, epoch, position, position + 1) == whole[epoch * mixture.size + position]


def test_groups_are_of_one_source():
    sizes = (64, 128)
    for group in (4, 8):
        sources = source_of(drawn(order(sizes, (1, 2), group=group)), sizes).reshape(-1, group)
        assert (sources == sources[:, :1]).all()
        assert 0 < sources[:, 0].mean() < 1
        assert np.abs(sources[:, 0].mean() - 2 / 3) < 0.05


def test_a_curriculum_changes_shares_at_its_steps():
    sizes, batch = (48, 48), 8
    mixture = order(sizes, None, batch=batch, phases=[(0, (1, 0)), (5, (1, 1)), (20, (0, 1))], epoch=100)
    # 12 batches an epoch of 100 draws: step 20 is batch 8 of the second epoch.
    steps = [source_of(drawn(mixture, e, b * batch, (b + 1) * batch), sizes) for e in range(3) for b in range(12)]
    seconds = [int((sources == 1).sum()) for sources in steps]
    assert seconds[:5] == [0] * 5
    assert set(seconds[5:20]) <= {3, 4, 5}
    assert seconds[20:] == [batch] * 16


def test_no_position_is_beyond_exact_counting():
    mixture = order((1000, 3000), (1, 3), epoch=4000)
    late = mixture.turns(np.arange(2**38 - 1000, 2**38))
    assert np.bincount(late[0]).tolist() == [250, 750]
    assert abs(int(late[1][late[0] == 1][-1]) - 0.75 * 2**38) < 4


def written(root, name, number, concept, values):
    """Pictures of one colour: 2/3 for training, the rest alternately for validation and test."""
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    for n in range(number):
        uid = sample_uid(f"{name} {n}")
        pixels = np.full((12, 12), values + n, np.uint8)
        writer.add(Sample({"uid": uid, "subject": f"{name}{n}", "kind": "image", "modality": name}, png(pixels)))
        split = "train" if n % 3 else ("val", "test")[n % 2]
        writer.add_rows("splits", [{"scheme": "default", "subject": f"{name}{n}", "split": split}])
        writer.add_rows("captions", [{"caption_id": uid, "uid": uid, "text": f"{name} number {n}", "kind": "raw"}])
        writer.add_rows("facts", [{"uid": uid, "concept": concept, "polarity": "present" if n % 2 else "absent"}])
    writer.publish()
    return str(root)


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """18 dark photographs with facts about dogs, 12 bright drawings with facts about cats."""
    root = tmp_path_factory.mktemp("mixture")
    return {
        "photo": written(root / "photos", "photo", 18, "dog", 10),
        "drawing": written(root / "drawings", "drawing", 12, "cat", 200),
    }


def mixed(corpora, *, shares=(2, 1), batch=6, preset=PRESET, workers=0, options=None, **mixture):
    sources = {
        name: MixtureSource(corpus=root, share=share, **(options or {}).get(name, {}))
        for (name, root), share in zip(corpora.items(), shares, strict=True)
    }
    return CorpusDataModule(
        preset, batch_size=batch, seed=3, num_workers=workers, mixture=Mixture(sources=sources, **mixture)
    )


def stream(data, batches):
    """Batches over epochs as a training loop would take them, with the cursor advanced."""
    taken, loader = [], data.train_dataloader()
    while len(taken) < batches:
        left = len(loader) - data.cursor.consumed // data.batch_size
        for batch in itertools.islice(loader, batches - len(taken)):
            taken.append(batch)
            left -= 1
            data.cursor.advance(data.batch_size, last=left == 0)
    return taken


def assert_equal(one, other):
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, field.name


def names(batch):
    return [text.split()[0] for text in batch.texts]


def test_a_single_source_draws_what_the_plain_datamodule_draws(corpora):
    root = corpora["photo"]
    plain = CorpusDataModule(PRESET, root, batch_size=5, seed=3)
    only = Mixture(sources={"only": MixtureSource(corpus=root, share=0.1)})
    alone = CorpusDataModule(PRESET, batch_size=5, seed=3, mixture=only)
    for a, b in zip(stream(plain, 7), stream(alone, 7), strict=True):  # two batches an epoch, two pictures left over
        assert b.source.tolist() == [0] * 5
        assert b.source_names == ("only",)
        assert_equal(a, dataclasses.replace(b, source=None, source_names=()))


def test_a_batch_knows_the_source_of_each_item(corpora):
    data = mixed(corpora, group=2)
    assert data.source_names == ("photo", "drawing")
    for batch in [*stream(data, 3), *data.val_dataloader()]:
        assert [batch.source_names[place] for place in batch.source.tolist()] == names(batch)
        assert [part.source.tolist() for part in split_items(batch, 2)] == [
            batch.source[at : at + 2].tolist() for at in range(0, len(batch), 2)
        ]


MODEL = small_model(source_scales=["drawing", "photo"])


def fit(model, data, folder, resumed=None, **options):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    kept = ModelCheckpoint(dirpath=folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    trainer = pl.Trainer(accelerator="cpu", default_root_dir=folder, logger=False, callbacks=[kept], **quiet, **options)
    trainer.fit(model, data, ckpt_path=resumed, weights_only=True)


def test_each_source_learns_a_scale_and_the_checkpoint_gives_their_mean(corpora, tmp_path):
    """In steps over both, of micro-batches of one; stopped and resumed it is the same to the bit."""
    path = tmp_path / "step=2.ckpt"
    options = {
        "batch": {"global": 6, "micro": 3},
        "schedule": {"class_path": "voxtile.training.Constant"},
    }

    def made():
        torch.manual_seed(0)
        return ContrastiveModule.from_config(MODEL | options)

    whole, resumed = made(), made()
    first = whole.encoder.source_scales.log_scale.detach().clone()
    fit(whole, mixed(corpora, group=3), tmp_path, max_steps=3)
    learned = read_source(path).encoder.source_scales.log_scale.detach()
    assert (learned != first).all()
    assert learned[0] != learned[1]
    mean = pytest.approx(learned.double().mean().exp().item(), rel=1e-6)
    assert load_model(str(path)).logit_scale == mean
    assert read_source(path).encoder.logit_scale.item() == mean
    fit(resumed, mixed(corpora, group=3), tmp_path / "again", max_steps=3, resumed=path)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert (resumed.encoder.source_scales.log_scale != learned).all()


def test_scales_of_other_sources_than_the_mixtures_are_refused(corpora, tmp_path):
    for data in (
        mixed({"scan": corpora["photo"], "drawing": corpora["drawing"]}),
        CorpusDataModule(PRESET, corpora["photo"], batch_size=4),
    ):
        with pytest.raises(ConfigError, match=r"source_scales names drawing, photo, but data.mixture has"):
            fit(ContrastiveModule.from_config(MODEL), data, tmp_path, max_steps=1)


def test_a_mixed_batch_holds_what_each_source_says(corpora):
    data = mixed(corpora, preset=ImagePreset(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1)))
    assert data.fact_names == ("cat", "dog")
    for batch in stream(data, 6):
        assert sorted(names(batch)) == ["drawing"] * 2 + ["photo"] * 4
        assert batch.image_item.tolist() == batch.text_item.tolist() == list(range(6))
        assert [text_hash(text) for text in batch.texts] == batch.text_hash.tolist()
        for place, text in enumerate(batch.texts):
            name, _, number = text.split()
            assert batch.uids[place] == sample_uid(f"{name} {number}")
            assert batch.subject[place] == hash63(f"{name}{number}")
            assert batch.images[place] * 255 == pytest.approx(
                {"photo": 10, "drawing": 200}[name] + int(number), abs=0.1
            )
            known = int(number) % 2
            assert batch.facts[place].tolist() == ([-1, known] if name == "photo" else [known, -1])


def test_sources_may_have_presets_captions_and_conditions_of_their_own(corpora):
    bright = ImagePreset(size=(8, 8), mean=(0, 0, 0), std=(0.5, 0.5, 0.5))
    options = {"drawing": {"preset": bright, "captions": CaptionPolicy(per_item=0), "where": "subject = 'drawing1'"}}
    data = mixed(corpora, preset=ImagePreset(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1)), options=options)
    batch = stream(data, 2)[1]
    drawings = [place for place, name in enumerate(names(batch)) if name == "drawing"]
    assert {batch.texts[place] for place in drawings} == {"drawing number 1"}
    assert batch.images[drawings] * 255 / 2 == pytest.approx(201, abs=0.1)
    assert batch.images.dtype == torch.float32
    assert {path.name for path in data.corpus.roots} == {"photos"}  # what data.preset reads


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_mixture_goes_on_with_the_same_batches(corpora, workers):
    mixture = {"group": 2, "curriculum": {2: {"drawing": 8.0}, 5: {"photo": 0.0}}}
    whole = stream(mixed(corpora, **mixture), 9)
    assert [names(batch).count("drawing") for batch in whole[5:]] == [6] * 4
    for stop in (1, 3, 6):
        first = mixed(corpora, **mixture)
        head = stream(first, stop)
        again = mixed(corpora, workers=workers, **mixture)
        again.load_state_dict(first.state_dict())
        for a, b in zip(whole, head + stream(again, 9 - stop), strict=True):
            assert_equal(a, b)


def test_each_micro_batch_and_each_rank_is_of_one_source(corpora, monkeypatch):
    whole = stream(mixed(corpora, group=3), 4)
    parts = []
    for rank in range(2):
        data = mixed(corpora, group=3)
        monkeypatch.setattr(data, "_place", lambda rank=rank: (rank, 2))
        parts.append(stream(data, 4))
    for number, batch in enumerate(whole):
        assert [uid for part in parts for uid in part[number].uids] == batch.uids
        assert [len(set(names(micro))) for micro in split_items(batch, 3)] == [1, 1]
        assert all(len(set(names(part[number]))) == 1 for part in parts)


def test_images_of_other_sizes_meet_in_no_batch(corpora):
    options = {"drawing": {"preset": ImagePreset(size=(4, 6))}}
    with pytest.raises(ConfigError, match=r"'photo' are 8×8 and those of 'drawing' 4×6.*group to 6"):
        mixed(corpora, options=options, group=3).train_dataloader()
    shapes = collections.Counter(tuple(b.images.shape) for b in stream(mixed(corpora, options=options, group=6), 6))
    assert shapes == {(6, 3, 8, 8): 4, (6, 3, 4, 6): 2}


def test_validation_goes_through_one_source_after_another(corpora):
    batches = list(mixed(corpora, batch=2).val_dataloader())
    assert [names(batch) for batch in batches] == [["photo"] * 2, ["photo"], ["drawing"] * 2]
    assert [batch.facts.shape[1] for batch in batches] == [2, 2, 2]
    only_photos = mixed(corpora, options={"drawing": {"where": "subject = 'drawing1'"}})
    assert {name for batch in only_photos.val_dataloader() for name in names(batch)} == {"photo"}


def test_sizes_and_temperature_give_the_shares_that_were_not_given(corpora):
    for temperature, wanted in ((1, (12, 8)), (2, (12**0.5, 8**0.5)), (1e9, (1, 1))):
        phases = Mixture(sources=dict.fromkeys("ab", MixtureSource(corpus="x")), temperature=temperature).phases(
            (12, 8)
        )
        assert phases[0][1] == pytest.approx(wanted)
    batches = stream(mixed(corpora, shares=(None, None), batch=20), 3)
    assert [names(batch).count("photo") for batch in batches] == pytest.approx([12] * 3, abs=1)


def test_another_mixture_is_refused(corpora):
    state = mixed(corpora).state_dict()
    for change in ({"shares": (1, 1)}, {"group": 2}, {"curriculum": {9: {"photo": 0.0}}}, {"epoch_items": 8}):
        other = mixed(corpora, **change)
        other.load_state_dict(state)
        with pytest.raises(CheckpointError, match="or the mixture has changed"):
            _ = other.cursor


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": (0, 0)}, "shares of all sources are 0"),
        ({"shares": (1, -0.5)}, "'drawing' has the share -0.5; give a number of zero or more"),
        ({"shares": (float("nan"), 1)}, "'photo' has the share nan"),
        ({"shares": (float("inf"), 1)}, "'photo' has the share inf"),
        ({"shares": (1, None)}, "'drawing' has no share, but 'photo' has one"),
        ({"temperature": 0.0}, "temperature: 0.0 is not a number above zero"),
        ({"group": 4}, "batches of 6 items cannot be made of groups of 4"),
        ({"curriculum": {3: {"scan": 1.0}}}, "no source named 'scan'; there are photo, drawing"),
        ({"curriculum": {-1: {"photo": 1.0}}}, "step -1 is negative"),
        ({"curriculum": {4: {"photo": 0.0, "drawing": 0.0}}}, "from step 4 on: the shares of all sources are 0"),
        ({"curriculum": {4: {"photo": float("nan")}}}, "from step 4 on: source 'photo' has the share nan"),
        ({"options": {"drawing": {"preset": VolumePreset(shape=(4, 4, 4))}}}, "'drawing' gives 1 channels in 3D, but"),
        ({"options": {"drawing": {"preset": ImagePreset(units="HU")}}}, "source 'drawing': this model needs units HU"),
        ({"options": {"drawing": {"where": "subject = 'nobody'"}}}, "source 'drawing': .*no sample"),
    ],
)
def test_what_no_mixture_can_be_made_of_is_one_sentence(corpora, change, message):
    with pytest.raises(VoxtileError, match=message) as caught:
        mixed(corpora, **change).train_dataloader()
    assert "\n" not in str(caught.value)


def test_missing_corpora_are_named_by_their_source(corpora, tmp_path):
    with pytest.raises(CorpusError, match=r"source 'drawing': .*nowhere"):
        mixed({**corpora, "drawing": str(tmp_path / "nowhere")}).setup("fit")
    with pytest.raises(ConfigError, match="source 'empty' names no corpus"):
        CorpusDataModule(PRESET, mixture=Mixture(sources={"empty": MixtureSource()}))
    with pytest.raises(ConfigError, match=r"sources is empty"):
        CorpusDataModule(PRESET, mixture=Mixture(sources={}))
    both = Mixture(sources={"photo": MixtureSource(corpus=corpora["photo"])})
    with pytest.raises(ConfigError, match=r"data.corpus and data.mixture are both set"):
        CorpusDataModule(PRESET, corpora["photo"], mixture=both)


def configured(example):
    """A datamodule as the command line makes it."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(CorpusDataModule, "data")
    return parser.instantiate_classes(parser.parse_object(example)).data


def test_the_example_of_the_documentation_is_read_as_it_says():
    example = yaml.safe_load(DOCUMENTED.search(DOCS.read_text()).group(1))
    module = configured(copy.deepcopy(example))  # the parser changes what it is given
    histology = module._mixed.mixture.sources["histology"]
    assert (histology.corpus, histology.share) == (["he-corpus", "he-more"], 1)
    assert histology.preset == ImagePreset(size=(64, 64), augment=ImageAugment(quarter_turns=True, flip=0.5))
    assert histology.captions == CaptionPolicy(unit="sentence", per_item=4)
    steps = module._mixed.mixture.phases((10, 10))
    assert steps == [(0, (3.0, 1.0)), (2000, (3.0, 3.0)), (8000, (0.0, 3.0))]
    example["data"]["mixture"]["sources"]["xray"]["share"] = -1
    with pytest.raises(ConfigError, match=r"^data\.mixture: source 'xray' has the share -1"):
        configured(example)


@pytest.mark.parametrize("places", [([0, 2], [1, 3]), ([3], [0, 1, 2]), ([1, 2], [3], [0])])
def test_parts_of_a_batch_put_together_are_the_batch(volume_corpus, places):
    view = CorpusDataModule(VolumePreset(shape=(4, 4, 4)), str(volume_corpus.roots[0])).compiled
    texts = CaptionPolicy(unit="sentence", per_item=3)
    dataset = DrawDataset(view, VolumePreset(shape=(4, 4, 4)), texts, unit="study", sample_captions=texts)

    def loaded(numbers):
        """Studies of two volumes each, with regions that tell where they belong."""
        batch = dataset.load(Draws(np.array(numbers), np.array(numbers) + 100))
        owners = [place for place, number in enumerate(numbers) for _ in range(number % 3)]
        told = torch.tensor([numbers[owner] for owner in owners], dtype=torch.float32)
        phrases = [f"phrase {number:g}" for number in told.tolist()]
        masks = told[:, None, None, None].expand(-1, 4, 4, 4)
        return dataclasses.replace(
            batch, regions=Regions(phrases, torch.tensor(owners, dtype=torch.int64), masks, told > 1, told)
        )

    whole = loaded(range(4))
    again = merged([loaded(part) for part in places], [torch.tensor(part) for part in places])
    for part, other in ((whole, again), (whole.samples, again.samples), (whole.regions, again.regions)):
        for field in dataclasses.fields(part):
            a, b = getattr(part, field.name), getattr(other, field.name)
            if not isinstance(a, (Batch, Regions)):
                assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, field.name


class _Announcing:
    """A source of so many items that says of which draws it was asked."""

    def __init__(self, name, items):
        self.name, self.items = name, items

    def __len__(self):
        return self.items

    def places(self, draws):
        numbers = [None] * len(draws.items) if draws.numbers is None else draws.numbers.tolist()
        yield from zip([self.name] * len(numbers), draws.items.tolist(), numbers, strict=True)


@pytest.mark.parametrize("numbers", [None, np.array([70, 71, 72, 73])])
def test_what_is_announced_is_what_the_draws_take(numbers):
    """The images of a study that a draw takes depend on its number; others would be fetched for nothing."""
    data = MixtureDataset({"ct": _Announcing("ct", 3), "mr": _Announcing("mr", 5)}, ())
    found = list(data.places(Draws(np.array([4, 0, 7, 2]), numbers)))
    keys = [None] * 4 if numbers is None else [70, 71, 72, 73]
    assert found == [("mr", 1, keys[0]), ("ct", 0, keys[1]), ("mr", 4, keys[2]), ("ct", 2, keys[3])]
