"""From the samples of an item to the item: the scans of a study, the patches of a slide, the dates of a place.

Shape letters: S samples of a batch, B items, W width of the image tower, H attention heads, A width of the attention.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError


class StudyPool(nn.Module):
    """Pools the vectors of an item's samples: here their mean.

    Attributes:
        learned: False where pooling needs no more than the samples' embeddings, whose mean is then the item's.
    """

    learned = False

    @property
    def reads_dates(self) -> bool:
        """Whether `forward` is given the days of the samples."""
        return False

    def setup(self, width: int) -> None:
        """Create parameters for vectors of this width, once."""

    def forward(self, vectors: Tensor, item: Tensor, items: int, days: Tensor | None = None) -> Tensor:
        """Pool over the samples of each item.

        Args:
            vectors: [S, D].
            item: [S] int64, the item of each sample; every item has at least one.
            items: number of items B.
            days: [S] since the latest sample of the item, NaN where unknown; None where all are unknown.

        Returns:
            [B, D].
        """
        if len(item) == items:  # one sample an item, in some order
            order = torch.empty_like(item)
            order[item] = torch.arange(items, device=item.device)
            return vectors[order]
        total = vectors.new_zeros(items, vectors.shape[1]).index_add(0, item, vectors)
        return total / torch.bincount(item, minlength=items).to(vectors.dtype).unsqueeze(1)


class DatedPool(StudyPool):
    """Pooling whose attention may see when the samples were acquired.

    Args:
        dates: intervals that it shall see; None for none.
    """

    learned = True

    def __init__(self, dates: Dates | None) -> None:
        super().__init__()
        self.dates = dates
        self.date: DateEncoding | None = None

    @property
    def reads_dates(self) -> bool:
        """Whether the dates of the samples count."""
        return self.dates is not None

    def setup(self, width: int) -> None:
        """Create what encodes dates."""
        if self.dates is not None:
            self.date = DateEncoding(self.dates, width)

    def dated(self, vectors: Tensor, days: Tensor | None) -> Tensor:
        """[S, W] vectors with their dates added; the same where there is no date."""
        return vectors if self.date is None or days is None else vectors + self.date(days).to(vectors.dtype)


class GatedAttention(DatedPool):
    """Gated attention over the samples of an item (Ilse, Tomczak and Welling 2018, ICML, eq. 9), with several heads.

    Each head pools the vectors with weights a_s = softmax_s(wᵀ(tanh(V h_s) ⊙ σ(U h_s))), so that each may look for
    something else; a linear layer, at first the mean over heads, joins them. At first all weights are nearly equal, and
    the result is nearly the mean of the samples.

    Args:
        heads: number of heads.
        hidden: width A of the attention.
        dropout: share of an item's samples that is ignored in training, at least one being kept.
        dates: intervals between samples that the weights may depend on; None for none.

    Raises:
        ConfigError: numbers out of range.

    Examples:
        >>> import torch
        >>> from voxtile.models import GatedAttention
        >>> pool = GatedAttention(heads=2)
        >>> pool.setup(8)
        >>> vectors, item = torch.randn(3, 8), torch.tensor([0, 0, 1])  # the first study has two samples
        >>> pool(vectors, item, 2).shape
        torch.Size([2, 8])
        >>> weights = pool.weights(vectors, item, 2)
        >>> bool(torch.allclose(weights[:2].sum(0), torch.ones(2)))  # they sum to 1 over a study, for each head
        True
    """

    def __init__(self, *, heads: int = 4, hidden: int = 64, dropout: float = 0.0, dates: Dates | None = None) -> None:
        super().__init__(dates)
        if heads < 1 or hidden < 1 or not 0 <= dropout < 1:
            raise ConfigError(
                "gated attention needs heads and hidden of at least 1 and a dropout below 1, "
                f"not heads {heads}, hidden {hidden} and dropout {dropout:g}"
            )
        self.heads, self.hidden, self.dropout = heads, hidden, dropout
        self.norm: nn.Module = nn.Identity()
        self.content: nn.Module = nn.Identity()
        self.gate: nn.Module = nn.Identity()
        self.score: nn.Module = nn.Identity()
        self.join: nn.Module = nn.Identity()

    def setup(self, width: int) -> None:
        """Create the layers for vectors of this width."""
        self.norm = nn.LayerNorm(width)
        self.content = nn.Linear(width, self.hidden)
        self.gate = nn.Linear(width, self.hidden)
        self.score = nn.Linear(self.hidden, self.heads, bias=False)
        join = nn.Linear(self.heads * width, width)
        with torch.no_grad():
            join.weight.copy_(torch.eye(width).repeat(1, self.heads) / self.heads)
            join.bias.zero_()
        self.join = join
        super().setup(width)

    def weights(self, vectors: Tensor, item: Tensor, items: int, days: Tensor | None = None) -> Tensor:
        """Attention of each head: [S, H], summing to 1 over the samples of each item."""
        normed = self.dated(self.norm(vectors), days)
        scores = self.score(torch.tanh(self.content(normed)) * torch.sigmoid(self.gate(normed)))
        if self.training and self.dropout:
            scores = scores.masked_fill(self._dropped(item, items, scores).unsqueeze(1), torch.finfo(scores.dtype).min)
        index = item.unsqueeze(1).expand_as(scores)
        highest = scores.new_full((items, self.heads), -torch.inf).scatter_reduce(0, index, scores.detach(), "amax")
        shares = torch.exp(scores - highest[item])
        total = shares.new_zeros(items, self.heads).index_add(0, item, shares)
        return torch.as_tensor(shares / total[item])

    def forward(self, vectors: Tensor, item: Tensor, items: int, days: Tensor | None = None) -> Tensor:
        """Pool [S, W] to [B, W]; see `StudyPool.forward`."""
        weights = self.weights(vectors, item, items, days)
        weighted = (weights.unsqueeze(2) * vectors.unsqueeze(1)).flatten(1)  # [S, H·W]
        pooled = weighted.new_zeros(items, weighted.shape[1]).index_add(0, item, weighted)
        return torch.as_tensor(self.join(pooled))

    def _dropped(self, item: Tensor, items: int, like: Tensor) -> Tensor:
        """[S] bool: which samples are ignored; of each item the one with the largest draw is kept."""
        draw = torch.rand(len(item), device=like.device)
        largest = draw.new_zeros(items).scatter_reduce(0, item, draw, "amax")
        return (draw < self.dropout) & (draw < largest[item])


class StudyTransformer(DatedPool):
    """Attention among the samples of an item and a token of their study: the last of HLIP's levels, slice, scan, study.

    HLIP (Zhao et al. 2025, arXiv 2505.21862) attends within slices, within scans and over the study; the first two are
    `slice_blocks` and the other blocks of `ViTTower`. The study's vector is at first the mean of its samples, to which
    the token's is added. The order of samples means nothing; their dates do with `dates`.

    Args:
        depth: layers.
        heads: of the attention.
        mlp_ratio: hidden features of a layer's perceptron over W.
        dropout: in the layers.
        dates: intervals between samples that the layers may see; None for none.

    Raises:
        ConfigError: numbers out of range, or a width that the heads do not divide.

    Examples:
        >>> import torch
        >>> from voxtile.models import StudyTransformer
        >>> pool = StudyTransformer(depth=1, heads=2)
        >>> pool.setup(8)
        >>> vectors, item = torch.randn(3, 8), torch.tensor([0, 0, 1])  # the first study has two samples
        >>> pooled = pool(vectors, item, 2)
        >>> bool(torch.allclose(pooled[0], vectors[:2].mean(0)))  # at first the mean
        True
    """

    def __init__(
        self,
        *,
        depth: int = 2,
        heads: int = 4,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        dates: Dates | None = None,
    ) -> None:
        super().__init__(dates)
        if depth < 1 or heads < 1 or not 0 <= dropout < 1:
            raise ConfigError(
                "a study transformer needs depth and heads of at least 1 and a dropout below 1, "
                f"not depth {depth}, heads {heads} and dropout {dropout:g}"
            )
        self.depth, self.heads, self.mlp_ratio, self.dropout = depth, heads, mlp_ratio, dropout
        self.token: nn.Parameter | None = None
        self.layers: nn.Module = nn.Identity()
        self.head: nn.Module = nn.Identity()

    def setup(self, width: int) -> None:
        """Create the layers for vectors of this width.

        Raises:
            ConfigError: the width cannot be shared by the heads.
        """
        if width % self.heads:
            raise ConfigError(f"a study transformer of {self.heads} heads does not fit a tower of width {width}")
        hidden = int(self.mlp_ratio * width)
        layer = nn.TransformerEncoderLayer(
            width, self.heads, hidden, self.dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.layers = nn.TransformerEncoder(layer, self.depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, width)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        super().setup(width)

    def forward(self, vectors: Tensor, item: Tensor, items: int, days: Tensor | None = None) -> Tensor:
        """Pool [S, W] to [B, W]; see `StudyPool.forward`."""
        assert self.token is not None
        counts = torch.bincount(item, minlength=items)
        order = torch.argsort(item, stable=True)
        seat = torch.empty_like(item)
        seat[order] = torch.arange(len(item), device=item.device) - (counts.cumsum(0) - counts)[item[order]]
        x = vectors.new_zeros(items, int(counts.max()), vectors.shape[1])
        x = x.index_put((item, seat), self.dated(vectors, days))
        x = torch.cat([self.token.to(x.dtype).expand(items, -1, -1), x], 1)
        empty = torch.arange(x.shape[1], device=item.device) > counts.unsqueeze(1)
        study = self.layers(x, src_key_padding_mask=empty)[:, 0]
        return super().forward(vectors, item, items) + torch.as_tensor(self.head(study))


@dataclass(frozen=True)
class Dates:
    """Which intervals a study tower can tell apart.

    Attributes:
        shortest: shortest period in days; twice the shortest interval that shall count.
        longest: longest period in days; intervals beyond half of it are taken for shorter ones.
        periods: how many, in even steps of their logarithm.

    The defaults suit what is dated by days: intervals of one day to a hundred years.

    Examples:
        >>> import torch
        >>> from voxtile.models import Dates, GatedAttention
        >>> pool = GatedAttention(dates=Dates(shortest=14, longest=3650))
        >>> pool.setup(8)
        >>> vectors, item = torch.randn(3, 8), torch.tensor([0, 0, 1])  # two scans of the first subject, a month apart
        >>> pool(vectors, item, 2, days=torch.tensor([-30.0, 0.0, 0.0])).shape
        torch.Size([2, 8])
    """

    shortest: float = 2.0
    longest: float = 73050.0
    periods: int = 16

    def check(self) -> None:
        """Refuse what is no range; not in `__init__`, where the config's parser would hide the sentence.

        Raises:
            ConfigError: numbers out of range.
        """
        if not 0 < self.shortest < self.longest < math.inf or self.periods < 2:
            raise ConfigError(
                "dates of a study tower need at least two periods and 0 < shortest < longest (days), not "
                f"{self.periods} from {self.shortest:g} to {self.longest:g}"
            )


class DateEncoding(nn.Module):
    """A linear map of sines and cosines of the days since the latest sample (Vaswani et al. 2017, section 3.5).

    Only intervals enter, so that a shift of all dates of a subject changes nothing. It begins as nought, and gives
    nought wherever the date is unknown: both are as if there were no encoding.

    Args:
        dates: periods.
        width: W of the vectors that it is added to.
    """

    def __init__(self, dates: Dates, width: int) -> None:
        super().__init__()
        dates.check()
        self.dates = dates
        self.map = nn.Linear(2 * dates.periods, width, bias=False)
        nn.init.zeros_(self.map.weight)

    def forward(self, days: Tensor) -> Tensor:
        """[S, W] from [S] days since the latest, 0 or less; NaN where unknown."""
        known = ~days.isnan()
        steps = torch.arange(self.dates.periods, device=days.device, dtype=torch.float32) / (self.dates.periods - 1)
        periods = self.dates.shortest * (self.dates.longest / self.dates.shortest) ** steps
        # Whole periods are taken off before the division, so that decades leave the phase of days its digits.
        turns = torch.remainder(days.float().nan_to_num(0.0).unsqueeze(1), periods) / periods * math.tau
        waves = torch.cat([turns.sin(), turns.cos()], 1).to(self.map.weight.dtype)
        encoded: Tensor = self.map(waves) * known.unsqueeze(1)
        return encoded
