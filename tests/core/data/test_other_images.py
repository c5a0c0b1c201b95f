"""Dialogues about several images: the newest one's item shows the others beside it, each once and by its name."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data import VolumeAugment, VolumePreset
from voxtile.data.batches.dataset import Draws
from voxtile.data.captions import CaptionPolicy
from voxtile.data.dialogues import DialogueDraws, DialoguePolicy, image_names
from voxtile.data.draws import DrawDataset
from voxtile.data.mixture.draws import merged
from voxtile.errors import ConfigError

DATES = ["2024-03-12", "2024-05-03T10:00:00", "2025-01-02", None]
SUBJECTS = ["p", "p", "p", "q"]
ASKED = {  # dialogue → the images that it shows, earliest first
    "c1": (0, 1), "c2": (0, 1), "c3": (0, 1, 2), "one": (1,), "elsewhere": (4, 3),
}  # fmt: skip


def uid(number):
    return f"{number + 1:032x}"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("followed") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made")
    for number, (subject, date) in enumerate(zip([*SUBJECTS, "r"], [*DATES, "2020-01-01"], strict=True)):
        row = {"uid": uid(number), "subject": subject, "study": f"s{number}", "kind": "volume", "modality": "CT",
               "axes": "ZYX", "units": "HU", "spacing": [1.0, 1.0, 1.0], "datetime": date}  # fmt: skip
        volume = np.random.default_rng(number).integers(-100, 100, (6, 8, 8)).astype(np.int16)
        writer.add(Sample(row, volume))
    split = {"p": "train", "q": "train", "r": "val"}
    writer.add_rows("splits", [{"scheme": "default", "subject": s, "split": part} for s, part in split.items()])
    for name, images in ASKED.items():
        about = {"dialogue_id": name, "uids": [uid(image) for image in images], "kind": "comparison"}
        said = ({"role": "user", "text": f"{name}?"}, {"role": "assistant", "text": "On the left."})
        writer.add_rows("dialogues", [about | {"turn": turn, **row} for turn, row in enumerate(said)])
    writer.publish()
    return Corpus(root)


def dataset(corpus, **augment):
    preset = VolumePreset(shape=(4, 6, 6), spacing=(1, 1, 1), windows=((-100, 100),), units="HU", augment=augment)
    draws = DialogueDraws(corpus, DialoguePolicy(per_item=0))
    view = compile_view(corpus)
    return DrawDataset(view, preset, CaptionPolicy(), split="train", dialogues=draws)


def loaded(made, *, numbers=None):
    items = np.arange(len(made))
    return made.load(Draws(items, None if numbers is None else np.asarray(numbers)))


def test_the_newest_image_is_shown_with_the_others_each_once_and_by_name(corpus):
    made = dataset(corpus)
    batch = loaded(made)
    said = {
        turns[0].question: (batch.uids[item], [(image.uid, image.name) for image in turns[0].images])
        for item, drawn in enumerate(batch.dialogues)
        for turns in drawn
    }
    first, second = (uid(0), "Image 1, 12 March 2024, prior"), (uid(1), "Image 2, 3 May 2024")
    assert said == {
        "one?": (uid(1), []),
        "c1?": (uid(1), [first, second]),
        "c2?": (uid(1), [first, second]),
        "c3?": (uid(2), [first, (uid(1), "Image 2, 3 May 2024, prior"), (uid(2), "Image 3, 2 January 2025")]),
    }  # and none that shows an image of another split
    owners = [batch.uids[item] for item in batch.others.item.tolist()]
    assert sorted(zip(owners, batch.others.uids, strict=True)) == [(uid(1), uid(0)), (uid(2), uid(0)), (uid(2), uid(1))]
    for other, image in zip(batch.others.uids, batch.others.images, strict=True):
        torch.testing.assert_close(image, made.preset(corpus.source(corpus.row(other)), None))


def test_what_is_drawn_of_an_item_does_not_depend_on_the_rest_of_its_batch(corpus):
    made = dataset(corpus, shift=[1, 1, 1], offset=10)
    whole = loaded(made, numbers=[7, 8, 9, 10])
    parts = [made.load(Draws(np.array([item]), np.array([7 + item]))) for item in range(4)]
    joined = merged(parts, [torch.tensor([item]) for item in range(4)])
    assert whole.others.uids == joined.others.uids
    assert torch.equal(whole.others.item, joined.others.item)
    assert torch.equal(whole.others.images, joined.others.images)
    again = loaded(made, numbers=[1, 2, 3, 4])
    assert not torch.equal(whole.others.images, again.others.images)


class Mirrored(VolumePreset):
    """Mirrored in training, but where that is not asked for."""

    @property
    def upright(self):
        return replace(self, augment=VolumeAugment())


def test_images_of_which_sides_are_told_are_not_mirrored(corpus):
    plain, made = loaded(dataset(corpus)), dataset(corpus)
    settings = {"shape": (4, 6, 6), "spacing": (1, 1, 1), "windows": ((-100, 100),), "units": "HU"}
    made.preset = Mirrored(**settings, augment=VolumeAugment(flip=("x",)))
    for number in range(6):
        batch = loaded(made, numbers=[number] * 4)
        told = [item for item, drawn in enumerate(batch.dialogues) if drawn]
        torch.testing.assert_close(batch.images[told], plain.images[told])
        torch.testing.assert_close(batch.others.images, plain.others.images)


def test_a_policy_may_keep_to_one_image(corpus):
    draws = DialogueDraws(corpus, DialoguePolicy(per_item=0, max_images=2))
    others = [uid(number) for number in range(3)]
    assert len(draws.of([uid(1)], others)) == 3
    assert draws.of([uid(2)], others) == []
    single = DialogueDraws(corpus, DialoguePolicy(per_item=0, max_images=1))
    assert [turns[0].question for turns in single.of([uid(1)], others)] == ["one?"]
    with pytest.raises(ConfigError, match="max_images: 0 shows nothing"):
        DialoguePolicy(max_images=0)


def test_a_prior_is_named_only_where_its_date_is_earlier():
    assert image_names(["2024-03-12", "2024-03-12T09:00:00", None]) == (
        "Image 1, 12 March 2024", "Image 2, 12 March 2024", "Image 3",
    )  # fmt: skip
    assert image_names([None, "2024-03-12"]) == ("Image 1", "Image 2, 12 March 2024")
    assert image_names(["2024-03-11", "2024-03-12"]) == ("Image 1, 11 March 2024, prior", "Image 2, 12 March 2024")
