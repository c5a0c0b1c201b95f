"""`contrastive` on plain tensors against dense float64 losses and open_clip's own, alone and over ranks."""

import open_clip
import pytest
import torch
import torch.nn.functional as F
from forked_script import run_script
from open_clip.loss import SigLipLoss

import voxtile
from voxtile.errors import ConfigError

contrastive = voxtile.objectives.functional.contrastive


def pair(items, texts, width=8, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)
    image = F.normalize(torch.randn(items, width, generator=g, dtype=dtype), dim=1).requires_grad_()
    text = F.normalize(torch.randn(texts, width, generator=g, dtype=dtype), dim=1).requires_grad_()
    return (
        image,
        text,
        torch.tensor(9.0, dtype=dtype, requires_grad=True),
        torch.tensor(-3.0, dtype=dtype).requires_grad_(),
    )


def dense(kind, image, text, scale, bias, positive, valid):
    logits = scale * image @ text.T + bias
    if kind == "sigmoid":
        sign = positive.to(logits.dtype) * 2 - 1
        return -(F.logsigmoid(sign * logits) * valid).sum() / len(text)
    halves = []
    for z, p, v in ((logits, positive, valid), (logits.T, positive.T, valid.T)):
        share = torch.log_softmax(z.masked_fill(~v, -torch.inf), 1)
        count = p.sum(1)
        halves.append(-(torch.where(p, share, 0.0).sum(1)[count > 0] / count[count > 0]).mean())
    return sum(halves) / 2


def gradients(loss, *inputs):
    return torch.autograd.grad(loss, inputs, allow_unused=True)


