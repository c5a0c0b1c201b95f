"""Distillation: a small model learns how alike a larger one finds things, from vectors that are computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from voxtile.data.stored_vectors import StoredEmbeddings
from voxtile.errors import ConfigError
from voxtile.models.open_model import open_model
from voxtile.objectives.base import Objective
from voxtile.objectives.teachers.affinity import Affinity, mutual_divergence, row_divergence
from voxtile.types import Features

if TYPE_CHECKING:
    from voxtile.models.protocol import EvaluationModel

_SCALE = 1 / 0.07  # CLIP's first one (Radford et al. 2021, section 2.5)
_TEXTS = 256  # that the teacher encodes at a time


class Distillation(Objective):
    """Mimics the affinities of a teacher whose image vectors `voxtile embed` has stored, as in MobileCLIP.

    With `teacher` its text tower encodes the batch's texts, and affinities are those of images and texts (Vasu et al.,
    CVPR 2024; D, s̄ and s as in `voxtile.objectives.teachers.affinity`, s the model's own scale):

        L = ½ D(images → texts) + ½ D(texts → images)

    Without it the teacher may be an image model only, and affinities are those of the images among themselves, each
    one's with itself left out, with s = s̄ (SEED, Fang et al., ICLR 2021, with the batch as its queue):

        L = D(images → images)

    The vectors are of the whole, unchanged samples, and the student's view of them may be augmented.

    Args:
        corpus: folder of the corpus that holds the embeddings; every sample of a batch must have one.
        model: name of the teacher in that table; may be left out where there is only one.
        teacher: the same model, as `voxtile evaluate` takes it, such as `open_clip:ViT-B-16/openai`.
        scale: the teacher's multiplier s̄; left out, its own logit scale, or 1/0.07 without `teacher`.
        trust_packages: packages of your own whose classes the teacher's checkpoint may name.

    Raises:
        ConfigError: a scale that is not positive.
    """

    couples_items: ClassVar[bool] = True

    def __init__(
        self,
        *,
        corpus: str,
        model: str | None = None,
        teacher: str | None = None,
        scale: float | None = None,
        trust_packages: list[str] | None = None,
    ) -> None:
        super().__init__()
        if scale is not None and not scale > 0:
            raise ConfigError(f"the scale of Distillation must be positive, not {scale}")
        self.stored = StoredEmbeddings(corpus, model)
        self.teacher, self.scale = teacher, scale
        self.trust_packages = tuple(trust_packages or ())
        self.reads_texts = teacher is not None
        self._loaded: EvaluationModel | None = None

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss.

        Raises:
            ConfigError: an item or the model is not in the table, or its vectors do not fit the teacher's texts.
        """
        image = self.stored.of(features.batch, features.image)
        if self.teacher is None:
            scale = image.new_tensor(self.scale or _SCALE)
            own, other = Affinity(features.image, features.image, scale), Affinity(image, image, scale)
            return row_divergence(other, own, among_themselves=True)
        text, scale = self._texts(features.batch.texts, image)
        student = Affinity(features.image, features.text, features.logit_scale)
        return mutual_divergence(Affinity(image, text, scale), student)

    def _texts(self, texts: list[str], image: Tensor) -> tuple[Tensor, Tensor]:
        """[T, E] the teacher's vectors of texts, each different one encoded once, and its scale."""
        teacher = self._teacher()
        known = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        different = list(known)
        vectors = torch.cat(
            [teacher.encode_texts(different[at : at + _TEXTS]) for at in range(0, len(different), _TEXTS)]
        )
        if vectors.shape[1] != image.shape[1]:
            raise ConfigError(
                f"the stored embeddings are {image.shape[1]} wide, but the texts of teacher '{self.teacher}' "
                f"{vectors.shape[1]}; set the objective's model to the name under which its images were embedded"
            )
        scale = image.new_tensor(self.scale or teacher.logit_scale)
        return vectors[[known[text] for text in texts]].to(image), scale

    def _teacher(self) -> EvaluationModel:
        if self._loaded is None:
            assert self.teacher is not None
            with torch.random.fork_rng():  # a resumed run loads it at another step, and must draw the same
                self._loaded = open_model(self.teacher, self.trust_packages)
        return self._loaded
