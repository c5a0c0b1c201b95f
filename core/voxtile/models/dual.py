"""The dual encoder: an image and a text tower projected to one space.

Shape letters: B items, S images, T texts, L tokens, C channels, D the shared width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.source_scales import SourceScales
from voxtile.models.study import StudyPool
from voxtile.models.tower import (
    ImageTower,
    TextTower,
    full_precision,
    require_described,
    require_encoded,
    resolve_tower,
)
from voxtile.models.tuning import Tuning, settle
from voxtile.types import Batch, Encoded, ItemScales, Members


class DualEncoder(nn.Module):
    """Two towers, a projection each, and the temperature (Radford et al. 2021, figure 3).

    Args:
        image: image tower, by class path or by a hub name such as `open_clip:ViT-B-32`.
        text: text tower, likewise.
        embed_dim: shared width D.
        project: False only where both towers are already `embed_dim` wide and aligned (a pretrained pair).
        projector: of the projections, `linear` or `mlp`, see `voxtile.models.dual`.
        logit_scale: initial multiplier of the cosine similarity; `pretrained` takes that of an open_clip pair, and its
            bias where it has one.
        logit_scale_limits: the multiplier is kept between these, and a pretrained one beyond them is the limit.
        logit_bias: initial bias of the sigmoid objective; None for softmax only.
        source_scales: names of the sources of `data.mixture` that each learn a scale (and bias) of their own, see
            `voxtile.models.source_scales`; none where left out.
        study: pooling over the samples of an item; the mean where left out.
        image_tuning: what of the image tower is trained; all where left out.
        text_tuning: likewise of the text tower.

    Raises:
        ConfigError: widths or limits that do not fit.

    Examples:
        >>> import torch
        >>> from voxtile.models import DualEncoder, TextBag, ViTTower
        >>> image = ViTTower(size=16, patch=4, width=16, depth=1, heads=2)
        >>> encoder = DualEncoder(image=image, text=TextBag(), embed_dim=8)
        >>> images, _ = encoder.encode_samples(torch.randn(3, 1, 16, 16))
        >>> texts, _ = encoder.encode_texts(torch.tensor([[1, 11, 2], [1, 12, 2]]))
        >>> images.shape, texts.shape
        (torch.Size([3, 8]), torch.Size([2, 8]))
        >>> (encoder.logit_scale * images @ texts.T).shape  # a logit for each image and text
        torch.Size([3, 2])
    """

    def __init__(
        self,
        *,
        image: ImageTower | str,
        text: TextTower | str,
        embed_dim: int = 128,
        project: bool = True,
        projector: ProjectorName = "linear",
        logit_scale: float | Literal["pretrained"] = 1 / 0.07,
        logit_scale_limits: tuple[float, float] = (1.0, 100.0),
        logit_bias: float | None = None,
        source_scales: Sequence[str] = (),
        study: StudyPool | None = None,
        image_tuning: Tuning | None = None,
        text_tuning: Tuning | None = None,
    ) -> None:
        super().__init__()
        self.image = resolve_tower(image, ImageTower)
        self.text = resolve_tower(text, TextTower)
        require_described(self.image, "width")
        require_described(self.text, "width")
        low, high = logit_scale_limits
        if logit_scale == "pretrained":
            logit_scale, stored_bias = _of_pair(self.text, project)
            low, high = min(low, logit_scale), max(high, logit_scale)
            logit_bias = stored_bias if logit_bias is None else logit_bias
        if not 0 < low <= logit_scale <= high:
            raise ConfigError(f"logit_scale {logit_scale} is not within logit_scale_limits {low} to {high}, both > 0")
        if embed_dim < 1:
            raise ConfigError(f"model.encoder.embed_dim must be at least 1, not {embed_dim}")
        for tower, tuning in ((self.image, image_tuning), (self.text, text_tuning)):
            if tuning is not None:
                tuning.apply(tower)
        self.embed_dim = embed_dim
        if not project and (self.image.width, self.text.width) != (embed_dim, embed_dim):
            raise ConfigError(
                f"project: false needs towers of width embed_dim {embed_dim}, not {self.image.width} and "
                f"{self.text.width}"
            )
        if not project and projector != "linear":
            raise ConfigError(f"project: false leaves no room for projector: {projector}; remove one of them")
        self.image_projection = make_projection(projector, self.image.width, embed_dim) if project else nn.Identity()
        self.text_projection = make_projection(projector, self.text.width, embed_dim) if project else nn.Identity()
        self.log_scale = nn.Parameter(torch.tensor(math.log(logit_scale)))
        self.scale_limits = (math.log(low), math.log(high))
        self.logit_bias = None if logit_bias is None else nn.Parameter(torch.tensor(float(logit_bias)))
        self.source_scales: SourceScales | None = None
        if source_scales:
            self.source_scales = SourceScales(source_scales, math.log(logit_scale), logit_bias)
            for mean in (self.log_scale, self.logit_bias):  # of all sources, and not learned
                if mean is not None:
                    mean.requires_grad_(False)
        self.study = study or StudyPool()
        self.study.setup(self.image.width)
        self.train()  # Lightning leaves modes as they are, and transformers gives its models in evaluation mode

    def train(self, mode: bool = True) -> DualEncoder:
        """Towers' parts that are not trained stay in evaluation mode."""
        super().train(mode)
        settle(self.image)
        settle(self.text)
        return self

    @property
    def logit_scale(self) -> Tensor:
        """Scalar multiplier of the cosine similarity; of scales by source their geometric mean."""
        return self.log_scale.exp()

    def scales_of(self, batch: Batch) -> tuple[Tensor, Tensor | None, ItemScales | None]:
        """Scale and bias of a batch, and those of its items where it is of several sources; see `SourceScales.of`.

        Raises:
            ConfigError: the batch has a source that has no scale.
        """
        if self.source_scales is None or batch.source is None:
            return self.logit_scale, self.logit_bias, None
        return self.source_scales.of(batch)

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Bring the scale back within its limits, after an optimiser step."""
        if self.source_scales is None:
            self.log_scale.clamp_(*self.scale_limits)
        else:
            self.source_scales.settle(self.scale_limits, self.log_scale, self.logit_bias)

    def encode_samples(self, images: Tensor, tokens: bool = False) -> tuple[Tensor, Encoded]:
        """Encode [S, C, *G] images to [S, D] normalised embeddings and the tower's own output."""
        encoded: Encoded = self.image(images, tokens=tokens)
        require_encoded(self.image, encoded)
        return self.project_samples(encoded), encoded

    def project_samples(self, encoded: Encoded) -> Tensor:
        """[S, D] normalised embeddings from what the image tower gave."""
        return F.normalize(full_precision(self.image_projection(encoded.pooled)), dim=1)

    def encode_items(
        self, images: Tensor, image_item: Tensor, items: int, tokens: bool = False, days: Tensor | None = None
    ) -> tuple[Tensor, Encoded]:
        """Encode the images of B items and pool each item's samples.

        Args:
            images: [S, C, *G].
            image_item: [S] int64, item of each image.
            items: B.
            tokens: also return local features.
            days: [S] since the latest image of the item, NaN where unknown, for a study tower that reads dates; None
                where all are unknown.

        Returns:
            [B, D] normalised embeddings, and `Encoded` with `pooled` an item; `tokens` an item where S = B.

        Raises:
            ConfigError: tokens of items with several samples.
        """
        embeddings, encoded = self.encode_samples(images, tokens)
        return self.pool_items(embeddings, encoded, image_item, items, days)

    def pool_items(
        self,
        embeddings: Tensor,
        encoded: Encoded,
        image_item: Tensor,
        items: int,
        days: Tensor | None = None,
        *,
        members: bool = False,
    ) -> tuple[Tensor, Encoded]:
        """From what `encode_samples` gave to the items; see `encode_items`.

        Args:
            embeddings: [S, D] of the images.
            encoded: of the images.
            image_item: [S] int64, item of each image.
            items: B.
            days: [S] as for `encode_items`.
            members: of items with several images keep what the tower gave of each, as `Encoded.members`.

        Raises:
            ConfigError: tokens are asked for of items of several images.
        """
        several = len(embeddings) != items
        if encoded.tokens is not None and several and not members:
            raise ConfigError("an objective needs tokens, but items have several samples; use data.unit: sample")
        item, pooled = self.encode_studies(full_precision(encoded.pooled), image_item, items, embeddings, days)
        if members and several:
            return item, Encoded(pooled, members=Members(encoded, image_item))
        return item, replace(encoded, pooled=pooled)

    def encode_studies(
        self,
        vectors: Tensor,
        image_item: Tensor,
        items: int,
        embeddings: Tensor | None = None,
        days: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode items from the tower's vectors of their samples.

        Args:
            vectors: [S, W] `Encoded.pooled` of the samples.
            image_item: [S] int64, item of each sample.
            items: B.
            embeddings: [S, D] of the samples, where they are known already.
            days: [S] as for `encode_items`.

        Returns:
            [B, D] normalised embeddings, and [B, W] the pooled vectors.
        """
        dated = {"days": days} if self.study.reads_dates else {}
        pooled = self.study(vectors, image_item, items, **dated)
        if self.study.learned:
            return F.normalize(full_precision(self.image_projection(pooled)), dim=1), pooled
        # Without a study tower the embedding of a study is the normalised mean of its samples' embeddings.
        if embeddings is None:
            embeddings = F.normalize(full_precision(self.image_projection(vectors)), dim=1)
        return F.normalize(self.study(embeddings, image_item, items), dim=1), pooled

    def encode_texts(self, tokens: Tensor, local: bool = True) -> tuple[Tensor, Encoded]:
        """Encode [T, L] tokens to [T, D] normalised embeddings and the tower's own output.

        Args:
            tokens: of the tower's tokenizer.
            local: whether the output's tokens are read; a tower may leave them out otherwise.
        """
        # Images alone: attention does not take what is not there. An export, whose number of texts is free, never asks.
        if not torch.compiler.is_compiling() and not len(tokens):
            pooled = self.log_scale.new_zeros(0, self.text.width)
            return pooled.new_zeros(0, self.embed_dim), Encoded(pooled)
        encoded: Encoded = self.text(tokens, local=local) if self.text.skips_tokens else self.text(tokens)
        require_encoded(self.text, encoded)
        return F.normalize(full_precision(self.text_projection(encoded.pooled)), dim=1), encoded


def _of_pair(text: TextTower, project: bool) -> tuple[float, float | None]:
    """Logit scale and bias that a text tower was trained with.

    Raises:
        ConfigError: it knows none, or its vectors are projected anew.
    """
    if text.pair_scale is None or project:
        reason = "the projections are new (project: true)" if project else f"{type(text).__name__} has none"
        raise ConfigError(
            f"logit_scale: pretrained takes that of an open_clip pair, but {reason}; give a number such as 14.3"
        )
    return text.pair_scale, text.pair_bias


ProjectorName: TypeAlias = Literal["linear", "mlp"]

_HIDDEN = 4  # times the shared width, as in a transformer's feed-forward part


def make_projection(kind: ProjectorName, width: int, embed_dim: int) -> nn.Module:
    """Map [B, width] to [B, embed_dim].

    Args:
        kind: `linear` (CLIP, Radford et al. 2021), or `mlp` with one hidden layer, which can align frozen towers that
            never saw each other (From Unimodal to Multimodal, Maniparambil et al., arXiv 2409.19425).
        width: of the tower.
        embed_dim: the shared width.

    Raises:
        ConfigError: another kind.
    """
    if kind == "linear":
        return nn.Linear(width, embed_dim, bias=False)
    if kind == "mlp":
        hidden = _HIDDEN * embed_dim
        return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, embed_dim, bias=False))
    raise ConfigError(f"model.encoder.projector '{kind}' does not exist; use linear or mlp")
