"""A batch encoded once for all objectives, whatever they need of it, and their weighted sum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from voxtile.distributed import place
from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.padding import without_padding
from voxtile.models.tower import full_precision
from voxtile.objectives.base import Objective
from voxtile.training.checks import check_scales
from voxtile.training.distributed import ManyProcesses, gathered
from voxtile.training.large_batch import cut_phrases, encode_cached, split_items, with_phrases
from voxtile.training.seeds import micro_seed, seed_generators, step_seed
from voxtile.types import Batch, Encoded, Features


class EncodedOnce(ManyProcesses):
    """Encodes batches and computes the terms of the loss.

    Attributes:
        objectives: named terms of the loss.
        weights: factor of each.
        seed: key of all randomness of a step.
        cache_locked: encode each item once when the image tower is locked.
        cut_texts: how many texts and phrases were longer than the text tower reads.
    """

    objectives: nn.ModuleDict
    weights: Mapping[str, float]
    seed: int
    cache_locked: bool

    def __init__(self) -> None:
        super().__init__()
        self.cut_texts = 0
        self._locked_images: LockedImages | None = None
        self._scales_checked = False

    def _objectives(self) -> dict[str, Objective]:
        return cast(dict[str, Objective], dict(self.objectives.items()))

    def features(self, batch: Batch) -> Features:
        """Encode a batch once; local features only if an objective needs them.

        Where several processes train together each encodes its own share, and the features are those of all.
        """
        own = self._own_features(batch)
        if place()[1] == 1:
            return own
        seed_generators(step_seed(self.seed, self.global_step))  # what the loss draws is the same in all of them
        return self._scaled(gathered(own))

    def _scaled(self, features: Features) -> Features:
        """With the scales of the whole batch, which may be of more sources than a process's own part."""
        if self.encoder.source_scales is None:
            return features
        scale, bias, each = self.encoder.scales_of(features.batch)
        samples = None if features.samples is None else self._scaled(features.samples)
        return replace(features, logit_scale=scale, logit_bias=bias, each=each, samples=samples)

    def _own_features(self, batch: Batch) -> Features:
        objectives = list(self._objectives().values())
        needs = frozenset().union(*(objective.needs for objective in objectives))
        asked = [objective for objective in objectives if objective.has_rows]
        batch = self.tokenised(batch)
        parts = [batch] if self.large_batch is None else list(split_items(batch, self.large_batch.micro))
        with torch.no_grad():
            for objective in objectives:
                objective.prepare(parts)
        if self.large_batch is not None:
            return self._cached_features(batch, self.large_batch.micro, asked)
        reads = needs.union(*(objective.row_needs for objective in asked))
        tokens = "tokens" in reads
        embeddings, encoded = self._encoded_images(batch, tokens)
        image, image_encoded = self.encoder.pool_items(
            embeddings, encoded, batch.image_item, len(batch), batch.image_days
        )
        if batch.regions is not None and "regions" in reads:
            self.cut_texts += cut_phrases(self.encoder, batch.regions)
            batch = with_phrases(self.encoder, batch)
        features = self._with_texts(batch, image, image_encoded, tokens)
        if batch.samples is not None and "samples" in needs:
            features.samples = self._with_texts(self.tokenised(batch.samples), embeddings, encoded, False)
        rows = {objective: objective.rows(features) for objective in asked}
        features.rows = {objective: row for objective, row in rows.items() if row is not None}
        if "tokens" not in needs:  # only rows have read them
            features.image_encoded = replace(features.image_encoded, tokens=None)
        return features

    def _encoded_images(self, batch: Batch, tokens: bool) -> tuple[Tensor, Encoded]:
        if not (self.cache_locked and self._locked and self.training):
            return self.encoder.encode_samples(batch.images, tokens)
        if self._locked_images is None:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            self._locked_images = LockedImages(self.encoder, data.train_once_dataloader(), batch.images.device)
            data.leave_images_out()
        encoded = Encoded(self._locked_images.pooled(batch.uids))
        return self.encoder.project_samples(encoded), encoded

    def _cached_features(self, batch: Batch, micro: int, asked: Sequence[Objective]) -> Features:
        """The same from the large-batch step, see `voxtile.training.large_batch`."""
        step, before = self.global_step, place()[0] * -(-len(batch) // micro)
        if batch.regions is not None and any("regions" in objective.row_needs for objective in asked):
            self.cut_texts += cut_phrases(self.encoder, batch.regions)
        cached = encode_cached(
            self.encoder, batch, micro, lambda number: micro_seed(self.seed, step, before + number), asked, step
        )
        seed_generators(step_seed(self.seed, step))
        scale, bias, each = self.encoder.scales_of(batch)
        return Features(
            image=cached.image,
            text=cached.text,
            logit_scale=scale,
            logit_bias=bias,
            each=each,
            image_encoded=cached.image_encoded,
            text_encoded=cached.text_encoded,
            batch=batch,
            step=step,
            rows=dict(zip(asked, cached.rows, strict=True)),
        )

    def _with_texts(self, batch: Batch, image: Tensor, image_encoded: Encoded, tokens: bool) -> Features:
        text, text_encoded = self.encoder.encode_texts(cast(Tensor, batch.tokens), local=tokens)
        scale, bias, each = self.encoder.scales_of(batch)
        return Features(
            image=image,
            text=text,
            logit_scale=scale,
            logit_bias=bias,
            each=each,
            image_encoded=image_encoded,
            text_encoded=text_encoded,
            batch=batch,
            step=self.global_step,
        )

    def tokenised(self, batch: Batch) -> Batch:
        """The batch with `tokens` filled in; texts beyond the tower's context are cut and counted."""
        if not batch.texts:
            return replace(batch, tokens=torch.zeros(0, 1, dtype=torch.int64, device=batch.images.device))
        tokens, cut = self.encoder.text.tokenizer.encode(batch.texts)
        self.cut_texts += cut
        return replace(batch, tokens=without_padding(self.encoder.text, tokens).to(batch.images.device))

    def losses(self, features: Features) -> dict[str, Tensor]:
        """The unweighted terms by name.

        Raises:
            ConfigError: a term knows one scale alone, and the batch is of several sources that have their own.
        """
        losses = {name: objective(features) for name, objective in self._objectives().items()}
        if features.each is not None and not self._scales_checked:
            self._scales_checked = True
            if bool(features.image.isfinite().all()):  # else the model gives no numbers, and the loss is not at fault
                check_scales(losses)
        return losses

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return torch.stack([self.weights[name] * full_precision(loss) for name, loss in losses.items()]).sum()


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