def assert_same(kind, inputs, found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    wanted = inputs if kind == "sigmoid" else inputs[:3]
    for a, b in zip(gradients(found, *wanted), gradients(expected, *wanted), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize("case", ["pairs", "owner", "groups", "positives", "ignore"])
def test_the_loss_and_its_gradients_are_those_of_the_dense_one(kind, case):
    items, texts = (7, 7) if case in ("pairs", "ignore") else (7, 11)
    inputs = pair(items, texts)
    g = torch.Generator().manual_seed(1)
    owner = torch.arange(items) if items == texts else torch.randint(-1, items, (texts,), generator=g)
    positive = owner == torch.arange(items)[:, None]
    valid = torch.ones_like(positive)
    options = {} if case in ("pairs", "ignore", "positives") else {"owner": owner}
    if case == "groups":
        groups = torch.tensor([4, 9, 4, 2, 9, 7, 4])
        options["groups"] = groups
        positive |= (groups[:, None] == groups[owner.clamp(min=0)]) & (owner >= 0)
    if case == "positives":
        positive = torch.rand(items, texts, generator=g) < 0.3
        positive[2] = False
        options["positives"] = positive
    if case == "ignore":
        ignored = torch.rand(items, texts, generator=g) < 0.3
        valid = ~ignored | positive
        options["ignore"] = ignored
    bias = inputs[3] if kind == "sigmoid" else None
    found = contrastive(*inputs[:3], bias, tile=(3, 4), **options)
    expected = dense(kind, *inputs[:3], 0.0 if bias is None else bias, positive, valid)
    assert_same(kind, inputs, found, expected)


def test_the_loss_is_open_clips_own():
    image, text, scale, bias = pair(16, 16)
    assert_same(
        "softmax",
        (image, text, scale, bias),
        contrastive(image, text, scale, tile=(5, 7)),
        open_clip.ClipLoss()(image, text, scale),
    )
    assert_same(
        "sigmoid",
        (image, text, scale, bias),
        contrastive(image, text, scale, bias, tile=(5, 7)),
        SigLipLoss()(image, text, scale, bias),
    )


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_scale_and_bias_may_be_plain_numbers(kind):
    image, text, scale, bias = pair(4, 4)
    numbers = (9.0, -3.0) if kind == "sigmoid" else (9.0,)
    tensors = (scale, bias) if kind == "sigmoid" else (scale,)
    assert contrastive(image, text, *numbers).item() == contrastive(image, text, *tensors).item()


@pytest.mark.parametrize(
    ("items", "texts", "options", "words"),
    [
        (4, 5, {}, "4 images and 5 texts do not pair off"),
        (4, 4, {"kind": "sigmoid"}, "needs a bias"),
        (4, 4, {"kind": "triplet"}, "'triplet' does not exist"),
        (4, 4, {"owner": torch.tensor([0, 1, 2, 4])}, "owner names image 4"),
        (4, 4, {"groups": torch.zeros(3)}, r"groups must have the shape \[4\]"),
        (4, 4, {"positives": torch.zeros(4, 4)}, "positives must be bool"),
        (4, 4, {"positives": torch.eye(4).bool(), "groups": torch.zeros(4)}, "leave out owner and groups"),
        (4, 4, {"tile": (0, 4)}, "tile .* must be positive"),
    ],
)
def test_what_does_not_fit_is_refused(items, texts, options, words):
    image, text, scale, _ = pair(items, texts)
    with pytest.raises(ConfigError, match=words):
        contrastive(image, text, scale, **options)


def test_what_is_no_tensor_or_number_is_refused_by_name():
    image, text, scale, _ = pair(4, 4)
    for given, options, words in (
        ((image.detach().numpy(), text, scale), {}, "image must be a tensor, not ndarray"),
        ((image, text, torch.ones(4)), {}, r"scale must be one number, not a tensor of shape \[4\]"),
        ((image, text, scale, torch.ones(4)), {}, "bias must be one number"),
        ((image, text, scale), {"owner": torch.rand(4)}, "owner must be whole numbers, not torch.float32"),
    ):
        with pytest.raises(ConfigError, match=words):
            contrastive(*given, **options)


RANKS = """
import os, sys
import torch, torch.distributed as dist
folder, child = sys.argv[1], os.fork()
rank = int(child != 0)
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
import voxtile
whole = torch.load(f"{folder}/in.pt")
own_i, own_t = (slice(0, 5), slice(0, 4)) if rank == 0 else (slice(5, 8), slice(4, 10))
image, text = whole["image"][own_i].requires_grad_(), whole["text"][own_t].requires_grad_()
scale, bias = whole["scale"].requires_grad_(), whole["bias"].requires_grad_()
found = {}
for kind in ("softmax", "sigmoid"):
    loss = voxtile.objectives.functional.contrastive(
        image, text, scale, bias if kind == "sigmoid" else None, tile=(2, 3),
        owner=whole["owner"][own_t] - own_i.start, groups=whole["groups"][own_i])
    wanted = (image, text, scale) + ((bias,) if kind == "sigmoid" else ())
    found[kind] = [loss.detach(), *torch.autograd.grad(loss, wanted)]
torch.save(found, f"{folder}/out{rank}.pt")
try:
    voxtile.objectives.functional.contrastive(image[:3], text[:3], scale, positives=torch.eye(3).bool())
except voxtile.errors.ConfigError as error:
    open(f"{folder}/refused{rank}", "w").write(str(error))
dist.barrier()
dist.destroy_process_group()
if rank == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
sys.exit(status)
"""


def test_over_ranks_the_loss_is_that_of_the_whole(training_nursery, tmp_path):
    image, text, scale, bias = pair(8, 10)
    owner = torch.tensor([0, 1, 1, 4, 5, 5, 7, 6, 7, 5])
    groups = torch.tensor([1, 2, 3, 1, 4, 3, 5, 2])
    given = {"image": image, "text": text, "scale": scale, "bias": bias}
    torch.save({**{k: v.detach() for k, v in given.items()}, "owner": owner, "groups": groups}, tmp_path / "in.pt")
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    run_script(training_nursery, tmp_path, script, tmp_path)
    positive = groups[:, None] == groups[owner]
    first, second = (torch.load(tmp_path / f"out{rank}.pt") for rank in range(2))
    for kind, inputs in (("softmax", (image, text, scale)), ("sigmoid", (image, text, scale, bias))):
        expected = dense(
            kind, image, text, scale, bias if kind == "sigmoid" else 0.0, positive, torch.ones(8, 10).bool()
        )
        ranks = [first[kind], second[kind]]
        for found in ranks:
            torch.testing.assert_close(found[0], expected.detach(), rtol=1e-12, atol=1e-12)
        truth = gradients(expected, *inputs)
        for place, true in enumerate(truth):
            parts = [found[1 + place] for found in ranks]
            averaged = torch.cat(parts) / 2 if place < 2 else sum(parts) / 2  # as DistributedDataParallel
            torch.testing.assert_close(averaged, true, rtol=1e-10, atol=1e-12)
    assert "give groups instead" in (tmp_path / "refused0").read_text()
