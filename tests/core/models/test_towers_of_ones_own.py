"""A class of one's own that does not keep the contract of towers or objectives is told in a sentence what it lacks."""

import pytest
import torch
from torch import nn

from voxtile.errors import ConfigError
from voxtile.models import DualEncoder, ImageTower, SubwordTokenizer, TextBag, TextTower
from voxtile.models.tower import resolve_tower
from voxtile.objectives import Objective
from voxtile.training.setting_up import taken_preset
from voxtile.training.step.losses import WeightedTerms
from voxtile.types import Encoded, Features

IMAGES = torch.randn(2, 1, 8, 8)


class Means(ImageTower):
    width, channels, dimensions = 8, 1, 2

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(1, 8)

    def forward(self, images, tokens=False):
        return Encoded(self.head(images.mean((2, 3))))


class NarrowerThanItSays(Means):
    width = 16


class PlainTensor(Means):
    def forward(self, images, tokens=False):
        return self.head(images.mean((2, 3)))


class NotPooled(Means):
    def forward(self, images, tokens=False):
        return Encoded(self.head(images.flatten(2).transpose(1, 2)))


class WithoutWidth(ImageTower):
    channels, dimensions = 1, 2


class WithoutTokenizer(TextTower):
    width = 8


def test_one_that_keeps_it_is_taken():
    model = DualEncoder(image=Means(), text=TextBag(width=8), embed_dim=4)
    assert model.encode_samples(IMAGES)[0].shape == (2, 4)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (NarrowerThanItSays, r"says that its width is 16, but its pooled vectors have the shape \[2, 8\]"),
        (PlainTensor, "the tower PlainTensor gives a Tensor; its forward has to return a voxtile.types.Encoded"),
        (NotPooled, r"the shape \[2, 64, 8\]; make both the same, \[S, width\]"),
    ],
)
def test_what_an_image_tower_gives(image, said):
    model = DualEncoder(image=image(), text=TextBag(width=8), embed_dim=4)
    with pytest.raises(ConfigError, match=said):
        model.encode_samples(IMAGES)


def test_what_a_text_tower_gives():
    class Sum(TextTower):
        width = 8

        def __init__(self):
            super().__init__()
            self.tokenizer = SubwordTokenizer()
            self.table = nn.Embedding(self.tokenizer.size, 4)

        def forward(self, tokens):
            return Encoded(self.table(tokens).sum(1))

    model = DualEncoder(image=Means(), text=Sum(), embed_dim=4)
    with pytest.raises(ConfigError, match="the tower Sum says that its width is 8"):
        model.encode_texts(torch.tensor([[1, 2]]))


def test_what_a_tower_says_of_itself():
    with pytest.raises(ConfigError, match="WithoutWidth has no 'width'; set it in the class or in its __init__"):
        DualEncoder(image=WithoutWidth(), text=TextBag(width=8))
    model = DualEncoder(image=Means(), text=WithoutTokenizer(), embed_dim=4)
    with pytest.raises(ConfigError, match="the tower WithoutTokenizer has no 'tokenizer'"):
        taken_preset(model, None)


def test_a_class_path_that_is_no_tower():
    with pytest.raises(
        ConfigError, match=r"its module cannot be imported, lacks it, or it is no subclass of voxtile\."
    ):
        resolve_tower("mine.towers.Deep", ImageTower)


class Vector(Objective):
    def forward(self, features):
        return 1 - (features.image * features.text).sum(1)


class Number(Objective):
    def forward(self, features):
        return 1.0


class WithoutForward(Objective):
    pass


class Strange(Vector):
    needs = frozenset({"token"})


@pytest.mark.parametrize(
    ("term", "said"),
    [(Vector, r"\(Vector\) gives a tensor of the shape \[4\], not a scalar"), (Number, "gives float,")],
)
def test_what_an_objective_gives(term, said):
    """A vector that is the only term was summed, without a word."""
    terms = WeightedTerms({"own": term()}, {})
    with pytest.raises(ConfigError, match=said):
        terms.losses(Features.of_pairs(torch.eye(4), torch.eye(4)))


@pytest.mark.parametrize(
    ("term", "said"),
    [(WithoutForward, r"\(WithoutForward\) has no forward; write one"), (Strange, "needs 'token', which nobody gives")],
)
def test_what_an_objective_says_of_itself(term, said):
    with pytest.raises(ConfigError, match=said):
        WeightedTerms({"own": term()}, {})
