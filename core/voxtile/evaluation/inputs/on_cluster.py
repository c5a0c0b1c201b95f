"""Images of an evaluation encoded on the nodes of a Ray cluster; figures, intervals and the report are made here.

Each slot, a GPU where the cluster has some, else a processor, loads the model once and reads and encodes whole batches,
the same ones as one process does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from voxtile.corpus.header import corpus_home
from voxtile.corpus.reader import Corpus
from voxtile.data.images import CorpusImages
from voxtile.data.presets.base import Preset
from voxtile.data.presets.roles import StudyReader
from voxtile.engine.ray_cluster.slots import Slots
from voxtile.errors import CheckpointError
from voxtile.evaluation.figures.baselines import SimpleFeatures
from voxtile.evaluation.inputs.encode import EncodedBatch, Loader, encode_batches
from voxtile.inference.load import load_model
from voxtile.models.rgb_pictures import reading_by

_SAMPLES = 256  # a call, about: what a lost node costs


class ClusterEncoder:
    """Encodes by one model; see `voxtile.evaluation.inputs.encode.encoding_elsewhere`.

    Args:
        slots: of the cluster.
        spec: how the model was named.
        trust_packages: whose classes a checkpoint may name.
        called: the model's name where it was loaded first.
    """

    def __init__(self, slots: Slots, spec: str, trust_packages: Sequence[str], called: str) -> None:
        self._slots = slots
        slots.hold(_Encoder, spec, tuple(trust_packages), called)

    def __call__(
        self, loader: Loader, uids: Sequence[str], features: SimpleFeatures, embed: bool, studies: bool
    ) -> Iterator[EncodedBatch] | None:
        """Batches in order; None for changed images and for models that read several samples as one image."""
        if type(loader) is not CorpusImages or isinstance(loader.preset, StudyReader):
            return None
        return self._batches(loader, uids, features, embed, studies)

    def _batches(
        self, images: CorpusImages, uids: Sequence[str], features: SimpleFeatures, embed: bool, studies: bool
    ) -> Iterator[EncodedBatch]:
        size = images.batch_size * max(1, _SAMPLES // images.batch_size)
        roots = tuple(corpus_home(root) for root in images.roots)
        how = (roots, images.preset, images.batch_size, features, embed, studies)
        parts = (uids[start : start + size] for start in range(0, len(uids), size))
        calls = (("encode", ({uid: images.rows[uid] for uid in part}, *how)) for part in parts)
        for batches in self._slots.ordered(calls, "encoding images"):
            yield from batches


class _Encoder:
    """What a slot holds: the model."""

    def __init__(self, spec: str, trust_packages: tuple[str, ...], called: str) -> None:
        self._model = load_model(spec, trust_packages)
        if self._model.name != called:
            raise CheckpointError(f"'{spec}' is '{self._model.name}' on a node and '{called}' here; copy it again")

    def encode(
        self,
        rows: Mapping[str, Mapping[str, Any]],
        roots: tuple[str, ...],
        preset: Preset,
        batch_size: int,
        features: SimpleFeatures,
        embed: bool,
        studies: bool,
    ) -> list[EncodedBatch]:
        """Batches of some samples, in the order of their rows."""
        images = CorpusImages.of_rows(Corpus(*roots), preset, rows, batch_size)
        model = reading_by(self._model, preset) if embed else None
        return list(encode_batches(model, images, list(rows), features, studies=studies))
