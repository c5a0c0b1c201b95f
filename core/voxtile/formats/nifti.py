"""A volume as NIfTI-1: stored values unchanged, scale and offset in the header."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.source import StoredSample
from voxtile.corpus.storage import write_atomically
from voxtile.errors import CorpusError
from voxtile.formats.geometry import Affine, channel_scaling, spacing_affine, volume_affine
from voxtile.formats.optional import require

SUFFIX = ".nii.gz"
# Axes of the array → order of the axes in the file, whose first three are x, y, z and whose fourth is time or channel.
_ORDERS = {"ZYX": (2, 1, 0), "TZYX": (3, 2, 1, 0), "CZYX": (3, 2, 1, 0)}
_SCANNER, _UNKNOWN = 1, 0  # NIfTI-1 qform_code and sform_code


def write_nifti(sample: StoredSample, out: Path) -> list[Path]:
    """Write a volume.

    Args:
        sample: an array with axes ZYX, TZYX or CZYX.
        out: `*.nii` or `*.nii.gz`.

    Raises:
        CorpusError: the sample is not a volume.
        MissingExtraError: nibabel is not installed.
    """
    row = sample.meta
    order = _ORDERS.get(str(row.get("axes")))
    if row["codec"] != "b2nd" or order is None:
        raise CorpusError(
            f"the sample {row['uid']} has axes {row.get('axes')} and is no volume; use --to png or geotiff"
        )
    array = sample.array().transpose(order)
    if array.dtype in (np.dtype(bool), np.dtype(np.float16)):  # NIfTI has neither
        array = array.astype(np.uint8 if array.dtype == bool else np.float32)
    scale, offset = channel_scaling(row) if len(row.get("channels") or []) <= 1 else (1.0, 0.0)
    affine = volume_affine(row)
    axes = affine if affine is not None else spacing_affine(row)
    compress = out.suffix == ".gz"
    content = nifti_bytes(array, axes, scale, offset, placed=affine is not None, compress=compress)
    write_atomically(out, content)
    return [out]


def nifti_bytes(
    array: npt.NDArray[Any], affine: Affine, scale: float, offset: float, *, compress: bool, placed: bool = True
) -> bytes:
    """A NIfTI-1 file.

    Args:
        array: [X, Y, Z] or [X, Y, Z, T] values as they are to be stored.
        affine: [4, 4], voxel → RAS+ mm.
        scale: physical = stored · scale + offset.
        offset: as above.
        compress: with gzip, without a time stamp.
        placed: the affine says where the voxels lie, and not only how large they are.

    Raises:
        MissingExtraError: nibabel is not installed.
    """
    nib = require("nibabel", "medical")
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    code = _SCANNER if placed else _UNKNOWN
    image.set_sform(image.affine, code)
    # A quaternion has no shear (gantry tilt): where there is one, the sform alone says where voxels lie.
    image.set_qform(image.affine, code if _is_upright(image.affine) else _UNKNOWN)
    image.header.set_xyzt_units("mm")
    if (scale, offset) != (1.0, 0.0):
        image.header.set_slope_inter(scale, offset)
    data: bytes = image.to_bytes()
    return gzip.compress(data, mtime=0) if compress else data


def _is_upright(affine: Affine) -> bool:
    """The axes are at right angles."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.allclose(axes.T @ axes, np.eye(3), atol=1e-3))
