"""Phrases in files and arrays, as arrays."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from voxtile.api.corpus import Geometry, geometry_of
from voxtile.api.inputs import Given, as_sample, check_metas, file_corpus, images_of
from voxtile.corpus.reader import Corpus
from voxtile.data.presets.base import Preset
from voxtile.data.presets.roles import StudyReader
from voxtile.data.regions.masks import joined_mask, nodata_regions
from voxtile.grounding.sliding_windows import ground_sample
from voxtile.inference.similarity.model import SimilarityModel
from voxtile.models.flattening import Flattening
from voxtile.models.protocol import EvaluationModel, GroundingModel
from voxtile.models.rgb_pictures import flattened_preset
from voxtile.stages.ground.command import showing
from voxtile.stages.ground.slides import ground_slide
from voxtile.stages.ground.studies import ground_studies

_PRESENCE = 0.5  # from which a patch of a slide is believed to have a target at all


@dataclass(frozen=True)
class Grounded:
    """Where a phrase is in an image.

    Attributes:
        phrase: what was asked.
        presence: how far the model believes that there is a target at all, 0 to 1. By similarity it is half of one plus
            the cosine of image and phrase.
        probability: [*H] float32 in 0 to 1, on the grid of `geometry`. By similarity it is a share of the range of the
            map over the image, and says where rather than whether.
        geometry: of the grid; for a file its own, for a slide that of the map.
    """

    phrase: str
    presence: float
    probability: npt.NDArray[np.float32]
    geometry: Geometry

    def mask(self, threshold: float = 0.5, presence: float = 0.5) -> npt.NDArray[np.bool_]:
        """[*H] bool: nothing where the target is believed to be absent.

        Args:
            threshold: probability from which a voxel belongs to the target.
            presence: from which there is a target. Both are best taken from a report of `voxtile evaluate`.
        """
        return (self.probability >= threshold) & (self.presence >= presence)


class _Shows:
    """What answers phrases: the model's decoder, or its similarity."""

    def __init__(self, model: EvaluationModel, method: str, phrases: list[str]) -> None:
        self._model: GroundingModel = showing(model, method)  # type: ignore[arg-type]
        self._phrases = phrases
        self.finish = self._model.scaled if isinstance(self._model, SimilarityModel) else None

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self._model.ground(images, self._phrases)


def ground_array(
    model: EvaluationModel, image: object, phrases: list[str], method: str, overlap: float, given: Given
) -> list[Grounded]:
    """Phrases in an array, see `Model.ground`."""
    shows = _Shows(model, method, phrases)
    sample = as_sample(image, model.preset, given)
    preset = _preset(model.preset, [sample.meta], {})  # bands are names of the array's channels
    check_metas(preset, [sample.meta])
    masks, there = ground_sample(shows, preset, sample, overlap=overlap, finish=shows.finish)
    return _answers(phrases, masks, there, geometry_of(sample.meta))


def ground_file(
    model: EvaluationModel,
    path: str | os.PathLike[str],
    phrases: list[str],
    method: str,
    overlap: float,
    given: Given,
) -> list[Grounded]:
    """Phrases in a file, see `Model.ground`."""
    shows = _Shows(model, method, phrases)
    with tempfile.TemporaryDirectory(prefix="voxtile-ground-") as folder:
        corpus = file_corpus(path, model.preset, Path(folder), given, overlap)
        rows = images_of(corpus, path, most=None)
        if all(row["level0_box"] is not None for row in rows):
            return _on_slide(shows, model.preset, corpus, phrases, Path(folder))
        if isinstance(model.preset, StudyReader):
            answers = ground_studies(shows, model.preset, corpus, finish=shows.finish)
            return [
                one
                for sample, masks, there in answers
                for one in _answers(phrases, masks, there, geometry_of(sample.meta))
            ]
        return _in_samples(shows, _preset(model.preset, rows, given), corpus, rows, phrases, overlap)


def _preset(preset: Preset, metas: Sequence[Mapping[str, Any]], given: Given) -> Preset:
    """The model's own, or for a model of pictures on a raster of many bands one that makes pictures of them."""
    if any(meta["kind"] == "volume" for meta in metas):
        return preset
    bands = given.get("bands")
    return flattened_preset(preset, metas, Flattening() if bands is None else Flattening(bands=tuple(bands)))


def _in_samples(
    shows: _Shows, preset: Preset, corpus: Corpus, rows: list[dict[str, Any]], phrases: list[str], overlap: float
) -> list[Grounded]:
    check_metas(preset, rows)
    empty, found = nodata_regions(corpus), []
    for row in rows:
        masks, there = ground_sample(shows, preset, corpus.source(row), overlap=overlap, finish=shows.finish)
        answers = _answers(phrases, masks, there, geometry_of(row))
        if row["uid"] in empty:  # where nothing was measured, nothing is shown
            measured = ~joined_mask(corpus, [empty[row["uid"]]], row).mask
            answers = [replace(one, probability=one.probability * measured) for one in answers]
        found += answers
    return found


def _on_slide(shows: _Shows, preset: Preset, corpus: Corpus, phrases: list[str], folder: Path) -> list[Grounded]:
    found = ground_slide(shows, preset, corpus, phrases, presence=_PRESENCE, folder=folder, finish=shows.finish)
    size = found.probability.shape[1:]
    (x, y), (sx, sy) = found.corner, found.scale
    box = (x, y, round(x + size[1] * sx), round(y + size[0] * sy))
    geometry = Geometry("YX", tuple(size), None, None, tuple(found.mpp), box, None, None, None, None)
    return [
        Grounded(phrase, float(there), np.array(probability, np.float32), geometry)
        for phrase, there, probability in zip(phrases, found.presence, found.probability, strict=True)
    ]


def _answers(phrases: list[str], masks: Tensor, there: Tensor, geometry: Geometry) -> list[Grounded]:
    pairs = zip(phrases, masks.float().numpy(), there.tolist(), strict=True)
    return [Grounded(phrase, believed, mask, geometry) for phrase, mask, believed in pairs]
