"""Optimiser and learning-rate schedules as plain configs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from voxtile.distributed import is_sharded
from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.tuning import depths

IMAGE_TOWER = "encoder.image."
"""Prefix of the image tower's parameters in the module."""

_UNDECAYED = re.compile(r"position|pos_embed|(cls|reg)_token|attn_pool\.latent")


class Schedule:
    """The learning rate over a run, as a factor of its peak.

    Examples:
        >>> from voxtile.training import Schedule
        >>> class Halving(Schedule):
        ...     def factor(self, step, total):
        ...         return 0.5 ** (step // 10)
        >>> [Halving().factor(step, total=30) for step in (0, 9, 10, 29)]
        [1.0, 1.0, 0.5, 0.25]
    """

    def factor(self, step: int, total: int) -> float:
        """Factor for the update with this index, 0 to total − 1."""
        raise NotImplementedError


def _check_factors(schedule: Schedule, *names: str) -> None:
    """Refuse factors of the learning rate with which a run would climb, stand still or break."""
    for name in names:
        value = getattr(schedule, name)
        if not 0 <= value < math.inf:
            raise ConfigError(
                f"{type(schedule).__name__}.{name} is a factor of optimizer.lr, at least 0, not {value}; 0.1 is a tenth"
            )


@dataclass(frozen=True)
class CosineWarmup(Schedule):
    """Linear warm-up, then a half cosine (Loshchilov and Hutter 2017, SGDR, eq. 5 without restarts).

    Attributes:
        warmup_steps: updates until the peak.
        final: factor at the end.

    Examples:
        >>> from voxtile.training import CosineWarmup
        >>> schedule = CosineWarmup(warmup_steps=3)
        >>> [round(schedule.factor(step, total=8), 3) for step in range(8)]
        [0.25, 0.5, 0.75, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    warmup_steps: int = 100
    final: float = 0.0

    def __post_init__(self) -> None:
        if self.warmup_steps < 0:
            raise ConfigError(f"CosineWarmup.warmup_steps must be at least 0, not {self.warmup_steps}")
        _check_factors(self, "final")

    def factor(self, step: int, total: int) -> float:
        """See `Schedule`."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        progress = min(1.0, (step - self.warmup_steps) / max(1, total - 1 - self.warmup_steps))
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Cosine up, then cosine down (Smith and Topin 2018, super-convergence), by the share of the run.

    Attributes:
        rise: share of the run until the peak.
        initial: factor at the start.
        final: factor at the end.

    Examples:
        >>> from voxtile.training import OneCycle
        >>> schedule = OneCycle(rise=0.25, initial=0.04, final=0.0)
        >>> [round(schedule.factor(step, total=9), 3) for step in range(9)]
        [0.04, 0.437, 0.971, 0.959, 0.788, 0.534, 0.27, 0.073, 0.0]
    """

    rise: float = 0.25
    initial: float = 0.04
    final: float = 1e-4

    def __post_init__(self) -> None:
        if not 0 <= self.rise <= 1:
            raise ConfigError(f"OneCycle.rise is a share of the run, from 0 to 1, not {self.rise}")
        _check_factors(self, "initial", "final")

    def factor(self, step: int, total: int) -> float:
        """See `Schedule`."""
        peak = max(1.0, self.rise * total)
        if step < peak:
            low, progress = self.initial, 1 - step / peak
        else:
            low, progress = self.final, min(1.0, (step - peak) / max(1.0, total - 1 - peak))
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Constant(Schedule):
    """The peak throughout.

    Examples:
        >>> from voxtile.training import Constant
        >>> [Constant().factor(step, total=100) for step in (0, 50, 99)]
        [1.0, 1.0, 1.0]
    """

    def factor(self, step: int, total: int) -> float:
        """See `Schedule`."""
        return 1.0


@dataclass(frozen=True)
class AdamW:
    """AdamW (Loshchilov and Hutter 2019) without decay on norms, biases, embeddings' positions and the logit scale.

    Attributes:
        lr: peak learning rate.
        weight_decay: decay of matrices and kernels.
        betas: decay of the moments.
        eps: added to the root of the second moment.
        factors: learning-rate factors by prefix of the parameter's name in the encoder, e.g. `{text: 0.1}`.
        layer_decay: factor of the learning rate a block of a tower, from its end to its beginning (ELECTRA, Clark et
            al., ICLR 2020; BEiT, Bao et al., ICLR 2022); 1 for the same rate everywhere.
        muon: update matrices between hidden features by Muon instead, see `MuonAndAdamW`.

    Examples:
        >>> from voxtile.models import TextBag
        >>> from voxtile.training import AdamW
        >>> optimizer = AdamW(lr=1e-3, factors={"head": 0.1}).build(TextBag().named_parameters())
        >>> [(group["lr"], group["weight_decay"], len(group["params"])) for group in optimizer.param_groups]
        [(0.0001, 0.0, 3), (0.0001, 0.05, 1), (0.001, 0.0, 1), (0.001, 0.05, 2)]
    """

    lr: float = 1e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-6
    factors: Mapping[str, float] = field(default_factory=dict)
    layer_decay: float = 1.0
    muon: bool = False

    def build(self, named: Iterable[tuple[str, nn.Parameter]], distances: Mapping[str, int] | None = None) -> Optimizer:
        """Make the optimiser; parameters without a gradient are left out. Groups say in `tower` whose they are.

        Args:
            named: the parameters.
            distances: blocks between a parameter and the end of its tower, by the same names; see `layer_decay`.

        Raises:
            ConfigError: a setting is out of its range, or Muon cannot be had.
        """
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(f"optimizer.layer_decay must be above 0 and at most 1, not {self.layer_decay}")
        if not 0 < self.lr < math.inf:
            raise ConfigError(f"optimizer.lr must be a number above 0, not {self.lr}; try 1e-3 for towers from scratch")
        if not 0 <= self.weight_decay < math.inf:
            raise ConfigError(f"optimizer.weight_decay must be a number of at least 0, not {self.weight_decay}")
        if not (self.eps > 0 and all(0 <= beta < 1 for beta in self.betas)):
            raise ConfigError(
                f"optimizer.eps must be above 0 and betas at least 0 and below 1, not {self.eps} and {self.betas}"
            )
        if not all(0 <= factor < math.inf for factor in self.factors.values()):
            raise ConfigError(f"optimizer.factors must be numbers of at least 0, not {dict(self.factors)}")
        made: dict[bool, list[dict[str, object]]] = {False: [], True: []}
        learned = ((name, parameter) for name, parameter in named if parameter.requires_grad)
        for (tower, rate, decay, matrix), parameters in self.groups(learned, distances).items():
            for sharded in (False, True):  # the update of a group is one call, for one kind of tensor
                if kind := [parameter for parameter in parameters if is_sharded(parameter) is sharded]:
                    options = {"tower": tower, "lr": self.lr * rate, "weight_decay": decay}
                    made[matrix].append({"params": kind, **options})
        optimizer = torch.optim.AdamW(
            made[False],
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            fused=True,  # one pass over each tensor: a third of the time on a CPU
        )
        # A fused step could also undo the scale of fp16 gradients, and Lightning then refuses to clip them before it.
        optimizer._step_supports_amp_scaling = False
        if self.muon:
            return MuonAndAdamW(made[True], optimizer)
        return optimizer

    def groups(
        self, named: Iterable[tuple[str, nn.Parameter]], distances: Mapping[str, int] | None = None
    ) -> dict[tuple[str, float, float, bool], list[nn.Parameter]]:
        """Parameters that are updated alike, sharded or not, in the order in which checkpoints number them.

        Args:
            named: the parameters that learn.
            distances: see `build`.

        Returns:
            By tower, factor of the learning rate, decay and whether Muon updates them.
        """
        groups: dict[tuple[str, float, float, bool], list[nn.Parameter]] = {}
        for name, parameter in named:
            tower = "image" if name.startswith(IMAGE_TOWER) else "other"
            decay = self.weight_decay if parameter.ndim >= 2 and not _UNDECAYED.search(name) else 0.0
            rate = self._factor(name) * self.layer_decay ** (distances or {}).get(name, 0)
            groups.setdefault((tower, rate, decay, self.muon and by_muon(name, parameter)), []).append(parameter)
        return dict(sorted(groups.items(), key=lambda item: item[0]))

    def _factor(self, name: str) -> float:
        local = name.removeprefix("encoder.")
        matches = [prefix for prefix in self.factors if local.startswith(prefix)]
        return self.factors[max(matches, key=len)] if matches else 1.0


def learning_rates(optimizer: Optimizer, schedule: Schedule, lock: int, total: int) -> LambdaLR:
    """A schedule over a run: once until the image tower is locked, and once more for the rest.

    Args:
        optimizer: its groups say of which tower they are.
        schedule: factor of the learning rate by step.
        lock: index of the first update with the image tower locked; `total` where it never is.
        total: updates of the run.
    """

    def image(step: int) -> float:
        return schedule.factor(step, lock) if step < lock else 0.0

    def other(step: int) -> float:
        return schedule.factor(step, lock) if step < lock else schedule.factor(step - lock, total - lock)

    factors: list[Callable[[int], float]] = [
        image if group["tower"] == "image" else other for group in optimizer.param_groups
    ]
    return LambdaLR(optimizer, factors)


def block_distances(encoder: DualEncoder, layer_decay: float = 1.0) -> dict[str, int]:
    """Blocks between each parameter of the towers and the end of its tower, by its name in the module.

    Raises:
        ConfigError: rates shall fall by `layer_decay` a block, and neither tower has blocks.
    """
    found: dict[str, int] = {}
    blocks = 0
    for part in ("image", "text"):
        layers, count = depths(encoder.get_submodule(part))
        found |= {f"encoder.{part}.{name}": count + 1 - layer for name, layer in layers.items()}
        blocks += count
    if layer_decay != 1 and not blocks:
        kinds = " and ".join(type(encoder.get_submodule(part)).__name__ for part in ("image", "text"))
        raise ConfigError(
            f"optimizer.layer_decay is {layer_decay}, and no repeated blocks are found in {kinds}; remove it, or give "
            "optimizer.factors"
        )
    return found


_NO_HIDDEN_MATRIX = re.compile(r"embed|token|position|projection|head|pool")


def by_muon(name: str, parameter: Tensor) -> bool:
    """Whether a parameter is a matrix between hidden features: no embedding, no projection, no head."""
    return parameter.ndim == 2 and not _NO_HIDDEN_MATRIX.search(name)


class MuonAndAdamW(Optimizer):
    """Two optimisers that share groups and state, so that schedules, checkpoints and clipping see one.

    Muon makes the step of a matrix orthogonal (Jordan et al. 2024, Muon: an optimizer for hidden layers) by PyTorch's
    own `torch.optim.Muon`, scaled to the size of AdamW's steps, so that one learning rate serves both (Liu et al. 2025,
    Muon is scalable for LLM training, section 2.2).

    Args:
        matrices: parameter groups for Muon.
        others: an AdamW with the rest.

    Raises:
        ConfigError: this PyTorch has no Muon, weights are sharded, or there is no matrix.
    """

    def __init__(self, matrices: Sequence[dict[str, Any]], others: torch.optim.AdamW) -> None:
        if not hasattr(torch.optim, "Muon"):
            raise ConfigError("optimizer.muon needs PyTorch 2.9 or newer; update it, or set muon to false")
        if not matrices:
            raise ConfigError(
                "optimizer.muon: no tower that learns has matrices between hidden features; set it to false"
            )
        if any(is_sharded(p) for group in matrices for p in group["params"]):
            raise ConfigError("optimizer.muon needs whole weights; use trainer.strategy ddp, or set it to false")
        self._muon = torch.optim.Muon(list(matrices), adjust_lr_fn="match_rms_adamw")
        self._others = others
        self._count = len(self._muon.param_groups)
        super().__init__([*self._muon.param_groups, *others.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Have both work on this optimiser's groups and state."""
        self._muon.param_groups, self._others.param_groups = (
            self.param_groups[: self._count],
            self.param_groups[self._count :],
        )
        self._muon.state = self._others.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401 - the closure's
        """Update all parameters once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._muon.step()  # type: ignore[no-untyped-call]
        self._others.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a checkpoint's state."""
        super().load_state_dict(state_dict)
        self._share()
