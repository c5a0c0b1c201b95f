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


@dataclass(frozen=True)
class TrainingMarks:
    """Hashes of the training data.

    Attributes:
        samples: sorted 63-bit hashes of the uids.
        subjects: sorted 63-bit hashes of the subjects.
        share: of the hashes, those below `share` · 2^63 are kept.
    """

    samples: npt.NDArray[np.int64]
    subjects: npt.NDArray[np.int64]
    share: float

    @classmethod
    def of(cls, uids: Iterable[int], subjects: Iterable[int], *, most: int = MOST) -> TrainingMarks:
        """Marks of samples by the hashes of their uids and subjects.

        Args:
            uids: `hash63` of each uid.
            subjects: `hash63` of each subject.
            most: hashes of samples that are kept.
        """
        samples = np.unique(np.fromiter(uids, np.int64))
        people = np.unique(np.fromiter(subjects, np.int64))
        share = min(1.0, most / max(1, len(samples)))
        limit = int(share * _LARGEST)
        return cls(samples[samples < limit], people[people < limit], share) if share < 1 else cls(samples, people, 1.0)

    def shared(self, uids: Sequence[str], subjects: Sequence[str]) -> tuple[list[str], list[str]]:
        """The samples and the subjects among these that were trained on."""
        return _among(uids, self.samples), _among(sorted(set(subjects)), self.subjects)

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


def _among(words: Sequence[str], marks: npt.NDArray[np.int64]) -> list[str]:
    hashes = np.array([hash63(word) for word in words], np.int64)
    found = np.isin(hashes, marks)
    return [word for word, marked in zip(words, found.tolist(), strict=True) if marked]
