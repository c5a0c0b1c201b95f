"""Heads over prototypes, and what keeps a teacher from naming the same one for all (DINO, SwAV, DINOv2).

Shape letters: T vectors, W features that come in, H the bottleneck, K prototypes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from voxtile.distributed import place
from voxtile.errors import ConfigError
from voxtile.models.tower import full_precision

BalanceName: TypeAlias = Literal["centre", "sinkhorn"]

_SLAB = 1024  # vectors whose logits are held at a time
_ITERATIONS = 3  # of Sinkhorn-Knopp (SwAV, section 3.1; DINOv2, section 4)


class PrototypeHead(nn.Module):
    """Cosine similarities with K prototypes, after three layers and a bottleneck (DINO, appendix C).

    Args:
        inputs: W.
        hidden: width of the layers.
        bottleneck: H.
        prototypes: K.
    """

    def __init__(self, inputs: int, hidden: int, bottleneck: int, prototypes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )
        self.prototypes = nn.Parameter(torch.randn(prototypes, bottleneck))

    def vectors(self, features: Tensor) -> Tensor:
        """[T, W] to normalised [T, H]."""
        return F.normalize(self.layers(features), dim=1)

    def logits(self, vectors: Tensor) -> Tensor:
        """[T, H] to [T, K] cosines."""
        return full_precision(F.linear(vectors, F.normalize(self.prototypes, dim=1)))

    def forward(self, features: Tensor) -> Tensor:
        """[T, W] to [T, K]."""
        return self.logits(self.vectors(features))


class Balance(nn.Module):
    """Makes targets of a teacher's logits t such that not all of them name one prototype.

        P = softmax((t − c)/τ)

    `centre`: c follows the mean of t, c ← m·c + (1 − m)·t̄, after each update (DINO, Caron et al., ICCV 2021,
    equation 4). `sinkhorn`: Sinkhorn-Knopp over the batch (SwAV, Caron et al., NeurIPS 2020, section 3.1, as DINOv2
    uses it, Oquab et al., TMLR 2024, section 4): from v = 0, three times

        u_k = −log Σ_i exp(t_ik/τ + v_i),   v_i = −log Σ_k exp(t_ik/τ + u_k),

    so that prototypes are used alike. The last v only normalises a row: c = −τ·u says it all, in K numbers, and what
    depends on the whole batch, in all processes, need not be known but for them.

    Args:
        kind: which of the two.
        prototypes: K.
        temperature: τ.
        momentum: m.

    Raises:
        ConfigError: no such kind, or numbers out of range.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import Balance
        >>> balance = Balance("centre", prototypes=4, temperature=0.1, momentum=0.9)
        >>> balance(torch.zeros(1, 4))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    centre: Tensor

    def __init__(self, kind: BalanceName, prototypes: int, temperature: float, momentum: float) -> None:
        super().__init__()
        if kind not in get_args(BalanceName):
            raise ConfigError(f"the balance of a teacher is one of {', '.join(get_args(BalanceName))}, not '{kind}'")
        if not temperature > 0 or not 0 <= momentum < 1:
            raise ConfigError(
                f"a teacher needs a positive temperature, and a momentum of its centre of at least 0 and below 1, not "
                f"{temperature} and {momentum}"
            )
        self.kind, self.temperature, self.momentum = kind, temperature, momentum
        self.register_buffer("centre", torch.zeros(prototypes))
        self._seen: tuple[Tensor, int] | None = None  # sum and number of vectors since the last update

    def forward(self, logits: Tensor) -> Tensor:
        """[T, K] logits to targets."""
        return ((logits - self.centre) / self.temperature).softmax(1)

    def note(self, vectors: Tensor) -> None:
        """Count [T, H] vectors in; a large batch, which shows each twice, leaves their mean as it is."""
        if self.training and self.kind == "centre":
            total, count = self._seen or (vectors.new_zeros(vectors.shape[1], dtype=self.centre.dtype), 0)
            self._seen = (total + vectors.sum(0).to(total), count + len(vectors))

    @torch.no_grad()
    def follow(self, head: PrototypeHead) -> None:
        """Move the centre after an update, towards what was noted in all processes.

        Args:
            head: of the teacher, as it was when it made the vectors.
        """
        if self._seen is None:
            return
        total, count = self._seen
        self._seen = None
        sums = torch.cat([total, total.new_tensor([count])])
        if place()[1] > 1:
            dist.all_reduce(sums)
        if sums[-1] > 0:  # logits are linear in the vectors, and so is their mean
            self.centre.lerp_(head.logits(sums[None, :-1] / sums[-1])[0].to(self.centre), 1 - self.momentum)

    @torch.no_grad()
    def fit(self, vectors: Tensor, head: PrototypeHead) -> None:
        """Take c from all of a batch; does nothing for a running centre. All processes must call it.

        Args:
            vectors: [T, H] of this process.
            head: of the teacher.
        """
        if self.kind == "sinkhorn":
            self.centre.copy_(-self.temperature * _sinkhorn(vectors, head, self.temperature))


def cross_entropy(
    seen: Tensor, head: PrototypeHead, known: Tensor, teacher: PrototypeHead, balance: Balance, temperature: float
) -> Tensor:
    """[T] cross-entropy of a student with its teacher's targets, some vectors at a time: no [T, K] is held.

    Args:
        seen: [T, H] of the student.
        head: of the student.
        known: [T, H] of the teacher.
        teacher: its head.
        balance: of the teacher.
        temperature: of the student.
    """

    def slab(seen: Tensor, known: Tensor) -> Tensor:
        log_share = (head.logits(seen) / temperature).log_softmax(1)
        with torch.no_grad():
            target: Tensor = balance(teacher.logits(known))
        return -(target * log_share).sum(1)

    parts = zip(torch.split(seen, _SLAB), torch.split(known, _SLAB), strict=True)
    return torch.cat([checkpoint(slab, *part, use_reentrant=False, preserve_rng_state=False) for part in parts])


def _sinkhorn(vectors: Tensor, head: PrototypeHead, temperature: float) -> Tensor:
    """[K] u of `Balance`; zeros where there are no vectors."""
    u = vectors.new_zeros(len(head.prototypes), dtype=head.prototypes.dtype)
    for iteration in range(_ITERATIONS):
        columns = torch.full_like(u, -torch.inf)
        for some in torch.split(vectors, _SLAB):
            z = head.logits(some) / temperature
            v = -(z + u).logsumexp(1, keepdim=True) if iteration else z.new_zeros(len(z), 1)
            columns = torch.logaddexp(columns, (z + v).logsumexp(0))
        u = -_log_sum_over_processes(columns)
    return u


def _log_sum_over_processes(own: Tensor) -> Tensor:
    """Log Σ exp over the processes; 0 where all are −∞, which is so where none has a vector."""
    highest = own.clone()
    if place()[1] > 1:
        dist.all_reduce(highest, dist.ReduceOp.MAX)
    highest = highest.clamp(min=torch.finfo(own.dtype).min)
    total = (own - highest).exp()
    if place()[1] > 1:
        dist.all_reduce(total)
    return torch.where(total > 0, highest + total.log(), 0.0)
