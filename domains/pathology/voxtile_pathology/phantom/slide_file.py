"""Slides as files: tiled pyramids of JPEG tiles as Aperio scanners write them, annotations as QuPath exports them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageDraw
from shapely.geometry import Polygon, mapping

from voxtile_pathology.phantom import PHANTOM_SCANNER
from voxtile_pathology.phantom.case import MPP, Case

TILE = 256
DOWNSAMPLES = (1, 4, 16)
_QUALITY = 88
_MAGNIFICATION = 20
_PER_CENTIMETRE = 1e4 / MPP

# Colours in which QuPath shows the classes.
_COLOURS = {
    "adipose": (250, 230, 120),
    "lymphocytes": (90, 60, 160),
    "mucin": (120, 190, 230),
    "necrosis": (120, 120, 120),
    "normal epithelium": (60, 160, 90),
    "smooth muscle": (200, 100, 90),
    "stroma": (230, 160, 190),
    "tumour": (200, 30, 40),
}


def write_slide(path: Path, picture: npt.NDArray[np.uint8], case: Case) -> None:
    """Write a slide with its levels, a label and a macro image.

    Args:
        path: the new file.
        picture: RGB [Y, X, 3] of level 0.
        case: for the label.
    """
    height, width = picture.shape[:2]
    about = f"|AppMag = {_MAGNIFICATION}|MPP = {MPP:.4f}{PHANTOM_SCANNER}|Filename = {case.number}"
    head = "Aperio Image Library v12.0.15"
    with tifffile.TiffWriter(path, bigtiff=False) as tiff:
        for factor in DOWNSAMPLES:
            level = picture if factor == 1 else shrunk(picture, factor)
            here = f"{level.shape[1]}x{level.shape[0]}"
            scaled = "" if factor == 1 else f" -> {here}"
            tiff.write(
                level,
                tile=(TILE, TILE),
                photometric="rgb",  # tifffile then stores YCbCr in JPEG, and says so
                compression="jpeg",
                compressionargs={"level": _QUALITY},
                resolution=(_PER_CENTIMETRE / factor,) * 2,
                resolutionunit="CENTIMETER",
                subfiletype=int(factor > 1),
                description=f"{head} \r\n{width}x{height} ({TILE}x{TILE}) JPEG/YCC{scaled} Q={_QUALITY}{about}",
                metadata=None,
                software=False,
                maxworkers=1,
            )
            if factor == 1:
                _associated(tiff, _fitted(picture, 512), f"{head} \r\n{width}x{height} -> - {about}", 0)
        _associated(tiff, _label(case), f"{head} \r\nlabel 300x300", 1)
        _associated(tiff, _fitted(picture, 400), f"{head} \r\nmacro 400x400", 9)


def write_annotations(path: Path, case: Case) -> None:
    """Write the regions as GeoJSON in level-0 pixels, in the form that QuPath exports."""
    features = [
        _feature(number, region.tissue.replace("_", " "), region.polygon) for number, region in enumerate(case.regions)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}) + "\n", encoding="utf-8")


def shrunk(picture: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """A picture [Y, X, 3] at 1 / `factor` of its size, averaged."""
    size = (max(1, picture.shape[1] // factor), max(1, picture.shape[0] // factor))
    whole = picture[: size[1] * factor, : size[0] * factor]
    return np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BOX))


def _associated(tiff: tifffile.TiffWriter, picture: npt.NDArray[np.uint8], description: str, kind: int) -> None:
    tiff.write(
        picture,
        photometric="rgb",  # tifffile then stores YCbCr in JPEG, and says so
        compression="jpeg",
        rowsperstrip=16,
        subfiletype=kind,
        description=description,
        metadata=None,
        software=False,
        maxworkers=1,
    )


def _fitted(picture: npt.NDArray[np.uint8], longest: int) -> npt.NDArray[np.uint8]:
    small = shrunk(picture, 4)
    image = Image.fromarray(small)
    image.thumbnail((longest, longest))
    return np.asarray(image)


def _label(case: Case) -> npt.NDArray[np.uint8]:
    """What a slide's label shows: here the invented case number."""
    label = Image.new("RGB", (300, 300), (250, 250, 245))
    draw = ImageDraw.Draw(label)
    draw.text((40, 110), f"PHANTOM {case.name}\nH&E", fill=(20, 20, 20))
    return np.asarray(label)


def _feature(number: int, label: str, polygon: Polygon) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": str(number),
        "geometry": mapping(polygon),
        "properties": {"objectType": "annotation", "classification": {"name": label, "color": _COLOURS[label]}},
    }
