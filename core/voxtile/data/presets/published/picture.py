"""Preprocessing of pictures as published models had it, where it differs from open_clip's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from voxtile.data.presets import picture
from voxtile.data.presets.base import SampleSource
from voxtile.data.presets.image import ImagePreset
from voxtile.errors import PresetError


@dataclass(frozen=True, kw_only=True)
class PublishedPicture(ImagePreset):
    """A picture as the code of a published model prepares it.

    Attributes:
        centre: where an odd number of pixels is cut, `floor` of the half comes off first, as in the processors of
            transformers, or the `round` half of torchvision and open_clip.
        within: the picture is first fitted into a black square of so many pixels by Lanczos filtering and made grey;
            that square is then brought to `size` without anti-aliasing (CheXzero). None leaves this out.

    Raises:
        PresetError: as `ImagePreset`, or `within` without `resize: longest`.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import PublishedPicture
        >>> film = np.full((500, 400), 255, np.uint8)
        >>> sample = ArraySample(film, {"kind": "image", "axes": "YX", "shape": film.shape, "dtype": "uint8"})
        >>> plain = {"mean": (0, 0, 0), "std": (1, 1, 1), "resize": "longest"}
        >>> image = PublishedPicture(within=320, **plain)(sample, None)
        >>> image.shape, [round(x.item(), 2) for x in image[0, 112, [0, 112]]]  # black beside the film
        (torch.Size([3, 224, 224]), [0.0, 1.0])
    """

    centre: Literal["floor", "round"] = "floor"
    within: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.within is not None and (self.within < 1 or self.resize != "longest"):
            raise PresetError(
                f"within: {self.within} needs a positive number of pixels and resize: longest, since the whole picture "
                "is kept"
            )

    @property
    def cacheable(self) -> bool:
        """Not where what is resized is no longer of 8 bits."""
        return self.within is None and super().cacheable

    def _load(self, source: SampleSource) -> Tensor:
        image = super()._load(source)  # the originals read pictures of 8 bits
        return image if image.dtype == torch.uint8 else image.round().clamp(0, 255).to(torch.uint8)

    def _evaluated(self, image: Tensor) -> Tensor:
        if self.within is not None:
            return self._fitted(image, self.within)
        if self.resize != "shortest" or self.centre == "round":
            return super()._evaluated(image)
        resized = self._scaled(image)
        top, left = ((have - out) // 2 for have, out in zip(resized.shape[1:], self.size, strict=True))
        return picture.crop(resized, picture.Box(top, left, *self.size))

    def _fitted(self, image: Tensor, side: int) -> Tensor:
        """[C, Y, X] bytes to [1, *size] float32 of the grey picture in its black square."""
        height, width = image.shape[1:]
        ratio = side / max(height, width)
        pixels = image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).numpy()
        small = Image.fromarray(pixels).resize((int(width * ratio), int(height * ratio)), Image.Resampling.LANCZOS)
        square = Image.new("L", (side, side))
        square.paste(small.convert("L"), ((side - small.width) // 2, (side - small.height) // 2))
        grey = torch.from_numpy(np.array(square, dtype=np.float32))[None]
        if self.size == (side, side):
            return grey
        return functional.interpolate(grey[None], size=self.size, mode=self.interpolation, align_corners=False)[0]
