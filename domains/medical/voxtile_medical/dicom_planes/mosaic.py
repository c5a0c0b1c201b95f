"""Siemens mosaic files: the planes of one volume tiled into a single picture.

Source: the CSA image header (private element 0029,1010) as nibabel reads it; the position of the first plane follows
from that of the whole mosaic as in https://nipy.org/nibabel/dicom/dicom_mosaic.html.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from voxtile_medical.dicom_header.dataset import read_dataset
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.private_elements import csa_reader
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.dicom_planes.frames import Frame, classic_frame
from voxtile_medical.dicom_planes.pixels import PixelLayout
from voxtile_medical.verdicts import Verdict


def is_mosaic(header: FileHeader) -> bool:
    """The file is a Siemens mosaic."""
    return "MOSAIC" in header.values.get("ImageType", ())


def mosaic_frames(root: Path, header: FileHeader, layout: PixelLayout, file: int) -> list[Frame]:
    """Planes of one mosaic, in the order in which they are tiled.

    Raises:
        Verdict: `no-geometry`, the private header that says how many planes there are is missing.
    """
    count, normal = _csa(root / header.path)
    whole = classic_frame(header, file)
    side = math.ceil(math.sqrt(count))
    rows, columns = layout.rows // side, layout.columns // side
    step = header.values.get("SpacingBetweenSlices") or header.values.get("SliceThickness")
    if not step or layout.rows % side or layout.columns % side:
        raise Verdict(
            "no-geometry",
            f"{count} planes do not tile a mosaic of {layout.rows}×{layout.columns}, or their distance is missing",
        )
    columns_to, rows_to = np.array(whole.orientation[:3]), np.array(whole.orientation[3:])
    # The position in the header is that of a plane as large as the whole mosaic with the same centre.
    offset = (
        columns_to * whole.spacing[1] * (layout.columns - columns) / 2
        + rows_to * whole.spacing[0] * (layout.rows - rows) / 2
    )
    first = np.array(whole.position) + offset
    keys = {**whole.keys, "InstanceNumber": header.values.get("InstanceNumber", ())}
    frames = []
    for plane in range(count):
        x, y, z = (float(v) for v in first + normal * float(step[0]) * plane)
        tile = (plane // side * rows, plane % side * columns, rows, columns)
        frames.append(replace(whole, position=(x, y, z), tile=tile, keys=keys))
    return frames


def _csa(path: Path) -> tuple[int, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Number of planes, and the unit vector from one plane to the next (LPS)."""
    csareader = csa_reader()
    try:
        with quiet_pydicom():
            dataset = read_dataset(path)
        csa = csareader.get_csa_header(dataset, "image")
        count = csareader.get_n_mosaic(csa) if csa else None
        normal = csareader.get_slice_normal(csa) if csa else None
    except MemoryError:
        raise
    except Exception:  # damaged headers: anything can be wrong with them
        count, normal = None, None
    if not count or normal is None:
        raise Verdict("no-geometry", "a mosaic without the Siemens private header that says how it is tiled")
    return int(count), np.asarray(normal, dtype=np.float64)
