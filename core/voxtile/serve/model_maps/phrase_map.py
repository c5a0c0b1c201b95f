"""Where a phrase is in a sample, by the model that is served; the mathematics is that of `voxtile ground`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt
from torch import Tensor

from voxtile.api.inputs import check_metas
from voxtile.corpus.reader import Corpus
from voxtile.corpus.source import StoredSample
from voxtile.data.presets.base import Preset
from voxtile.data.presets.roles import StudyReader
from voxtile.data.presets.study import StudyPreset
from voxtile.data.regions.masks import joined_mask, spatial_shape
from voxtile.errors import ConfigError, EvaluationError, PresetError
from voxtile.formats.geometry import volume_affine
from voxtile.grounding.sliding_windows import ground_sample
from voxtile.models.flattening import Flattening
from voxtile.models.protocol import EvaluationModel, GroundingModel
from voxtile.models.rgb_pictures import flattened_preset
from voxtile.serve.model_maps.turns import Turns
from voxtile.stages.embed.clip_model import DualExtractor

Study: TypeAlias = Callable[[], Mapping[str, Mapping[str, Any]]]

STEPS = 200
"""Levels of a stored map: a threshold in hundredths cuts it exactly where it cuts the model's own answer."""

_MOST_PLACES = 1 << 27  # of a map: 1.5 times a CT of 512 × 512 × 340; at work it takes some 10 bytes a place
_MOST_KEPT = 256 << 20  # bytes of maps that are held
_LONGEST_PHRASE = 500  # characters


@dataclass(frozen=True)
class PhraseMap:
    """Where a phrase is in a sample.

    Attributes:
        phrase: what was asked.
        method: how it was shown.
        presence: how far the model believes that there is a target at all, 0 to 1; see `voxtile.api.grounding`.
        levels: [*H] uint8 on the sample's own grid, 0 to 200 for 0 to 1.
    """

    phrase: str
    method: str
    presence: float
    levels: npt.NDArray[np.uint8]

    def mask(self, threshold: float, presence: float) -> npt.NDArray[np.bool_]:
        """[*H] bool: nothing where the target is believed to be absent.

        Args:
            threshold: probability from which a place belongs to the target, in hundredths.
            presence: from which there is a target.
        """
        return (self.levels >= round(threshold * STEPS)) & (self.presence >= presence)


@dataclass
class PhraseMaps:
    """Maps of one model, computed one at a time; the last ones are held.

    Attributes:
        model: what shows phrases.
        turns: shared by all that computes with it.
    """

    model: EvaluationModel
    turns: Turns = field(default_factory=Turns)
    _kept: OrderedDict[tuple[str, str, str], PhraseMap] = field(default_factory=OrderedDict)

    @property
    def methods(self) -> tuple[str, ...]:
        """Ways in which the model can be asked, the first by itself; empty where it shows no phrases."""
        if isinstance(self.model.preset, StudyReader) and not isinstance(self.model.preset, StudyPreset):
            return ()
        from voxtile.inference.similarity.model import methods_of  # late: timm and what it imports take 120 MB

        decodes = isinstance(self.model, GroundingModel) and self.model.grounds
        try:
            similar: tuple[str, ...] = methods_of(self.model)
        except ConfigError:  # it reads no phrases
            similar = ()
        return (*(("decoder",) if decodes else ()), *similar)

    def held(self, uid: str, phrase: str, method: str) -> PhraseMap | None:
        """A map that was computed before; None where it was not, or is not held any more."""
        return self._kept.get((uid, phrase.strip(), method))

    def of(
        self,
        corpus: Corpus,
        source: StoredSample,
        regions: Sequence[Mapping[str, Any]],
        phrase: str,
        method: str,
        study: Study | None = None,
    ) -> PhraseMap:
        """The map of a phrase in a sample.

        Args:
            corpus: of the sample.
            source: the sample.
            regions: rows of the table of this sample where nothing was measured.
            phrase: what to show.
            method: one of `methods`, or auto.
            study: gives the rows of the sample's study by uid, with their `roles`; a model of whole studies asks.

        Raises:
            ConfigError: the model cannot show it in this sample; the sentence says why.
            CorpusError: the sample cannot be read.
        """
        phrase = phrase.strip()
        _check_asked(phrase, method)
        key = (str(source.meta["uid"]), phrase, method)
        if (held := self._kept.get(key)) is not None:
            return held
        with self.turns.taken():
            if (held := self._kept.get(key)) is not None:  # computed meanwhile for another viewer
                return held
            try:
                found = self._computed(corpus, source, regions, phrase, method, study)
            except (PresetError, EvaluationError) as error:
                raise ConfigError(str(error)) from error
            self._keep(key, found)
            return found

    def _computed(
        self,
        corpus: Corpus,
        source: StoredSample,
        regions: Sequence[Mapping[str, Any]],
        phrase: str,
        method: str,
        study: Study | None,
    ) -> PhraseMap:
        from voxtile.inference.similarity.model import SimilarityModel
        from voxtile.stages.ground.command import showing

        meta = source.meta
        preset = _preset_for(self.model, meta)
        shows = showing(self.model, cast(Any, method))

        def answer(images: Tensor) -> tuple[Tensor, Tensor]:
            return shows.ground(images, [phrase])

        similar = shows if isinstance(shows, SimilarityModel) else None
        finish = similar.scaled if similar else None
        if isinstance(preset, StudyPreset):
            from voxtile.stages.ground.studies import ground_study

            rows = _placed_study(study, meta)
            _, maps, there = ground_study(answer, preset, corpus, rows, str(meta["uid"]), finish=finish)
        else:
            maps, there = ground_sample(answer, preset, source, finish=finish)
        levels = _levels(maps[0].numpy())
        for region in regions:
            levels[joined_mask(corpus, [region], meta).mask] = 0
        return PhraseMap(phrase, similar.method if similar else "decoder", float(there[0]), levels)

    def _keep(self, key: tuple[str, str, str], found: PhraseMap) -> None:
        self._kept[key] = found
        while len(self._kept) > 1 and sum(one.levels.nbytes for one in self._kept.values()) > _MOST_KEPT:
            self._kept.popitem(last=False)


