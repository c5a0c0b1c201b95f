"""That an image is there, which is asked before what reads it is imported."""

from __future__ import annotations

from pathlib import Path

from voxtile.errors import InputError


def require_image(image: Path) -> None:
    """Refuse a path at which nothing is.

    Raises:
        InputError: there is no such file or folder.
    """
    if not image.exists():
        raise InputError(
            f"'{image}' does not exist; give a DICOM file or folder, a NIfTI file, a georeferenced raster, a whole "
            "slide or a picture"
        )
