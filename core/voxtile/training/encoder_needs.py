"""What an encoder asks of the data that it is trained on, said before the first step."""

from __future__ import annotations

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder


def check_encoder(encoder: DualEncoder, data: object) -> None:
    """Refuse data that lack what the encoder was told to learn from.

    Args:
        encoder: the towers.
        data: a datamodule; one that does not say what it has is taken to have it.

    Raises:
        ConfigError: a study tower reads dates, and no item has images of different dates.
    """
    if encoder.study.reads_dates and not getattr(data, "has_dates", True):
        raise ConfigError(
            "model.encoder.study reads dates, but no item of the training split has images of different dates "
            "(samples' datetime); set data.unit: study with a corpus that has them, or remove its dates"
        )
