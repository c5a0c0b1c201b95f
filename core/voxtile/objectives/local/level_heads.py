"""Linear heads on the feature maps of an image tower."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from voxtile.errors import ConfigError


def level_heads(widths: Sequence[int], levels: Sequence[int], channels: int, reader: str) -> dict[str, nn.Module]:
    """A linear head for each level, by its number.

    Args:
        widths: of the tower's feature maps, the finest first.
        levels: those that are read, 0 the finest; all but that where empty.
        channels: of each head.
        reader: who reads them, for the error.

    Raises:
        ConfigError: the tower has no such level.
    """
    levels = levels or tuple(range(1, len(widths)))
    if not levels or not all(0 <= level < len(widths) for level in levels):
        raise ConfigError(
            f"{reader} reads levels {list(levels)}, but the image tower has {len(widths)} feature maps; name "
            "some of these, or take a tower with maps, such as WaveletTower or ViTTower with levels"
        )
    return {str(level): nn.Linear(widths[level], channels) for level in levels}
