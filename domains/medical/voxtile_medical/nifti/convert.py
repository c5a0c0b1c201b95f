"""`voxtile convert nifti`: NIfTI volumes into a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from voxtile.engine.run import RunOptions, run_task
from voxtile_datasets.intake.planner import Planner
from voxtile_medical.nifti.task import NiftiTask


def convert_nifti(
    source: Path,
    corpus: Path,
    *,
    reports: Path | None = None,
    deidentify: bool = True,
    key_file: Path | None = None,
    splits: Path | None = None,
    split_fractions: str = "0.8,0.1,0.1",
    modality: str = "OT",
    units: str | None = None,
    label_pattern: str = "*seg*,*label*,*mask*",
    no_affine: Literal["refuse", "assume"] = "refuse",
    licence: str | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Convert the NIfTI files (.nii, .nii.gz) of a folder tree; a 4D file gives one sample a volume.

    Args:
        source: folder of NIfTI files, or one file.
        corpus: where the corpus is, or will be.
        reports: CSV or Parquet of report texts; the columns study and/or subject, and text. A study is a BIDS
            subject/session or a file name without its suffix.
        deidentify: replace file names and subjects by keyed hashes, and remove identifiers from report texts.
        key_file: where the key and the map of sources are kept; default beside the corpus, CORPUS.sources.parquet.
        splits: CSV or Parquet with the columns subject and split (train, val or test).
        split_fractions: shares of train, val and test for subjects that no file places.
        modality: DICOM modality (CT, MR, PT, …) of files whose BIDS suffix does not say.
        units: unit of the physical values; default HU for CT, else a.u.
        label_pattern: file name patterns of label maps, separated by commas; they are dropped.
        no_affine: what to do where neither sform nor qform is set: refuse, or assume that axes run right, front, up.
        licence: licence to note with every sample.
        run: how to run: workers, retry, dry_run, …
    """
    options = RunOptions(**run)
    planner = Planner.open(
        corpus,
        options,
        deidentify=deidentify,
        key_file=key_file,
        reports=reports,
        splits=splits,
        split_fractions=split_fractions,
    )
    patterns = tuple(pattern.strip() for pattern in label_pattern.split(",") if pattern.strip())
    task = NiftiTask(source, patterns, modality, units, no_affine, licence, deidentify, planner)
    run_task(task, corpus, options).raise_if_failed()
