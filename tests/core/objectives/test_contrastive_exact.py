"""The tiled losses against dense ones that are written from the papers' equations, with autograd."""

import itertools

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.pairs import Pairs
from voxtile.types import Batch, Encoded, Features


def make_batch(
    items: int, text_item: Tensor, *, texts=10**6, studies=10**6, subjects=10**6, sources: int | None = None, seed=0
):
    g = torch.Generator().manual_seed(seed)
    subject = torch.randint(0, subjects, (items,), generator=g)
    return Batch(
        images=torch.zeros(items, 1, 1, 1),
        image_item=torch.arange(items),
        texts=["t"] * len(text_item),
        text_item=text_item,
        study=torch.randint(0, studies, (items,), generator=g),
        subject=subject,
        text_hash=torch.randint(0, texts, (len(text_item),), generator=g),
        facts=torch.randint(-1, 2, (items, 2), generator=g, dtype=torch.int8),
        fact_names=("a", "b"),
        uids=[str(i) for i in range(items)],
        draws=torch.arange(items),
        source=None if sources is None else torch.randint(0, sources, (items,), generator=g),
    )


def dense_masks(batch: Batch, positives, ignored) -> tuple[Tensor, Tensor]:
    """Positive and valid pairs, pair by pair from their definition."""
    b, t = len(batch), len(batch.texts)
    owner = batch.text_item.tolist()
    hashes = batch.text_hash.tolist()
    owned = [{hashes[j] for j in range(t) if owner[j] == i} for i in range(b)]

    def related(name: str, i: int, j: int) -> bool:
        if name == "text":
            return hashes[j] in owned[i]
        if name == "same_facts":
            mine, theirs = batch.facts[i].tolist(), batch.facts[owner[j]].tolist()
            return mine == theirs and any(fact >= 0 for fact in mine)
        if name == "other_source":
            return batch.source is not None and bool(batch.source[i] != batch.source[owner[j]])
        values = batch.study if name == "study" else batch.subject
        return bool(values[i] == values[owner[j]])

    positive = torch.zeros(b, t, dtype=torch.bool)
    valid = torch.ones(b, t, dtype=torch.bool)
    for i, j in itertools.product(range(b), range(t)):
        positive[i, j] = owner[j] == i or any(related(name, i, j) for name in positives)
        valid[i, j] = positive[i, j] or not any(related(name, i, j) for name in ignored)
    return positive, valid


def dense_loss(kind, image, text, scale, bias, positive, valid):
    logits = scale * image @ text.T + bias
    if kind == "sigmoid":
        sign = positive.to(logits.dtype) * 2 - 1
        return -(F.logsigmoid(sign * logits) * valid).sum() / text.shape[0]
    half = []
    for z, p, v in ((logits, positive, valid), (logits.T, positive.T, valid.T)):
        log_share = torch.log_softmax(z.masked_fill(~v, -torch.inf), dim=1)
        count = p.sum(1)
        mean = torch.where(p, log_share, 0.0).sum(1)[count > 0] / count[count > 0]
        half.append(-mean.mean())
    return sum(half) / 2


def embeddings(items, text_item, width, aligned, dtype, seed=1, noise=0.05):
    g = torch.Generator().manual_seed(seed)
    image = torch.randn(items, width, generator=g, dtype=torch.float64)
    text = torch.randn(len(text_item), width, generator=g, dtype=torch.float64)
    if aligned:
        text = image[text_item] + noise * text
    return F.normalize(image, dim=1).to(dtype), F.normalize(text, dim=1).to(dtype)


def gradients(function, image, text, scale, bias, dtype):
    leaves = [x.to(dtype).clone().requires_grad_() for x in (image, text, scale, bias)]
    loss = function(*leaves)
    (loss * 1.7).backward()  # an upstream gradient other than one
    return [loss.detach(), *(torch.zeros_like(x) if x.grad is None else x.grad for x in leaves)]


