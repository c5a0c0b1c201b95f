"""What a NIfTI header says, held against the file before any memory is taken.

Source: the NIfTI-1 and NIfTI-2 header definitions (nifti1.h, nifti2.h), read with nibabel.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.spatialimages import HeaderDataError

from voxtile_medical.archives.stored import open_stored, stored_size, stream_of
from voxtile_medical.orientation import Affine
from voxtile_medical.verdicts import Verdict

MAX_BYTES = 2 << 30
HEAD_BYTES = 1 << 16  # of the file, as it lies: enough for a gzip header with a long name and the NIfTI header
GZIP_MAGIC = b"\x1f\x8b"
LABEL_INTENT = 1002  # NIFTI_INTENT_LABEL
DEFLATE_RATIO = 1040  # no deflate stream expands by more than about 1,032
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown (mm by convention), metre, millimetre, micrometre
_SIZES = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
NoAffine = Literal["refuse", "assume"]


@dataclass(frozen=True)
class NiftiHeader:
    """A header that has been checked.

    Attributes:
        shape: 3 or 4 numbers: x, y, z and, where there are several volumes, their number.
        dtype: of the stored values, in the file's byte order.
        offset: where the values start, in bytes of the unpacked file.
        slope: physical = stored · slope + intercept.
        intercept: as above.
        affine: [4, 4], voxel (x, y, z, 1) → RAS+ mm.
        affine_from: which rule gave the affine: sform, qform or pixdim.
        is_label_map: the intent code says that values are labels.
        forms_apart: how far sform and qform put the volume's corners from each other, in mm; 0 where one is not set.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    affine: Affine
    affine_from: str
    is_label_map: bool
    forms_apart: float = 0.0

    @property
    def volume_bytes(self) -> int:
        """Bytes of one volume."""
        return math.prod(self.shape[:3]) * self.dtype.itemsize

    @property
    def volumes(self) -> int:
        """Number of volumes."""
        return self.shape[3] if len(self.shape) == 4 else 1


def read_nifti_header(path: Path, no_affine: NoAffine) -> NiftiHeader:
    """Read and check the header of a `.nii` or `.nii.gz` file.

    Args:
        path: the file.
        no_affine: what to do where neither sform nor qform is set: refuse, or assume voxel sizes along RAS+ axes.

    Raises:
        Verdict: `empty-file`, `not-nifti-content`, `truncated`, `too-large`, `unsupported-dimensions`,
            `unsupported-datatype`, `no-orientation`, `invalid-affine`, `invalid-offset` or `unreadable-value`.
    """
    header = _parse(path)
    shape = _shape(header)
    dtype = _dtype(header)
    affine, affine_from = _affine(header, no_affine)
    slope, intercept = _scale(header)
    checked = NiftiHeader(
        shape=shape,
        dtype=dtype,
        offset=_offset(header),
        slope=slope,
        intercept=intercept,
        affine=affine,
        affine_from=affine_from,
        is_label_map=int(header["intent_code"]) == LABEL_INTENT,
        forms_apart=_forms_apart(header, shape, affine) if affine_from == "sform" else 0.0,
    )
    _check_size(path, checked)
    return checked


