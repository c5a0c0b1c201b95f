"""Dates from the corpus to the study tower: loading, shifts, resuming, large batches, evaluation and export."""

import dataclasses
import io

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from PIL import Image
from tests.core.data.small_model import small_model
from torch import nn

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.batches.dataset import Draws
from voxtile.data.captions import CaptionPolicy
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.draws import DrawDataset
from voxtile.data.images import CorpusImages
from voxtile.data.mixture.mixture import Mixture, MixtureSource
from voxtile.data.presets.image import ImageAugment, ImagePreset
from voxtile.errors import ConfigError
from voxtile.evaluation.figures.baselines import SimpleFeatures
from voxtile.evaluation.inputs.encode import encode_split
from voxtile.evaluation.inputs.units import Units
from voxtile.export.source import read_source
from voxtile.inference.load import from_module
from voxtile.training.checkpoint import AtomicCheckpointIO
from voxtile.training.memory import ConvertTensors
from voxtile.training.module import ContrastiveModule

PRESET = ImagePreset(size=(8, 8), augment=ImageAugment(crop="none"))
PLACES = (  # the dates of each place, in the order of its tiles
    ("2020-01-10T10:00:00Z", "2020-01-01", "2020-01-10T12:00:00+02:00"),
    ("2019-05-01", None),
    (None, None, "a rainy day"),
    ("2010-07-01T00:00:00.000001Z",),
)
DAYS = ((0, -9 - 10 / 24, 0), (0, None), (None, None, None), (0,))
FLAT = torch.tensor([torch.nan if d is None else d for place in DAYS for d in place], dtype=torch.float32)


def uid(place, n):
    return f"{place:016x}{n:016x}"


def written(root, shift=0, dated=True):
    new_corpus(root)
    writer = JobWriter(root, "tiles")
    for place, dates in enumerate(PLACES):
        for n, date in enumerate(dates):
            if shift and date and date[0] == "2":
                zone = "" if len(date) == 10 else "Z"
                moved = np.datetime64(date.replace("T12:00:00+02:00", "T10:00:00").rstrip("Z")) + np.timedelta64(
                    shift, "D"
                )
                date = f"{moved}{zone}"
            row = {"uid": uid(place, n), "subject": f"p{place}", "study": f"p{place}", "kind": "tile", "modality": "MS"}
            stream = io.BytesIO()
            Image.fromarray(np.random.default_rng(9 * place + n).integers(0, 255, (8, 8, 3), np.uint8)).save(
                stream, "PNG"
            )
            writer.add(Sample(row | {"datetime": date if dated else None}, stream.getvalue()))
            writer.add_rows("captions", [{"caption_id": row["uid"], "uid": row["uid"], "text": f"t{n}", "kind": "raw"}])
        writer.add_rows("splits", [{"scheme": "default", "subject": f"p{place}", "split": "train"}])
    writer.publish()
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return written(tmp_path_factory.mktemp("dates") / "corpus")


def data(root, **options):
    return CorpusDataModule(PRESET, str(root), unit="study", batch_size=2, seed=4, **options)


def loaded(root, numbers=None, **options):
    view = compile_view(Corpus(root))
    return DrawDataset(view, PRESET, CaptionPolicy(), unit="study", seed=1, **options).load(
        Draws(np.arange(len(PLACES)), numbers)
    )


