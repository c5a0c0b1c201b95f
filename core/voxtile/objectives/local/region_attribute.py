"""Regions and attributes: which part of an image each attribute of its text is about (ViLLA, Varma et al., ICCV 2023).

Shape letters: B items, T texts, A attributes, N regions (patches) of an image, W width of the image tower, D the shared
width, R pairs of an item and an attribute, r and c rows and columns of a tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from voxtile.errors import ConfigError
from voxtile.models.tower import full_precision
from voxtile.objectives.base import Objective, rows_of
from voxtile.objectives.contrastive.tiled import softmax_loss
from voxtile.objectives.local.concept_phrases import ConceptPhrases
from voxtile.objectives.local.local_tokens import projected
from voxtile.objectives.pairs import Pairs
from voxtile.types import Batch, Features

if TYPE_CHECKING:
    from voxtile.models.dual import DualEncoder


class RegionAttribute(Objective):
    """Maps attributes to regions, and contrasts those regions with the texts that state the attributes (ViLLA).

    First, a light mapping model on frozen features learns which regions show an attribute from which images have it.
    With x_in region n of image i, h_a a head for attribute a, e_a the text tower's vector of its phrase, neither of
    which it changes, P_a the items that have a and N_a those that have it not (ViLLA, section 4.1, the loss of the
    authors' first stage, without the pairs that their code adds as exp 0),

        q_ina = cos(h_a(x_in), e_a),   s_ia = max_n q_ina,
        L_map = −1/Σ|P_a| Σ_a Σ_{i∈P_a} log [ exp(s_ia/τ) / ( exp(s_ia/τ) + Σ_{k∈N_a} exp(s_ka/τ) ) ].

    Second, an attribute is assigned to the regions within ε of the best, and their mean in the shared space is
    contrasted with texts, in both directions as in `voxtile.objectives.contrastive.tiled` with the model's scale
    (section 4.2):

        v_ia = normalised mean of p(x_in) over { n : q_ina > s_ia − ε },   L = L_map + InfoNCE(v_ia, texts of i with a).

    A text of another item that states the same attribute is ignored; ViLLA counts it as negative. Attributes are the
    facts of the corpus view: unknown ones are in neither P_a nor N_a. The paper trains the stages one after the other,
    the second with regions encoded anew; here they are one term, and the second begins after `warmup` steps. Best with
    `data.captions.unit: sentence`, so that a text states little.

    Args:
        hidden: width of the heads' hidden layer.
        shared: one head for all attributes in place of one each.
        temperature: τ.
        epsilon: ε.
        warmup: steps of the mapping model alone.
        phrases: what an attribute is called, where its name would not do.

    Raises:
        ConfigError: numbers out of range.

    Examples:
        >>> import torch
        >>> from voxtile.models import DualEncoder, TextTransformer, ViTTower
        >>> from voxtile.objectives import RegionAttribute
        >>> from voxtile.types import Features
        >>> image, text = ViTTower(size=16, patch=4, width=16, depth=1, heads=2), TextTransformer(width=16, depth=1)
        >>> encoder = DualEncoder(image=image, text=text, embed_dim=8).eval()
        >>> text.tokenizer.train(["nodule", "effusion"])
        >>> objective = RegionAttribute(hidden=8)
        >>> objective.setup_encoder(encoder)
        >>> objective.setup(image_width=16, text_width=16, embed_dim=8, fact_names=("nodule", "effusion"))
        >>> encoded = image(torch.randn(3, 1, 16, 16), tokens=True)
        >>> features = Features.of_pairs(torch.ones(3, 8), torch.ones(3, 8), image_encoded=encoded)
        >>> objective.rows(features).shape  # of each image, 2 scores and the vectors of 2 assigned regions
        torch.Size([3, 18])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"facts"})
    row_needs: ClassVar[frozenset[str]] = frozenset({"tokens"})
    couples_items: ClassVar[bool] = True
    states_facts = True
    contrasts_facts: ClassVar[bool] = True

    def __init__(
        self,
        *,
        hidden: int = 128,
        shared: bool = False,
        temperature: float = 0.07,
        epsilon: float = 0.05,
        warmup: int = 500,
        phrases: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        if hidden < 1 or not temperature > 0 or not epsilon > 0 or warmup < 0:
            raise ConfigError(
                "RegionAttribute needs a positive hidden, temperature and epsilon and a warmup of at least 0, not "
                f"{hidden}, {temperature}, {epsilon}, {warmup}"
            )
        self.hidden, self.shared, self.temperature = hidden, shared, temperature
        self.epsilon, self.warmup = epsilon, warmup
        self.attributes = ConceptPhrases(phrases or {}, "RegionAttribute")
        self.heads = nn.ModuleList()
        self.image_projection: nn.Linear | None = None
        self._count = 0
        self._encoder: tuple[DualEncoder, ...] = ()  # in a tuple, so that it is no part of this module

    def setup_encoder(self, encoder: DualEncoder) -> None:
        """Note who encodes the phrases."""
        self._encoder = (encoder,)

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Create the heads and the projection of regions, and take the attributes.

        Raises:
            ConfigError: there are no facts, or a phrase is of none of them.
        """
        self.attributes.setup(fact_names)
        self._count = len(fact_names)
        for _ in range(1 if self.shared else self._count):
            head = nn.Sequential(
                nn.Linear(image_width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, text_width, bias=False)
            )
            self.heads.append(head)
        self.image_projection = nn.Linear(image_width, embed_dim, bias=False)

    def rows(self, features: Features) -> Tensor:
        """[B, A + A·D]: s, and v of each attribute.

        Raises:
            ConfigError: the image tower gives no tokens, or the objective was not set up.
        """
        regions, real = projected(features.image_encoded, self.image_projection, "image", "RegionAttribute")
        assert features.image_encoded.tokens is not None
        frozen = features.image_encoded.tokens.detach()
        found = self._mapped(frozen).masked_fill(~real.unsqueeze(2), -1.0)  # [B, N, A]
        best = found.amax(1)
        with torch.no_grad():
            taken = (found > best.unsqueeze(1) - self.epsilon) & real.unsqueeze(2)
        vectors = F.normalize(torch.einsum("bna,bnd->bad", taken.to(regions.dtype), regions), dim=2)
        return torch.cat([best.to(regions.dtype), vectors.flatten(1)], 1)

    def _mapped(self, regions: Tensor) -> Tensor:
        """[B, N, A] q from [B, N, W]."""
        (encoder,) = self._encoder
        with torch.no_grad():
            phrases = encoder.text(self.attributes.tokens(encoder.text, regions.device)).pooled
            phrases = F.normalize(full_precision(phrases), dim=1)
        if self.shared:
            return F.normalize(full_precision(self.heads[0](regions)), dim=2) @ phrases.T

        def one(regions: Tensor, place: int) -> Tensor:
            return F.normalize(full_precision(self.heads[place](regions)), dim=2) @ phrases[place]

        columns = [
            checkpoint(one, regions, place, use_reentrant=False, preserve_rng_state=False)
            for place in range(self._count)
        ]
        return torch.stack(columns, 2)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss; 0 of either part where nothing is known."""
        rows = rows_of(self, features)
        scores, vectors = rows[:, : self._count], rows[:, self._count :]
        loss = self._mapping_loss(scores, features.batch.facts)
        if features.step < self.warmup or features.batch.text_facts is None:
            return loss + 0.0 * vectors.sum()
        return loss + _contrast(vectors.reshape(len(rows), self._count, -1), features, features.batch)

    def _mapping_loss(self, scores: Tensor, facts: Tensor) -> Tensor:
        """L_map from [B, A] s and facts."""
        logits = scores / self.temperature
        lowest = torch.finfo(logits.dtype).min
        absent = logits.masked_fill(facts != 0, lowest).logsumexp(0)  # [A]
        losses = torch.logaddexp(logits, absent.expand_as(logits)) - logits
        there = facts == 1
        return torch.where(there, losses, 0.0).sum() / there.sum().clamp(min=1)


def _contrast(vectors: Tensor, features: Features, batch: Batch) -> Tensor:
    """InfoNCE of the [B, A, D] vectors of regions with the texts that state their attributes."""
    assert batch.text_facts is not None
    keep = (batch.text_facts == 1).any(1)
    stated, owner = batch.text_facts[keep] == 1, batch.text_item[keep]
    has = stated.new_zeros(vectors.shape[:2], dtype=torch.int64).index_add(0, owner, stated.long()) > 0
    item, attribute = torch.nonzero(has, as_tuple=True)
    if not len(item):
        return vectors.sum() * 0.0
    own = _Stating(stated, owner, attribute, item)
    pairs = Pairs(torch.full_like(owner, -1), len(item), [own], [_Stating(stated, owner, attribute, None)])
    return softmax_loss(vectors[item, attribute], features.text[keep], features.logit_scale, pairs)


class _Stating:
    """Texts that state the attribute of a row; with `item` only those of its own item.

    Args:
        stated: [T, A] bool.
        owner: [T] int64, item of each text.
        attribute: [R] int64.
        item: [R] int64.
    """

    def __init__(self, stated: Tensor, owner: Tensor, attribute: Tensor, item: Tensor | None) -> None:
        self._stated, self._owner, self._attribute, self._item = stated, owner, attribute, item

    def tile(self, rows: slice, columns: slice) -> Tensor:
        """[r, c] bool."""
        related = self._stated[columns][:, self._attribute[rows]].T
        if self._item is None:
            return related.clone()
        return related & (self._item[rows].unsqueeze(1) == self._owner[columns])
