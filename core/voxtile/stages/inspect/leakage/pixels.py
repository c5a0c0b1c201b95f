"""Near-duplicate pictures between splits, by a perceptual hash and then by their small versions.

The hash is the sign of the 63 lowest frequencies of a 32 × 32 picture against their median (pHash: Zauner,
"Implementation and Benchmarking of Perceptual Image Hash Functions", 2010). Pairs within `MAX_BITS` are confirmed by
the correlation of the 32 × 32 pictures, which differs between similar places.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.progress import track
from scipy.fft import dctn

from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.errors import StopRunError, VoxtileError

SIDE = 32
MAX_BITS = 8
LEAST_CORRELATION = 0.99
LEAST_CONTRAST = 2.0  # grey levels of 255; below it a picture has nothing to be recognised by
MAX_PAIRS = 20_000_000_000  # hashes compared: about a minute; beyond it each split is thinned
_CHUNK = 4096
_LARGEST_ARRAY = 1 << 26  # bytes of an array without a preview that are read
_EXAMPLES = 5


@dataclass(frozen=True)
class PixelReport:
    """Near-duplicates of two splits.

    Attributes:
        duplicates: pairs of pictures.
        examples: uids of some of them.
    """

    duplicates: int
    examples: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class PixelComparison:
    """All pairs of splits, and how many pictures were looked at."""

    pairs: Mapping[tuple[str, str], PixelReport]
    compared: int
    featureless: int
    unreadable: int


@dataclass(frozen=True)
class _Prints:
    """Fingerprints of a split: uids, hashes [N, 63] of ±1, and normalised small pictures [N, 1024]."""

    uids: Sequence[str]
    hashes: npt.NDArray[np.float32]
    small: npt.NDArray[np.float32]


def compare_pixels(corpus: Corpus, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> PixelComparison:
    """Find near-duplicates between splits.

    Args:
        corpus: where the pictures are.
        rows: rows of `samples` by split.
    """
    prints: dict[str, _Prints] = {}
    featureless = unreadable = 0
    for split, group in rows.items():
        found = list(_fingerprints(corpus, _thinned(group, len(rows)), split))
        featureless += sum(print_ is not None and print_[1] is None for print_ in found)
        unreadable += sum(print_ is None for print_ in found)
        kept = [(uid, small) for uid, small in filter(None, found) if small is not None]
        small = np.array([image for _, image in kept], np.float32).reshape(len(kept), SIDE * SIDE)
        prints[split] = _Prints([uid for uid, _ in kept], perceptual_hashes(small), _normalised(small))
    names = list(rows)
    pairs: dict[tuple[str, str], PixelReport] = {}
    for one, other in itertools.combinations(names, 2):
        found_pairs = _duplicates(prints[one], prints[other])
        pairs[one, other] = PixelReport(len(found_pairs), found_pairs[:_EXAMPLES])
        turned = [(b, a) for a, b in found_pairs]
        pairs[other, one] = PixelReport(len(turned), turned[:_EXAMPLES])
    return PixelComparison(pairs, sum(len(p.uids) for p in prints.values()), featureless, unreadable)


def perceptual_hashes(small: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Hashes of small pictures.

    Args:
        small: [N, 1024] grey levels of 32 × 32 pictures.

    Returns:
        [N, 63] of −1 and 1; the Hamming distance of two is (63 − their dot product) / 2.
    """
    spectrum = dctn(small.reshape(-1, SIDE, SIDE), axes=(1, 2), norm="ortho")[:, :8, :8].reshape(len(small), 64)[:, 1:]
    median = np.median(spectrum, axis=1, keepdims=True) if len(small) else 0.0
    return np.where(spectrum > median, 1, -1).astype(np.float32)


def small_grey(picture: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """A picture [Y, X] or [Y, X, 3] of 8 bits as [32, 32] grey levels."""
    grey = Image.fromarray(picture).convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)


def _thinned(group: Sequence[Mapping[str, Any]], splits: int) -> Sequence[Mapping[str, Any]]:
    """All rows, or as many evenly spaced ones as can be compared with as many of another split."""
    limit = int((MAX_PAIRS / splits) ** 0.5)
    step = max(1, -(-len(group) // limit))
    return group[::step]


def _fingerprints(
    corpus: Corpus, group: Sequence[Mapping[str, Any]], split: str
) -> Iterator[tuple[str, npt.NDArray[np.float32] | None] | None]:
    """(uid, small picture) of each row; without the picture where it is featureless, None where there is none."""
    console = Console(stderr=True)
    for row in track(group, f"reading {split}", console=console, transient=True, disable=not console.is_terminal):
        try:
            picture = sample_picture(corpus, row)
        except StopRunError:
            raise
        except (VoxtileError, OSError, ValueError):
            picture = None
        if picture is None:
            yield None
            continue
        small = small_grey(picture)
        yield row["uid"], small.reshape(-1) if small.std() >= LEAST_CONTRAST else None


def sample_picture(corpus: Corpus, row: Mapping[str, Any]) -> npt.NDArray[np.uint8] | None:
    """8-bit picture of a sample: itself, its preview, or its stretched mean over all axes but the last two."""
    source = corpus.source(row)
    if row["codec"] in {"jpg", "png"}:
        return decode_picture(source.encoded())
    preview = source.preview()
    if preview:
        return np.asarray(Image.open(io.BytesIO(preview), formats=["JPEG"]))
    shape = row["shape"] or ()
    if len(shape) < 2 or int(np.prod(shape)) * np.dtype(row["dtype"] or "u1").itemsize > _LARGEST_ARRAY:
        return None
    array = source.array().astype(np.float32)
    if row["axes"] in {"YXC"}:
        array = np.moveaxis(array, -1, 0)
    plane = np.nan_to_num(array.reshape(-1, *array.shape[-2:]).mean(axis=0))
    low, high = np.percentile(plane, (1, 99))
    return np.asarray(np.clip((plane - low) * (255 / max(high - low, 1e-12)), 0, 255), np.uint8)


def _normalised(small: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    centred = small - small.mean(axis=1, keepdims=True) if len(small) else small
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0))


def _duplicates(one: _Prints, other: _Prints) -> list[tuple[str, str]]:
    """Pairs of uids, in the order of the first split."""
    least = one.hashes.shape[1] - 2 * MAX_BITS if len(one.hashes) else 0
    pairs = []
    for start in range(0, len(one.uids), _CHUNK):
        for begin in range(0, len(other.uids), _CHUNK):
            alike = one.hashes[start : start + _CHUNK] @ other.hashes[begin : begin + _CHUNK].T >= least
            rows, columns = np.nonzero(alike)
            correlation = np.einsum("nd,nd->n", one.small[start + rows], other.small[begin + columns])
            confirmed = correlation >= LEAST_CORRELATION
            pairs += [
                (one.uids[start + i], other.uids[begin + j])
                for i, j in zip(rows[confirmed].tolist(), columns[confirmed].tolist(), strict=True)
            ]
    return pairs
