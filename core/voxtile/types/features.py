"""What the module computes once of a batch, and every objective reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from voxtile.distributed import Share
from voxtile.types.batch import Batch
from voxtile.types.encoded import Encoded


@dataclass
class ItemScales:
    """Logit scales and biases of the items of a batch, where these are of several sources.

    Attributes:
        scale: [B] multipliers of the cosine similarity (> 0).
        bias: [B], or None for a softmax-only model.
    """

    scale: Tensor
    bias: Tensor | None = None


@dataclass
class Features:
    """What the module computes once and every objective reads.

    Attributes:
        image: [B, D] L2-normalised item embeddings.
        text: [T, D] L2-normalised text embeddings.
        logit_scale: scalar, already exponentiated (> 0); NaN where items have scales of their own, see `each`.
        logit_bias: scalar, or None for a softmax-only model; NaN likewise.
        image_encoded: the tower's own output per item, for objectives that need `pooled` or `tokens`.
        text_encoded: the text tower's own output.
        batch: where it came from (hashes, facts, owners).
        step: global optimiser step.
        samples: the same of `batch.samples`, where there are such and an objective needs them.
        share: which items this process encoded, where several train together; None in a single process.
        rows: [B, K] of objectives that compute something of each item (or region) by itself, see `Objective.rows`.
        each: scales and biases by item, where the batch is of several sources that have their own; else None.
        others_encoded: what the tower gives of `batch.others`, for `Objective.rows` that need `others`; else None.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import Contrastive
        >>> from voxtile.types import Features
        >>> features = Features.of_pairs(torch.eye(4), torch.eye(4), scale=1.0)
        >>> round(Contrastive()(features).item(), 4)  # log(e + 3) - 1
        0.7437
    """

    image: Tensor
    text: Tensor
    logit_scale: Tensor
    logit_bias: Tensor | None
    image_encoded: Encoded
    text_encoded: Encoded
    batch: Batch
    step: int = 0
    samples: Features | None = None
    share: Share | None = None
    rows: dict[Any, Tensor] = field(default_factory=dict)
    each: ItemScales | None = None
    others_encoded: Encoded | None = None

    @classmethod
    def of_pairs(
        cls,
        image: Tensor,
        text: Tensor,
        scale: float = 10.0,
        bias: float | None = None,
        *,
        image_encoded: Encoded | None = None,
        text_encoded: Encoded | None = None,
        **known: Any,  # noqa: ANN401 - fields of Batch
    ) -> Features:
        """Embeddings as an objective reads them, where a training loop of one's own has made them.

        Text j is of item j, and every item is a study and a subject of its own, unless `known` says otherwise.

        Args:
            image: [B, D], normalised here.
            text: [T, D], likewise.
            scale: multiplier of the cosine similarity.
            bias: added to it, for sigmoid objectives.
            image_encoded: what the image tower gave, for objectives that read more; the embeddings where left out.
            text_encoded: what the text tower gave, likewise.
            known: fields of `Batch`: `text_item`, ascending, where items have several texts or none, `facts` with
                `fact_names`, `images`, `tokens`, ….

        Raises:
            ValueError: T is not B, and no `text_item` says whose the texts are.
        """
        items, texts = len(image), len(text)
        if items != texts and "text_item" not in known:
            raise ValueError(f"{items} items and {texts} texts do not pair off; give text_item, the item of each text")
        own = torch.arange(items, device=image.device)
        fields_of_batch: dict[str, Any] = {
            "images": image.new_empty(0), "image_item": own, "texts": [f"text {n}" for n in range(texts)],
            "text_item": own, "study": own, "subject": own, "text_hash": torch.arange(texts, device=image.device),
            "facts": torch.empty(items, 0, dtype=torch.int8, device=image.device), "fact_names": (),
            "uids": [f"{n:032x}" for n in range(items)], "draws": own, **known,
        }  # fmt: skip
        image, text = normalize(image, dim=1), normalize(text, dim=1)
        return cls(
            image,
            text,
            image.new_tensor(scale),
            None if bias is None else image.new_tensor(bias),
            image_encoded or Encoded(image),
            text_encoded or Encoded(text),
            Batch(**fields_of_batch),
        )
