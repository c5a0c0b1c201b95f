"""One pass over the images of a split: embeddings, fact-head probabilities and the trivial baseline's features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtile.corpus.acquisition_time import days_since_latest, moment
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.baselines import SimpleFeatures
from voxtile.evaluation.inputs.texts import normalised
from voxtile.evaluation.inputs.units import Units
from voxtile.models.protocol import EvaluationModel

Loader: TypeAlias = Callable[[Sequence[str]], Iterable[tuple[Sequence[str], Tensor]]]
"""From sample uids to batches (uids, images [S, C, *G]) in the same order."""


PairLogits: TypeAlias = Callable[[Tensor], Mapping[str, npt.NDArray[np.float64]]]
"""From images [S, C, *G] to logits [S, T] with the prompts of a task, by the name of what scores pairs."""


@runtime_checkable
class JointModel(Protocol):
    """A model that gives embeddings and fact logits from one pass through its image tower."""

    def encode_images_with_facts(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[S, C, *G] to [S, D] normalised embeddings and [S, F] logits."""


@runtime_checkable
class StudyModel(Protocol):
    """A model with a study tower: it embeds the samples of a study together."""

    @property
    def pools_studies(self) -> bool:
        """Whether it has a study tower."""

    @property
    def study_fact_names(self) -> tuple[str, ...]:
        """Concepts that an auxiliary head predicts of whole studies; empty without one."""

    def encode_vectors(self, images: Tensor) -> Tensor:
        """[S, C, *G] to the [S, W] vectors that the study tower takes."""

    def encode_studies(self, vectors: Tensor, owner: Tensor, count: int) -> tuple[Tensor, Tensor | None]:
        """[S, W] and the study of each, to [N, D] normalised embeddings and [N, F] logits of facts, or None."""


