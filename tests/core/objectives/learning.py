"""A small model in training with one objective."""

from collections.abc import Callable

import torch

from voxtile.models.dual import DualEncoder
from voxtile.models.text import TextBag
from voxtile.models.tower import ImageTower
from voxtile.objectives.base import Objective
from voxtile.training.module import ContrastiveModule


def learning(objective: Objective, image: Callable[[], ImageTower]) -> ContrastiveModule:
    """A module over a tower and a bag of words, whose weights are the same at every call."""
    torch.manual_seed(0)
    encoder = DualEncoder(image=image(), text=TextBag(vocabulary=300, context=8, width=16), embed_dim=8)
    encoder.text.tokenizer.train(["text 0 text 1"])
    made = ContrastiveModule(encoder=encoder, objectives={"it": objective})
    made.setup_objectives(("a", "b"))
    return made.train()
