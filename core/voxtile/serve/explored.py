"""What is served: a corpus, its index and tables, and a model where one was named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from voxtile.corpus.reader import Corpus
from voxtile.corpus.reference_roots import named_roots, only_references_in
from voxtile.corpus.source import StoredSample
from voxtile.errors import CorpusError
from voxtile.serve.deep_zoom.slides import ZoomedPictures
from voxtile.serve.footprints import Footprints, footprints_of
from voxtile.serve.model_maps.phrase_map import PhraseMaps
from voxtile.serve.reports.report import Report
from voxtile.serve.reviews.store import Reviews
from voxtile.serve.sample_index import SampleIndex
from voxtile.serve.search.last_answers import LastAnswers
from voxtile.serve.search.meaning import MeaningSearch
from voxtile.serve.search.picture_hashes import PictureHashes, picture_hashes
from voxtile.serve.tables import Tables


class NoSuchSampleError(CorpusError):
    """No sample has this uid, or has what is asked of it."""

    def __init__(self, said: str = "no sample of this corpus has this uid") -> None:
        super().__init__(said)


@dataclass(frozen=True)
class Explored:
    """One corpus, or several as one, opened for viewers.

    Attributes:
        corpus: where pixels and masks are read.
        index: its samples by number.
        tables: its tables in SQL.
        meaning: search in a model's space; None where no model was named.
        reviews: what people said of its captions, facts and regions.
        zoomed: slides and large pictures, tile by tile.
        maps: what the model sees; None where none was named, or it reads no texts.
        reports: of models on this corpus.
        references: folder outside the corpus from which pixels may be shown.
    """

    corpus: Corpus
    index: SampleIndex
    tables: Tables
    reviews: Reviews
    zoomed: ZoomedPictures
    meaning: MeaningSearch | None = None
    references: Path | None = field(default=None)
    maps: PhraseMaps | None = None
    reports: tuple[Report, ...] = ()

    @cached_property
    def answers(self) -> LastAnswers[Any]:
        """To the last questions in which samples were put in order by likeness."""
        return LastAnswers()

    @cached_property
    def hashes(self) -> PictureHashes:
        """Perceptual hashes of the samples that were scored."""
        return picture_hashes(self.tables, self.index)

    @cached_property
    def footprints(self) -> Footprints:
        """Where the samples lie that have a place on the ground."""
        return footprints_of(self.tables)

    def number(self, uid: str) -> int:
        """Number of a sample.

        Raises:
            NoSuchSampleError: there is none.
        """
        found = int(self.index.numbers(pa.array([uid], pa.string()))[0])
        if found < 0:
            raise NoSuchSampleError
        return found

    def known_uids(self, uids: Sequence[str | None]) -> list[bool]:
        """Whether there is a sample of each uid."""
        return [bool(number >= 0) for number in self.index.numbers(pa.array(uids, pa.string()))]

    def row(self, uid: str) -> dict[str, Any]:
        """The whole row of a sample.

        Raises:
            NoSuchSampleError: there is none.
        """
        return self.tables.sample(self.number(uid))

    def rows(self, numbers: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
        """Rows of samples by number."""
        return self.tables.samples(numbers, columns)

    @contextmanager
    def source(self, row: Mapping[str, Any]) -> Iterator[StoredSample]:
        """Pixels of a sample; references lead into the corpus and the folders that the user named."""
        with only_references_in(named_roots(self.references)):
            yield self.corpus.source(row)


def explore(
    corpus: Corpus,
    index: SampleIndex,
    *,
    meaning: MeaningSearch | None = None,
    references: Path | None = None,
    maps: PhraseMaps | None = None,
    reports: tuple[Report, ...] = (),
) -> Explored:
    """Open a corpus for viewers.

    Raises:
        CorpusError: a table is missing or damaged.
    """
    reviews = Reviews(corpus)
    tables = Tables(corpus, index, reviews)
    zoomed = ZoomedPictures(corpus, index, tables, references)
    return Explored(corpus, index, tables, reviews, zoomed, meaning, references, maps, reports)
