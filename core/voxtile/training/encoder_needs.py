"""What an encoder asks of the data that it is trained on, said before the first step."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder


def check_encoder(encoder: DualEncoder, data: object) -> None:
    """Refuse data that lack what the encoder was told to learn from.

    Args:
        encoder: the towers.
        data: a datamodule; one that does not say what it has is taken to have it.

    Raises:
        ConfigError: a study tower reads dates, and no item has images of different dates; or there are scales by
            source, and these are not the sources of the mixture.
    """
    scales = encoder.source_scales
    names = tuple(getattr(data, "source_names", () if scales is None else scales.names))
    if scales is not None and sorted(names) != sorted(scales.names):
        raise ConfigError(
            f"model.encoder.source_scales names {', '.join(scales.names)}, but data.mixture has "
            f"{', '.join(names) or 'no sources'}; name the same"
        )
    if encoder.study.reads_dates and not getattr(data, "has_dates", True):
        raise ConfigError(
            "model.encoder.study reads dates, but no item of the training split has images of different dates "
            "(samples' datetime); set data.unit: study with a corpus that has them, or remove its dates"
        )


def check_scales(losses: Mapping[str, Tensor]) -> None:
    """Refuse terms that read one scale of a batch whose items have several: they give no number.

    Args:
        losses: terms of a batch of several sources with scales of their own.

    Raises:
        ConfigError: names the term.
    """
    wrong = [name for name, loss in losses.items() if bool(loss.isnan())]
    if wrong:
        raise ConfigError(
            f"the objective '{wrong[0]}' gives no number for a batch of several sources, whose items have scales of "
            "their own (model.encoder.source_scales) where it reads one; set data.mixture.group to data.batch_size, or "
            "remove the objective or the scales"
        )
