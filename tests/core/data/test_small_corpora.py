"""Corpora smaller than their config expects: smaller batches, missing splits, one sample, one subject; each is said."""

import numpy as np
import pytest

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.captions import CaptionPolicy
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.mixture.mixture import Mixture, MixtureSource
from voxtile.data.presets.tile import TilePreset
from voxtile.errors import ConfigError, PresetError

PRESET = TilePreset(bands=("red", "green", "blue"), size=(8, 8), modalities=("RGB",))


def tiles(root, splits, *, modality="RGB", bands=("red", "green", "blue")):
    """A tile a split, each of a subject of its own where no subject is named: `train`, or `train:mine`."""
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    for number, entry in enumerate(splits):
        split, _, subject = entry.partition(":")
        subject = subject or f"place {number}"
        row = {"uid": sample_uid(f"tile {number}"), "subject": subject, "kind": "tile", "modality": modality}
        row |= {"axes": "CYX", "units": "DN", "channels": [{"name": band} for band in bands]}
        writer.add(Sample(row, np.full((len(bands), 8, 8), number, np.uint8)))
        caption = {"caption_id": f"c{number}", "uid": row["uid"], "text": f"tile {number}", "kind": "raw"}
        writer.add_rows("captions", [caption])
        writer.add_rows("splits", [{"scheme": "default", "subject": subject, "split": split}])
    writer.publish()
    return Corpus(root)


def module(corpus, **options):
    given = {"batch_size": 32, "captions": CaptionPolicy()} | options
    return CorpusDataModule(PRESET, [str(root) for root in corpus.roots], **given)


def test_a_batch_holds_what_there_is_and_says_so(tmp_path, capsys):
    data = module(tiles(tmp_path / "c", ["train"] * 31 + ["val", "test"]))
    data.setup("fit")
    batches = list(data.train_dataloader())
    assert [len(batch.uids) for batch in batches] == [31]
    said = capsys.readouterr().err
    assert said.count("note: ") == 1
    assert "a batch holds 31 items and not 32 (data.batch_size): the split 'train' has 31 items" in said


def test_enough_items_change_nothing(tmp_path, capsys):
    data = module(tiles(tmp_path / "c", ["train"] * 33 + ["val", "test"]))
    data.setup("fit")
    assert [len(batch.uids) for batch in data.train_dataloader()] == [32]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (["train"] * 3, "in the splits 'val' and 'test', so that thresholds are not chosen and there is nothing"),
        (["train", "train", "val"], "in the split 'test', so that there is nothing to evaluate on"),
        (["train:me", "train:me"], "in the splits 'val' and 'test'"),
    ],
)  # fmt: skip
def test_a_split_that_is_missing_is_said(tmp_path, capsys, splits, said):
    module(tiles(tmp_path / "c", splits), batch_size=2).setup("fit")
    assert f"note: no sample of the corpus is {said}" in capsys.readouterr().err


@pytest.mark.parametrize("splits", [["train"], ["train", "test", "test"]])
def test_one_item_is_refused_since_nothing_can_be_compared(tmp_path, splits):
    with pytest.raises(ConfigError, match=r"the split 'train' has 1 item for 1 process, and .*convert more"):
        module(tiles(tmp_path / "c", splits)).setup("fit")


def test_a_corpus_without_a_training_split_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="train"):
        module(tiles(tmp_path / "c", ["test", "test"])).setup("fit")


def test_a_mixture_is_not_made_smaller_in_silence(tmp_path):
    corpus = tiles(tmp_path / "c", ["train"] * 3)
    mixture = Mixture(sources={"one": MixtureSource(corpus=str(corpus.roots[0]), share=1.0)})
    data = CorpusDataModule(PRESET, None, batch_size=32, captions=CaptionPolicy(), mixture=mixture)
    with pytest.raises(ConfigError, match="batch_size: 32 is more than the 3 items"):
        data.setup("fit")


def test_photographs_of_another_modality_say_what_to_write(tmp_path):
    with pytest.raises(PresetError, match=r"needs modality RGB, .* its bands are all there: .*'modality: RGB' into"):
        module(tiles(tmp_path / "c", ["train"] * 2, modality="MSI")).setup("fit")
    with pytest.raises(PresetError, match=r"needs modality RGB, but the corpus holds a tile \(SAR, 3×8×8\)$"):
        module(tiles(tmp_path / "d", ["train"] * 2, modality="SAR", bands=("vv", "vh", "hh"))).setup("fit")