def same(one, other):
    return all(
        torch.equal(a.nan_to_num(7), b.nan_to_num(7)) if isinstance(a, torch.Tensor) else a == b
        for a, b in ((getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    )


def test_a_batch_knows_the_days_since_the_latest_image_of_each_item(root):
    batch = loaded(root)
    assert batch.image_days.dtype == torch.float32
    assert torch.equal(batch.image_days.nan_to_num(7), FLAT.nan_to_num(7))


def test_the_images_that_are_drawn_keep_their_days(root):
    """They count from the latest of all the item's images, also where that is not drawn."""
    seen = set()
    for number in range(8):
        batch = loaded(root, np.full(len(PLACES), number), max_images_per_item=1)
        assert len(batch.image_days) == len(PLACES)
        seen.add(round(float(batch.image_days[0]), 3))
    assert seen == {0.0, -9.417}


def test_a_shift_of_all_dates_gives_the_same_batch(root, tmp_path):
    shifted = loaded(written(tmp_path / "shifted", shift=-2345))
    assert same(shifted, loaded(root))
    assert compile_view(Corpus(tmp_path / "shifted")).entry(0).moment != compile_view(Corpus(root)).entry(0).moment


def test_without_dates_batches_hold_none(tmp_path):
    assert loaded(written(tmp_path / "undated", dated=False)).image_days is None


def test_a_resumed_run_draws_the_same_days(root):
    whole = list(data(root).train_dataloader())
    first = data(root)
    first.cursor.advance(2, last=False)
    again = data(root, num_workers=1)
    again.load_state_dict(first.state_dict())
    (rest,) = again.train_dataloader()
    assert same(rest, whole[1])


def test_a_mixture_fills_up_what_one_source_does_not_know(root, tmp_path):
    undated = written(tmp_path / "undated", dated=False)
    sources = {name: MixtureSource(corpus=str(path), share=1) for name, path in (("a", root), ("b", undated))}
    mixed = CorpusDataModule(PRESET, unit="study", batch_size=8, seed=4, mixture=Mixture(sources=sources))
    assert mixed.has_dates
    (batch,) = mixed.train_dataloader()
    known = {
        name: days for place, own in enumerate(DAYS) for name, days in ((uid(place, n), d) for n, d in enumerate(own))
    }
    counts = torch.bincount(batch.image_item)
    dated = 0
    for item, lead in enumerate(batch.uids):
        own = batch.image_days[batch.image_item == item]
        expected = [known[lead[:16] + f"{n:016x}"] for n in range(int(counts[item]))]
        if not own.isnan().all():
            dated += 1
            assert own.tolist() == pytest.approx([np.nan if d is None else d for d in expected], nan_ok=True)
    assert dated == 3  # of the four places of one source; the other knows no date


def test_half_precision_leaves_days_whole(root):
    plain = loaded(root)
    plain.images = PRESET.unpack(plain.images)
    batch = ConvertTensors(lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor)(plain)
    assert batch.images.dtype == torch.bfloat16
    assert torch.equal(batch.image_days.nan_to_num(7), FLAT.nan_to_num(7))
    moved = loaded(root).to("meta")
    assert moved.image_days.device.type == "meta"


def config(dates=True, **model):
    study = {"class_path": "voxtile.models.StudyTransformer", "init_args": {"depth": 1, "heads": 2}}
    if dates:
        study["init_args"]["dates"] = {"longest": 4000.0}
    return small_model(study=study) | model


def module(**options):
    torch.manual_seed(0)
    made = ContrastiveModule.from_config(config(**options))
    made.encoder.text.tokenizer.train(["t0 t1 t2"])
    made.setup_objectives(())
    made.preset_config = PRESET.to_config()
    for parameter in made.encoder.study.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.double()


def gradients(made, batch):
    batch = dataclasses.replace(batch, images=PRESET.unpack(batch.images).double())
    made.zero_grad()
    loss = made.total(made.losses(made.features(batch)))
    loss.backward()
    return {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}


def test_a_large_batch_has_the_gradient_of_the_whole_with_dates(root):
    batch = loaded(root)
    whole, cached = module(), module(batch={"global": 4, "micro": 1})
    expected = gradients(whole, batch)
    found = gradients(cached, batch)
    assert expected["encoder.study.date.map.weight"].norm() > 1e-3
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-10, atol=1e-12, msg=name)


def test_evaluation_gives_the_study_tower_the_same_days(root, tmp_path):
    """The same embeddings as in training, through a checkpoint."""
    batch = loaded(root)
    made = module().float().eval()
    path = tmp_path / "last.ckpt"
    checkpoint = {"state_dict": made.state_dict()}
    made.on_save_checkpoint(checkpoint)
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    model = from_module(made.load_from_checkpoint(path), "m")
    assert model.reads_dates
    uids = tuple(uid(place, n) for place, dates in enumerate(PLACES) for n in range(len(dates)))
    units = Units(uids, batch.image_item.numpy(), np.array(list("abcd")), tuple(uid(place, 0) for place in range(4)))
    images = CorpusImages(Corpus(root), PRESET, uids, 4)
    features = SimpleFeatures(PRESET.unpack(batch.images))
    encoded = encode_split(model, units, images, features, studies=True, dates=images.dates)
    with torch.no_grad():
        expected = made.features(dataclasses.replace(batch, images=PRESET.unpack(batch.images))).image
    assert np.abs(encoded.embeddings - expected.double().numpy()).max() < 1e-5
    undated = encode_split(model, units, images, features, studies=True)
    assert np.abs(undated.embeddings - encoded.embeddings)[0].max() > 1e-3
    with pytest.raises(ConfigError, match="StudyTransformer, which no format of export holds"):
        read_source(path)


def test_a_corpus_without_dates_is_refused_where_the_model_reads_them(root, tmp_path):
    made = module().float()
    undated = written(tmp_path / "undated", dated=False)
    for bad in (data(undated), CorpusDataModule(PRESET, str(root), unit="sample", batch_size=2)):
        assert not bad.has_dates
        with pytest.raises(ConfigError, match="reads dates, but no item of the training split"):
            fit(made, bad, tmp_path)
    fit(made, data(root), tmp_path)
    fit(module(dates=False).float(), data(undated), tmp_path)


def fit(made, source, folder):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    pl.Trainer(accelerator="cpu", max_steps=1, logger=False, default_root_dir=folder, **quiet).fit(made, source)
