"""What is shown for each unit of a split: its image, or all images of its study."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor, stack

from voxtile.assist.assistant import Assistant
from voxtile.assist.scans import evenly_spread
from voxtile.console import note
from voxtile.corpus.reader import Corpus
from voxtile.data.images import CorpusImages
from voxtile.data.presets.roles import StudyReader
from voxtile.evaluation.figures.baselines import permutations
from voxtile.evaluation.inputs.units import Units


def shows_studies(assistant: Assistant) -> bool:
    """Whether a unit is a study: by the model's preset, or by its connector."""
    return isinstance(assistant.preset, StudyReader) or assistant.reads_studies


def shown_of(
    store: Corpus, assistant: Assistant, units: Units, batch_size: int, seed: int, *, shuffled: bool
) -> Iterator[tuple[list[str], list[Tensor]]]:
    """Names of units, and what stands for each: its own images, or those of another subject's.

    Args:
        store: the corpus.
        assistant: whose preset prepares them.
        units: of the split.
        batch_size: units at a time, of a model that reads studies by its connector one.
        seed: of the control.
        shuffled: show other subjects' images.

    Returns:
        Batches of names, and for each [C, *G] float32, or [N, C, *G] of N images of a study.
    """
    order = np.arange(len(units))
    if shuffled:
        (order,) = permutations(units.subjects, seed=seed, count=1)
    if assistant.reads_studies:
        yield from _whole(CorpusImages(store, assistant.preset, list(units.uids), 1), units, order.tolist())
        return
    studies = units.members() if isinstance(assistant.preset, StudyReader) else None
    images = CorpusImages(store, assistant.preset, list(units.uids), batch_size, studies)
    start = 0
    for _, batch in images([units.names[place] for place in order]):
        yield list(units.names[start : start + len(batch)]), list(batch)
        start += len(batch)


def _whole(images: CorpusImages, units: Units, order: list[int]) -> Iterator[tuple[list[str], list[Tensor]]]:
    """Each study with all of its images, read ahead one after the other."""
    members = units.members()
    own = [members[units.names[place]] for place in order]
    kept = [evenly_spread(uids) if images.rows[uids[0]]["kind"] == "patch" else uids for uids in own]
    if thinned := sum(len(less) < len(uids) for less, uids in zip(kept, own, strict=True)):
        note(f"of {thinned:,} slides {max(map(len, kept))} patches each are shown, evenly spread")
    read = images([uid for uids in kept for uid in uids])
    for name, uids in zip(units.names, kept, strict=True):
        study = stack([next(read)[1][0] for _ in uids])
        yield [name], [study if len(study) > 1 else study[0]]
