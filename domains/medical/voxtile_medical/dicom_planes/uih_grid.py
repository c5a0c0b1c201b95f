"""United Imaging's mosaics: a volume tiled into one picture, whose planes are listed in the private MR VFrame sequence.

Source: (0065,xx50) number of planes and (0065,xx51) their sequence, one item a plane with its ImagePositionPatient, as
dcm2niix reads them; a row has as many tiles as the next whole square root, and there are as many rows as are needed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from voxtile_medical.dicom_header.dataset import read_dataset
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.dicom_planes.frames import Frame, Vector, classic_frame, floats
from voxtile_medical.dicom_planes.pixels import PixelLayout
from voxtile_medical.verdicts import Verdict

_CREATOR, _GROUP, _SEQUENCE = "Image Private Header", 0x0065, 0x51


def is_uih_grid(header: FileHeader) -> bool:
    """The file is a United Imaging mosaic."""
    return "VFRAME" in header.values.get("ImageType", ()) and "ImagePositionPatient" not in header.values


def uih_frames(root: Path, header: FileHeader, layout: PixelLayout, file: int) -> list[Frame]:
    """Planes of one mosaic, in the order in which they are tiled.

    Raises:
        Verdict: `no-geometry`, the private sequence that says where the planes lie is missing or fits no tiling.
    """
    places = _places(root / header.path)
    across = math.ceil(math.sqrt(len(places)))
    down = math.ceil(len(places) / max(across, 1))
    if not places or layout.rows % down or layout.columns % across:
        raise Verdict("no-geometry", "a mosaic without the private sequence that says where each plane lies")
    rows, columns = layout.rows // down, layout.columns // across
    placed = replace(header, values=header.values | {"ImagePositionPatient": places[0]})
    whole = classic_frame(placed, file)
    keys = {**whole.keys, "InstanceNumber": header.values.get("InstanceNumber", ())}
    return [
        replace(whole, position=place, tile=(k // across * rows, k % across * columns, rows, columns), keys=keys)
        for k, place in enumerate(places)
    ]


def _places(path: Path) -> list[Vector]:
    try:
        with quiet_pydicom():
            dataset = read_dataset(path)
            items = dataset.private_block(_GROUP, _CREATOR)[_SEQUENCE].value
            found = [floats(tuple(item.ImagePositionPatient), 3) for item in items]
    except MemoryError:
        raise
    except Exception:  # nested private elements: anything can be wrong with them
        return []
    return [(p[0], p[1], p[2]) for p in found if p is not None] if all(found) else []
