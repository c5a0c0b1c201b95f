"""How a batch reaches the step: its tensors are converted, and its texts are not walked through one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl

from voxtile.types import Batch


class ConvertTensors:
    """What a precision plugin does with its inputs, done to the tensors of a batch directly.

    Lightning looks for tensors in whatever it is given, string by string, in every step.

    Args:
        convert: the plugin's own `convert_input`.
    """

    def __init__(self, convert: Callable[[Any], Any]) -> None:
        self._convert = convert

    def __call__(self, data: Any) -> Any:  # noqa: ANN401 - Lightning converts anything
        """The same for a batch, and the plugin's own for all else."""
        if not isinstance(data, Batch):
            return self._convert(data)
        return replace(data.mapped(self._convert), image_days=data.image_days)  # half precision would round years away


def convert_tensors_alone(trainer: pl.Trainer) -> None:
    """Have a trainer convert batches so, once."""
    plugin = trainer.precision_plugin
    if not isinstance(plugin.convert_input, ConvertTensors):
        plugin.convert_input = ConvertTensors(plugin.convert_input)  # type: ignore[method-assign]
