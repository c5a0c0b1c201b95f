"""How volumes and multispectral tiles become pictures, as plain values; `voxtile.models.rgb_pictures` makes them."""

from __future__ import annotations

from dataclasses import dataclass

from voxtile.errors import ConfigError

SLICES = 16
RED_GREEN_BLUE = ("red|B04|B4|SR_B4", "green|B03|B3|SR_B3", "blue|B02|B2|SR_B2")
"""Names of bands: plain, Sentinel-2's, and Landsat 8's and 9's."""


@dataclass(frozen=True)
class Flattening:
    """How volumes and tiles become pictures.

    Attributes:
        slices: of a volume.
        window: (low, high) in the volume's units; None for soft tissue in HU, else percentiles of the volume.
        bands: three names, red, green and blue; `B04|red` takes the first that a tile has.

    Raises:
        ConfigError: no slice, a window that cannot be, or another number of bands than three.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import ImagePreset
        >>> from voxtile.models import Flattening, SlicePreset
        >>> preset = SlicePreset(ImagePreset(size=(32, 32)), Flattening(slices=4, window=(-1000, 400)))
        >>> volume = ArraySample(np.zeros((10, 40, 40), np.int16), {"kind": "volume", "units": "HU"})
        >>> preset(volume, None).shape  # four pictures, along z
        torch.Size([3, 4, 32, 32])
    """

    slices: int = SLICES
    window: tuple[float, float] | None = None
    bands: tuple[str, ...] = RED_GREEN_BLUE

    def __post_init__(self) -> None:
        if self.slices < 1:
            raise ConfigError(f"--slices must be at least 1, not {self.slices}")
        if self.window is not None and not (len(self.window) == 2 and self.window[0] < self.window[1]):
            raise ConfigError(f"--window must be two numbers, low below high, not {self.window}")
        if len(self.bands) != 3:
            raise ConfigError(f"--bands must name three bands (red, green, blue), not {len(self.bands)}")
