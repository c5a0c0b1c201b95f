"""Exact contrastive losses in tiles: the B×T matrix of logits is never held, forward or backward.

Logits are z = s·XYᵀ + b with images X [B, D] and texts Y [T, D]. P is the set of positive pairs, V the set of valid
pairs (those not ignored), P(i) and V(i) a row's part of them.

Softmax (CLIP, Radford et al. 2021, with several positives as in UniCL, Yang et al. 2022, eq. 2-4):

    L = ½ · 1/B' Σ_i [ log Σ_{k∈V(i)} exp z_ik − 1/|P(i)| Σ_{j∈P(i)} z_ij ]  +  ½ · the same over columns

where B' counts the rows (T' the columns) with a positive; the others only serve as negatives. A bias cancels.

Sigmoid (SigLIP, Zhai et al. 2023, eq. 1):   L = 1/T Σ_{(i,j)∈V} softplus(−t_ij·z_ij),

with t = +1 for positives and −1 otherwise.

Where several processes train together, each computes the rows of its own items; the normalisers (two numbers a row and
column) and the gradient of the texts are summed, the logits are never sent.

Sums run in float64 over float32 tiles. The gradient of the scale needs no further pass: ∂L/∂s = Σ_i x_i · Σ_j g_ij y_j
with g = ∂L/∂z, which is the image gradient before its factor s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from voxtile.distributed import Share, highest_, own_rows, summed_
from voxtile.objectives.pairs import Pairs, Tile

TILE = (512, 4096)  # three float32 tiles stay within a shared L3 cache of 32 MB


def softmax_loss(
    image: Tensor,
    text: Tensor,
    logit_scale: Tensor,
    pairs: Pairs,
    tile: tuple[int, int] = TILE,
    share: Share | None = None,
) -> Tensor:
    """Softmax contrastive loss in both directions.

    Args:
        image: [B, D] embeddings.
        text: [T, D] embeddings.
        logit_scale: scalar s.
        pairs: positive and ignored pairs.
        tile: rows and columns of a tile; changes memory and speed only.
        share: the rows that this process computes, where several train together; the gradient of `image` is then
            that of its own rows alone.

    Returns:
        The scalar loss, differentiable once with respect to `image`, `text` and `logit_scale`.
    """
    with torch.autocast(image.device.type, enabled=False):
        loss: Tensor = _Softmax.apply(*_same_type(image, text), logit_scale, pairs, tile, share)  # type: ignore[no-untyped-call]
    return loss


def sigmoid_loss(
    image: Tensor,
    text: Tensor,
    logit_scale: Tensor,
    logit_bias: Tensor,
    pairs: Pairs,
    tile: tuple[int, int] = TILE,
    share: Share | None = None,
) -> Tensor:
    """Pairwise sigmoid loss. Gradients are computed with the loss, in one pass over the tiles.

    Args:
        image: [B, D] embeddings.
        text: [T, D] embeddings.
        logit_scale: scalar s.
        logit_bias: scalar b.
        pairs: positive and ignored pairs.
        tile: rows and columns of a tile; changes memory and speed only.
        share: as for `softmax_loss`.

    Returns:
        The scalar loss, differentiable once with respect to the first four arguments.
    """
    with torch.autocast(image.device.type, enabled=False):
        loss: Tensor = _Sigmoid.apply(*_same_type(image, text), logit_scale, logit_bias, pairs, tile, share)  # type: ignore[no-untyped-call]
    return loss


def _same_type(image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
    """Half-precision embeddings are computed with in float32."""
    kind = torch.promote_types(torch.promote_types(image.dtype, text.dtype), torch.float32)
    return image.to(kind), text.to(kind)


class _Scratch:
    """Contiguous tile-sized buffers that are used again for every tile."""

    def __init__(self, like: Tensor, tile: tuple[int, int], count: int) -> None:
        self._flat = [like.new_empty(tile[0] * tile[1]) for _ in range(count)]

    def view(self, index: int, rows: slice, columns: slice) -> Tensor:
        r, c = rows.stop - rows.start, columns.stop - columns.start
        return self._flat[index][: r * c].view(r, c)


def tiles(rows: int, columns: int, tile: tuple[int, int], share: Share | None = None) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each tile of a matrix, or of this process's rows of it."""
    start, stop = own_rows(share, rows)
    for r in range(start, stop, tile[0]):
        for c in range(0, columns, tile[1]):
            yield slice(r, min(r + tile[0], stop)), slice(c, min(c + tile[1], columns))


def _fit(tile: tuple[int, int], rows: int, columns: int) -> tuple[int, int]:
    return min(tile[0], max(rows, 1)), min(tile[1], max(columns, 1))