def is_packed(path: Path) -> bool:
    """The file is gzipped, by its first bytes and not by its name."""
    with open_stored(path) as file:
        return file.read(2) == GZIP_MAGIC


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a NIfTI file from its start, without the gzip round them.

    Raises:
        OSError, Verdict: it cannot be opened.
    """
    with stream_of(path) as raw:
        yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if is_packed(path) else raw


def _parse(path: Path) -> nib.Nifti1Header:
    if stored_size(path) == 0:
        raise Verdict("empty-file", "the file is empty; copy it again from its source")
    with open_stored(path) as file:
        head = file.read(HEAD_BYTES)
    if head[:2] == GZIP_MAGIC:
        try:
            head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, max(_SIZES))
        except zlib.error as error:
            raise Verdict("truncated", "the gzip stream is damaged; copy the file again from its source") from error
    size = next((n for n in _SIZES if n in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big"))), None)
    if size is None:
        raise Verdict(
            "not-nifti-content", "the name says NIfTI, but the content is something else; rename or remove it"
        )
    if len(head) < size:
        raise Verdict("truncated", "the file ends inside its header; copy it again from its source")
    try:
        return _SIZES[size](head[:size], check=False)  # type: ignore[no-untyped-call]
    except (HeaderDataError, ValueError) as error:
        raise Verdict("not-nifti-content", "the header is not valid NIfTI; write the file again") from error


def _shape(header: nib.Nifti1Header) -> tuple[int, ...]:
    """x, y, z and time; trailing axes of length 1 are left out."""
    count = int(header["dim"][0])
    if not 1 <= count <= 7:
        raise Verdict("unsupported-dimensions", f"the header claims {count} dimensions")
    sizes = [int(n) for n in header["dim"][1 : count + 1]]
    if min(sizes) < 1:
        raise Verdict("unsupported-dimensions", f"the header claims the size {sizes}")
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    sizes += [1] * (3 - len(sizes))
    if len(sizes) > 4:
        raise Verdict(
            "unsupported-dimensions", f"{len(sizes)} dimensions (vectors or tensors); 3D and 4D are converted"
        )
    return tuple(sizes)


def _dtype(header: nib.Nifti1Header) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise Verdict(
            "unsupported-datatype", f"data type code {int(header['datatype'])} is not a NIfTI type"
        ) from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise Verdict("unsupported-datatype", f"values are {dtype}; integers and real numbers are converted")
    return dtype


def _affine(header: nib.Nifti1Header, no_affine: NoAffine) -> tuple[Affine, str]:
    """Take the sform where its code is set, else qform, else as told."""
    if int(header["sform_code"]) > 0:
        affine, rule = _matrix(header.get_sform()), "sform"
    elif int(header["qform_code"]) > 0:
        affine, rule = _qform(header), "qform"
    elif no_affine == "assume":
        zooms = [abs(float(z)) for z in header["pixdim"][1:4]]
        affine, rule = np.diag([*zooms, 1.0]), "pixdim"
    else:
        raise Verdict(
            "no-orientation", "neither sform nor qform is set; --no-affine assume takes axes as right, front, up"
        )
    affine[:3] *= _mm_per_unit(header)
    if not np.isfinite(affine).all():
        raise Verdict("invalid-affine", f"the {rule} holds NaN or infinite numbers; write the file again")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if lengths.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-3:
        raise Verdict("invalid-affine", f"the {rule} is singular: voxels have no volume; write the file again")
    return affine, rule


def _forms_apart(header: nib.Nifti1Header, shape: tuple[int, ...], sform: Affine) -> float:
    """The largest distance in mm between a corner by the sform and by the qform, where that is set and can be."""
    if int(header["qform_code"]) <= 0:
        return 0.0
    try:
        qform = _qform(header)
    except Verdict:
        return 0.0
    qform[:3] *= _mm_per_unit(header)
    corners = np.array([(x, y, z, 1) for x in (0, shape[0] - 1) for y in (0, shape[1] - 1) for z in (0, shape[2] - 1)])
    apart = float(np.linalg.norm((corners @ (sform - qform).T)[:, :3], axis=1).max())
    return apart if math.isfinite(apart) else 0.0


def _mm_per_unit(header: nib.Nifti1Header) -> float:
    return _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)


def _matrix(values: npt.ArrayLike) -> Affine:
    return np.array(values, dtype=np.float64)


def _qform(header: nib.Nifti1Header) -> Affine:
    try:
        return _matrix(header.get_qform())
    except (HeaderDataError, ValueError) as error:  # b² + c² + d² > 1
        raise Verdict(
            "invalid-affine", "the quaternion of the qform is not a rotation; write the file again"
        ) from error


def _scale(header: nib.Nifti1Header) -> tuple[float, float]:
    """scl_slope and scl_inter; a slope of 0 means that values are not scaled (nifti1.h), and nibabel writes NaN for it.

    Raises:
        Verdict: `unreadable-value`, the slope is infinite, or the intercept of a slope is not finite.
    """
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or math.isnan(slope):
        return 1.0, 0.0
    if not math.isfinite(slope) or not math.isfinite(intercept):
        raise Verdict(
            "unreadable-value", f"scl_slope is {slope:g} and scl_inter {intercept:g}, not finite; write the file again"
        )
    return slope, intercept


def _offset(header: nib.Nifti1Header) -> int:
    """Where the values start: 0 stands for right behind the header and its four bytes of extension flags.

    Raises:
        Verdict: `invalid-offset`, vox_offset (a float in NIfTI-1) is not a whole number behind the header.
    """
    given, least = float(header["vox_offset"]), int(header.sizeof_hdr) + 4
    if given == 0:
        return least
    if not math.isfinite(given) or given != int(given) or not least - 4 <= given <= MAX_BYTES:
        raise Verdict(
            "invalid-offset", f"vox_offset is {given:g}, where no values of this file can start; write the file again"
        )
    return int(given)


def _check_size(path: Path, header: NiftiHeader) -> None:
    claimed = header.volume_bytes * header.volumes
    if claimed > MAX_BYTES:
        gib = min(claimed, 1 << 80) / 2**30
        raise Verdict("too-large", f"the header claims {gib:.3g} GiB; the limit is {MAX_BYTES >> 30} GiB")
    size = stored_size(path)
    room = size * DEFLATE_RATIO if is_packed(path) else size - header.offset
    if room < claimed:
        raise Verdict("truncated", f"the header claims {claimed} bytes of values, more than the file can hold")
