"""Vectors that a corpus has, as a model: tasks that compare and probe pictures run on them without its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from voxtile.data.presets.image import ImagePreset
from voxtile.data.stored_vectors import StoredEmbeddings
from voxtile.errors import EvaluationError
from voxtile.inference.names import STORED

_THUMBNAIL = (64, 64)


class StoredModel:
    """What `voxtile embed` or `voxtile import features` stored; it sees no image and reads no text.

    Args:
        model: name of the vectors' model, as the table has it.
    """

    logit_scale = 1.0
    fact_names: tuple[str, ...] = ()

    def __init__(self, model: str) -> None:
        self.name = f"{STORED}{model}"
        self.preset = ImagePreset(size=_THUMBNAIL)  # for what the trivial baseline sees
        self._model = model
        self._stored: StoredEmbeddings | None = None

    def use(self, corpus: Path) -> None:
        """Take the vectors of a corpus.

        Raises:
            ConfigError: it has none of the model; the sentence lists what it has.
        """
        self._stored = StoredEmbeddings(str(corpus), self._model)
        self._stored.length  # noqa: B018 - raises before images are read

    def vectors_of(self, uids: Sequence[str]) -> Tensor:
        """[S, D] float16 vectors of samples.

        Raises:
            ConfigError: a sample has none.
            EvaluationError: no corpus was given.
        """
        if self._stored is None:
            raise EvaluationError(f"'{self.name}' are vectors of a corpus, which is read by voxtile evaluate alone")
        return self._stored.vectors(uids)

    def encode_images(self, images: Tensor) -> Tensor:
        """There is nothing that could.

        Raises:
            EvaluationError: always.
        """
        raise self._no_model()

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """There is nothing that could.

        Raises:
            EvaluationError: always.
        """
        raise self._no_model()

    def fact_logits(self, images: Tensor) -> Tensor:
        """There is nothing that could.

        Raises:
            EvaluationError: always.
        """
        raise self._no_model()

    def _no_model(self) -> EvaluationError:
        return EvaluationError(
            f"'{self.name}' are stored vectors, without a model that sees or reads; of pictures they serve tasks of "
            "the kinds linear-probe, few-shot, regression-probe and image-retrieval: for others name the model itself"
        )