@dataclass
class _Normaliser:
    """Running log-sum-exp over one axis: log Σ exp z = peak + log(total). `peak` is exact in the logits' own type."""

    peak: Tensor  # [n], the logits' type
    total: Tensor  # [n] float64

    @classmethod
    def empty(cls, n: int, like: Tensor) -> _Normaliser:
        return cls(like.new_full((n,), -torch.inf), torch.zeros(n, dtype=torch.float64, device=like.device))

    def add(self, part: slice, logits: Tensor, axis: int, scratch: Tensor, here: Tile) -> None:
        old = self.peak[part]
        new = torch.maximum(old, logits.amax(axis))
        finite = torch.where(new.isinf(), 0.0, new)  # all ignored so far: the sum stays 0
        terms = torch.sub(logits, finite.unsqueeze(axis), out=scratch).exp_()
        summed = here.take_owned_(terms, axis) + terms.sum(axis).double()
        self.total[part] = self.total[part] * (old.double() - finite.double()).exp() + summed
        self.peak[part] = new

    def complete(self, share: Share | None) -> None:
        """Take in what the other processes summed."""
        if share is None:
            return
        own = self.peak.clone().double()
        highest_(share, self.peak)
        self.total *= (own - torch.where(self.peak.isinf(), 0.0, self.peak).double()).exp()
        summed_(share, self.total)

    def shift(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(peak, log total) in the logits' type; rows of weight 0 get an infinite shift, so that their share is 0."""
        log_total = torch.where(weight > 0, self.total.log(), torch.inf)
        return torch.where(self.peak.isinf(), 0.0, self.peak), log_total.to(self.peak.dtype)


def _residual(
    logits: Tensor, shift: tuple[Tensor, Tensor], weight: Tensor, part: slice, axis: int, out: Tensor, here: Tile
) -> Tensor:
    """Softmax along `axis` minus the target (`weight` at positive pairs), given (peak, log total) of the whole axis.

    The peak is taken off first, so that no digit is lost (as in torch's log_softmax), and owned pairs use
    exp(a) − w = expm1(a) + (1 − w), which stays exact where a share is nearly 1.
    """
    torch.sub(logits, shift[0][part].unsqueeze(axis), out=out).sub_(shift[1][part].unsqueeze(axis))
    owned = here.owned(out)
    here.subtract_(out.exp_(), weight[part], axis)
    here.put_owned_(out, owned.expm1() + (1 - here.spread(weight[part], axis)))
    return out


class _Context(FunctionCtx):
    """What the functions below keep between forward and backward."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    state: tuple[_Normaliser, _Normaliser, Tensor, Tensor, Pairs, tuple[int, int], Share | None]


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context,
        image: Tensor,
        text: Tensor,
        logit_scale: Tensor,
        pairs: Pairs,
        tile: tuple[int, int],
        share: Share | None,
    ) -> Tensor:
        tile = _fit(tile, image.shape[0], text.shape[0])
        scaled = image * logit_scale.to(image.dtype)
        rows, columns = _Normaliser.empty(image.shape[0], image), _Normaliser.empty(text.shape[0], text)
        row_sum, column_sum = torch.zeros_like(rows.total), torch.zeros_like(columns.total)
        row_count, column_count = torch.zeros_like(rows.total), torch.zeros_like(columns.total)
        scratch = _Scratch(image, tile, 2)
        for r, c in tiles(image.shape[0], text.shape[0], tile, share):
            logits = torch.mm(scaled[r], text[c].T, out=scratch.view(0, r, c))
            here = pairs.tile(r, c)
            here.drop_(logits)
            rows.add(r, logits, 1, scratch.view(1, r, c), here)
            columns.add(c, logits, 0, scratch.view(1, r, c), here)
            for total, part in zip((row_sum[r], column_sum[c]), here.sums(logits), strict=True):
                total += part
            for total, part in zip((row_count[r], column_count[c]), here.counts(logits.shape), strict=True):
                total += part
        rows.complete(share)
        columns.complete(share)
        summed_(share, row_sum, column_sum, row_count, column_count)
        ctx.save_for_backward(image, text, logit_scale)
        ctx.state = (rows, columns, row_count, column_count, pairs, tile, share)
        halves = (_one_way(rows, row_sum, row_count), _one_way(columns, column_sum, column_count))
        return (0.5 * (halves[0] + halves[1])).to(image.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, upstream: Tensor) -> tuple[Tensor | None, ...]:
        image, text, logit_scale = ctx.saved_tensors
        rows, columns, row_count, column_count, pairs, tile, share = ctx.state
        scaled = image * logit_scale.to(image.dtype)
        # g is computed without its factor 1/(2B'); `balance` is B'/T'.
        live = (row_count > 0).double().sum().clamp(min=1)
        balance = float(live / (column_count > 0).double().sum().clamp(min=1))
        row_shift, column_shift = rows.shift(row_count), columns.shift(column_count)
        row_weight = torch.where(row_count > 0, 1 / row_count, 0).to(image.dtype)
        column_weight = torch.where(column_count > 0, 1 / column_count, 0).to(image.dtype)
        image_grad, text_grad = torch.zeros_like(image), torch.zeros_like(text)
        scratch = _Scratch(image, tile, 3)
        with torch.autocast(image.device.type, enabled=False):
            for r, c in tiles(image.shape[0], text.shape[0], tile, share):
                logits = torch.mm(scaled[r], text[c].T, out=scratch.view(0, r, c))
                here = pairs.tile(r, c)
                here.drop_(logits)
                g = _residual(logits, row_shift, row_weight, r, 1, scratch.view(1, r, c), here)
                back = _residual(logits, column_shift, column_weight, c, 0, scratch.view(2, r, c), here)
                g.add_(back, alpha=balance)
                image_grad[r].addmm_(g, text[c])
                text_grad[c].addmm_(g.T, image[r])
        inner = _inner(image, image_grad)
        summed_(share, text_grad, inner)
        factor = upstream.double() * 0.5 / live
        scale_grad = factor * inner
        factor = (factor * logit_scale.double()).to(image.dtype)
        return (
            image_grad.mul_(factor),
            text_grad.mul_(factor),
            scale_grad.to(logit_scale.dtype).reshape(logit_scale.shape),
            None,
            None,
            None,
        )


def _one_way(normaliser: _Normaliser, positive_sum: Tensor, count: Tensor) -> Tensor:
    """Mean over the rows (columns) with a positive of log-sum-exp minus mean positive logit; 0 without any."""
    live = count > 0
    terms = normaliser.peak[live].double() - positive_sum[live] / count[live] + normaliser.total[live].log()
    return terms.sum() / live.sum().clamp(min=1)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Σ a·b in float64, a slab of rows at a time so that no float64 copy of a whole tensor is made."""
    total = torch.zeros((), dtype=torch.float64, device=a.device)
    for x, y in zip(torch.split(a, 1024), torch.split(b, 1024), strict=True):
        total += (x.double() * y.double()).sum()
    return total


class _Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context,
        image: Tensor,
        text: Tensor,
        logit_scale: Tensor,
        logit_bias: Tensor,
        pairs: Pairs,
        tile: tuple[int, int],
        share: Share | None,
    ) -> Tensor:
        tile = _fit(tile, image.shape[0], text.shape[0])
        count = max(text.shape[0], 1)  # without texts the loss is 0
        wanted = any(ctx.needs_input_grad)
        scaled, bias = image * logit_scale.to(image.dtype), logit_bias.to(image.dtype)
        loss = torch.zeros((), dtype=torch.float64, device=image.device)
        bias_grad = torch.zeros_like(loss)
        image_grad, text_grad = (torch.zeros_like(image), torch.zeros_like(text)) if wanted else (image, text)
        scratch = _Scratch(image, tile, 2)
        for r, c in tiles(image.shape[0], text.shape[0], tile, share):
            u = torch.mm(scaled[r], text[c].T, out=scratch.view(0, r, c)).add_(bias)
            here = pairs.tile(r, c)
            here.negate_(u)  # u = −t·z
            here.drop_(u)
            if wanted:
                g = torch.sigmoid(u, out=scratch.view(1, r, c))
                here.negate_(g)  # g = −t·σ(−t·z)
                bias_grad += g.sum(1).double().sum()
                image_grad[r].addmm_(g, text[c])
                text_grad[c].addmm_(g.T, image[r])
            loss -= F.logsigmoid(u.neg_()).sum(1).double().sum()  # softplus(u), exact also for large |u|
        summed_(share, loss)
        if wanted:
            scale_grad = _inner(image, image_grad)
            summed_(share, text_grad, scale_grad, bias_grad)
            factor = (logit_scale.double() / count).to(image.dtype)
            ctx.save_for_backward(
                image_grad.mul_(factor),
                text_grad.mul_(factor),
                (scale_grad / count).to(logit_scale.dtype).reshape(logit_scale.shape),
                (bias_grad / count).to(logit_bias.dtype).reshape(logit_bias.shape),
            )
        return (loss / count).to(image.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return (*(upstream.to(g.dtype) * g for g in ctx.saved_tensors), None, None, None)
