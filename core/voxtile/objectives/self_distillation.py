"""Self-distillation: an average of the model's own weights tells it what views of an image have in common (DINO).

Shape letters: B items, S images, K prototypes, V views, *G a grid.
"""

from __future__ import annotations

import math

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.tower import ImageTower, TextTower, full_precision
from voxtile.objectives.base import ItemObjective
from voxtile.objectives.momentum import MomentumCopy
from voxtile.objectives.share import place
from voxtile.objectives.views import ImageViews, image_keys, statistics_kept, summed_by_item
from voxtile.types import Features

_STREAM = 120  # of the first view


class SelfDistillation(ItemObjective):
    """The image tower tells from any view of an image what its own average finds in two large ones.

    With g_s, g_t the logits of student and teacher over K prototypes, c the centre, and the sum over the teacher's two
    large views u and the student's views v ≠ u (DINO, Caron et al., ICCV 2021, equations 1 to 3):

        L = mean over (u, v) of −Σ_k P_t(u)_k log P_s(v)_k,   P_t = softmax((g_t − c)/τ_t),   P_s = softmax(g_s/τ_s)

    After each update the teacher's weights follow, θ_t ← λ·θ_t + (1 − λ)·θ_s with λ rising to 1 over a cosine, and so
    does the centre, c ← m·c + (1 − m)·(mean of g_t over the batch), which keeps the teacher from one answer for all
    (equation 4). Large and small views are on the images' own grid, so that any tower takes them; small ones are then
    no cheaper than large ones, and few serve. It needs no texts: alone, or with `MaskedImage`, it pretrains an image
    tower (RAD-DINO, Pérez-García et al. 2025); beside the contrastive term it is TIPS (Maninis et al., ICLR 2025).
    Teacher and centre are in the checkpoint.

    Args:
        views: the two large views, seen by teacher and student.
        small_views: what the student also sees.
        small: how many of those.
        prototypes: K.
        hidden: width of the head's hidden layers.
        bottleneck: width before the prototypes.
        temperature: τ_s.
        teacher_temperature: τ_t.
        momentum: λ of the first update.
        centre_momentum: m.

    Raises:
        ConfigError: numbers out of range.
    """

    reads_texts = False

    def __init__(
        self,
        *,
        views: ImageViews | None = None,
        small_views: ImageViews | None = None,
        small: int = 2,
        prototypes: int = 4096,
        hidden: int = 1024,
        bottleneck: int = 256,
        temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        momentum: float = 0.996,
        centre_momentum: float = 0.9,
    ) -> None:
        super().__init__()
        if small < 0 or min(prototypes, hidden, bottleneck) < 1:
            raise ConfigError(
                f"SelfDistillation needs widths of at least 1 and no negative number of views, not prototypes "
                f"{prototypes}, hidden {hidden}, bottleneck {bottleneck}, small {small}"
            )
        if not min(temperature, teacher_temperature) > 0:
            raise ConfigError(
                f"SelfDistillation needs positive temperatures, not {temperature} and {teacher_temperature}"
            )
        if not (0 <= momentum < 1 and 0 <= centre_momentum < 1):
            raise ConfigError(
                f"the momenta of SelfDistillation lie between 0 and below 1, not at {momentum} and {centre_momentum}"
            )
        self.views = views or ImageViews(crop=(0.4, 1.0))
        self.small_views = small_views or ImageViews(crop=(0.05, 0.4))
        self.small, self.widths = small, (hidden, bottleneck, prototypes)
        self.temperature, self.teacher_temperature = temperature, teacher_temperature
        self.momentum, self.centre_momentum = momentum, centre_momentum
        self.head: PrototypeHead | None = None
        self.teacher: MomentumCopy | None = None
        self.centre: Tensor
        self.register_buffer("centre", torch.zeros(prototypes))
        self._seen: tuple[Tensor, int] | None = None  # sum and number of the teacher's logits since the last update
        self._tower: tuple[ImageTower, ...] = ()  # in a tuple, so that it is no part of this module

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Make the head, and the teacher as the tower is now; a checkpoint that is loaded later brings its own."""
        self._tower = (image,)
        self.head = PrototypeHead(image.width, *self.widths)
        self.teacher = MomentumCopy({"image": image, "head": self.head})

    def rows(self, features: Features) -> Tensor:
        """[B, 2]: the summed loss of an item's images, and how many they are.

        Raises:
            ConfigError: the objective was not set up.
        """
        if self.head is None or self.teacher is None:
            raise ConfigError("SelfDistillation was not set up; load a checkpoint or train the model first")
        (tower,), batch = self._tower, features.batch
        keys, images = image_keys(batch), batch.images
        large = [self.views(images, keys, _STREAM + view) for view in range(2)]
        small = [self.small_views(images, keys, _STREAM + 2 + view) for view in range(self.small)]
        targets = [self._target(view) for view in large]
        loss = images.new_zeros(len(images))
        with statistics_kept(tower):
            for view, seen in enumerate([*large, *small]):
                log_share = full_precision(self.head(tower(seen).pooled) / self.temperature).log_softmax(1)
                for other, target in enumerate(targets):
                    if other != view:
                        loss = loss - (target * log_share).sum(1)
        loss = loss / (2 * (1 + self.small))
        return summed_by_item(torch.stack([loss, torch.ones_like(loss)], 1), batch)

    @torch.no_grad()
    def _target(self, view: Tensor) -> Tensor:
        """[S, K] what the teacher finds."""
        assert self.teacher is not None
        logits = full_precision(self.teacher["head"](self.teacher["image"](view).pooled))
        if self.training:  # a large batch asks twice for the same, which leaves the mean as it is
            total, count = self._seen or (logits.new_zeros(logits.shape[1]), 0)
            self._seen = (total + logits.sum(0), count + len(logits))
        return ((logits - self.centre) / self.teacher_temperature).softmax(1)

    @torch.no_grad()
    def after_step(self, encoder: DualEncoder, step: int, steps: int) -> None:
        """Let the teacher and the centre follow."""
        assert self.teacher is not None
        assert self.head is not None
        done = min(step / max(1, steps), 1.0)
        momentum = 1 - (1 - self.momentum) * (math.cos(math.pi * done) + 1) / 2
        self.teacher.follow({"image": encoder.image, "head": self.head}, momentum)
        if self._seen is None:
            return
        total, count = self._seen
        sums = torch.cat([total, total.new_tensor([count])])
        if place()[1] > 1:
            dist.all_reduce(sums)
        self.centre.lerp_((sums[:-1] / sums[-1]).to(self.centre.dtype), 1 - self.centre_momentum)
        self._seen = None


class PrototypeHead(nn.Module):
    """Cosine similarities with K prototypes, after three layers and a bottleneck (DINO, appendix C).

    Args:
        inputs: width of what comes in.
        hidden, bottleneck, prototypes: widths.
    """

    def __init__(self, inputs: int, hidden: int, bottleneck: int, prototypes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )
        self.prototypes = nn.Parameter(torch.randn(prototypes, bottleneck))

    def forward(self, pooled: Tensor) -> Tensor:
        """[S, W] to [S, K]."""
        return F.linear(F.normalize(self.layers(pooled), dim=1), F.normalize(self.prototypes, dim=1))
