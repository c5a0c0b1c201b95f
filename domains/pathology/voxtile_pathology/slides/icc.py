"""ICC profiles of slides: what colours the scanner means. They are named, and applied only where that is asked for.

Source: ICC.1 (ISO 15076-1), applied by LittleCMS through Pillow, with the rendering intent that the profile names.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from voxtile_pathology.slides.protocol import Picture, Slide, SlideError

_LARGEST = 8 << 20  # bytes; scanners write half a kilobyte to a megabyte


def icc_profile(slide: Slide) -> bytes | None:
    """The profile of a slide's pixels; None where the file has none, or its reader does not give it.

    Raises:
        SlideError: it is damaged.
    """
    profile: bytes | None = getattr(slide, "icc_profile", None)
    return profile or None


def profile_name(profile: bytes) -> str:
    """What a profile calls itself.

    Raises:
        SlideError: it is damaged.
    """
    return " ".join(ImageCms.getProfileDescription(_opened(profile)).split())


def to_srgb(profile: bytes) -> Callable[[Picture], Picture]:
    """What turns pixels [Y, X, 3] of that profile into sRGB.

    Raises:
        SlideError: the profile is damaged, or is not one of RGB pixels.
    """
    transform = _transform(profile)

    def convert(pixels: Picture) -> Picture:
        converted = ImageCms.applyTransform(Image.fromarray(pixels), transform)
        return np.asarray(converted)

    return convert


@lru_cache(maxsize=4)
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform:
    source = _opened(profile)
    try:
        intent = ImageCms.Intent(ImageCms.getDefaultIntent(source))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "RGB", "RGB", intent)
    except (ImageCms.PyCMSError, ValueError) as error:
        raise SlideError(
            f"its ICC profile cannot be applied to RGB pixels ({error}); convert with --icc keep"
        ) from error


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    if len(profile) > _LARGEST:
        raise SlideError(f"its ICC profile has {len(profile):,} bytes, more than any scanner writes")
    try:
        return ImageCms.getOpenProfile(io.BytesIO(profile))
    except (ImageCms.PyCMSError, OSError) as error:
        raise damaged_profile(error) from error


def damaged_profile(error: Exception) -> SlideError:
    """What to say of a profile that LittleCMS refuses."""
    return SlideError(f"its ICC profile is damaged ({error}); convert with --icc keep")
