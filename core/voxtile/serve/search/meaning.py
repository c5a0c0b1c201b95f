"""Search in a model's space: by words, or by the nearest to a sample."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np
import torch

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.serve.sample_index import Mask, SampleIndex
from voxtile.serve.search.vector_cache import models_with_vectors, vector_file
from voxtile.serve.search.vectors import Floats, Found, VectorFile

_KEPT = 64  # texts whose vectors are held
_LONGEST_TEXT = 2000  # characters; text towers read far fewer


class ReadsTexts(Protocol):
    """An extractor of `voxtile embed` whose model reads texts too."""

    name: str

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        """T texts to [T, D], in the space of the images."""


@dataclass
class MeaningSearch:
    """A model with the vectors of the samples.

    Attributes:
        model: what reads words.
        vectors: of the samples.
    """

    model: ReadsTexts
    vectors: VectorFile
    _texts: OrderedDict[str, Floats] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def searched(self) -> int:
        """How many samples have a vector."""
        return int(self.vectors.present.sum())

    def by_words(self, words: str, count: int, allowed: Mask | None) -> Found:
        """The samples whose pictures are nearest to a text.

        Raises:
            ConfigError: the text is empty or longer than any text tower reads.
        """
        if not words.strip():
            raise ConfigError("there are no words to search by; say what to look for")
        if len(words) > _LONGEST_TEXT:
            raise ConfigError(f"the words are {len(words):,} characters; at most {_LONGEST_TEXT:,} are read")
        return self.vectors.best(self._vector(words), count, allowed)

    def by_neighbour(self, number: int, count: int, allowed: Mask | None) -> Found:
        """The samples whose pictures are nearest to that of a sample, which is not among them.

        Raises:
            ConfigError: the sample has no vector.
        """
        vector = self.vectors.vector(number)
        if vector is None or not vector.any():
            raise ConfigError("this sample has no vector of the model; run voxtile embed again")
        others = np.ones(len(self.vectors), np.bool_) if allowed is None else allowed.copy()
        others[number] = False
        return self.vectors.best(vector, count, others)

    def _vector(self, words: str) -> Floats:
        with self._lock:  # one text at a time: towers use all processors
            if words not in self._texts:
                self._texts[words] = self.model.encode_texts([words])[0].float().numpy()
                while len(self._texts) > _KEPT:
                    self._texts.popitem(last=False)
            self._texts.move_to_end(words)
            return self._texts[words]


def meaning_search(corpus: Corpus, index: SampleIndex, model: str) -> MeaningSearch:
    """Search by a model whose vectors the corpus holds.

    Args:
        corpus: with the table `embeddings`.
        index: its samples.
        model: as `voxtile embed` takes it.

    Raises:
        ConfigError: the model reads no words, or the corpus has no vectors of it.
        CheckpointError: it cannot be loaded safely.
    """
    from voxtile.stages.embed.extractor import load_extractor

    extractor = load_extractor(model)
    if not hasattr(extractor, "encode_texts"):
        raise ConfigError(f"the model '{extractor.name}' reads no words; name one that was trained with texts")
    vectors = vector_file([corpus], index, extractor.name)
    if vectors is None:
        known = models_with_vectors(corpus)
        others = f"; it has those of {', '.join(known)}" if known else ""
        raise ConfigError(
            f"the corpus has no vectors of '{extractor.name}'{others}; make them: voxtile embed CORPUS {model}"
        )
    return MeaningSearch(cast(ReadsTexts, extractor), vectors)
