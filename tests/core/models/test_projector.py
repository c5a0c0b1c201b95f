"""Frozen towers and what is learned after them: a projection aligns what it can, and the towers stand still."""

import pytest
import torch
from torch import nn

from voxtile.errors import ConfigError, ExportError
from voxtile.export.openclip import folded
from voxtile.models.dual import DualEncoder, make_projection
from voxtile.models.tower import ImageTower, TextTower
from voxtile.models.tuning import Tuning
from voxtile.types import Encoded

CORNERS = torch.tensor([[1.0, 1], [-1, -1], [1, -1], [-1, 1]])  # what is alike lies at opposite corners (XOR)
KINDS = torch.tensor([1, 1, 2, 2])


class Picture(ImageTower):
    channels, dimensions, width = 1, 2, 2

    def __init__(self):
        super().__init__()
        self.turn = nn.Parameter(torch.eye(2))

    def forward(self, images, tokens=False):
        return Encoded(images.flatten(1)[:, :2] @ self.turn)


class Word(TextTower):
    width, tokenizer = 2, None

    def __init__(self):
        super().__init__()
        self.rows = nn.Embedding.from_pretrained(torch.tensor([[0.0, 0], [1, 0.5], [-1, 0.5]]), freeze=False)

    def forward(self, tokens):
        return Encoded(self.rows(tokens[:, 0]))


def trained(kind):
    """Share of corners whose own word is nearer than the other, after training behind frozen towers."""
    torch.manual_seed(0)
    frozen = Tuning(mode="frozen")
    encoder = DualEncoder(
        image=Picture(), text=Word(), embed_dim=4, projector=kind, image_tuning=frozen, text_tuning=frozen
    )
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in encoder.parameters() if p.requires_grad], lr=0.03)
    images = CORNERS.reshape(4, 1, 1, 2)
    for _ in range(120):
        optimizer.zero_grad()
        text = encoder.encode_texts(torch.tensor([[1], [2]]))[0]
        similarity = encoder.logit_scale * encoder.encode_samples(images)[0] @ text.T
        nn.functional.cross_entropy(similarity, KINDS - 1).backward()
        optimizer.step()
    changed = {
        name.split(".")[0] for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"image_projection", "text_projection", "log_scale"}
    text = encoder.encode_texts(torch.tensor([[1], [2]]))[0]
    return ((encoder.encode_samples(images)[0] @ text.T).argmax(1) + 1 == KINDS).float().mean().item()


def test_an_mlp_aligns_frozen_towers_that_no_linear_map_can():
    assert trained("mlp") == 1.0
    assert trained("linear") < 1.0


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="projector 'deep' does not exist; use linear or mlp"):
        make_projection("deep", 2, 2)
    with pytest.raises(ConfigError, match="leaves no room for projector: mlp"):
        DualEncoder(image=Picture(), text=Word(), embed_dim=2, project=False, projector="mlp")
    with pytest.raises(ExportError, match="--to onnx"):
        folded(nn.Linear(2, 2), make_projection("mlp", 2, 2))
