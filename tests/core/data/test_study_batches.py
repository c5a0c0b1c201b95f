"""Batches of studies: texts of single samples beside those of the study, within a budget of images."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.batches.dataset import Draws
from voxtile.data.captions import CaptionPolicy
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.draws import DrawDataset
from voxtile.data.presets.image import ImageAugment, ImagePreset
from voxtile.errors import ConfigError, PresetError
from voxtile.objectives.base import Objective
from voxtile.objectives.of_samples import OfSamples
from voxtile.types import Encoded, Features

SIZES = (3, 9, 20)  # patches of each slide
PRESET = ImagePreset(size=(8, 8), augment=ImageAugment(crop="none"))


def uid(slide, n):
    return f"{slide:016x}{n:016x}"


def png(value):
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    """Three slides: a report on each one's first patch, and a caption and a tissue for each patch."""
    root = tmp_path_factory.mktemp("studies") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "slides")
    captions, facts, scopes = [], [], []
    for slide, size in enumerate(SIZES):
        for n in range(size):
            row = {
                "uid": uid(slide, n),
                "subject": f"s{slide}",
                "study": f"s{slide}",
                "kind": "patch",
                "modality": "SM",
            }
            writer.add(Sample(row, png(10 * slide + n)))
            tissue = ("fat", "mucin")[n % 2]
            text = f"A patch of {tissue}, number {n} of slide {slide}."
            captions.append({"caption_id": f"t{slide}-{n}", "uid": row["uid"], "text": text, "kind": "template"})
            facts.append({"uid": row["uid"], "concept": tissue, "polarity": "present", "source": "annotations@1"})
            scopes.append(
                {"uid": row["uid"], "vocabulary": "annotations", "closed": True, "concepts": ["fat", "mucin"]}
            )
        captions.append({"caption_id": f"r{slide}", "uid": uid(slide, 0), "text": f"Report {slide}.", "kind": "raw"})
        facts.append({"uid": uid(slide, 0), "concept": "cancer", "polarity": "present", "source": "reports@1"})
        facts.append({"uid": uid(slide, 0), "concept": "secret", "polarity": "present", "source": "labels@1"})
    writer.add_rows("captions", captions)
    writer.add_rows("facts", facts)
    writer.add_rows("scopes", scopes)
    writer.add_rows("splits", [{"scheme": "default", "subject": f"s{n}", "split": "train"} for n in range(len(SIZES))])
    writer.publish()
    return compile_view(Corpus(root), facts_source="annotations, reports")


def dataset(view, **options):
    policies = {
        "captions": CaptionPolicy(kinds={"raw": 1.0}),
        "sample_captions": CaptionPolicy(kinds={"template": 1.0}),
    }
    return DrawDataset(view, PRESET, unit="study", seed=5, **{**policies, **options})


def draws(*numbers):
    return Draws(np.arange(3), np.array(numbers, np.int64))


def test_a_batch_carries_both_levels_and_knows_whose_texts_are_whose(view):
    batch = dataset(view).load(draws(0, 1, 2))
    assert batch.texts == ["Report 0.", "Report 1.", "Report 2."]
    samples = batch.samples
    assert len(batch) == 3
    assert len(samples) == sum(SIZES) == len(batch.images)
    for n, (text, owner) in enumerate(zip(samples.texts, samples.text_item.tolist(), strict=True)):
        slide, number = int(samples.uids[owner][:16], 16), int(samples.uids[owner][16:], 16)
        assert text == f"A patch of {('fat', 'mucin')[number % 2]}, number {number} of slide {slide}."
        assert batch.image_item[n] == slide
        fact = dict(zip(samples.fact_names, samples.facts[owner].tolist(), strict=True))
        assert (fact["fat"], fact["mucin"]) == ((1, 0), (0, 1))[number % 2]


def test_facts_of_the_labels_stay_out_and_closed_scopes_of_the_named_sources_count(view):
    assert view.concepts == ("cancer", "fat", "mucin")
    batch = dataset(view).load(draws(0, 1, 2))
    assert batch.facts.tolist() == [[1, 1, 1]] * 3  # a study shows what any of its patches shows
    assert (batch.samples.facts[:, 0] == 1).sum() == 3  # the report's fact is its patch's alone


def test_a_budget_takes_from_the_largest_studies(view):
    for budget, expected in ((100, [3, 9, 20]), (20, [3, 8, 8]), (15, [3, 6, 6]), (7, [2, 2, 2]), (1, [1, 1, 1])):
        batch = dataset(view, max_images_per_batch=budget).load(draws(0, 1, 2))
        assert torch.bincount(batch.image_item).tolist() == expected, budget
        assert len(batch.images) <= max(budget, 3)
        assert len(batch.samples.uids) == len(batch.images)


