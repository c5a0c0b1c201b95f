"""Patches that stay in their slides (`--coords-only`): the core reads them through this at training time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.errors import CorpusError
from voxtile_pathology.slides.open import open_slide
from voxtile_pathology.slides.scale import PatchScale, read_patch


class SlideReference:
    """Implements `voxtile.corpus.references.ReferencedFile` for one slide.

    Args:
        path: the slide.

    Raises:
        SlideError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._slide = open_slide(path)

    def read(self, reference: Mapping[str, Any], selection: tuple[slice, ...]) -> npt.NDArray[np.uint8]:
        """The patch [Y, X, 3] exactly as a conversion with pixels would have encoded it.

        Raises:
            SlideError: the pixels cannot be decoded.
            CorpusError: the reference lacks a field.
        """
        try:
            y, x = reference["box"][:2]
            side, factor = int(reference["patch_px"]), reference["factor"]
            scale = PatchScale((0.0, 0.0), side, (0.0, 0.0), int(reference["level"]), (factor[0], factor[1]))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CorpusError("the reference of a patch is damaged; convert its slide again") from error
        return read_patch(self._slide, (x, y), scale)[selection]

    def close(self) -> None:
        """Give the file back."""
        self._slide.close()


def open_reference(path: Path) -> SlideReference:
    """Open a slide for reading patches by their references."""
    return SlideReference(path)
