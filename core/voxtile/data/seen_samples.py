"""Marks of what a model was trained on, kept in its checkpoint: hashes of samples, and nothing else.

Of each sample two: of its uid, and of its stored bytes. A uid is a hash of its sample's content and geometry, or where
names are hidden one by the corpus's key, so that the same scan in a corpus of another key is known by its bytes alone.
Subjects who share a name are not taken for one. Where there are more than a million samples, only marks that fall below
a limit are kept, so that a leak of many is still found and a checkpoint stays small; `share` says which part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from voxtile.corpus.integrity import HASH_DIGITS
from voxtile.corpus.view.text import hash63

KEY = "voxtile_training"
MOST = 2_000_000  # two of each sample
_LARGEST = 2**63
_DIGITS = 32  # hexadecimal, of a uid


@dataclass(frozen=True)
class TrainingMarks:
    """Hashes of the training data.

    Attributes:
        samples: sorted, `uid_mark` and `bytes_mark` of each.
        share: of the hashes, those below `share` · 2^63 are kept.
    """

    samples: npt.NDArray[np.int64]
    share: float

    @classmethod
    def of(cls, samples: npt.NDArray[np.int64], *, most: int = MOST) -> TrainingMarks:
        """Marks of the training data.

        Args:
            samples: marks of the samples.
            most: marks that are kept.
        """
        samples = np.unique(samples)
        return cls(samples, 1.0)._limited(min(1.0, most / max(1, len(samples))))

    @classmethod
    def of_parts(cls, parts: Iterable[npt.NDArray[np.int64]], count: int, *, most: int = MOST) -> TrainingMarks:
        """Marks of training data that is read in parts and may not fit into memory.

        Args:
            parts: marks of some samples each.
            count: marks of all parts; of some that come twice a smaller share is kept than `of` would.
            most: marks that are kept.
        """
        share = min(1.0, most / max(1, count))
        kept = [np.unique(part if share == 1 else part[part < int(share * _LARGEST)]) for part in parts]
        return cls(np.unique(np.concatenate([np.empty(0, np.int64), *kept])), share)

    def __or__(self, other: TrainingMarks) -> TrainingMarks:
        """Marks of both, as of a run that goes on with other data."""
        share = min(self.share, other.share)
        return TrainingMarks(np.union1d(self._limited(share).samples, other._limited(share).samples), share)

    def _limited(self, share: float) -> TrainingMarks:
        if share >= self.share:
            return self
        return TrainingMarks(self.samples[self.samples < int(share * _LARGEST)], share)

    def shared(self, uids: Sequence[str]) -> list[str]:
        """The samples among these that were trained on."""
        found = np.isin(np.fromiter(map(uid_mark, uids), np.int64), self.samples)
        return [uid for uid, marked in zip(uids, found.tolist(), strict=True) if marked]

    def shared_bytes(self, hashes: Sequence[str]) -> list[str]:
        """The sha-256 of stored bytes among these that were trained on."""
        found = np.isin(np.fromiter(map(bytes_mark, hashes), np.int64), self.samples)
        return [sha256 for sha256, marked in zip(hashes, found.tolist(), strict=True) if marked]

    def to_checkpoint(self) -> dict[str, Any]:
        """A tensor and a number."""
        return {"samples": torch.from_numpy(self.samples), "share": self.share}

    @classmethod
    def from_checkpoint(cls, stored: Mapping[str, Any]) -> TrainingMarks:
        """Back from `to_checkpoint`."""
        return cls(stored["samples"].numpy(), float(stored["share"]))


def uid_mark(uid: str) -> int:
    """63 bits of a uid, which is a hash already; of one that is not, its hash."""
    try:
        return int.from_bytes(bytes.fromhex(uid)[:8]) & (_LARGEST - 1) if len(uid) == _DIGITS else hash63(uid)
    except ValueError:
        return hash63(uid)


def bytes_mark(sha256: str) -> int:
    """63 bits of the sha-256 of stored bytes; of what is none, its hash."""
    try:
        return int.from_bytes(bytes.fromhex(sha256[:HASH_DIGITS])) & (_LARGEST - 1)
    except ValueError:
        return hash63(sha256)