def test_the_images_drawn_are_keyed_by_the_draw(view):
    data = dataset(view, max_images_per_batch=12)
    once, again, other = (data.load(draws(*n)).samples.uids for n in ((4, 5, 6), (4, 5, 6), (7, 8, 9)))
    assert once == again
    assert once != other
    alone = data.load(Draws(np.array([2]), np.array([6])))
    assert len(alone.images) == 12  # one study has the whole budget
    plain = data.load(Draws(np.arange(3), None)).samples.uids
    assert plain == data.load(Draws(np.arange(3), None)).samples.uids


def test_training_texts_hold_both_levels(view):
    texts = dataset(view).texts(10)
    assert {"Report 1.", "A patch of mucin, number 3 of slide 2."} <= set(texts)


def test_moving_a_batch_moves_its_samples(view):
    batch = dataset(view).load(draws(0, 1, 2)).to("meta")
    assert batch.samples.facts.device.type == batch.samples.text_item.device.type == "meta"


def test_texts_of_samples_need_studies():
    with pytest.raises(ConfigError, match="unit: study"):
        CorpusDataModule(PRESET, "nowhere", sample_captions=CaptionPolicy())


class Spy(Objective):
    def __init__(self):
        super().__init__()
        self.seen, self.names = None, None

    def setup(self, *, image_width, text_width, embed_dim, fact_names):
        self.names = fact_names

    def forward(self, features):
        self.seen = features
        return features.image.sum()


def features_of(batch):
    image = torch.randn(len(batch.samples), 4)
    inner = Features(
        image,
        torch.randn(len(batch.samples.texts), 4),
        torch.ones(()),
        None,
        Encoded(image),
        Encoded(image),
        batch.samples,
    )
    return Features(image[:3], image[:3], torch.ones(()), None, Encoded(image), Encoded(image), batch, samples=inner)


def test_an_objective_over_samples_sees_their_features_and_the_chosen_facts(view):
    spy = Spy()
    objective = OfSamples(spy, concepts=["mucin", "fat"])
    objective.setup(image_width=4, text_width=4, embed_dim=4, fact_names=view.concepts)
    features = features_of(dataset(view).load(draws(0, 1, 2)))
    loss = objective(features)
    assert loss == features.samples.image.sum()
    assert spy.names == spy.seen.batch.fact_names == ("mucin", "fat")
    assert torch.equal(spy.seen.batch.facts, features.samples.batch.facts[:, [2, 1]])


def test_objectives_over_samples_say_what_they_lack(view):
    objective = OfSamples(Spy(), concepts=["bone"])
    with pytest.raises(ConfigError, match="bone"):
        objective.setup(image_width=4, text_width=4, embed_dim=4, fact_names=view.concepts)
    plain = features_of(dataset(view).load(draws(0, 1, 2)))
    plain.samples = None
    with pytest.raises(ConfigError, match="sample_captions"):
        OfSamples(Spy())(plain)


def test_a_cached_picture_gives_what_an_uncached_one_gives(view):
    change = ImageAugment(crop="shift", shift=2, flip=0.5, quarter_turns=True, colour=0.4, brightness=0.1)
    preset = ImagePreset(size=(8, 8), augment=change)
    source = view.source(view.entry(5))
    for seed in range(6):
        plain = preset.pixels(source, np.random.default_rng(seed))
        cached = preset.finish(preset.base(source), np.random.default_rng(seed))
        assert torch.equal(plain, cached)


def test_quarter_turns_and_colour_are_what_they_say():
    from voxtile.data.presets.image import _changed

    image = torch.arange(48, dtype=torch.uint8).view(3, 4, 4) * 5
    turned = {
        tuple(_changed(image, ImageAugment(quarter_turns=True), np.random.default_rng(n)).flatten().tolist())
        for n in range(40)
    }
    assert turned == {tuple(image.rot90(k, (1, 2)).flatten().tolist()) for k in range(4)}
    coloured = _changed(image, ImageAugment(colour=0.5), np.random.default_rng(3)).double()
    inner = (image > 20) & (image < 235)
    density, own = -torch.log(coloured.clamp(min=1) / 255), -torch.log(image.double().clamp(min=1) / 255)
    for channel in range(3):  # Beer-Lambert: one factor on the optical density of a channel
        ratio = (density[channel] / own[channel])[inner[channel]]
        assert ratio.std() < 0.05
    with pytest.raises(PresetError, match="square"):
        ImagePreset(size=(8, 9), augment=ImageAugment(quarter_turns=True))