def tiled(kind, batch, positives, ignored, tile):
    objective = Contrastive(kind=kind, positives=positives, ignore=ignored, tile=tile)

    def loss(image, text, scale, bias):
        empty = Encoded(image)
        return objective(Features(image, text, scale, bias, empty, empty, batch))

    return loss


CASES = {
    "plain": (40, torch.arange(40), (), (), {}),
    "several texts an item": (17, torch.arange(60) % 17, (), (), {}),
    "items without a text": (20, torch.arange(30) % 15, (), (), {}),
    "equal texts": (40, torch.arange(40), ("text",), (), {"texts": 3}),
    "equal texts, several an item": (16, torch.arange(48) % 16, ("text",), (), {"texts": 20}),
    "studies and subjects": (40, torch.arange(40), ("study",), ("subject",), {"studies": 15, "subjects": 6}),
    "ignored texts": (30, torch.arange(45) % 30, (), ("text", "subject"), {"texts": 8, "subjects": 9}),
    "everything": (
        24,
        torch.arange(60) % 23,
        ("text", "study"),
        ("subject",),
        {"texts": 30, "studies": 20, "subjects": 10},
    ),
    "same facts": (40, torch.arange(40), ("same_facts",), (), {}),
    "several sources": (40, torch.arange(50) % 40, ("same_facts",), ("other_source",), {"sources": 3}),
    "sources, equal texts": (30, torch.arange(30), ("text",), ("other_source", "subject"), {"sources": 4, "texts": 9}),
    "no sources": (40, torch.arange(40), (), ("other_source",), {}),
    "one item": (1, torch.zeros(3, dtype=torch.long), (), (), {}),
}


@pytest.mark.cases(40)
@pytest.mark.parametrize("tile", [(7, 11), (64, 64)])
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize("case", CASES)
def test_float64_equals_the_dense_loss(case, kind, aligned, tile):
    items, text_item, positives, ignored, alike = CASES[case]
    batch = make_batch(items, text_item, **alike)
    image, text = embeddings(items, text_item, 12, aligned, torch.float64)
    scale, bias = torch.tensor(60.0 if aligned else 14.0), torch.tensor(-3.0)
    masks = dense_masks(batch, positives, ignored)
    args = (image, text, scale, bias, torch.float64)
    ours = gradients(tiled(kind, batch, positives, ignored, tile), *args)
    dense = gradients(lambda *x: dense_loss(kind, *x, *masks), *args)
    for name, a, b in zip(("loss", "image", "text", "scale", "bias"), ours, dense, strict=True):
        assert (a - b).abs().max() <= 1e-10, name
    if items > 1:
        assert all(g.abs().max() > 1e-9 for g in dense[1:4]), "the case would pass with zero gradients"


def test_without_pairs_of_other_sources_a_batch_is_the_mean_of_its_sources_batches():
    image, text = embeddings(24, torch.arange(24), 12, False, torch.float64)
    batch = make_batch(24, torch.arange(24), texts=10**9, sources=1)
    batch.source = torch.arange(24) % 3
    scale, bias = torch.tensor(9.0, dtype=torch.float64), torch.tensor(0.0)
    loss = tiled("softmax", batch, (), ("other_source",), (7, 11))(image, text, scale, bias)
    each = [F.cross_entropy(z, torch.arange(8)) + F.cross_entropy(z.T, torch.arange(8))
            for z in (scale * image[k::3] @ text[k::3].T for k in range(3))]  # fmt: skip
    torch.testing.assert_close(loss, sum(each) / 6)
    assert (tiled("softmax", batch, (), (), (7, 11))(image, text, scale, bias) - loss).abs() > 0.1


