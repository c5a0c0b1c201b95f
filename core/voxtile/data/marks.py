"""Marks of what a model was trained on, kept in its checkpoint: hashes of samples and subjects, and nothing else.

Where there are more than a million, only those whose hash falls below a limit are kept, so that a leak of many samples
is still found and a checkpoint stays small; `share` says which part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from voxtile.corpus.view_text import hash63

KEY = "voxtile_training"
MOST = 1_000_000
_LARGEST = 2**63
_DIGITS = 32  # hexadecimal, of a uid


@dataclass(frozen=True)
class TrainingMarks:
    """Hashes of the training data.

    Attributes:
        samples: sorted, `uid_mark` of each.
        subjects: sorted, `hash63` of each.
        share: of the hashes, those below `share` · 2^63 are kept.
    """

    samples: npt.NDArray[np.int64]
    subjects: npt.NDArray[np.int64]
    share: float

    @classmethod
    def of(cls, samples: npt.NDArray[np.int64], subjects: npt.NDArray[np.int64], *, most: int = MOST) -> TrainingMarks:
        """Marks of the training data.

        Args:
            samples: `uid_mark` of each sample.
            subjects: `hash63` of each one's subject.
            most: samples that are kept.
        """
        samples, subjects = np.unique(samples), np.unique(subjects)
        return cls(samples, subjects, 1.0)._limited(min(1.0, most / max(1, len(samples))))

    def __or__(self, other: TrainingMarks) -> TrainingMarks:
        """Marks of both, as of a run that goes on with other data."""
        share = min(self.share, other.share)
        parts = [part._limited(share) for part in (self, other)]
        samples, subjects = (np.union1d(*(getattr(part, name) for part in parts)) for name in ("samples", "subjects"))
        return TrainingMarks(samples, subjects, share)

    def _limited(self, share: float) -> TrainingMarks:
        if share >= self.share:
            return self
        limit = int(share * _LARGEST)
        return TrainingMarks(self.samples[self.samples < limit], self.subjects[self.subjects < limit], share)

    def shared(self, uids: Sequence[str], subjects: Sequence[str]) -> tuple[list[str], list[str]]:
        """The samples and the subjects among these that were trained on."""
        people = sorted(set(subjects))
        return _among(uids, map(uid_mark, uids), self.samples), _among(people, map(hash63, people), self.subjects)

    def to_checkpoint(self) -> dict[str, Any]:
        """Tensors and a number."""
        return {
            "samples": torch.from_numpy(self.samples),
            "subjects": torch.from_numpy(self.subjects),
            "share": self.share,
        }

    @classmethod
    def from_checkpoint(cls, stored: Mapping[str, Any]) -> TrainingMarks:
        """Back from `to_checkpoint`."""
        return cls(stored["samples"].numpy(), stored["subjects"].numpy(), float(stored["share"]))


def uid_mark(uid: str) -> int:
    """63 bits of a uid, which is a hash already; of one that is not, its hash."""
    try:
        return int.from_bytes(bytes.fromhex(uid)[:8]) & (_LARGEST - 1) if len(uid) == _DIGITS else hash63(uid)
    except ValueError:
        return hash63(uid)


def _among(words: Sequence[str], hashes: Iterable[int], marks: npt.NDArray[np.int64]) -> list[str]:
    found = np.isin(np.fromiter(hashes, np.int64), marks)
    return [word for word, marked in zip(words, found.tolist(), strict=True) if marked]
