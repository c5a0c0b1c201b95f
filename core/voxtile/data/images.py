"""Preprocessed images of a corpus in the order asked for, read ahead by a few threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from voxtile.corpus.reader import Corpus
from voxtile.corpus.reference_roots import OutsideCorpusError
from voxtile.corpus.remote.announcing import Place, announced, place_of
from voxtile.corpus.source import StoredSample
from voxtile.data.presets.base import Preset
from voxtile.data.presets.roles import StudyReader, StudySource, pick_roles, stated_roles
from voxtile.errors import EvaluationError, VoxtileError
from voxtile.processors import usable_processors

_AHEAD = 32  # samples in flight


class CorpusImages:
    """The images of some samples as a model wants them; nothing is random.

    Args:
        corpus: where they are.
        preset: the model's preprocessing.
        uids: all samples that will be asked for.
        batch_size: samples a batch.
        studies: the samples of each study, by the uid that it is asked for by, where the preset reads studies.

    Raises:
        PresetError: the corpus cannot satisfy the preset.
    """

    def __init__(
        self,
        corpus: Corpus,
        preset: Preset,
        uids: Sequence[str],
        batch_size: int,
        studies: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._corpus, self._preset, self._batch_size = corpus, preset, batch_size
        self._studies = studies or {}
        samples = corpus.table("samples", with_root=True)
        wanted = samples.filter(pc.is_in(samples["uid"], value_set=pa.array(uids, pa.string())))
        roles = stated_roles(corpus) if isinstance(preset, StudyReader) else {}
        self.rows: Mapping[str, Mapping[str, Any]] = {
            row["uid"]: {**row, "roles": roles.get(row["uid"], [])} for row in wanted.to_pylist()
        }
        preset.check(list(self.rows.values()))

    @classmethod
    def of_rows(
        cls, corpus: Corpus, preset: Preset, rows: Mapping[str, Mapping[str, Any]], batch_size: int
    ) -> CorpusImages:
        """Some of the images of another, whose rows and preset these are, without reading a table again."""
        images = cls.__new__(cls)
        images._corpus, images._preset, images._batch_size, images._studies = corpus, preset, batch_size, {}
        images.rows = rows
        return images

    @property
    def roots(self) -> tuple[Path, ...]:
        """Of the corpora where they are."""
        return tuple(self._corpus.roots)

    @property
    def preset(self) -> Preset:
        """The preprocessing."""
        return self._preset

    @property
    def batch_size(self) -> int:
        """Samples a batch."""
        return self._batch_size

    def __call__(self, uids: Sequence[str]) -> Iterator[tuple[Sequence[str], Tensor]]:
        """Batches (uids, images [S, C, *G] float32)."""
        with ThreadPoolExecutor(max_workers=usable_processors()) as pool:
            pending: deque[Future[Tensor]] = deque()
            remaining = announced(uids, self._places)
            for start in range(0, len(uids), self._batch_size):
                batch = uids[start : start + self._batch_size]
                images = []
                for _ in batch:
                    while len(pending) < _AHEAD and (uid := next(remaining, None)) is not None:
                        pending.append(pool.submit(self.image, uid))
                    images.append(pending.popleft().result())
                yield batch, torch.stack(images)

    def _places(self, uid: str) -> Iterator[Place]:
        members = self._studies.get(uid, (uid,)) if isinstance(self._preset, StudyReader) else (uid,)
        for row in (self.rows[member] for member in members if member in self.rows):
            yield from place_of(self._corpus.roots[row["corpus"]], row)

    @cached_property
    def dates(self) -> Mapping[str, str | None]:
        """`datetime` of each sample."""
        return {uid: row["datetime"] for uid, row in self.rows.items()}

    def source(self, uid: str) -> StoredSample:
        """The stored sample."""
        return self._corpus.source(self.rows[uid])

    def image(self, uid: str) -> Tensor:
        """[C, *G] float32 of one sample, or of the study that goes by its uid.

        Raises:
            EvaluationError: it cannot be read; evaluation never leaves a sample out silently.
            OutsideCorpusError: it is to be copied and must not be.
        """
        try:
            if isinstance(self._preset, StudyReader):
                return self._preset.read_study(self._study(uid, self._preset.role_names), None)
            return self._preset(self.source(uid), None)
        except OutsideCorpusError:
            raise
        except VoxtileError as error:
            raise EvaluationError(f"sample {uid} cannot be read: {error}") from error
        except (OSError, ValueError, RuntimeError) as error:
            raise EvaluationError(
                f"sample {uid} cannot be read: {error}; check the corpus with: voxtile verify CORPUS"
            ) from error

    def _study(self, uid: str, roles: Sequence[str]) -> StudySource:
        study, prior = (
            {m: self.rows[m] for m in self._studies.get(name or "", ())} for name in (uid, self._prior(uid))
        )
        return StudySource(tuple(None if u is None else self.source(u) for u in pick_roles(roles, study, prior)))

    def _prior(self, uid: str) -> str | None:
        """The latest study of the same subject before the one that goes by a uid, as a compiled view finds it."""
        subject, time = self.rows[uid]["subject"], self._times[uid]
        earlier = [
            (other, self.rows[name]["study"] or name, name)
            for name in self._by_subject[subject]
            if (other := self._times[name]) is not None and time is not None and other < time
        ]
        return max(earlier)[2] if earlier else None

    @cached_property
    def _by_subject(self) -> dict[str, list[str]]:
        """Studies of each subject, by the uid that they are asked for by."""
        found: dict[str, list[str]] = {}
        for name in self._studies:
            found.setdefault(self.rows[name]["subject"], []).append(name)
        return found

    @cached_property
    def _times(self) -> dict[str, str | None]:
        """Time of each study's first sample, by the uid that it is asked for by."""
        found = {name: [self.rows[m]["datetime"] for m in members] for name, members in self._studies.items()}
        return {name: min((time for time in times if time), default=None) for name, times in found.items()}
