"""The image tower once it is trained no more, and what it gave of each training item.

Shape letters: B items, N tokens of an image, W width of the tower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.objectives.base import Objective
from voxtile.types import Batch, Encoded

_MOST_BYTES = 4 << 30  # of tokens that are kept in memory


class OnceMoreData(Protocol):
    """What a datamodule offers where images are encoded once for all."""

    def train_once_dataloader(self) -> Iterable[Batch]:
        """Every training item once, images without augmentation."""

    def keep_images_still(self) -> None:
        """Augment neither images nor what lies on them."""

    def leave_images_out(self, *, regions: bool) -> None:
        """Load no more images, and regions only where they are read."""


class ImageLock:
    """Trains the image tower no more from some step on.

    Args:
        encoder: the two towers.
        keeps: whether what it gives of an item is kept once it is locked, and no image looked at again.
        frozen: whether nothing of the towers learns from the first step on.

    Attributes:
        keeps: as given.
        locked: whether it is.
        from_start: whether it is locked at the first step, since it stands still and what it gives is kept.
    """

    def __init__(self, encoder: DualEncoder, *, keeps: bool = False, frozen: bool = False) -> None:
        self._encoder = encoder
        self.keeps = keeps
        self.from_start = keeps and frozen
        self._kept: LockedImages | None = None
        self.locked = False

    def begin(self, data: Callable[[], OnceMoreData], objectives: Mapping[str, Objective]) -> None:
        """Have images stay as they are where what the tower gave of them once is kept from the first step on.

        Args:
            data: gives the datamodule, where it is needed.
            objectives: where they read regions, these lie on the image as it is.
        """
        if self.from_start and reads_regions(objectives):
            data().keep_images_still()

    def lock(self, *, keep_gradients: bool) -> None:
        """Lock it.

        Args:
            keep_gradients: compute gradients still, for `drop_gradients`: DistributedDataParallel waits for those of
                all that it was made with.
        """
        self._encoder.image.requires_grad_(keep_gradients).eval()
        self.locked = True

    def drop_gradients(self) -> None:
        """Forget the gradients of a tower that is locked."""
        for parameter in self._encoder.image.parameters() if self.locked else ():
            parameter.grad = None

    def known(
        self, batch: Batch, data: Callable[[], OnceMoreData], objectives: Mapping[str, Objective]
    ) -> Encoded | None:
        """What the locked tower gives of a batch of training items, which it saw once each; None where it is not kept.

        That of the images that its dialogues show beside the items' own comes after them.

        Args:
            batch: its images are not read.
            data: gives the datamodule, which is asked for all items at the first batch, and for no more images from
                then on.
            objectives: what they read of images is kept, and regions are placed where they read these.

        Raises:
            ConfigError: an item has several images, images have several sizes, or there is too much to keep.
        """
        if not (self.keeps and self.locked):
            return None
        if self._kept is None:
            with torch.random.fork_rng(devices=[]):  # a loader draws a number, which a resumed run does at another step
                batches = data().train_once_dataloader()
                self._kept = LockedImages(
                    self._encoder,
                    batches,
                    batch.images.device,
                    tokens=reads_tokens(objectives),
                    condense=partial(_condensed, objectives),
                )
            data().leave_images_out(regions=reads_regions(objectives))
        others = [] if batch.others is None else batch.others.uids
        return self._kept.of([*batch.uids, *others])


class LockedImages:
    """What a tower gives of the training items, by uid.

    Args:
        encoder: its image tower is locked, in evaluation mode.
        batches: every item once, images without augmentation.
        device: of the tower.
        tokens: keep local features, too.
        condense: adds what is read of feature maps, which are not kept.

    Raises:
        ConfigError: an item has several images, images have several sizes, or there is too much to keep.
    """

    def __init__(
        self,
        encoder: DualEncoder,
        batches: Iterable[Batch],
        device: torch.device,
        *,
        tokens: bool = False,
        condense: Callable[[Encoded], Encoded] = lambda encoded: encoded,
    ) -> None:
        pooled: list[Tensor] = []
        local: list[Tensor] = []
        profiles: list[Tensor] = []
        self._grid: tuple[int, ...] | None = None
        self._places: dict[str, int] = {}
        for batch in batches:
            if len(batch.images) != len(batch):
                raise ConfigError(
                    "model.cache_locked keeps what the tower gives of one image an item, but items have several "
                    "images; use data.unit: sample, or set it to false"
                )
            with torch.no_grad():
                found = condense(encoder.image(batch.images.to(device), tokens=tokens))
            pooled.append(found.pooled)
            if found.profiles is not None:
                profiles.append(found.profiles)
            if tokens:
                local.append(_of_one_size(found, self._grid if local else found.grid))
                self._grid = found.grid
                _require_room(local)
            self._places |= {uid: len(self._places) + i for i, uid in enumerate(batch.uids)}
        self._pooled = torch.cat(pooled)
        self._tokens = torch.cat(local) if tokens else None
        self._profiles = torch.cat(profiles) if profiles else None

    def of(self, uids: Sequence[str]) -> Encoded:
        """What the tower gave of these items: [B, W], and [B, N, W] tokens and profiles where they are kept."""
        places = [self._places[uid] for uid in uids]
        kept = Encoded(self._pooled[places], profiles=None if self._profiles is None else self._profiles[places])
        return kept if self._tokens is None else replace(kept, tokens=self._tokens[places], grid=self._grid)


def _condensed(objectives: Mapping[str, Objective], encoded: Encoded) -> Encoded:
    """What the tower gave, with what each objective reads of its feature maps."""
    for objective in objectives.values():
        encoded = objective.condensed(encoded)
    return encoded


def _of_one_size(found: Encoded, grid: tuple[int, ...] | None) -> Tensor:
    if found.tokens is None or found.mask is not None or found.grid != grid:
        raise ConfigError(
            "model.cache_locked keeps as many tokens of every image, but this tower gives none, or images have several "
            "sizes; set it to false"
        )
    return found.tokens


def _require_room(local: Sequence[Tensor]) -> None:
    if sum(part.nbytes for part in local) > _MOST_BYTES:
        raise ConfigError(
            f"model.cache_locked would keep more than {_MOST_BYTES >> 30} GiB of tokens in memory; set it to false, or "
            "let the connector read pooled vectors alone (kind: none)"
        )


def reads_tokens(objectives: Mapping[str, Objective]) -> bool:
    """Whether any of them reads the tokens of images."""
    return any("tokens" in objective.needs | objective.row_needs for objective in objectives.values())


def reads_regions(objectives: Mapping[str, Objective]) -> bool:
    """Whether any that still learns once the tower is locked reads regions."""
    return any(
        "regions" in objective.needs | objective.row_needs
        for objective in objectives.values()
        if not objective.shapes_image_tower_alone
    )


def check_cache(objectives: Mapping[str, Objective], processes: int, micro_batches: bool, frozen: bool = False) -> None:
    """Refuse what needs more than what the tower gave of an item once.

    Args:
        objectives: of the run.
        processes: how many.
        micro_batches: whether a batch is encoded in pieces.
        frozen: the tower stands still from the first step on, so that no image is augmented.

    Raises:
        ConfigError: it names what does.
    """
    if processes > 1 or micro_batches:
        what = "trainer.devices above 1" if processes > 1 else "model.batch"
        raise ConfigError(f"model.cache_locked does not go with {what}; set it to false")
    for objective in objectives.values():
        if objective.shapes_image_tower_alone:
            continue  # it has done its work when the tower is locked
        local = (objective.needs | objective.row_needs) & {"tokens", "regions", "samples"}
        if objective.reads_encoded_alone and local <= ({"tokens", "regions"} if frozen else {"tokens"}):
            continue
        if local or objective.has_rows:
            raise ConfigError(
                f"model.cache_locked keeps what the tower gives of images alone, but {type(objective).__name__} needs "
                f"{', '.join(sorted(local)) or 'images'}; set it to false"
            )