def test_a_config_cannot_call_pairs_of_other_sources_positive():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Contrastive)
    assert parser.parse_args(["--ignore=[other_source]"]).ignore == ["other_source"]
    with pytest.raises(ArgumentError, match="other_source"):
        parser.parse_args(["--positives=[other_source]"])


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize("case", ["plain", "several texts an item", "equal texts", "studies and subjects"])
def test_float32_is_as_accurate_as_the_dense_loss(case, kind, aligned):
    _, _, positives, ignored, alike = CASES[case]
    items = 500
    text_item = torch.arange(1200) % items if case == "several texts an item" else torch.arange(items)
    batch = make_batch(items, text_item, **{k: v * 10 for k, v in alike.items()})
    image, text = embeddings(items, text_item, 128, aligned, torch.float32, noise=1.5)
    scale, bias = torch.tensor(100.0 if aligned else 14.3), torch.tensor(-10.0)
    hashes = (batch.text_hash[None] == batch.text_hash[:, None]) if "text" in positives else torch.zeros(1, 1).bool()
    positive = (batch.text_item == torch.arange(items)[:, None]) | hashes
    valid = torch.ones_like(positive)
    if "study" in positives:
        positive |= batch.study[:, None] == batch.study[batch.text_item]
        valid = positive | (batch.subject[:, None] != batch.subject[batch.text_item])

    def dense(*x):
        return dense_loss(kind, *x, positive, valid)

    truth = gradients(dense, image, text, scale, bias, torch.float64)
    peer = gradients(dense, image, text, scale, bias, torch.float32)
    ours = gradients(tiled(kind, batch, positives, ignored, (128, 256)), image, text, scale, bias, torch.float32)
    names = ("loss", "image", "text", "scale", "bias")
    for name, t, p, o in zip(names, truth, peer, ours, strict=True):
        if name == "bias" and kind == "softmax":
            assert o == 0
            continue
        assert t.norm() > 0
        own, error = ((x.double() - t).norm() / t.norm() for x in (p, o))
        assert error <= max(1e-6, 2 * own), f"{name}: {error:.2e}, dense {own:.2e}"


def test_shares_near_one_keep_their_digits():
    """Where nearly all pairs are found, a dense float32 loss loses 1 - p; the tiled one must not."""
    image, text = embeddings(300, torch.arange(300), 128, True, torch.float32, noise=1.5)
    batch, eye = make_batch(300, torch.arange(300)), torch.eye(300, dtype=torch.bool)

    def dense(*x):
        return dense_loss("softmax", *x, eye, torch.ones_like(eye))

    args = (image, text, torch.tensor(100.0), torch.tensor(0.0))
    truth = gradients(dense, *args, torch.float64)
    for t, o in zip(
        truth[:4], gradients(tiled("softmax", batch, (), (), (64, 64)), *args, torch.float32), strict=False
    ):
        assert (o.double() - t).norm() <= 5e-5 * t.norm()


def test_what_is_left_beside_a_share_of_one_is_summed_by_itself():
    """Pairs at right angles to all others: 1 − p is 63·e⁻²² = 1.8e-8, which a float32 sum with the 1 in it drops."""
    count, scale = 64, 22.0
    batch = make_batch(count, torch.arange(count))
    args = (torch.eye(count), torch.eye(count), torch.tensor(scale), torch.tensor(0.0))
    found = gradients(tiled("softmax", batch, (), (), (16, 16)), *args, torch.float32)
    rest = (count - 1) * np.exp(-scale)
    share = np.exp(-scale) / (1 + rest)
    # d loss / d image_i = s · (Σ_j p_ij t_j − t_i) / n, both directions alike
    expected = scale / count * (share * (np.ones((count, count)) - np.eye(count)) - rest / (1 + rest) * np.eye(count))
    assert float(found[0]) == pytest.approx(rest, rel=1e-4)
    for gradient in found[1:3]:
        np.testing.assert_allclose(gradient.numpy(), 1.7 * expected, rtol=1e-4)


