"""A trained model that says captions of images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from voxtile.data.presets.base import Preset
from voxtile.errors import ConfigError
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.load import load_model
from voxtile.objectives.generative.captioning import Captioning
from voxtile.objectives.generative.decoding import Decoding


class Captioner:
    """The captioning decoder of a checkpoint with its image tower.

    Args:
        spec: path of a checkpoint that was trained with the `Captioning` objective.
        trust_packages: packages of one's own whose classes it may name.

    Raises:
        ConfigError: it has no such decoder.
        CheckpointError: it cannot be loaded safely.
    """

    def __init__(self, spec: str, trust_packages: Sequence[str] = ()) -> None:
        model = load_model(spec, trust_packages)
        parts = model.objectives if isinstance(model, EncoderModel) else ()
        decoder = next((part for part in parts if isinstance(part, Captioning)), None)
        if decoder is None or not isinstance(model, EncoderModel):
            raise ConfigError(
                f"model '{spec}' has no captioning decoder; give a checkpoint that was trained with the Captioning "
                "objective (docs/objectives.md)"
            )
        self._model, self._decoder = model, decoder.eval()

    @property
    def preset(self) -> Preset:
        """What prepares an image."""
        return self._model.preset

    @torch.no_grad()
    def captions(self, images: Tensor, decoding: Decoding, keys: Sequence[int]) -> list[tuple[str, int]]:
        """A caption of each image, and how many tokens it has.

        Args:
            images: [S, C, *G] float32, prepared by the preset.
            decoding: how they are written.
            keys: of each image, which with the seed decide what is drawn.
        """
        _, encoded = self._model.encoder.encode_samples(images.to(self._model.device), tokens=True)
        written = self._decoder.write(encoded, decoding, keys=torch.tensor(keys, dtype=torch.int64))
        return [(self._decoder.decode(text.tokens), len(text.tokens)) for text in written]
