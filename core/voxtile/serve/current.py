"""What is served now: a corpus that has changed is opened again beside the old one, and then takes its place."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from voxtile.console import note
from voxtile.corpus.parts import part_paths
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import SAMPLES, TABLES
from voxtile.errors import PresetError, VoxtileError
from voxtile.serve.explored import Explored, explore
from voxtile.serve.laid_out import kept_beside, laid_out, parts_key
from voxtile.serve.model_maps.phrase_map import PhraseMaps, phrase_maps
from voxtile.serve.reports.report import Report
from voxtile.serve.sample_index import SampleIndex
from voxtile.serve.search import APPROXIMATE_FROM
from voxtile.serve.search.embed_missing import count_made
from voxtile.serve.search.making import Making
from voxtile.serve.search.meaning import HeldImages, MeaningSearch, SearchModel
from voxtile.serve.search.nearest import Nearest
from voxtile.serve.search.vector_cache import vector_file
from voxtile.serve.search.vectors import Floats, VectorFile

_WATCHED = tuple(name for name in TABLES if name != "reviews")  # which the server itself writes
_LOOKED_S = 5.0  # between two looks at the folders
_SHARE = 10  # times as long as opening took, at least, until it is opened again
_CHECKED = 1000  # samples by which it is seen whether a model can take them
_TEXTS = 128  # captions by which the recall of searches by words is measured
_LISTS = "voxtile.serve.search.nearest_build"
_EMBED = "voxtile.serve.search.embed_missing"


@dataclass
class CurrentCorpus:
    """A corpus, or several as one, with a model.

    Attributes:
        roots: folders of the corpora.
        model: for search by words and likeness.
        model_spec: as it was named.
        references: folder outside the corpora from which pixels may be shown.
        reports: of `voxtile evaluate`, whose figures lead to samples.
        embed: make vectors of samples that have none.
        approximate_from: vectors beyond which search goes by lists of near vectors.
        changed: called with what is served from now on.

    Raises:
        CorpusError: a folder is not a corpus, or a table is damaged.
        PresetError: the model takes none of the samples.
    """

    roots: Sequence[Path]
    model: SearchModel | None = None
    model_spec: str = ""
    references: Path | None = None
    reports: tuple[Report, ...] = ()
    embed: bool = True
    approximate_from: int = APPROXIMATE_FROM
    changed: Callable[[Explored], None] = lambda _: None
    explored: Explored = field(init=False)
    _maps: PhraseMaps | None = field(init=False, repr=False)
    _images: HeldImages = field(default_factory=HeldImages, repr=False)
    _makings: list[Making] = field(default_factory=list, repr=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _ended: threading.Event = field(default_factory=threading.Event, repr=False)
    _state: str = field(default="", repr=False)
    _said: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        self._maps = phrase_maps(self.model)
        self._state = self._now()
        self.explored = self._opened()
        if self.explored.meaning is not None:
            self._complete(self.explored, self.explored.meaning)

    def refresh(self) -> bool:
        """Open the corpus again if it has changed; whether it did. One that cannot be read leaves the old one."""
        with self._opening:
            try:
                state = self._now()
                if state == self._state:
                    return False
                explored = self._opened()
            except (VoxtileError, OSError) as error:
                if str(error) != self._said:
                    note(f"the corpus has changed and cannot be read, what was there is served on: {error}")
                self._said = str(error)
                return False
            self._state, self._said = state, ""
            self.explored = replace(explored, reviews=self.explored.reviews)
            self.changed(self.explored)
            if self.explored.meaning is not None:
                self._complete(self.explored, self.explored.meaning)
            return True

    def watch(self) -> None:
        """Look after the corpus from now on."""
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        """Look no more, and end what is being made."""
        self._ended.set()
        for making in self._makings:
            making.stop()
        self._images.reader.close()

    def wait(self) -> None:
        """Until nothing is being made any more."""
        for making in list(self._makings):
            making.wait()

    def _watch(self) -> None:
        folders, next_look = self._folders(), 0.0
        while not self._ended.wait(_LOOKED_S):
            began, now = time.monotonic(), self._folders()
            if began < next_look and now == folders:
                continue  # one that was built anew may have forgotten somebody, which does not wait
            folders, share = now, _SHARE
            try:
                self.refresh()
            except Exception as error:  # whatever it is, later changes are to be seen
                note(f"the corpus has changed and cannot be opened again, what was there is served on: {error}")
                share = 1
            if self._said:  # it could not be read, perhaps for this moment alone
                share = 1
            next_look = time.monotonic() + share * (time.monotonic() - began)

    def _folders(self) -> list[tuple[int, int] | None]:
        """Which folders the corpora are now; None where there is none."""
        found: list[tuple[int, int] | None] = []
        for root in self.roots:
            try:
                status = root.stat()
            except OSError:
                found.append(None)
            else:
                found.append((status.st_dev, status.st_ino))
        return found

    def _now(self) -> str:
        roots = [*self.roots, *self._made_vectors()]
        return parts_key([part for root in roots for name in _WATCHED for part in part_paths(root, name)])

    def _opened(self) -> Explored:
        corpus = Corpus(*self.roots)
        index = SampleIndex(corpus)
        meaning = None
        if self.model is not None:
            holders = [*(Corpus(folder) for folder in self._made_vectors()), corpus]
            meaning = MeaningSearch(self.model, vector_file(holders, index, self.model.name), images=self._images)
        return explore(
            corpus, index, meaning=meaning, references=self.references, maps=self._maps, reports=self.reports
        )

    def _made_vectors(self) -> list[Path]:
        """Corpora outside the served ones that hold vectors which a server made."""
        if self.model is None:
            return []
        return [folder.parent for folder in sorted(self._vectors_folder().glob("*/tables"))]

    def _vectors_folder(self) -> Path:
        name = self.model.name if self.model is not None else ""
        return kept_beside(self.roots, f"made_{hashlib.sha256(name.encode()).hexdigest()[:8]}")

    def _complete(self, explored: Explored, meaning: MeaningSearch) -> None:
        """Begin to make what is missing: vectors, or lists of near vectors."""
        running = next((making for making in self._makings if making.is_running), None)
        if running is not None:
            meaning.making = running
        elif self.embed and self._wants_vectors(explored, meaning):
            self._add_vectors(explored, meaning)
        elif meaning.vectors is not None and meaning.vectors.count > self.approximate_from:
            self._add_lists(explored, meaning, meaning.vectors)

    def _making(self, what: str, total: int) -> Making:
        self._makings.append(Making(what, total))
        return self._makings[-1]

    def _add_vectors(self, explored: Explored, meaning: MeaningSearch) -> None:
        out = self._vectors_folder()
        total = len(explored.index) - meaning.searched + count_made(out)
        making = meaning.making = self._making("vectors", total)
        arguments = [self.model_spec, meaning.model.name, str(total), str(out), *map(str, self.roots)]

        def run() -> None:
            try:
                making.run(_EMBED, arguments)
            finally:
                self.refresh()

        making.follow(run)

    def _wants_vectors(self, explored: Explored, meaning: MeaningSearch) -> bool:
        """Whether there are samples without a vector that the model takes.

        Raises:
            PresetError: it takes none, and there is no vector.
        """
        if any(making.what == "vectors" and making.problem for making in self._makings):
            return False
        present = meaning.vectors.present if meaning.vectors is not None else np.zeros(len(explored.index), np.bool_)
        missing = np.flatnonzero(~present)[:_CHECKED]
        try:
            meaning.model.check(explored.rows(missing.tolist(), SAMPLES.names))
        except PresetError as error:
            if meaning.vectors is None:
                raise PresetError(
                    f"{error}; name a model of this domain, or make vectors of those samples that it takes with "
                    "voxtile embed --where"
                ) from error
            return False
        return len(missing) > 0

    def _add_lists(self, explored: Explored, meaning: MeaningSearch, vectors: VectorFile) -> None:
        making = meaning.making = self._making("lists of near vectors", vectors.count)
        key = hashlib.sha256(f"2 {vectors.path.parent.name}".encode()).hexdigest()[:24]

        def build(folder: Path) -> None:
            with tempfile.NamedTemporaryFile(suffix=".npy") as file:
                np.save(file, _text_queries(explored, meaning))
                file.flush()
                arguments = [str(vectors.path.parent), str(vectors.width), file.name, str(folder)]
                making.run(_LISTS, arguments)

        def run() -> None:
            name = f"nearest_{hashlib.sha256(meaning.model.name.encode()).hexdigest()[:8]}"
            meaning.nearest = Nearest(laid_out(self.roots, name, key, build), vectors)

        making.follow(run)


def _text_queries(explored: Explored, meaning: MeaningSearch) -> Floats:
    """[Q, D] of some captions, by which the recall of searches by words is measured."""
    rows = explored.tables.rows(
        f"SELECT DISTINCT left(text, 300) AS text FROM captions ORDER BY md5(left(text, 300)) LIMIT {_TEXTS}"
    )
    vectors = []
    for row in rows:
        try:
            vectors.append(meaning.text_vector(str(row["text"])))
        except VoxtileError:  # a text that the model does not take says nothing of words that it takes
            continue
    width = meaning.vectors.width if meaning.vectors is not None else 0
    return np.stack(vectors).astype(np.float32) if vectors else np.zeros((0, width), np.float32)
