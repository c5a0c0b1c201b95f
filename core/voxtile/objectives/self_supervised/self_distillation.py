"""Self-distillation: an average of the model's own weights tells it what views of an image have in common (DINO).

Shape letters: B items, S images, C channels, W the tower's width, K prototypes, V views, *G a grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.tower import ImageTower, TextTower
from voxtile.objectives.base import ItemObjective
from voxtile.objectives.self_supervised.prototypes import Balance, BalanceName, PrototypeHead
from voxtile.objectives.self_supervised.views import ImageViews, image_keys, statistics_kept, summed_by_item
from voxtile.objectives.teachers.momentum import MomentumCopy
from voxtile.types import Batch, Encoded, Features

_STREAM = 120  # of the first view


class SelfDistillation(ItemObjective):
    """The image tower tells from any view of an image what its own average finds in two large ones.

    With g_s, g_t the logits of student and teacher over K prototypes, P_t the balanced targets of the teacher (see
    `voxtile.objectives.Balance`), and the sum over the teacher's two large views u and the student's views
    v ≠ u (DINO, Caron et al., ICCV 2021, equations 1 to 3):

        L = mean over (u, v) of −Σ_k P_t(u)_k log P_s(v)_k,   P_s = softmax(g_s/τ_s)

    After each update the teacher's weights follow, θ_t ← λ·θ_t + (1 − λ)·θ_s with λ rising to 1 over a cosine. It needs
    no texts: alone it pretrains an image tower, beside the contrastive term it is SILC (Naeem et al., ECCV 2024); with
    hidden patches see `voxtile.objectives.self_supervised.masked_self_distillation`. Teacher and balance are in the
    checkpoint.

    Views are on the images' own grid, so that any tower takes them. Transformers and convolutional towers also take
    smaller ones: with `small_views: {size: …}` small views cost less, as in DINO's multi-crop.

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
        balance: of the teacher, `centre` or `sinkhorn`; the latter takes one more pass of the teacher.
        centre_momentum: share of the running centre that an update keeps.

    Raises:
        ConfigError: numbers out of range.

    Examples:
        >>> import torch
        >>> from voxtile.models import TextBag, ViTTower
        >>> from voxtile.objectives import SelfDistillation
        >>> from voxtile.types import Features
        >>> objective = SelfDistillation(prototypes=8, hidden=16, bottleneck=8)
        >>> objective.setup_towers(ViTTower(size=16, patch=4, width=16, depth=1, heads=2), TextBag())
        >>> _ = torch.nn.init.ones_(objective.head.prototypes)  # all alike
        >>> features = Features.of_pairs(torch.ones(2, 8), torch.ones(2, 8), images=torch.randn(2, 1, 16, 16))
        >>> features.rows[objective] = objective.rows(features)
        >>> round(objective(features).item(), 4)  # log 8: it cannot tell eight prototypes apart
        2.0794
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
        balance: BalanceName = "centre",
        centre_momentum: float = 0.9,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if small < 0 or min(prototypes, hidden, bottleneck) < 1:
            raise ConfigError(
                f"{name} needs widths of at least 1 and no negative number of views, not prototypes {prototypes}, "
                f"hidden {hidden}, bottleneck {bottleneck}, small {small}"
            )
        if not temperature > 0:
            raise ConfigError(f"{name} needs a positive temperature, not {temperature}")
        if not 0 <= momentum < 1:
            raise ConfigError(f"the momentum of {name} lies between 0 and below 1, not at {momentum}")
        self.views = views or ImageViews(crop=(0.4, 1.0))
        self.small_views = small_views or ImageViews(crop=(0.05, 0.4))
        self.small, self.widths = small, (hidden, bottleneck, prototypes)
        self.temperature, self.momentum = temperature, momentum
        self.balance = Balance(balance, prototypes, teacher_temperature, centre_momentum)
        self.couples_items = balance == "sinkhorn"  # type: ignore[misc] # the only objective that can do both
        self.head: PrototypeHead | None = None
        self.teacher: MomentumCopy | None = None
        self._tower: tuple[ImageTower, ...] = ()  # in a tuple, so that it is no part of this module

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Make the head, and the teacher as the tower is now; a checkpoint that is loaded later brings its own.

        Raises:
            ConfigError: the tower does not take views of another size.
        """
        for views in (self.views, self.small_views):
            if views.size:
                _check_size(image, views.size, type(self).__name__)
        self._tower = (image,)
        self.head = PrototypeHead(image.width, *self.widths)
        self.teacher = MomentumCopy(self._parts(image))

    def prepare(self, parts: Sequence[Batch]) -> None:
        """Balance the targets of the whole batch, where that is done by batch."""
        if self.training and self.balance.kind == "sinkhorn":
            self._fit([self._taught(view) for part in parts for view in self._large(part.images, image_keys(part))])

    def rows(self, features: Features) -> Tensor:
        """[B, 2]: the summed loss of an item's images, and how many they are.

        Raises:
            ConfigError: the objective was not set up.
        """
        batch = features.batch
        with statistics_kept(self._student[0]):
            loss = self._losses(batch.images, image_keys(batch))
        return summed_by_item(torch.stack([loss, torch.ones_like(loss)], 1), batch)

    @torch.no_grad()
    def after_step(self, encoder: DualEncoder, step: int, steps: int) -> None:
        """Let the centre and the teacher follow."""
        done = min(step / max(1, steps), 1.0)
        momentum = 1 - (1 - self.momentum) * (math.cos(math.pi * done) + 1) / 2
        self.balance.follow(self._teacher_part("head"))
        assert self.teacher is not None
        self.teacher.follow(self._parts(encoder.image), momentum)

    def _parts(self, image: ImageTower) -> dict[str, nn.Module]:
        """What the teacher follows."""
        assert self.head is not None
        return {"image": image, "head": self.head}

    def _losses(self, images: Tensor, keys: Tensor) -> Tensor:
        """[S] loss of each image."""
        tower, _ = self._student
        large = self._large(images, keys)
        targets = [self._target(self._taught(view)) for view in large]
        return self._agreement([tower(view) for view in [*large, *self._small(images, keys)]], targets)

    def _large(self, images: Tensor, keys: Tensor) -> list[Tensor]:
        return [self.views(images, keys, _STREAM + view) for view in range(2)]

    def _small(self, images: Tensor, keys: Tensor) -> list[Tensor]:
        return [self.small_views(images, keys, _STREAM + 2 + view) for view in range(self.small)]

    @property
    def _student(self) -> tuple[ImageTower, PrototypeHead]:
        if self.head is None:
            raise ConfigError(f"{type(self).__name__} was not set up; load a checkpoint or train the model first")
        return self._tower[0], self.head

    def _teacher_part(self, name: str) -> PrototypeHead:
        assert self.teacher is not None
        part = self.teacher[name]
        assert isinstance(part, PrototypeHead)
        return part

    @torch.no_grad()
    def _taught(self, view: Tensor) -> Encoded:
        """What the teacher's tower gives."""
        assert self.teacher is not None
        encoded: Encoded = self.teacher["image"](view)
        return encoded

    @torch.no_grad()
    def _target(self, taught: Encoded) -> Tensor:
        """[S, K] of images."""
        head = self._teacher_part("head")
        vectors = head.vectors(taught.pooled)
        self.balance.note(vectors)
        target: Tensor = self.balance(head.logits(vectors))
        return target

    def _fit(self, taught: Sequence[Encoded]) -> None:
        head = self._teacher_part("head")
        self.balance.fit(torch.cat([head.vectors(each.pooled) for each in taught]), head)

    def _agreement(self, seen: Sequence[Encoded], targets: Sequence[Tensor]) -> Tensor:
        """[S] mean over pairs of a view of the student, the large ones first, and another one of the teacher."""
        _, head = self._student
        losses = []
        for view, encoded in enumerate(seen):
            log_share = (head(encoded.pooled) / self.temperature).log_softmax(1)
            losses += [-(target * log_share).sum(1) for other, target in enumerate(targets) if other != view]
        return torch.stack(losses).mean(0)


@torch.no_grad()
def _check_size(tower: ImageTower, size: Sequence[int], name: str) -> None:
    """Show a tower an empty image: it is the tower's library that knows whether it takes another grid."""
    training, parameter = tower.training, next(tower.parameters())
    try:
        tower.eval()(parameter.new_zeros(1, tower.channels, *size))
    except (AssertionError, ConfigError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"{name}: {type(tower).__name__} takes no views of {list(size)}; leave the views' size out, or take a "
            "ViTTower, whose patch divides it, a ConvTower or a WaveletTower"
        ) from error
    finally:
        tower.train(training)
