"""Patches and concepts: each concept that a text states is somewhere in the image (ConceptCLIP, Nie et al. 2025).

Shape letters: B items, T texts, F concepts, N patches of an image, D the shared width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.objectives.base import Objective, rows_of
from voxtile.objectives.contrastive.tiled import sigmoid_loss, softmax_loss
from voxtile.objectives.local.concept_phrases import ConceptPhrases
from voxtile.objectives.local.local_tokens import projected
from voxtile.objectives.pairs import IgnoredName, Pairs, RelationName
from voxtile.types import Features

if TYPE_CHECKING:
    from voxtile.models.dual import DualEncoder


class ConceptPatch(Objective):
    """Contrasts images and texts by the patches that show the concepts which a text states (PC-Align).

    With x_in the projected, normalised patches of image i, u_c the vector of concept c's phrase as the text tower and
    its projection give it, and C_j the concepts that text j states as present,

        m_ic = max_n ⟨x_in, u_c⟩,   s_ij = 1/|C_j| Σ_{c∈C_j} m_ic,
        L = sigmoid loss of z = t·s + b over images and texts, with a scale t and a bias b of its own,

    that is SigLIP's loss, as ConceptCLIP uses it, over FILIP's similarity from concepts to patches. The paper takes the
    vectors of concepts from the tokens of the caption; a fact has no place in its text here, so that concepts are
    phrases by themselves. s is the inner product of m_i and the indicator of C_j over |C_j|: only the F numbers m_i are
    kept of an image, at any batch size, and the loss is that of `voxtile.objectives.contrastive.tiled`.

    Texts that state nothing are left out. Other items of which the text is true are best positive too:
    `positives: [facts]`.

    Args:
        kind: `sigmoid`, or `softmax` without the bias.
        phrases: what a concept is called, where its name would not do.
        logit_scale, logit_bias: t and b at the start; SigLIP's 10 and −10.
        positives, ignore: as in `voxtile.objectives.Contrastive`.

    Raises:
        ConfigError: a kind that does not exist, or a scale that is not positive.

    Examples:
        >>> import torch
        >>> from voxtile.models import DualEncoder, TextTransformer, ViTTower
        >>> from voxtile.objectives import ConceptPatch
        >>> from voxtile.types import Features
        >>> image, text = ViTTower(size=16, patch=4, width=16, depth=1, heads=2), TextTransformer(width=16, depth=1)
        >>> encoder = DualEncoder(image=image, text=text, embed_dim=8).eval()
        >>> text.tokenizer.train(["nodule", "effusion"])
        >>> objective = ConceptPatch()
        >>> objective.setup_encoder(encoder)
        >>> objective.setup(image_width=16, text_width=16, embed_dim=8, fact_names=("nodule", "effusion"))
        >>> encoded = image(torch.randn(3, 1, 16, 16), tokens=True)
        >>> features = Features.of_pairs(torch.ones(3, 8), torch.ones(3, 8), image_encoded=encoded)
        >>> objective.rows(features).shape  # of each image, how well its best patch fits each concept
        torch.Size([3, 2])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"facts"})
    row_needs: ClassVar[frozenset[str]] = frozenset({"tokens"})
    couples_items: ClassVar[bool] = True
    states_facts = True

    def __init__(
        self,
        *,
        kind: Literal["sigmoid", "softmax"] = "sigmoid",
        phrases: Mapping[str, str] | None = None,
        logit_scale: float = 10.0,
        logit_bias: float = -10.0,
        positives: Sequence[RelationName] = (),
        ignore: Sequence[IgnoredName] = (),
    ) -> None:
        super().__init__()
        if kind not in ("sigmoid", "softmax"):
            raise ConfigError(f"ConceptPatch knows no kind '{kind}'; use sigmoid or softmax")
        if not logit_scale > 0:
            raise ConfigError(f"the logit_scale of ConceptPatch must be positive, not {logit_scale}")
        self.kind = kind
        self.positives, self.ignore = tuple(positives), tuple(ignore)
        self.concepts = ConceptPhrases(phrases or {}, "ConceptPatch")
        self.log_scale = nn.Parameter(torch.tensor(math.log(logit_scale)))
        self.logit_bias = nn.Parameter(torch.tensor(float(logit_bias))) if kind == "sigmoid" else None
        self.image_projection: nn.Linear | None = None
        self._encoder: tuple[DualEncoder, ...] = ()  # in a tuple, so that it is no part of this module

    def setup_encoder(self, encoder: DualEncoder) -> None:
        """Note who encodes the phrases."""
        self._encoder = (encoder,)

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Create the projection of the patches, and take the concepts.

        Raises:
            ConfigError: there are no facts, or a phrase is of none of them.
        """
        self.concepts.setup(fact_names)
        self.image_projection = nn.Linear(image_width, embed_dim, bias=False)

    def rows(self, features: Features) -> Tensor:
        """[B, F] m.

        Raises:
            ConfigError: the image tower gives no tokens, or the objective was not set up.
        """
        patches, real = projected(features.image_encoded, self.image_projection, "image", "ConceptPatch")
        (encoder,) = self._encoder
        vectors, _ = encoder.encode_texts(self.concepts.tokens(encoder.text, patches.device))
        with torch.autocast(patches.device.type, enabled=False):
            alike = patches @ vectors.to(patches.dtype).T  # [B, N, F]
            return alike.masked_fill(~real.unsqueeze(2), -1.0).amax(1)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss; 0 without texts that state a concept as present."""
        shown, batch = rows_of(self, features), features.batch
        stated = None if batch.text_facts is None else batch.text_facts == 1
        if stated is None or not stated.any():
            return shown.sum() * 0.0
        keep = stated.any(1)
        batch, stated = batch.with_texts(keep), stated[keep].to(shown.dtype)
        stated = stated / stated.sum(1, keepdim=True)
        pairs = Pairs.from_batch(batch, self.positives, self.ignore)
        scale = self.log_scale.exp()
        if self.logit_bias is None:
            return softmax_loss(shown, stated, scale, pairs, share=features.share)
        return sigmoid_loss(shown, stated, scale, self.logit_bias, pairs, share=features.share)
