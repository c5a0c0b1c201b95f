"""Draws to batches: the dataset behind every loader. A batch is a pure function of the view, the seed and its draws."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtile.corpus.remote.announcing import Place, announced_in_pieces, ends_of, is_mirror
from voxtile.corpus.view.view import Caption, CompiledView, Entry
from voxtile.data.batches import streams
from voxtile.data.batches.collated import LoadedItem, any_sample, batch_of, days_of
from voxtile.data.batches.dataset import BatchDataset, Draws, PackedPreset, ReadsInPart
from voxtile.data.batches.image_limits import kept_places, levelled
from voxtile.data.batches.supervision import Supervision
from voxtile.data.captions import CaptionPolicy, Text, TurningPreset, names_direction
from voxtile.data.dialogues import DialogueDraws, PreferenceDraws
from voxtile.data.presets.base import Preset
from voxtile.data.presets.roles import StudyReader, StudySource, pick_roles
from voxtile.data.regions.marked import MarkedRegions
from voxtile.data.regions.regions import Asked, RegionDraws
from voxtile.data.sample_cache import BaseCache, CacheablePreset, CacheableStudies
from voxtile.errors import ConfigError, CorpusError, VoxtileError
from voxtile.types import Batch, Turn

Unit = Literal["sample", "study"]


class _Wanted(NamedTuple):
    """An item, the number that keys its randomness (None means evaluation), and how many images it may give."""

    item: int
    number: int | None
    limit: int


@dataclass
class DrawDataset(BatchDataset):
    """Turns draws into a batch.

    Attributes:
        view: the compiled view.
        preset: preprocessing.
        captions: caption policy.
        seed: of the run.
        split: split of the items, or None for the whole view.
        unit: whether an item is a sample or a study.
        max_images_per_item: a study with more images gives a random subset in training, and evenly spaced ones
            otherwise.
        cache: deterministic parts kept in memory, or None.
        sample_captions: which texts go with each image of a study by itself; None for none.
        max_images_per_batch: budget of images of one batch, shared so that the largest studies give most; 0 for none.
        regions: draws phrases with their masks for items of one image, or None.
        with_images: whether images are loaded; without, each is an empty tensor.
        with_regions: whether regions are placed where images are left out.
        still: images and what lies on them are not augmented.
        dialogues: draws questions and answers for items, or None.
        marked: places regions that their questions mark, or None.
        preferences: draws pairs of answers for items, or None.

    Raises:
        ConfigError: the preset reads studies and an item is a sample, or masks are asked of items of several images.
    """

    view: CompiledView
    preset: Preset
    captions: CaptionPolicy
    seed: int = 0
    split: str | None = None
    unit: Unit = "sample"
    max_images_per_item: int = 0
    cache: BaseCache | None = None
    sample_captions: CaptionPolicy | None = None
    max_images_per_batch: int = 0
    regions: RegionDraws | None = None
    with_images: bool = True
    with_regions: bool = False
    still: bool = False
    dialogues: DialogueDraws | None = None
    marked: MarkedRegions | None = None
    preferences: PreferenceDraws | None = None
    _first: int = field(init=False, default=0)
    _count: int = field(init=False, default=0)
    # To ask a protocol takes longer than all else that is looked up of an item.
    _of_studies: StudyReader | None = field(init=False, default=None)
    _in_part: ReadsInPart | None = field(init=False, default=None)
    _supervision: Supervision = field(init=False)

    def __post_init__(self) -> None:
        self._of_studies = self.preset if isinstance(self.preset, StudyReader) else None
        self._in_part = self.preset if isinstance(self.preset, ReadsInPart) else None
        if self._of_studies is not None and (self.unit != "study" or self.sample_captions is not None):
            raise ConfigError(
                "data.preset makes one image of a whole study; set data.unit to study, and no data.sample_captions"
            )
        self._supervision = Supervision(
            self.view,
            seed=self.seed,
            split=self.split,
            of_samples=self.unit == "sample",
            one_image=self.unit == "sample" or self._of_studies is not None,
            regions=self.regions,
            dialogues=self.dialogues,
            marked=self.marked,
            preferences=self.preferences,
        )
        items = self.view.rows(self.split) if self.unit == "sample" else self.view.studies(self.split)
        self._first, self._count = items.start, len(items)

    def __len__(self) -> int:
        return self._count

    def load(self, draws: Draws) -> Batch:
        """Load a batch; images are as `PackedPreset.pixels` leaves them where the preset is packed.

        Raises:
            CorpusError: a sample is damaged.
        """
        numbers = draws.numbers if draws.numbers is not None else draws.items
        wanted: Iterable[_Wanted] = self._wanted(draws)
        if self.is_remote and self.with_images and not draws.is_announced:
            worker = torch.utils.data.get_worker_info()
            sharers = 1 if worker is None else worker.num_workers
            wanted = announced_in_pieces(list(wanted), self._places, sharers=sharers)
        items = [self._item(*one) for one in wanted]
        grid, marked = (None if drawn is None else self.preset.grid for drawn in (self.regions, self.marked))
        with_samples = self.sample_captions is not None
        return batch_of(items, numbers, self.view, region_grid=grid, with_samples=with_samples, marked_grid=marked)

    def places(self, draws: Draws) -> Iterator[Place]:
        """Where the images and masks lie that a batch is made of, for remote corpora."""
        if self.with_images:
            for one in self._wanted(draws):
                yield from self._places(one)

    def _wanted(self, draws: Draws) -> Iterator[_Wanted]:
        items = draws.items.tolist()
        numbers = [None] * len(items) if draws.numbers is None else draws.numbers.tolist()
        return itertools.starmap(_Wanted, zip(items, numbers, self._limits(items), strict=True))

    def _places(self, wanted: _Wanted) -> Iterator[Place]:
        entries = self._entries(wanted.item)
        whole = self._of_studies is not None
        kept = range(len(entries)) if whole else self._kept(len(entries), wanted.limit, wanted.number)
        for entry in (entries[place] for place in kept):
            share = 1.0 if self._in_part is None else self._in_part.share_read(self.view.meta(entry))
            yield from itertools.chain.from_iterable(ends_of(place, share) for place in self.view.places(entry))
        if self.regions is not None:
            shown = entries if whole else entries[:1]
            facts = any_sample([self.view.facts(entry) for entry in entries])
            yield from self._supervision.places(self._asked(shown, facts, wanted.number))
        if not whole:
            dialogues = self._supervision.dialogues_of(entries, wanted.number)
            for entry in self._supervision.shown_besides(entries, dialogues):
                yield from self.view.places(entry)

    @property
    def is_remote(self) -> bool:
        """Whether any of the corpora is."""
        return any(is_mirror(root) for root in self.view.roots)

    def texts(self, items: int) -> list[str]:
        """Distinct texts that the policy allows, of at most `items` evenly spaced items, in order."""
        policies = [replace(p, per_item=0) for p in (self.captions, self.sample_captions) if p is not None]
        found = dict[int, str]()
        if self.regions is not None:
            found |= {-1 - place: text for place, text in enumerate(self.regions.texts())}
        for item in self._spaced(items):
            captions = [c for entry in self._entries(item) for c in self.view.captions(entry)]
            for text in (text for policy in policies for text in policy.choose(captions, None)):
                found.setdefault(text.text_hash, text.text)
        return list(found.values())

    def dated(self, items: int) -> bool:
        """Whether any of at most `items` evenly spaced items has images of different dates."""
        whole = self._of_studies is not None  # one image of each study
        return not whole and any(
            len({e.moment for e in self._entries(item)} - {None}) > 1 for item in self._spaced(items)
        )

    def fact_states(self, items: int) -> set[tuple[str, bool]]:
        """Facts that any of at most `items` evenly spaced items has (True) or has not (False), by name."""
        facts = [any_sample([self.view.facts(entry) for entry in self._entries(item)]) for item in self._spaced(items)]
        return {
            (name, state == 1)
            for column, name in enumerate(self.view.concepts)
            for state in {int(fact[column]) for fact in facts} - {-1}
        }

    def turns(self) -> Iterator[Turn]:
        """Questions and answers that may be drawn, of all items in order."""
        if self.dialogues is not None:
            for item in range(len(self)):
                yield from self._supervision.turns_of(self._entries(item))

    @property
    def has_talks(self) -> bool:
        """Whether any item has a dialogue of several questions that may be drawn."""
        return self.dialogues is not None and any(
            self._supervision.has_talks(self._entries(item)) for item in range(len(self))
        )

    @property
    def has_preferences(self) -> bool:
        """Whether any item has a pair of answers that may be drawn."""
        return self.preferences is not None and any(
            self._supervision.has_pairs(self._entries(item)) for item in range(len(self))
        )

    def region_phrases(self) -> list[str]:
        """Different phrases of regions, in order."""
        return [] if self.regions is None else self.regions.texts()

    def region_names(self) -> list[str]:
        """Different names of regions that are asked for, in order."""
        return [] if self.regions is None else list(self.regions.table.phrases)

    def _spaced(self, items: int) -> list[int]:
        """At most `items` of them, evenly spaced."""
        return [int(item) for item in np.linspace(0, len(self) - 1, min(items, len(self))).round()]

    def _entries(self, item: int) -> list[Entry]:
        number = self._first + item
        return [self.view.entry(row) for row in ([number] if self.unit == "sample" else self.view.study_rows(number))]

    def _item(self, item: int, number: int | None, limit: int) -> LoadedItem:
        """Load one item; `number` keys its randomness, None means evaluation."""
        entries = self._entries(item)
        if self._of_studies is not None:
            return self._whole(item, entries, self._of_studies, number)
        captions = [self.view.captions(entry) for entry in entries]
        kept = self._kept(len(entries), limit, number)
        chosen = [entries[i] for i in kept]
        texts = self._texts([c for own in captions for c in own], number)
        sample_texts = self._sample_texts([captions[i] for i in kept], number)
        facts = any_sample([self.view.facts(entry) for entry in entries])
        asked = self._asked(entries[:1], facts, number)
        dialogues = self._supervision.dialogues_of(entries, number)
        said = itertools.chain(
            (text.text for own in (texts, *sample_texts) for text in own),
            (a.text for a in asked),
            (text for turns in dialogues or () for turn in turns for text in (turn.question, turn.answer)),
        )
        preset = self.preset
        if isinstance(preset, TurningPreset) and any(names_direction(text) for text in said):
            preset = preset.upright
        pixels = partial(self._pixels, number)
        dialogues, marked = self._supervision.marked_in(entries[:1], dialogues, preset, pixels, number)
        return LoadedItem(
            lead=entries[0],
            entries=chosen,
            images=[self._image(preset, entry, self._pixels(number, i)) for i, entry in enumerate(chosen)],
            texts=texts,
            sample_texts=sample_texts,
            facts=facts,
            days=days_of(chosen, entries),
            regions=self._supervision.masks(entries[:1], asked, preset, pixels),
            dialogues=dialogues,
            marked=marked,
            preferences=self._supervision.pairs(entries, number),
            others=[
                (entry.uid, self._image(preset, entry, None if self.still else self._rng(number, streams.OTHER + i)))
                for i, entry in enumerate(self._supervision.shown_besides(entries, dialogues))
            ],
        )

    def _asked(self, entries: list[Entry], facts: npt.NDArray[np.int8], number: int | None) -> list[Asked]:
        return self._supervision.asked(entries, facts, number) if self.with_images or self.with_regions else []

    def _whole(self, item: int, entries: list[Entry], preset: StudyReader, number: int | None) -> LoadedItem:
        """A study as one image, from a sample for each role."""
        captions = [caption for entry in entries for caption in self.view.captions(entry)]
        facts = any_sample([self.view.facts(entry) for entry in entries])
        asked = self._asked(entries, facts, number)
        dialogues, pixels = self._supervision.dialogues_of(entries, number), partial(self._pixels, number)
        dialogues, marked = self._supervision.marked_in(entries, dialogues, self.preset, pixels, number)
        return LoadedItem(
            lead=entries[0],
            entries=entries[:1],
            images=[self._study_image(item, entries, preset, pixels())],
            texts=self._texts(captions, number),
            sample_texts=[],
            facts=facts,
            days=days_of(entries[:1], entries[:1]),
            regions=self._supervision.masks(entries, asked, self.preset, pixels),
            dialogues=dialogues,
            marked=marked,
            preferences=self._supervision.pairs(entries, number),
        )

    def _study_image(
        self, item: int, entries: list[Entry], preset: StudyReader, rng: np.random.Generator | None
    ) -> Tensor:
        if not self.with_images:
            return torch.empty(0)
        try:
            earlier = [self.view.entry(row) for row in self.view.prior_rows(self._first + item)]
            study, prior = ({e.uid: self.view.meta(e) for e in found} for found in (entries, earlier))
            known = {entry.uid: entry for entry in (*entries, *earlier)}
            uids = pick_roles(preset.role_names, study, prior)
            source = StudySource(tuple(None if uid is None else self.view.source(known[uid]) for uid in uids))
            if self.cache is not None and isinstance(preset, CacheableStudies):
                base = self.cache.get(self._first + item, lambda: preset.study_base(source))
                return preset.finish_study(base, rng)
            return preset.read_study(source, rng)
        except VoxtileError as error:
            raise CorpusError(f"the study of sample {entries[0].uid} cannot be loaded: {error}") from error

    def _texts(self, captions: list[Caption], number: int | None) -> list[Text]:
        return self.captions.choose(captions, self._rng(number, streams.CAPTION), self._states_finding)

    def _states_finding(self, hashes: Sequence[int]) -> npt.NDArray[np.bool_]:
        """[n] whether each text states a fact as present."""
        return np.asarray((self.view.text_facts(list(hashes)) == 1).any(1), np.bool_)

    def _sample_texts(self, captions: list[list[Caption]], number: int | None) -> list[list[Text]]:
        """Texts of each image by itself."""
        if self.sample_captions is None:
            return []
        rng = self._rng(number, streams.SAMPLE_CAPTION)
        return [self.sample_captions.choose(own, rng, self._states_finding) for own in captions]

    def _limits(self, items: list[int]) -> list[int]:
        """How many images each item may give; 0 for all."""
        budget, limit = self.max_images_per_batch, self.max_images_per_item
        if not budget or self.unit == "sample":
            return [limit] * len(items)
        return levelled([len(self.view.study_rows(self._first + item)) for item in items], limit, budget)

    def _kept(self, count: int, limit: int, number: int | None) -> list[int]:
        return kept_places(count, limit, lambda: self._rng(number, streams.SUBSET))

    def _image(self, preset: Preset, entry: Entry, rng: np.random.Generator | None) -> Tensor:
        if not self.with_images:
            return torch.empty(0)
        source = self.view.source(entry)
        try:
            if self.cache is not None and isinstance(preset, CacheablePreset):
                return preset.finish(self.cache.get(entry.row, lambda: preset.base(source)), rng)
            return preset.pixels(source, rng) if isinstance(preset, PackedPreset) else preset(source, rng)
        except VoxtileError as error:
            raise CorpusError(f"sample {entry.uid} cannot be loaded: {error}") from error

    def _pixels(self, number: int | None, image: int = 0) -> np.random.Generator | None:
        """What augments an image of an item, and moves what lies on it."""
        return None if self.still else self._rng(number, streams.PIXEL + image)

    def _rng(self, number: int | None, stream: int) -> np.random.Generator | None:
        return streams.generator(self.seed, stream, number)