def test_open_clip_agrees():
    image, text = embeddings(50, torch.arange(50), 16, False, torch.float64)
    args = (image, text, torch.tensor(20.0), torch.tensor(-5.0), torch.float64)
    batch = make_batch(50, torch.arange(50))
    clip = gradients(lambda x, y, s, b: open_clip.loss.ClipLoss()(x, y, s), *args)
    siglip = gradients(lambda x, y, s, b: open_clip.loss.SigLipLoss()(x, y, s, b), *args)
    for kind, peer in (("softmax", clip), ("sigmoid", siglip)):
        for a, b in zip(gradients(tiled(kind, batch, (), (), (16, 16)), *args), peer, strict=True):
            assert (a - b).abs().max() <= 1e-10


def test_bfloat16_embeddings_are_computed_with_in_float32():
    image, text = embeddings(40, torch.arange(40), 16, True, torch.bfloat16)
    batch = make_batch(40, torch.arange(40))
    scale, bias = torch.tensor(50.0), torch.tensor(-10.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = tiled("softmax", batch, (), (), (16, 16))(image.requires_grad_(), text, scale, bias)
    half.backward()
    exact = tiled("softmax", batch, (), (), (16, 16))(image.detach().double(), text.double(), scale.double(), bias)
    assert abs(half.item() - exact.item()) < 1e-5
    assert image.grad.dtype == torch.bfloat16


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_no_tile_shape_changes_the_pairs(data):
    items = data.draw(st.integers(1, 9))
    texts = data.draw(st.integers(1, 14))
    owner = torch.tensor(data.draw(st.lists(st.integers(0, items - 1), min_size=texts, max_size=texts)))
    batch = make_batch(items, owner, texts=4, studies=4, subjects=3, seed=data.draw(st.integers(0, 99)))
    names = st.lists(st.sampled_from(["text", "study", "subject", "same_facts"]), unique=True)
    positives, ignored = data.draw(names), data.draw(names)
    pairs = Pairs.from_batch(batch, positives, ignored)
    positive, valid = dense_masks(batch, positives, ignored)
    r, c = data.draw(st.integers(1, items)), data.draw(st.integers(1, texts))
    for i in range(0, items, r):
        for j in range(0, texts, c):
            rows, columns = slice(i, min(i + r, items)), slice(j, min(j + c, texts))
            here = pairs.tile(rows, columns)
            values = torch.ones(rows.stop - i, columns.stop - j)
            here.drop_(values)
            assert torch.equal(values.isinf(), ~valid[rows, columns])
            values = torch.ones_like(values)
            here.negate_(values)
            assert torch.equal(values < 0, positive[rows, columns])
            counts = here.counts(values.shape)
            assert torch.equal(counts[0], positive[rows, columns].sum(1).double())
            assert torch.equal(counts[1], positive[rows, columns].sum(0).double())


def test_a_text_bias_moves_the_logits_of_a_text_alike_and_is_learned():
    batch = make_batch(4, torch.arange(4))
    g = torch.Generator().manual_seed(1)
    image, text = (F.normalize(torch.randn(4, 3, generator=g, dtype=torch.float64), dim=1) for _ in range(2))
    scale, bias = torch.tensor(5.0, dtype=torch.float64), torch.tensor(-1.0, dtype=torch.float64)
    made = Contrastive(kind="sigmoid", text_bias=True)
    made.setup(image_width=3, text_width=3, embed_dim=3, fact_names=())
    made.double()
    with torch.no_grad():
        made.offset.copy_(torch.tensor([0.3, -0.2, 0.5]))
    loss = made(Features(image, text, scale, bias, Encoded(image), Encoded(text), batch))
    logits = scale * image @ text.T + bias + (scale * text @ made.offset)[None]
    truth = -F.logsigmoid((2 * torch.eye(4) - 1) * logits).sum() / 4
    torch.testing.assert_close(loss, truth.detach())
    loss.backward()
    assert made.offset.grad.norm() > 1e-3
    with pytest.raises(ConfigError, match="text_bias is for kind sigmoid"):
        Contrastive(text_bias=True)
