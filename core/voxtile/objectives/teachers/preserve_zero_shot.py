"""Fine-tuning without forgetting: what a pretrained pair finds alike stays alike (ZSCL, Zheng et al., ICCV 2023).

Shape letters: B items, R reference texts of a step, D the shared width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.tower import ImageTower, TextTower, full_precision
from voxtile.objectives.base import Objective
from voxtile.objectives.teachers.affinity import Affinity, mutual_divergence
from voxtile.types import Features

_AT_ONCE = 64  # images or texts that the frozen copy encodes at a time


class PreserveZeroShot(Objective):
    """Keeps the similarities that the first weights gave between images and reference texts.

    A frozen copy of the towers is made before the first step and stays in the checkpoint. With x̄_i, ȳ_j its vectors of
    the batch's images and of the reference texts, and x_i, y_j the model's (ZSCL, distillation in feature
    space; D as in `voxtile.objectives.teachers.affinity`, which differs from the paper's cross-entropy by a constant):

        L = ½ D(images → texts) + ½ D(texts → images)

    Reference images are those of the batch: name a further corpus in `data.corpus` to bring others. Reference texts
    need no images; names of classes and sentences of the domain whose zero-shot figures must not fall serve well. It
    needs a pretrained pair of towers without projections of its own (`model.encoder.project: false`).

    Args:
        texts: reference texts.
        texts_file: a file with more of them, one a line.
        sample: reference texts of a step, drawn anew each time; all where there are fewer. In validation the first.
        scale: multiplier of the similarities on both sides; CLIP's 100, softened by a temperature of 2.

    Raises:
        ConfigError: numbers out of range, or no reference texts.

    Examples:
        >>> import torch
        >>> from voxtile.models import TextTransformer, ViTTower
        >>> from voxtile.objectives import PreserveZeroShot
        >>> from voxtile.types import Features
        >>> image, text = ViTTower(size=16, patch=4, width=16, depth=1, heads=2), TextTransformer(width=16)
        >>> text.tokenizer.train(["a nodule", "no nodule"])
        >>> objective = PreserveZeroShot(texts=["a nodule", "no nodule"]).eval()
        >>> objective.setup_towers(image, text)
        >>> images, (tokens, _) = torch.randn(2, 1, 16, 16), text.tokenizer.encode(["a nodule", "no nodule"])
        >>> features = Features.of_pairs(image(images).pooled, text(tokens).pooled, images=images)
        >>> round(abs(objective(features).item()), 4)  # nothing is forgotten yet
        0.0
    """

    couples_items: ClassVar[bool] = True

    def __init__(
        self, *, texts: Sequence[str] = (), texts_file: str | None = None, sample: int = 128, scale: float = 50.0
    ) -> None:
        super().__init__()
        if sample < 2 or not scale > 0:
            raise ConfigError(
                f"PreserveZeroShot needs a sample of at least 2 and a positive scale, not {sample}, {scale}"
            )
        if not texts and texts_file is None:
            raise ConfigError("PreserveZeroShot has no reference texts; give texts or texts_file")
        self.texts, self.texts_file, self.sample, self.scale = tuple(texts), texts_file, sample, scale
        self.frozen: nn.ModuleDict | None = None
        self._student: tuple[TextTower, ...] = ()  # in a tuple, so that it is no part of this module
        self._reference: tuple[Tensor, Tensor] | None = None

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Copy the towers as they are now; a checkpoint that is loaded later brings its own copy.

        Raises:
            ConfigError: the text tower is to be trained from scratch.
        """
        if not text.tokenizer.ready:
            raise ConfigError(
                "PreserveZeroShot keeps what a pretrained pair can do, and this text tower starts from scratch; name "
                "pretrained towers, or remove the objective"
            )
        kept = {id(text.tokenizer): text.tokenizer}
        self.frozen = nn.ModuleDict({"image": copy.deepcopy(image), "text": copy.deepcopy(text, kept)})
        self.frozen.requires_grad_(False).eval()
        self._student = (text,)

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Check that the towers share a space.

        Raises:
            ConfigError: they do not.
        """
        if (image_width, text_width) != (embed_dim, embed_dim):
            raise ConfigError(_PROJECTS)

    def train(self, mode: bool = True) -> PreserveZeroShot:
        """The copy stays in evaluation mode."""
        super().train(mode)
        if self.frozen is not None:
            self.frozen.eval()
        return self

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss.

        Raises:
            ConfigError: the encoder projects, items are studies, or the objective was not set up.
        """
        if self.frozen is None:
            raise ConfigError("PreserveZeroShot was not set up; load a checkpoint or train the model first")
        batch = features.batch
        own = len(batch) if features.share is None else features.share.each[features.share.rank]
        if len(batch.images) != own:
            raise ConfigError("PreserveZeroShot works on samples, but items have several; use data.unit: sample")
        tokens, kept_text = self._references(features)
        chosen = torch.randperm(len(tokens))[: self.sample] if self.training else torch.arange(len(tokens))
        chosen = chosen[: self.sample].to(tokens.device)
        text = _normalised(self._student[0](tokens[chosen]).pooled)
        kept_image = _encoded(self.frozen["image"], batch.images)
        if features.share is not None:
            kept_image = features.share.gather(kept_image)
        scale = features.image.new_tensor(self.scale)
        return mutual_divergence(Affinity(kept_image, kept_text[chosen], scale), Affinity(features.image, text, scale))

    def _references(self, features: Features) -> tuple[Tensor, Tensor]:
        """Tokens of all reference texts and the copy's vectors of them, made once."""
        if self._reference is None:
            own = _normalised(features.text_encoded.pooled.detach())
            if not torch.allclose(own, features.text.detach().to(own.dtype), atol=1e-3):
                raise ConfigError(_PROJECTS)
            tokens, cut = self._student[0].tokenizer.encode(self._all_texts())
            if cut:
                raise ConfigError(
                    f"{cut} reference texts of PreserveZeroShot are longer than the text tower reads; shorten them"
                )
            tokens = tokens.to(features.image.device)
            assert self.frozen is not None
            self._reference = (tokens, _encoded(self.frozen["text"], tokens))
        return self._reference

    def _all_texts(self) -> list[str]:
        texts = list(self.texts)
        if self.texts_file is not None:
            try:
                lines = Path(self.texts_file).read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"the reference texts '{self.texts_file}' cannot be read; give a UTF-8 file with one a line"
                ) from error
            texts += [line.strip() for line in lines if line.strip()]
        if len(texts) < 2:
            raise ConfigError(f"PreserveZeroShot needs at least 2 reference texts to compare, not {len(texts)}")
        return texts


_PROJECTS = (
    "PreserveZeroShot needs two pretrained towers that share a space; set model.encoder.project: false and embed_dim "
    "to their width, or remove the objective"
)


def _normalised(pooled: Tensor) -> Tensor:
    return F.normalize(full_precision(pooled), dim=1)


@torch.no_grad()
def _encoded(tower: nn.Module, inputs: Tensor) -> Tensor:
    """Normalised vectors by a tower, some inputs at a time."""
    return torch.cat([_normalised(tower(part).pooled) for part in torch.split(inputs, _AT_ONCE)])
