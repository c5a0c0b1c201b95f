"""What a locked image tower gives, computed once for each item and kept: from then on only texts are trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.objectives.base import Objective
from voxtile.types import Batch


class LockedImages:
    """Pooled vectors of the training items, by uid.

    Args:
        encoder: its image tower is locked, in evaluation mode.
        batches: every item once, images without augmentation.
        device: of the tower.

    Raises:
        ConfigError: an item has several images.
    """

    def __init__(self, encoder: DualEncoder, batches: Iterable[Batch], device: torch.device) -> None:
        vectors: list[Tensor] = []
        self._places: dict[str, int] = {}
        for batch in batches:
            if len(batch.images) != len(batch):
                raise ConfigError(
                    "model.cache_locked keeps one vector an item, but items have several images; use data.unit: "
                    "sample, or set it to false"
                )
            with torch.no_grad():
                vectors.append(encoder.image(batch.images.to(device)).pooled)
            self._places |= {uid: len(self._places) + i for i, uid in enumerate(batch.uids)}
        self._vectors = torch.cat(vectors)

    def pooled(self, uids: Sequence[str]) -> Tensor:
        """[B, W] the tower's pooled vectors of these items."""
        return self._vectors[[self._places[uid] for uid in uids]]


def check_cache(objectives: Iterable[Objective], processes: int, micro_batches: bool) -> None:
    """Refuse what needs more than one pooled vector an item.

    Raises:
        ConfigError: it names what does.
    """
    if processes > 1 or micro_batches:
        what = "trainer.devices above 1" if processes > 1 else "model.batch"
        raise ConfigError(f"model.cache_locked does not go with {what}; set it to false")
    for objective in objectives:
        local = (objective.needs | objective.row_needs) & {"tokens", "regions", "samples"}
        if local or objective.has_rows:
            raise ConfigError(
                f"model.cache_locked keeps pooled vectors only, but {type(objective).__name__} needs "
                f"{', '.join(sorted(local)) or 'images'}; set it to false"
            )
