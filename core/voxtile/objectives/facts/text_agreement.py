"""Texts are as alike as what they state: contrast between the texts of a batch, before any image is understood.

Shape letters: T texts, F facts, D the shared width, r rows of a slab.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.objectives.base import Objective
from voxtile.objectives.contrastive.row_slabs import log_sum, mean, over_rows
from voxtile.types import Features

_SAME, _UNRELATED = 1 - 1e-4, 1e-4  # of cosines of what is stated, against rounding


class TextAgreement(Objective):
    """Texts that state the same lie together, a denial lies opposite its finding, and other texts at right angles.

    "No effusion" and "effusion" share their words, so that a text tower from scratch begins with nearly equal vectors
    for them, and an image cannot be pulled to the one and pushed from the other. With a_t the facts that text t states
    (1 present, −1 absent, 0 not mentioned), c_tu = cos(a_t, a_u), z_tu = scale·⟨y_t, y_u⟩ and u ≠ t throughout,

        L = mean_t [ log Σ_u exp z_tu − mean_{u: c_tu = 1} z_tu ]
            + mean_{t,u: c_tu ≠ 0} (⟨y_t, y_u⟩ − c_tu)²  +  mean_{t,u: c_tu = 0} ⟨y_t, y_u⟩².

    The first term is supervised contrast (Khosla et al., NeurIPS 2020, eq. 2) over the texts that have a partner; the
    others ask for the likeness of what is stated, as the semantic matching of MedCLIP does between images and texts
    (Wang et al., EMNLP 2022), with denials as negative. Texts that state nothing take no part. Nothing is learned here.

    Args:
        scale: fixed multiplier of the similarities.

    Raises:
        ConfigError: the scale is not positive, or there are no facts.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import TextAgreement
        >>> from voxtile.types import Features
        >>> stated = torch.tensor([[1], [0]], dtype=torch.int8)  # "a nodule", "no nodule"
        >>> opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> TextAgreement()(Features.of_pairs(opposite, opposite, text_facts=stated)).item()
        0.0
        >>> alike = torch.ones(2, 2)
        >>> round(TextAgreement()(Features.of_pairs(alike, alike, text_facts=stated)).item(), 4)  # (1 - -1)²
        4.0
    """

    needs: ClassVar[frozenset[str]] = frozenset({"facts"})
    couples_items: ClassVar[bool] = True
    states_facts = True

    def __init__(self, *, scale: float = 10.0) -> None:
        super().__init__()
        if scale <= 0:
            raise ConfigError(f"the scale of TextAgreement must be above 0, not {scale}")
        self.scale = scale

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Check that there are facts.

        Raises:
            ConfigError: there are none.
        """
        if not fact_names:
            raise ConfigError(
                "the TextAgreement objective needs facts with evidence; run 'voxtile facts --from reports' on the "
                "corpus, or remove the objective"
            )

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss; 0 where fewer than two texts state something."""
        stated = features.batch.text_facts
        if stated is None or (states := (stated >= 0).any(1)).sum() < 2:
            return features.text.sum() * 0.0
        text = features.text[states]
        signed = (stated[states] == 1).to(text.dtype) - (stated[states] == 0).to(text.dtype)
        signed = F.normalize(signed, dim=1)

        def likeness(rows: slice) -> tuple[Tensor, Tensor]:
            """[r, T] of what is stated, and True beside the diagonal."""
            here = torch.arange(len(text), device=text.device)
            return signed[rows] @ signed.T, here[rows, None] != here

        scale = text.new_tensor(self.scale)
        contrast, live, *errors = over_rows(self._rows, text, text, scale, likeness).sum(0)
        related, number, unrelated, others = errors
        loss: Tensor = contrast / live.clamp(min=1) + related / number.clamp(min=1) + unrelated / others.clamp(min=1)
        return loss

    def _rows(self, z: Tensor, likeness: Tensor, valid: Tensor) -> Tensor:
        """[r, 6]: loss of the contrast and whether there is one, sums of squared errors and their numbers."""
        likeness = likeness.to(z.dtype)
        same = valid & (likeness > _SAME)
        live = same.any(1)
        contrast = torch.where(live, log_sum(z, valid) - mean(z, same), 0.0)
        error = (z / self.scale - likeness).square()
        related, unrelated = valid & (likeness.abs() > _UNRELATED), valid & (likeness.abs() <= _UNRELATED)
        columns = [contrast, live.to(z.dtype)]
        for part in (related, unrelated):
            columns += [torch.where(part, error, 0.0).sum(1), part.sum(1).to(z.dtype)]
        return torch.stack(columns, 1)
