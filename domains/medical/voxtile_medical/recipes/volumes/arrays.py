"""Volumes in .npz files, as RAD-ChestCT has them, with the header that a NIfTI file would have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.errors import InputError
from voxtile_datasets.recipes.npz import NpyHeader, read_headers, read_whole
from voxtile_medical.nifti.header import MAX_BYTES, NiftiHeader
from voxtile_medical.verdicts import Verdict


def array_header(path: Path, name: str, spacing: float) -> NiftiHeader:
    """The header of an array [z, y, x] from the head down, the front back and the right to the left.

    Args:
        path: of the .npz file.
        name: of the array.
        spacing: in mm, the same in all directions.

    Raises:
        Verdict: `truncated`, `unsupported-dimensions`, `unsupported-datatype` or `too-large`.
    """
    header = _header(path, name)
    if len(header.shape) != 3 or min(header.shape) < 1:
        raise Verdict("unsupported-dimensions", f"the array '{name}' has the shape {header.shape}, and a volume three")
    if header.dtype.kind not in "iuf":
        raise Verdict("unsupported-datatype", f"values are {header.dtype}; integers and real numbers are converted")
    if header.shape[0] * header.row_bytes > MAX_BYTES:
        raise Verdict("too-large", f"the array '{name}' has {header.shape[0] * header.row_bytes / 2**30:.3g} GiB")
    affine = np.diag([-spacing, -spacing, -spacing, 1.0])
    z, y, x = header.shape
    return NiftiHeader((x, y, z), header.dtype, 0, 1.0, 0.0, affine, "layout", is_label_map=False)


def read_array(path: Path, name: str) -> npt.NDArray[Any]:
    """The values, [z, y, x] in native byte order.

    Raises:
        Verdict: `truncated`, the file is damaged.
    """
    header = _header(path, name)
    try:
        values = read_whole(path, header)
    except InputError as error:
        raise Verdict("truncated", "the file is damaged; download it again") from error
    return values.astype(header.dtype.newbyteorder("="), copy=False)


def _header(path: Path, name: str) -> NpyHeader:
    try:
        headers = read_headers(path, fortran=True)  # those of RAD-ChestCT are, by the transposition that came last
    except InputError as error:
        raise Verdict("truncated", "the file is no whole .npz; download it again") from error
    if name not in headers:
        raise Verdict("unsupported-dimensions", f"the file has no array '{name}'; it is of something else")
    return headers[name]
