"""The stage that embeds: a chunk of samples is an item, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from voxtile.corpus.header import corpus_home
from voxtile.corpus.parts import part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.corpus.remote.announcing import Place, announced, place_of
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import CheckpointError, StopRunError, VoxtileError
from voxtile.processors import usable_processors
from voxtile.stages.embed.extractor import Extractor, load_extractor

_AHEAD = 32  # samples that are read and prepared before they are needed
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class EmbedTask:
    """Embeds the chosen samples of a corpus in this process.

    Attributes:
        corpus: opened.
        extractor: the model.
        chosen: uids to embed, by stem of the samples part.
        chunk: samples an item.
        batch_size: samples a batch.
        loaded_from: what `load_extractor` was given, for processes that load the model again.
    """

    corpus: Corpus
    extractor: Extractor = field(compare=False)
    chosen: Mapping[str, Sequence[str]]
    chunk: int
    batch_size: int
    loaded_from: tuple[str, tuple[str, ...]] = field(default=("", ()), compare=False)
    uses_gpu: ClassVar[bool] = True

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the corpus and loads the model for itself."""
        root, called = corpus_home(self.corpus.roots[0]), self.extractor.name
        return _reopened, (root, self.loaded_from, called, self.chosen, self.chunk, self.batch_size)

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "embed"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """The model; the batch size changes no more than the last bit."""
        return {"model": self.extractor.name, "width": self.extractor.width}

    def items(self) -> Iterator[Item]:
        """Chunks of the samples of each part."""
        for stem, uids in self.chosen.items():
            for start in range(0, len(uids), self.chunk):
                own = list(uids[start : start + self.chunk])
                digest = hashlib.sha256("\n".join(own).encode()).hexdigest()
                source = f"embed:{self.extractor.name}/{stem}/{digest[:12]}"
                yield Item(source, {"part": stem, "first": start, "count": len(own), "uids": digest}, cost=len(own))

    def process(self, item: Item) -> Outcome:
        """Embeddings of one chunk; a sample that cannot be read is a row of the ledger."""
        start = item.inputs["first"]
        uids = self.chosen[item.inputs["part"]][start : start + item.inputs["count"]]
        rows: list[Row] = []
        failed: list[Part] = []
        for batch, images in self._batches(item.inputs["part"], uids, failed):
            vectors = self.extractor.encode(images).numpy()
            rows += [
                {"uid": uid, "model": self.extractor.name, "vector": vector}
                for uid, vector in zip(batch, self._halved(batch, vectors), strict=True)
            ]
        return Outcome("used", tables={"embeddings": rows}, parts=tuple(failed))

    def _batches(self, stem: str, uids: Sequence[str], failed: list[Part]) -> Iterator[tuple[list[str], Tensor]]:
        part = self.corpus.roots[0] / "tables" / "samples" / f"{stem}.parquet"
        table = part_table(part)
        wanted = table.filter(pc.is_in(table["uid"], value_set=pa.array(uids, pa.string())))
        rows = {row["uid"]: row for row in wanted.to_pylist()}
        with ThreadPoolExecutor(max_workers=usable_processors()) as pool:
            pending: deque[tuple[str, Future[Tensor | str]]] = deque()
            remaining = announced(uids, partial(self._places, rows))
            for start in range(0, len(uids), self.batch_size):
                ready = []
                for _ in uids[start : start + self.batch_size]:
                    while len(pending) < _AHEAD and (following := next(remaining, None)) is not None:
                        pending.append((following, pool.submit(self._prepared, rows[following])))
                    uid, image = pending.popleft()
                    ready += [(uid, image.result())]
                ready = [(uid, image) for uid, image in ready if not _is_failure(uid, image, failed)]
                if ready:
                    yield [uid for uid, _ in ready], torch.stack([image for _, image in ready])  # type: ignore[misc]

    def _places(self, rows: Mapping[str, Row], uid: str) -> list[Place]:
        return place_of(self.corpus.roots[0], rows[uid])

    def _prepared(self, row: Row) -> Tensor | str:
        """The model's input, or what is wrong with the sample."""
        try:
            return self.extractor.prepare(self.corpus.source(row))
        except StopRunError:
            raise
        except (VoxtileError, OSError, ValueError) as error:
            return str(error)

    def _halved(self, uids: Sequence[str], vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
        wrong = np.flatnonzero(~(np.abs(vectors) <= _LARGEST).all(axis=1))
        if len(wrong):
            raise CheckpointError(
                f"model '{self.extractor.name}' gives a vector that is not finite or too large for float16, for sample "
                f"{uids[int(wrong[0])]}; its weights may be damaged"
            )
        return vectors.astype(np.float16)


def _reopened(
    root: str,
    loaded_from: tuple[str, tuple[str, ...]],
    called: str,
    chosen: Mapping[str, Sequence[str]],
    chunk: int,
    batch_size: int,
) -> EmbedTask:
    spec, trusted = loaded_from
    extractor = load_extractor(spec, trusted)
    if extractor.name != called:
        raise CheckpointError(f"'{spec}' is '{extractor.name}' here and '{called}' where the run began; copy it again")
    return EmbedTask(Corpus(root), extractor, chosen, chunk, batch_size, loaded_from)


def _is_failure(uid: str, image: Tensor | str, failed: list[Part]) -> bool:
    if isinstance(image, str):
        failed.append(Part(uid, "failed", "unreadable", f"sample {uid} cannot be embedded: {image}"))
        return True
    return False