@runtime_checkable
class DatedModel(Protocol):
    """A model whose study tower may read when the samples were acquired."""

    @property
    def reads_dates(self) -> bool:
        """Whether it does."""

    def encode_studies(
        self, vectors: Tensor, owner: Tensor, count: int, days: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """As `StudyModel.encode_studies`, with the days [S] since the latest sample of the study, NaN if unknown."""


@runtime_checkable
class StoredVectors(Protocol):
    """A model whose vectors are there already, by sample."""

    def vectors_of(self, uids: Sequence[str]) -> Tensor:
        """[S, D] vectors of samples."""


@dataclass(frozen=True)
class Encoded:
    """What is known of the units of one split.

    Where a study tower has embedded whole units, each unit counts as its own only sample.

    Attributes:
        units: the units.
        embeddings: [S, D] normalised, of the samples; None where only features were wanted.
        facts: [S, F] probabilities of the fact head, or None without one.
        simple: [N, P] features of the trivial baseline, mean over a unit's samples.
        fact_names: concepts of `facts`, in order.
        pairs: [S, T] logits of the samples with the prompts of the task, by the name of what scores pairs.
    """

    units: Units
    embeddings: npt.NDArray[np.float64] | None
    facts: npt.NDArray[np.float64] | None
    simple: npt.NDArray[np.float32]
    fact_names: tuple[str, ...] = ()
    pairs: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class EncodedBatch:
    """What one batch gives.

    Attributes:
        uids: of its samples.
        embeddings: [S, D], or None without a model, or where a study tower has the vectors.
        facts: [S, F] probabilities of the fact head, or None without one.
        vectors: [S, W] that a study tower takes, or None.
        simple: [S, P] features of the trivial baseline.
        pairs: as in `Encoded`.
    """

    uids: tuple[str, ...]
    embeddings: npt.NDArray[np.float64] | None
    facts: npt.NDArray[np.float64] | None
    vectors: Tensor | None
    simple: npt.NDArray[np.float32]
    pairs: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


Elsewhere: TypeAlias = Callable[[Loader, Sequence[str], SimpleFeatures, bool, bool], Iterable[EncodedBatch] | None]
"""From a loader, uids, features, and whether the model and its study tower are asked, to batches; None: do it here."""

_ELSEWHERE: ContextVar[Elsewhere | None] = ContextVar("encoding elsewhere", default=None)


@contextmanager
def encoding_elsewhere(elsewhere: Elsewhere) -> Iterator[None]:
    """Within it, batches are encoded by somebody else, such as the nodes of a cluster."""
    token = _ELSEWHERE.set(elsewhere)
    try:
        yield
    finally:
        _ELSEWHERE.reset(token)


def encode_split(
    model: EvaluationModel | None,
    units: Units,
    loader: Loader,
    features: SimpleFeatures,
    advance: Callable[[int], None] = lambda _: None,
    *,
    studies: bool = False,
    dates: Mapping[str, str | None] | None = None,
    pairs: PairLogits | None = None,
) -> Encoded:
    """Read every sample of a split once.

    Args:
        model: None for the training split, of which only the baseline's features are needed.
        units: of the split.
        loader: gives the images.
        features: of the trivial baseline.
        advance: told the number of samples done, for a progress bar.
        studies: units are studies, which a study tower embeds as wholes where the model has one.
        dates: `datetime` of samples by uid, for a study tower that reads them; those left out are unknown.
        pairs: what scores images with prompts, where the model is asked and something is.

    Raises:
        EvaluationError: an embedding is not finite; names the sample.
    """
    together = model if studies and isinstance(model, StudyModel) and model.pools_studies else None
    elsewhere = _ELSEWHERE.get() if pairs is None else None
    batches = elsewhere(loader, units.uids, features, model is not None, together is not None) if elsewhere else None
    if batches is None:
        batches = encode_batches(model, loader, units.uids, features, studies=together is not None, pairs=pairs)
    done: list[EncodedBatch] = []
    for batch in batches:
        if model is not None:
            _check_finite(model, batch.uids, batch.embeddings, batch.facts, *batch.pairs.values())
        done.append(batch)
        advance(len(batch.uids))
    means = (
        unit_means(np.concatenate([batch.simple for batch in done]), units) if done else np.empty((0, 0), np.float32)
    )
    vectors = [batch.vectors for batch in done if batch.vectors is not None]
    if together is not None and model is not None and vectors:
        days = _days(units, dates or {}) if isinstance(together, DatedModel) and together.reads_dates else None
        with torch.inference_mode():
            return _encode_studies(model, together, units, torch.cat(vectors), means, days)
    embeddings = [batch.embeddings for batch in done if batch.embeddings is not None]
    facts = [batch.facts for batch in done if batch.facts is not None]
    return Encoded(
        units,
        normalised(np.concatenate(embeddings)) if embeddings else None,
        np.concatenate(facts) if facts else None,
        means,
        model.fact_names if model is not None else (),
        {name: np.concatenate([batch.pairs[name] for batch in done]) for name in (done[0].pairs if done else ())},
    )


def encode_batches(
    model: EvaluationModel | None,
    loader: Loader,
    uids: Sequence[str],
    features: SimpleFeatures,
    *,
    studies: bool = False,
    pairs: PairLogits | None = None,
) -> Iterator[EncodedBatch]:
    """The costly part of `encode_split`: read images and encode them, a batch at a time.

    Args:
        model: as all but these two in `encode_split`.
        loader: gives the images.
        uids: of the samples.
        features: of the trivial baseline.
        studies: a study tower will have the vectors.
        pairs: what scores images with prompts.
    """
    for batch, images in loader(uids):
        embedded = facts = vectors = None
        scored: Mapping[str, npt.NDArray[np.float64]] = {}
        with torch.inference_mode():  # not over a yield, where it would hold for whoever reads
            if studies and isinstance(model, StudyModel):
                vectors = model.encode_vectors(images)
            elif isinstance(model, StoredVectors):
                embedded = model.vectors_of(batch).double().numpy()
            elif model is not None:
                embedded, logits = _encode(model, images)
                facts = None if logits is None else _probabilities(logits)
                scored = pairs(images) if pairs is not None else {}
            encoded = EncodedBatch(tuple(batch), embedded, facts, vectors, features(images), scored)
        yield encoded


def _encode_studies(
    model: EvaluationModel,
    together: StudyModel,
    units: Units,
    vectors: Tensor,
    means: npt.NDArray[np.float32],
    days: Tensor | None,
) -> Encoded:
    owner = torch.from_numpy(units.owner)
    if days is not None and isinstance(together, DatedModel):
        embedded, logits = together.encode_studies(vectors, owner, len(units), days)
    else:
        embedded, logits = together.encode_studies(vectors, owner, len(units))
    embeddings = embedded.detach().cpu().double().numpy()
    facts = None if logits is None else _probabilities(logits)
    _check_finite(model, units.names, embeddings, facts)
    return Encoded(
        units.whole(),
        normalised(embeddings),
        facts,
        means,
        together.study_fact_names,
    )


def _days(units: Units, dates: Mapping[str, str | None]) -> Tensor:
    """[S] float32 days since the latest sample of the unit, as `Batch.image_days`."""
    moments = [moment(dates.get(uid)) for uid in units.uids]
    found: list[float] = []
    for start, stop in pairwise(np.searchsorted(units.owner, np.arange(len(units) + 1)).tolist()):
        found += days_since_latest(moments[start:stop])
    return torch.tensor(found, dtype=torch.float32)


def _probabilities(logits: Tensor) -> npt.NDArray[np.float64]:
    result: npt.NDArray[np.float64] = torch.sigmoid(logits.double()).cpu().numpy()
    return result


def unit_means(values: npt.NDArray[np.generic], units: Units) -> npt.NDArray[np.float32]:
    """[S, P] of samples to [N, P] of units, the mean over a unit's samples."""
    return _means(values, units).astype(np.float32)


def unit_embeddings(embeddings: npt.NDArray[np.float64], units: Units) -> npt.NDArray[np.float64]:
    """[S, D] to [N, D]: the mean of a unit's normalised embeddings, normalised again."""
    return normalised(_means(embeddings, units))


def unit_scores(scores: npt.NDArray[np.float64], units: Units) -> npt.NDArray[np.float64]:
    """[S, K] to [N, K]: the mean of a unit's scores."""
    return _means(scores, units)


def _means(values: npt.NDArray[np.generic], units: Units) -> npt.NDArray[np.float64]:
    if len(units) == len(units.uids):
        return values.astype(np.float64)
    sums = np.zeros((len(units), values.shape[1]))
    np.add.at(sums, units.owner, values)
    return sums / np.bincount(units.owner, minlength=len(units))[:, None]


def _encode(model: EvaluationModel, images: Tensor) -> tuple[npt.NDArray[np.float64], Tensor | None]:
    """Embeddings and fact logits, from one pass through the tower where the model offers it."""
    if not model.fact_names:
        return model.encode_images(images).detach().cpu().double().numpy(), None
    if isinstance(model, JointModel):
        embeddings, logits = model.encode_images_with_facts(images)
    else:
        embeddings, logits = model.encode_images(images), model.fact_logits(images)
    return embeddings.detach().cpu().double().numpy(), logits


def _check_finite(model: EvaluationModel, uids: Sequence[str], *values: npt.NDArray[np.float64] | None) -> None:
    """Refuse embeddings, fact scores or logits that are not finite; None stands for what is not there."""
    for place, part in enumerate(values):
        if part is not None and len(wrong := np.flatnonzero(~np.isfinite(part).all(axis=1))):
            raise EvaluationError(
                f"model '{model.name}' gives {'a score' if place else 'an embedding'} that is not finite "
                f"for sample {uids[wrong[0]]}; look at it with: voxtile extract CORPUS {uids[wrong[0]]} --to png"
            )
