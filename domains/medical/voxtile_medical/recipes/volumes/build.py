"""`voxtile build ct-rate` and the like: volumes of a public data set, its reports, labels and masks."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile_datasets.intake.planner import IntakeOptions, Planner
from voxtile_medical.recipes.volumes.listing import Listing, list_volumes, told_masks
from voxtile_medical.recipes.volumes.task import VolumeTask
from voxtile_medical.recipes.volumes.volume_set import VolumeSet
from voxtile_medical.segmentations.attach import run_masks
from voxtile_medical.segmentations.samples import MaskNames
from voxtile_medical.segmentations.task import MaskTask

BY_SUBJECT = "0.8,0.1,0.1"
"""Shares of train, val and test for subjects that no official list places."""


def build_volumes(
    held: VolumeSet,
    source: Path,
    corpus: Path,
    options: RunOptions,
    *,
    split_fractions: str = BY_SUBJECT,
    masks: bool = True,
) -> None:
    """Build a corpus from a data set of volumes.

    Args:
        held: the set.
        source: the folder that it is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        options: how to run.
        split_fractions: shares of train, val and test for subjects without an official split.
        masks: attach its label maps as regions.

    Raises:
        InputError: the folder is not laid out like the set, or a table is of another release.
        RunFailedError: some volumes could not be read; the rest is stored.
    """
    held.announce()
    listing = list_volumes(source, held)
    planner = Planner.open(corpus, options, IntakeOptions(False, None, None, None, split_fractions))
    task = VolumeTask(
        source,
        (),
        "OT",
        licence=held.licence,
        deidentify=False,
        planner=planner,
        set_name=held.name,
        vocabularies=held.vocabularies,
        blank_headers=held.blank_headers,
        shows_air=held.shows_air,
        listing=listing,
    )
    summary = run_task(task, corpus, options)
    if masks and not options.dry_run:
        _attach(held, source, corpus, options, listing, MaskNames(planner.names))
    summary.raise_if_failed()


def _attach(
    held: VolumeSet, source: Path, corpus: Path, options: RunOptions, listing: Listing, names: MaskNames
) -> None:
    uids: dict[str, list[str]] = defaultdict(list)
    for row in Corpus(corpus).table("samples", ["source", "uid"]).to_pylist():
        uids[row["source"]].append(row["uid"])
    told = told_masks(listing, held, uids)
    if told:
        run_masks(
            MaskTask(source, corpus, names, hides=False, label_maps=tuple(told), told=told), options
        ).raise_if_failed()
