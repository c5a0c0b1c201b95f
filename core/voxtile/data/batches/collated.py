"""Items as they are loaded, and the batch that several of them make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtile.corpus.acquisition_time import days_since_latest
from voxtile.corpus.view.view import CompiledView, Entry
from voxtile.data.captions import Text
from voxtile.data.regions.regions import Placed, stacked
from voxtile.types import Batch, OtherImages, Preferred, Turn


class LoadedItem(NamedTuple):
    """A sample or a study with what was drawn of it.

    Attributes:
        lead: the sample that names the item.
        entries: one for each image.
        images: [C, *grid] each, or empty tensors.
        texts: of the item.
        sample_texts: of each image by itself; empty where none go with them.
        facts: [F] 1 present, 0 absent, -1 unknown.
        days: of each image since the latest of the item; NaN where that is unknown.
        regions: phrases with their masks on the first image.
        dialogues: questions and answers about the images; None where none are drawn.
        marked: regions that the questions mark, by id.
        preferences: pairs of answers about them; None where none are drawn.
        others: uid and image of what they show beside these.
    """

    lead: Entry
    entries: list[Entry]
    images: list[Tensor]
    texts: list[Text]
    sample_texts: list[list[Text]]
    facts: npt.NDArray[np.int8]
    days: list[float]
    regions: Sequence[Placed] = ()
    dialogues: tuple[tuple[Turn, ...], ...] | None = None
    marked: Sequence[Placed] = ()
    preferences: tuple[Preferred, ...] | None = None
    others: Sequence[tuple[str, Tensor]] = ()


def batch_of(
    items: Sequence[LoadedItem],
    numbers: npt.NDArray[np.int64],
    view: CompiledView,
    *,
    region_grid: tuple[int, ...] | None,
    with_samples: bool,
    marked_grid: tuple[int, ...] | None = None,
) -> Batch:
    """One batch of several items.

    Args:
        items: in the order of their draws.
        numbers: of the draws.
        view: that they are of.
        region_grid: grid of the masks of regions; None where none were drawn.
        with_samples: whether the images are items of their own, too.
        marked_grid: grid of the masks of regions that questions mark; None where none are loaded.
    """
    texts = [text for item in items for text in item.texts]
    return Batch(
        images=torch.stack(one_type([image for item in items for image in item.images])),
        image_item=_owners([len(item.images) for item in items]),
        texts=[text.text for text in texts],
        text_item=_owners([len(item.texts) for item in items]),
        study=torch.tensor([item.lead.study for item in items], dtype=torch.int64),
        subject=torch.tensor([item.lead.subject for item in items], dtype=torch.int64),
        text_hash=torch.tensor([text.text_hash for text in texts], dtype=torch.int64),
        facts=torch.from_numpy(np.stack([item.facts for item in items])),
        fact_names=view.concepts,
        uids=[item.lead.uid for item in items],
        draws=torch.tensor(numbers, dtype=torch.int64),
        text_facts=torch.from_numpy(view.text_facts([text.text_hash for text in texts])),
        text_kinds=[text.kind for text in texts],
        samples=_samples(items, numbers, view) if with_samples else None,
        regions=None if region_grid is None else stacked([item.regions for item in items], region_grid),
        image_days=_known_days([days for item in items for days in item.days]),
        dialogues=_dialogues(items),
        marked=None if marked_grid is None else stacked([item.marked for item in items], marked_grid),
        preferences=_preferences(items),
        others=_others([item.others for item in items]),
    )


def _dialogues(items: Sequence[LoadedItem]) -> list[tuple[tuple[Turn, ...], ...]] | None:
    found = [item.dialogues for item in items if item.dialogues is not None]
    return found if len(found) == len(items) else None


def _preferences(items: Sequence[LoadedItem]) -> list[tuple[Preferred, ...]] | None:
    found = [item.preferences for item in items if item.preferences is not None]
    return found if len(found) == len(items) else None


def _others(shown: Sequence[Sequence[tuple[str, Tensor]]]) -> OtherImages | None:
    found = [one for own in shown for one in own]
    if not found:
        return None
    images = torch.stack(one_type([image for _, image in found]))
    return OtherImages(images, _owners([len(own) for own in shown]), [uid for uid, _ in found])


def _samples(items: Sequence[LoadedItem], numbers: npt.NDArray[np.int64], view: CompiledView) -> Batch:
    """The images of the items as items of their own, see `Batch.samples`."""
    entries = [entry for item in items for entry in item.entries]
    texts = [text for item in items for text in item.sample_texts]
    owners = _owners([len(item.entries) for item in items])
    flat = [text for own in texts for text in own]
    return Batch(
        images=torch.empty(0),
        image_item=torch.arange(len(entries)),
        texts=[text.text for text in flat],
        text_item=_owners([len(own) for own in texts]),
        study=torch.tensor([entry.study for entry in entries], dtype=torch.int64),
        subject=torch.tensor([entry.subject for entry in entries], dtype=torch.int64),
        text_hash=torch.tensor([text.text_hash for text in flat], dtype=torch.int64),
        facts=torch.from_numpy(np.stack([view.facts(entry) for entry in entries])),
        fact_names=view.concepts,
        uids=[entry.uid for entry in entries],
        draws=torch.tensor(numbers, dtype=torch.int64)[owners],
        text_facts=torch.from_numpy(view.text_facts([text.text_hash for text in flat])),
        text_kinds=[text.kind for text in flat],
    )


def any_sample(facts: list[npt.NDArray[np.int8]]) -> npt.NDArray[np.int8]:
    """[F] facts of a study: present if any sample shows it, else absent if any sample denies it, else unknown."""
    known: npt.NDArray[np.int8] = np.max(np.stack(facts), axis=0)
    return known


def days_of(chosen: list[Entry], entries: list[Entry]) -> list[float]:
    """Days of the chosen images since the latest of all of the item, so that they do not depend on what was chosen."""
    return days_since_latest([entry.moment for entry in chosen], [entry.moment for entry in entries])


def one_type(images: list[Tensor]) -> list[Tensor]:
    """Pictures and windowed arrays may meet in one batch: bytes then become floats."""
    return images if len({image.dtype for image in images}) == 1 else [image.float() for image in images]


def _known_days(days: list[float]) -> Tensor | None:
    """[S] float32, or None where all are unknown."""
    return None if all(map(math.isnan, days)) else torch.tensor(days, dtype=torch.float32)


def _owners(counts: list[int]) -> Tensor:
    """Owner of each element of flattened lists of these lengths."""
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.int64))
