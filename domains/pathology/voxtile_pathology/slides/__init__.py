"""Whole-slide readers: one small protocol over every vendor's files, and patches at a given scale."""

from voxtile_pathology.slides.open import SLIDE_READERS, find_slides, open_slide
from voxtile_pathology.slides.protocol import (
    Box,
    Level,
    Picture,
    Slide,
    SlideError,
    SlideReader,
    SlideWarning,
    TileGrid,
    UnsupportedSlideError,
)
from voxtile_pathology.slides.resolution import slide_mpp
from voxtile_pathology.slides.scale import PatchScale, patch_scale, read_patch

__all__ = [
    "SLIDE_READERS",
    "Box",
    "Level",
    "PatchScale",
    "Picture",
    "Slide",
    "SlideError",
    "SlideReader",
    "SlideWarning",
    "TileGrid",
    "UnsupportedSlideError",
    "find_slides",
    "open_slide",
    "patch_scale",
    "read_patch",
    "slide_mpp",
]
