"""All volumes of a series as one 4D NIfTI, with FSL's `.bval` and `.bvec` beside that of a diffusion series."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from voxtile.corpus.reader import Corpus
from voxtile.corpus.source import StoredSample
from voxtile.corpus.storage import write_atomically
from voxtile.errors import ConfigError, CorpusError
from voxtile.formats.geometry import Affine, channel_scaling, physical, volume_affine
from voxtile.formats.nifti import nifti_bytes

MOST_BYTES = 8 << 30
_SAME_MM = 1e-3  # of an affine's entries within a series
_SUFFIXES = (".nii.gz", ".nii")


def write_nifti_series(corpus: Corpus, sample: StoredSample, out: Path) -> list[Path]:
    """Write the series that a volume is of, its volumes along the fourth axis in their order.

    Args:
        corpus: that holds the series.
        sample: one of its volumes.
        out: `*.nii` or `*.nii.gz`; `.bval` (s/mm²) and `.bvec` (FSL's axes: those of the voxels, x reversed where the
            affine is right-handed; 0 0 0 of unweighted and isotropic volumes) are written beside it where every volume
            has a b-value and one is weighted.

    Raises:
        CorpusError: the sample is no volume of a series of several, some of them are not there, or they differ in grid.
        ConfigError: the name has another ending, or a file beside it exists.
        MissingExtraError: nibabel is not installed.
    """
    suffix = next((suffix for suffix in _SUFFIXES if out.name.endswith(suffix)), None)
    if suffix is None:
        raise ConfigError(f"--out '{out}' is no name of a NIfTI file; end it with .nii.gz or .nii")
    rows = _volumes(corpus, sample.meta)
    affine = volume_affine(rows[0])
    if affine is None:
        raise CorpusError(f"the sample {rows[0]['uid']} has no affine; write it alone, without --series")
    arrays, scale, offset = _arrays(corpus, rows)
    stem = out.name.removesuffix(suffix)
    beside = {out.with_name(stem + ending): text for ending, text in _gradients(rows, affine).items()}
    for path in beside:
        if path.exists():
            raise ConfigError(f"'{path}' exists; move it away or name another file with --out")
    content = nifti_bytes(np.stack(arrays, axis=-1), affine, scale, offset, compress=suffix == ".nii.gz")
    for path, text in beside.items():
        write_atomically(path, text.encode("ascii"))
    write_atomically(out, content)
    return [out, *beside]


def _volumes(corpus: Corpus, row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Rows of a series in the order of its volumes."""
    count = _attributes(row).get("volumes")
    if row.get("axes") != "ZYX" or not isinstance(count, int):
        raise CorpusError(f"the sample {row['uid']} is not one of several volumes of a series; leave out --series")
    table = corpus.table("samples")
    same = table.filter(pc.and_(pc.equal(table["source"], row["source"]), pc.equal(table["study"], row["study"])))
    rows = sorted(same.to_pylist(), key=lambda other: int(_attributes(other).get("volume", -1)))
    if len(rows) != count:
        raise CorpusError(
            f"{len(rows)} of the {count} volumes of the series of {row['uid']} are in the corpus, and the ledger says "
            "why; write them one by one, without --series"
        )
    for other in rows[1:]:
        if other["shape"] != rows[0]["shape"] or not np.allclose(other["affine"], rows[0]["affine"], atol=_SAME_MM):
            raise CorpusError(
                f"the volumes {rows[0]['uid']} and {other['uid']} of one series differ in size or place; write them "
                "one by one, without --series"
            )
    if int(np.prod(rows[0]["shape"], dtype=np.int64)) * 4 * count > MOST_BYTES:
        raise CorpusError(f"the {count} volumes of the series of {row['uid']} are larger than 8 GiB; write them singly")
    return rows


def _arrays(corpus: Corpus, rows: Sequence[Mapping[str, Any]]) -> tuple[list[npt.NDArray[Any]], float, float]:
    """[X, Y, Z] arrays with their common scale: as stored, or physical values where the scales differ."""
    scales = {channel_scaling(row) for row in rows}
    stored = [corpus.source(row).array() for row in rows]
    if len(scales) == 1 and len({array.dtype for array in stored}) == 1:
        scale, offset = scales.pop()
        return [array.transpose(2, 1, 0) for array in stored], scale, offset
    values = [physical(array, row) for array, row in zip(stored, rows, strict=True)]
    return [array.transpose(2, 1, 0) for array in values], 1.0, 0.0


def _gradients(rows: Sequence[Mapping[str, Any]], affine: Affine) -> dict[str, str]:
    """Content of the files by their ending; none of a series that is not diffusion-weighted."""
    attributes = [_attributes(row) for row in rows]
    b_values = [found.get("b_value_s_mm2") for found in attributes]
    if any(b is None for b in b_values) or not any(b_values):
        return {}
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    directions = np.array([found.get("diffusion_direction") or (0.0, 0.0, 0.0) for found in attributes])
    vectors = directions @ axes
    if np.linalg.det(axes) > 0:  # FSL's images are left-handed
        vectors[:, 0] *= -1
    lines = [" ".join(f"{value + 0.0:.6g}" for value in np.round(axis, 6)) for axis in vectors.T]
    return {".bval": " ".join(f"{b:g}" for b in b_values) + "\n", ".bvec": "\n".join(lines) + "\n"}


def _attributes(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.get("attributes") or "{}")
    return found