def phrase_maps(extractor: object) -> PhraseMaps | None:
    """What shows phrases by the model that words are searched by; None where it is no pair of encoders."""
    return PhraseMaps(extractor.pair) if isinstance(extractor, DualExtractor) else None


def _levels(shares: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """[*H] of 0 to 1 as whole numbers, row by row."""
    out = np.empty(shares.shape, np.uint8)
    for place, row in enumerate(shares):
        out[place] = np.floor(row * np.float32(STEPS)).clip(0, STEPS)
    return out


def _check_asked(phrase: str, method: str) -> None:
    if not phrase:
        raise ConfigError("there is no phrase; say what to look for in the image")
    if len(phrase) > _LONGEST_PHRASE:
        raise ConfigError(f"the phrase is {len(phrase):,} characters; at most {_LONGEST_PHRASE} are read")
    from voxtile.stages.ground.command import Way

    if method not in get_args(Way):
        raise ConfigError(f"phrases are shown by {', '.join(get_args(Way))}; there is no other way of this name")


def _placed_study(study: Study | None, meta: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    if study is None or meta["kind"] != "volume" or volume_affine(meta) is None:
        raise ConfigError(
            "this model reads whole studies, and its answers lie on volumes with a place in the patient, which this "
            "sample is not; open a series of the study"
        )
    return study()


def _preset_for(model: EvaluationModel, meta: Mapping[str, Any]) -> Preset | StudyPreset:
    """What prepares the sample for the model, which then can bring the answer back to the sample's grid."""
    preset = model.preset
    if isinstance(preset, StudyPreset):
        _check_places(meta)
        return preset
    if isinstance(preset, StudyReader):
        raise ConfigError(
            "this model reads whole studies sample by sample, and has no map of any of them; score classes by a model "
            "of single samples, or show phrases by one whose preset is StudyPreset"
        )
    if meta["kind"] != "volume":
        preset = flattened_preset(preset, [meta], Flattening())
    check_metas(preset, [meta])
    _check_places(meta)
    return preset


def _check_places(meta: Mapping[str, Any]) -> None:
    places = int(np.prod(spatial_shape(meta))) if meta.get("shape") else 0
    if places > _MOST_PLACES:
        raise ConfigError(
            f"this image has {places:,} places, too many for a map in the browser (at most {_MOST_PLACES:,}); write it "
            "to a file with voxtile ground"
        )
