"""Momentum copies: networks that follow those in training, a little at each update.

Shape letters: B items, D the shared width.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias, cast, get_args

import torch
from torch import Tensor, nn

from voxtile.distributed import is_sharded
from voxtile.errors import ConfigError
from voxtile.models.tower import TextTower
from voxtile.objectives.base import Objective, rows_of
from voxtile.objectives.keyed_random import uniform
from voxtile.types import Batch, Features

if TYPE_CHECKING:
    from voxtile.models.dual import DualEncoder

KeyName: TypeAlias = Literal["text", "study", "subject"]
KEYS = len(get_args(KeyName))

_STREAM = 0x30  # of the keyed numbers that draw an item's text


class MomentumCopy(nn.Module):
    """Copies of networks whose weights are an exponential average: w̄ ← m·w̄ + (1 − m)·w (MoCo, He et al. 2020, eq. 2).

    They get no gradients and stay in evaluation mode. Statistics, such as those of BatchNorm, are taken over as they
    are. Each process holds them whole, also where FSDP2 shards the networks that they follow.

    Args:
        parts: the networks, by names that the checkpoint then has; tokenizers are shared, not copied.
    """

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        towers = [inner for part in parts.values() for inner in part.modules() if isinstance(inner, TextTower)]
        shared = {id(tower.tokenizer): tower.tokenizer for tower in towers}
        self.parts = nn.ModuleDict({name: copy.deepcopy(part, dict(shared)) for name, part in parts.items()})
        self.parts.requires_grad_(False).eval()

    def __getitem__(self, name: str) -> nn.Module:
        return self.parts[name]

    def train(self, mode: bool = True) -> MomentumCopy:
        """The copies stay in evaluation mode."""
        super().train(mode)
        self.parts.eval()
        return self

    @torch.no_grad()
    def follow(self, parts: Mapping[str, nn.Module], momentum: float) -> None:
        """Move the weights after an update.

        Args:
            parts: the networks that are followed, under the names of the copies.
            momentum: share m of the old weights that is kept.
        """
        for name, kept in self.parts.items():
            for old, new in zip(kept.parameters(), parts[name].parameters(), strict=True):
                old.lerp_(_whole(new).to(old.dtype), 1 - momentum)
            for statistic, now in zip(kept.buffers(), parts[name].buffers(), strict=True):
                statistic.copy_(_whole(now))


@dataclass(frozen=True)
class DrawnPairs:
    """The items of a batch with a text each, as the model and its momentum copy see them.

    Attributes:
        image, text: [B, D] normalised.
        kept_image, kept_text: [B, D] by the momentum copy; no gradient flows into them.
        keys: [B, 3] int64, of text, study and subject.
    """

    image: Tensor
    text: Tensor
    kept_image: Tensor
    kept_text: Tensor
    keys: Tensor


class MomentumObjective(Objective):
    """Base of terms that compare pairs with what a momentum copy of the encoder makes of them.

    Of an item with several texts one is drawn each time, by the item's key.

    Args:
        momentum: share of the copy's weights that an update keeps.
        ignore: pairs that are not set against each other: an equal `text`, one `study` or `subject`.

    Raises:
        ConfigError: numbers out of range, or a name that is no relation.
    """

    rows_learn: ClassVar[bool] = False
    couples_items: ClassVar[bool] = True

    def __init__(self, *, momentum: float, ignore: Sequence[KeyName] = ()) -> None:
        super().__init__()
        name = type(self).__name__
        if not 0 <= momentum < 1:
            raise ConfigError(f"the momentum of {name} must be at least 0 and below 1, not {momentum:g}")
        known = get_args(KeyName)
        for relation in ignore:
            if relation not in known:
                raise ConfigError(f"{name} knows no relation '{relation}'; there are: {', '.join(known)}")
        self.momentum, self.ignore = momentum, tuple(ignore)
        self.kept: MomentumCopy | None = None

    def setup_encoder(self, encoder: DualEncoder) -> None:
        """Copy the encoder as it is now; a checkpoint that is loaded later brings its own copy."""
        super().setup_encoder(encoder)
        self.kept = MomentumCopy({"encoder": encoder})

    def after_step(self, encoder: DualEncoder, step: int, steps: int) -> None:
        """Let the copy follow."""
        if self.kept is not None:
            self.kept.follow({"encoder": encoder}, self.momentum)

    @torch.no_grad()
    def rows(self, features: Features) -> Tensor:
        """Return [B, 2·D]: the copy's vectors of each item and of its drawn text.

        Raises:
            ConfigError: the objective was not set up, or an item has no text.
        """
        if self.kept is None:
            raise ConfigError(f"{type(self).__name__} was not set up; load a checkpoint or train the model first")
        batch, encoder = features.batch, cast("DualEncoder", self.kept["encoder"])
        assert batch.tokens is not None
        image, _ = encoder.encode_items(batch.images, batch.image_item, len(batch), days=batch.image_days)
        text, _ = encoder.encode_texts(batch.tokens[drawn_texts(batch)])
        return torch.cat([image, text], 1)

    def pairs(self, features: Features) -> DrawnPairs:
        """The pairs of the whole batch."""
        batch, drawn = features.batch, drawn_texts(features.batch)
        kept_image, kept_text = rows_of(self, features).detach().chunk(2, 1)
        keys = torch.stack([batch.text_hash[drawn], batch.study, batch.subject], 1)
        return DrawnPairs(features.image, features.text[drawn], kept_image, kept_text, keys)

    def related(self, rows: Tensor, columns: Tensor) -> Tensor:
        """[r, c] bool: pairs to ignore, from their [r, 3] and [c, 3] keys."""
        alike = torch.zeros(len(rows), len(columns), dtype=torch.bool, device=rows.device)
        for relation in self.ignore:
            at = get_args(KeyName).index(relation)
            alike |= rows[:, at, None] == columns[:, at]
        return alike


def drawn_texts(batch: Batch) -> Tensor:
    """[B] int64, a text of each item, drawn by its key.

    Raises:
        ConfigError: an item has none.
    """
    counts = torch.bincount(batch.text_item, minlength=len(batch))
    if not bool((counts > 0).all()):
        raise ConfigError("an objective with a momentum copy needs a text of each item; leave out items without one")
    first = counts.cumsum(0) - counts
    places = (uniform(batch.draws, 1, _STREAM)[:, 0] * counts).long()
    return first + torch.minimum(places, counts - 1)


def _whole(value: Tensor) -> Tensor:
    return value.full_tensor() if is_sharded(value) else value
