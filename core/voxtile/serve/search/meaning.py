"""Search in a model's space: by words, by a sample or a part of it, or by an image of the viewer's own."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import numpy as np
import torch

from voxtile.data.presets.base import Preset, SampleSource
from voxtile.errors import ConfigError, PresetError
from voxtile.serve.sample_index import Mask
from voxtile.serve.search.image_file import ImageReader
from voxtile.serve.search.making import Making
from voxtile.serve.search.nearest import Nearest
from voxtile.serve.search.nearest_build import WANTED
from voxtile.serve.search.vectors import Floats, Found, VectorFile

_KEPT = 64  # texts whose vectors are held
_HELD = 256  # images of viewers whose vectors are held
_LONGEST_TEXT = 2000  # characters; text towers read far fewer


class SearchModel(Protocol):
    """An extractor of `voxtile embed` whose model reads texts too."""

    name: str

    @property
    def preset(self) -> Preset:
        """Its preprocessing."""

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError, naming the first thing that samples cannot satisfy."""

    def prepare(self, source: SampleSource) -> torch.Tensor:
        """The input [C, *G] of one sample."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """[S, C, *G] to [S, D]."""

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        """T texts to [T, D], in the space of the images."""


class HeldImages:
    """Vectors of images that viewers sent, under a name that cannot be guessed; the latest few are held.

    Attributes:
        reader: reads them.
    """

    def __init__(self) -> None:
        self.reader = ImageReader()
        self._vectors: OrderedDict[str, Floats] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, vector: Floats) -> str:
        """Hold a vector; its name."""
        name = secrets.token_hex(16)
        with self._lock:
            self._vectors[name] = vector
            while len(self._vectors) > _HELD:
                self._vectors.popitem(last=False)
        return name

    def vector(self, name: str) -> Floats:
        """The vector of a name.

        Raises:
            ConfigError: it is held no longer.
        """
        with self._lock:
            if name not in self._vectors:
                raise ConfigError("the image is held no longer; give it again")
            return self._vectors[name]


@dataclass
class MeaningSearch:
    """A model with the vectors of the samples.

    Attributes:
        model: what reads words and images.
        vectors: of the samples; None where there are none yet.
        nearest: approximate search, where there are so many that it was built.
        images: that viewers sent.
        making: vectors or the lists of near vectors, where they are being made.
    """

    model: SearchModel
    vectors: VectorFile | None
    nearest: Nearest | None = None
    images: HeldImages = field(default_factory=HeldImages)
    making: Making | None = None
    _texts: OrderedDict[str, Floats] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def searched(self) -> int:
        """How many samples have a vector."""
        return self.vectors.count if self.vectors is not None else 0

    @property
    def is_approximate(self) -> bool:
        """Whether searches go by lists: they were made, find what they should, and few of them have to be read."""
        return self.nearest is not None and self.nearest.recall.least >= WANTED and self.nearest.is_quicker

    def by_words(self, words: str, count: int, allowed: Mask | None) -> Found:
        """The samples whose pictures are nearest to a text.

        Raises:
            ConfigError: the text is empty or longer than any text tower reads, the model's tokenizer knows nothing of
                it, or there are no vectors.
        """
        if not words.strip():
            raise ConfigError("there are no words to search by; say what to look for")
        if len(words) > _LONGEST_TEXT:
            raise ConfigError(f"the words are {len(words):,} characters; at most {_LONGEST_TEXT:,} are read")
        return self._best(self.text_vector(words), count, allowed)

    def by_neighbour(self, number: int, count: int, allowed: Mask | None) -> Found:
        """The samples whose pictures are nearest to that of a sample, which is not among them.

        Raises:
            ConfigError: the sample has no vector.
        """
        vector = self._present().vector(number)
        if vector is None or not vector.any():
            raise ConfigError("this sample has no vector of the model; run voxtile embed again")
        found = self._best(vector, count + 1, allowed)
        others = found.numbers != number
        return Found(found.numbers[others][:count], found.cosines[others][:count], found.is_exact)

    def by_vector(self, vector: Floats, count: int, allowed: Mask | None) -> Found:
        """The samples whose pictures are nearest to a vector.

        Raises:
            ConfigError: there are no vectors.
        """
        return self._best(vector, count, allowed)

    def image_vector(self, source: SampleSource) -> Floats:
        """[D] of a sample or a part of one.

        Raises:
            ConfigError: the model cannot take it.
        """
        try:
            self.model.check([source.meta])
            image = self.model.prepare(source)
        except PresetError as error:
            raise ConfigError(str(error)) from error
        return self.encoded(image)

    def encoded(self, image: torch.Tensor) -> Floats:
        """[C, *G] to [D]."""
        with self._lock:  # one image or text at a time: towers use all processors
            return cast(Floats, self.model.encode(image[None])[0].float().numpy())

    def text_vector(self, words: str) -> Floats:
        """[D] of a text.

        Raises:
            ConfigError: the model's tokenizer knows nothing of it.
        """
        with self._lock:
            if words not in self._texts:
                if not getattr(self.model, "reads", _reads_all)(words):
                    raise ConfigError(
                        "the model's tokenizer knows none of the letters of these words; search by words of the "
                        "language that its captions are in"
                    )
                self._texts[words] = self.model.encode_texts([words])[0].float().numpy()
                while len(self._texts) > _KEPT:
                    self._texts.popitem(last=False)
            self._texts.move_to_end(words)
            return self._texts[words]

    def _best(self, vector: Floats, count: int, allowed: Mask | None) -> Found:
        vectors = self._present()
        if len(vector) != vectors.width or not np.isfinite(vector).all() or not vector.any():
            raise ConfigError("the model gives no vector for this that the samples can be compared with")
        if self.nearest is not None and self.is_approximate:
            found = self.nearest.best(vector, count, allowed)
            if found is not None:
                return found
        return vectors.best(vector, count, allowed)

    def _present(self) -> VectorFile:
        if self.vectors is not None:
            return self.vectors
        being_made = "; they are being made, come again in a while" if self.making is not None else ""
        raise ConfigError(
            f"there are no vectors of '{self.model.name}' yet"
            + (being_made or "; make them with voxtile embed, or start voxtile serve without --embed false")
        )


def load_search_model(spec: str) -> SearchModel:
    """A model that reads words and images.

    Args:
        spec: as `voxtile embed` takes it.

    Raises:
        ConfigError: there is no such model, or it reads no words.
        CheckpointError: it cannot be loaded safely.
    """
    from voxtile.stages.embed.extractor import load_extractor

    extractor = load_extractor(spec)
    if not hasattr(extractor, "encode_texts"):
        raise ConfigError(f"the model '{extractor.name}' reads no words; name one that was trained with texts")
    return cast(SearchModel, extractor)


def _reads_all(words: str) -> bool:
    return True
