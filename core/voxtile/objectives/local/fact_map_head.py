"""An auxiliary head that learns from facts of whole images where each of them shows, without outlines.

Shape letters: B items, C channels of a level, F facts, *H grid of a level, N product of *H of the finest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.convolution import LINEAR
from voxtile.models.tower import ImageTower, TextTower, full_precision
from voxtile.objectives.base import ItemObjective
from voxtile.objectives.local.level_heads import level_heads
from voxtile.types import Features


class FactMapHead(ItemObjective):
    """Linear heads on the tower's feature maps, each asked for facts by its highest cells.

    An image shows a finding where at least one of its places does (multiple-instance learning; Oquab, Bottou, Laptev
    and Sivic, CVPR 2015). With z_n the logit of a fact in cell n of the finest level, to which those of the coarser
    ones are added, interpolated linearly, the logit of the image is

        z = 1/r · log( 1/N · Σ_n exp(r z_n) ),

    the mean for small r and the highest for large (Pinheiro and Collobert, CVPR 2015, eq. 6), and the loss of an image
    is the mean, over the facts that are known of it, of the binary cross-entropy of z. So each fact has a map at every
    level, as the phrases of `RegionHead` have: `connector.regions` of an assistant reads from them sides and places
    that reports alone have taught. What always comes together is not told apart, and a map is high where a finding is
    told best, which need not be the whole of it.

    Once the tower is locked (`lock_image_after`) there is nothing left to learn here, and the term is 0.

    Args:
        facts: concepts, a channel each; those that the corpus does not have learn nothing.
        levels: feature maps that are asked, 0 the finest; all but that where left out.
        sharpness: r.

    Raises:
        ConfigError: no fact, one twice, or a sharpness that is not above 0.

    Examples:
        >>> import torch
        >>> from voxtile.models import TextBag, WaveletTower
        >>> from voxtile.objectives import FactMapHead
        >>> from voxtile.types import Features
        >>> tower, objective = WaveletTower(dimensions=2, widths=(8,), blocks=(1,)), FactMapHead(facts=["nodule"])
        >>> objective.setup_towers(tower, TextBag())
        >>> objective.setup(image_width=256, text_width=64, embed_dim=64, fact_names=("effusion", "nodule"))
        >>> _ = [torch.nn.init.zeros_(weight) for weight in objective.parameters()]
        >>> facts = torch.tensor([[1, 0], [0, -1]], dtype=torch.int8)  # -1: not known, and left out
        >>> encoded = tower(torch.randn(2, 1, 16, 16), tokens=True)
        >>> features = Features.of_pairs(torch.ones(2, 4), torch.ones(2, 4), image_encoded=encoded, facts=facts)
        >>> features.rows[objective] = objective.rows(features)
        >>> round(objective(features).item(), 4)  # log 2: it knows nothing yet
        0.6931
    """

    row_needs: ClassVar[frozenset[str]] = frozenset({"tokens", "facts"})
    reads_texts = False
    shapes_image_tower_alone: ClassVar[bool] = True

    def __init__(self, *, facts: Sequence[str], levels: Sequence[int] = (), sharpness: float = 5.0) -> None:
        super().__init__()
        if not facts or len(set(facts)) < len(facts):
            raise ConfigError(f"FactMapHead needs facts that differ, not {list(facts)}")
        if not sharpness > 0:
            raise ConfigError(f"FactMapHead: sharpness {sharpness} is not above 0")
        self.concepts, self.levels, self.sharpness = tuple(facts), tuple(sorted(levels)), sharpness
        self.columns: tuple[int, ...] = ()
        self.known: tuple[int, ...] = ()
        self.heads = nn.ModuleDict()

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Make a head for each level.

        Raises:
            ConfigError: the image tower has no such level.
        """
        self.heads.update(level_heads(image.level_widths, self.levels, len(self.concepts), "FactMapHead"))

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Find the columns of the facts.

        Raises:
            ConfigError: the corpus has none of them.
        """
        self.known = tuple(channel for channel, name in enumerate(self.concepts) if name in fact_names)
        self.columns = tuple(fact_names.index(self.concepts[channel]) for channel in self.known)
        if not self.known:
            raise ConfigError(
                f"FactMapHead needs facts of {', '.join(self.concepts)}, and the corpus view has "
                f"{', '.join(fact_names) or 'none'}; run 'voxtile facts' on the corpus, or name its own"
            )

    def rows(self, features: Features) -> Tensor:
        """[B, 2]: of each item the summed losses of its known facts, and how many they are.

        Raises:
            ConfigError: the heads were not made.
        """
        facts, levels = features.batch.facts, features.image_encoded.levels
        none = full_precision(features.image_encoded.pooled).new_zeros(len(features.batch), 2)
        if not self.heads or not self.known:
            raise ConfigError("FactMapHead was not set up; load a checkpoint or train the model first")
        if levels is None:  # the tower is locked; a gradient of 0 reaches other processes
            return none + sum((0.0 * part).sum() for part in self.parameters())
        asked = facts[:, list(self.columns)]
        known = (asked >= 0).to(none.dtype)
        own = asked.clamp(min=0).to(none.dtype)
        losses = F.binary_cross_entropy_with_logits(self.of_images(levels), own, reduction="none")
        return torch.stack([(losses * known).sum(1), known.sum(1)], 1)

    def of_images(self, levels: Sequence[Tensor]) -> Tensor:
        """[B, K] log-odds of the K facts that the corpus has, of the tower's feature maps [B, C, *H]."""
        maps = [
            full_precision(head(levels[int(level)].movedim(1, -1))).movedim(-1, 1) for level, head in self.heads.items()
        ]
        finest = maps[0].shape[2:]
        cells = sum(F.interpolate(one, finest, mode=LINEAR[len(finest)]) for one in maps[1:]) + maps[0]  # [B, F, *H]
        cells = cells[:, list(self.known)].flatten(2)
        return (torch.logsumexp(self.sharpness * cells, 2) - math.log(cells.shape[2])) / self.sharpness
