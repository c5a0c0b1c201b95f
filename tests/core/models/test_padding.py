"""Padding is dropped only where it changes nothing: outputs and gradients are those of the full length."""

import open_clip
import pytest
import torch
from torch import nn

from voxtile.models.padding import encode_text, without_padding

CONTEXT, END = 32, 99
LENGTHS = (3, 11, 7)


def tower(**options):
    torch.manual_seed(0)
    part = open_clip.transformer.TextTransformer(
        context_length=CONTEXT, vocab_size=100, width=16, heads=2, layers=2, output_dim=8, eos_id=END, **options
    )
    made = nn.Module()
    made.text = part.double()
    return made


def tokens():
    made = torch.zeros(len(LENGTHS), CONTEXT, dtype=torch.int64)
    draw = torch.Generator().manual_seed(1)
    for row, length in zip(made, LENGTHS, strict=True):
        row[:length] = torch.randint(1, END, (length,), generator=draw)
        row[length - 1] = END
    return made


def outputs(made, given):
    made.zero_grad()
    out = encode_text(made.text, given)
    out.square().sum().backward()
    return out.detach(), {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("pool", ["argmax", "eos"])
def test_clip_gives_the_same_without_padding(pool):
    made, full = tower(pool_type=pool), tokens()
    short = without_padding(made, full)
    assert short.shape == (3, 16)  # the longest has eleven
    (out, grads), (wanted, wanted_grads) = outputs(made, short), outputs(made, full)
    assert torch.equal(wanted, made.text(full))
    assert torch.allclose(out, wanted, rtol=0, atol=1e-12)
    assert grads.keys() == wanted_grads.keys()
    assert all(torch.allclose(grads[name], wanted_grads[name], rtol=0, atol=1e-11) for name in grads)


@pytest.mark.parametrize(
    "options",
    [
        {"pool_type": "last", "no_causal_mask": True},  # SigLIP
        {"pool_type": "last", "embed_cls": True},  # CoCa
        {"pool_type": "first"},
    ],
)
def test_other_towers_keep_their_length(options):
    full = tokens()
    assert without_padding(tower(**options), full) is full
    assert without_padding(nn.Module(), full) is full


def test_a_text_of_full_length_is_kept_and_an_empty_one_leaves_a_column():
    full = tokens()
    full[0] = END
    assert torch.equal(without_padding(tower(), full), full)
    assert without_padding(tower(), torch.zeros(2, CONTEXT, dtype=torch.int64)).shape == (2, 8)
