"""NIfTI files whose header holds what cannot be: a sound file with some of its 348 bytes overwritten (nifti1.h)."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np

VOX_OFFSET, SCL_SLOPE, SCL_INTER, SROW_X = 108, 112, 116, 280


def volume(path: Path, spacing: float = 2.0) -> bytearray:
    """A sound CT of 6 × 5 × 4 voxels, which is written; its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(-1000, 1000, (6, 5, 4)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([spacing, spacing, spacing, 1.0])), path)
    return bytearray(path.read_bytes())


CASES = {
    "offset-nan": ({VOX_OFFSET: float("nan")}, "invalid-offset"),
    "offset-infinite": ({VOX_OFFSET: float("inf")}, "invalid-offset"),
    "offset-huge": ({VOX_OFFSET: 1e30}, "invalid-offset"),
    "offset-negative": ({VOX_OFFSET: -352.0}, "invalid-offset"),
    "offset-between": ({VOX_OFFSET: 352.5}, "invalid-offset"),
    "slope-infinite": ({SCL_SLOPE: float("inf"), SCL_INTER: 0.0}, "unreadable-value"),
    "slope-negative": ({SCL_SLOPE: -1.0, SCL_INTER: 0.0}, "implausible-scale"),
    "slope-huge": ({SCL_SLOPE: 1e38, SCL_INTER: 0.0}, "implausible-scale"),
    "intercept-nan": ({SCL_SLOPE: 2.0, SCL_INTER: float("nan")}, "unreadable-value"),
    "voxels-nan": ({SROW_X: float("nan")}, "invalid-affine"),
    "voxels-tiny": ({SROW_X: 1e-30}, "implausible-spacing"),
    "voxels-huge": ({SROW_X: 1e30}, "implausible-spacing"),
    "place-far": ({SROW_X + 12: 1e30}, "implausible-position"),
}


def write_cases(folder: Path) -> dict[str, str]:
    """Each case and a sound file: path → what its row must say."""
    expected = {"sound.nii": "used", "sound-packed.nii.gz": "used"}
    packed = volume(folder / "sound.nii")
    (folder / "sound-packed.nii.gz").write_bytes(gzip.compress(bytes(packed)))
    for name, (values, reason) in CASES.items():
        data = volume(folder / f"{name}.nii")
        for place, value in values.items():
            struct.pack_into("<f", data, place, value)
        (folder / f"{name}.nii").write_bytes(data)
        expected[f"{name}.nii"] = reason
    return expected
