"""What a module does with batches that it does not learn from: losses, recall over a split, embeddings."""

from __future__ import annotations

from typing import Any

from voxtile.training.retrieval import CollectedEmbeddings
from voxtile.training.step import EncodedOnce
from voxtile.types import Batch


class HeldOutSteps(EncodedOnce):
    """Lightning's hooks of validation, test and prediction."""

    def __init__(self) -> None:
        super().__init__()
        self._collected = CollectedEmbeddings()

    def on_validation_epoch_start(self) -> None:
        """Start collecting embeddings."""
        self._collected = CollectedEmbeddings()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the losses of a held-out batch and keep its embeddings."""
        self._evaluate(batch, "val")

    def on_validation_epoch_end(self) -> None:
        """Log recall at 1 over the whole split."""
        self._log_recalls("val")

    def on_test_epoch_start(self) -> None:
        """Start collecting embeddings."""
        self._collected = CollectedEmbeddings()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the losses of a test batch and keep its embeddings."""
        self._evaluate(batch, "test")

    def on_test_epoch_end(self) -> None:
        """Log recall at 1 over the whole split."""
        self._log_recalls("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the uids and the embeddings of a batch."""
        features = self._own_features(batch)
        return {"uids": batch.uids, "image": features.image.cpu(), "text": features.text.cpu()}

    def _evaluate(self, batch: Batch, stage: str) -> None:
        features = self.features(batch)
        losses = self.losses(features)
        self._collected.add(features)
        self.log(f"{stage}/loss", self.total(losses), prog_bar=True, batch_size=len(batch))
        for name, value in losses.items():
            self.log(f"{stage}/{name}", value, batch_size=len(batch))

    def _log_recalls(self, stage: str) -> None:
        if self._collected.texts:
            to_text, to_image = self._collected.recalls()
            self.log(f"{stage}/image_to_text_recall@1", to_text)
            self.log(f"{stage}/text_to_image_recall@1", to_image)
        self._collected = CollectedEmbeddings()
