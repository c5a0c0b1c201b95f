"""Attaching the masks of a folder to the samples of a corpus: DICOM SEG, RTSTRUCT and NIfTI label maps to regions."""

from __future__ import annotations

from pathlib import Path

from voxtile.engine.run import RunOptions, RunSummary


def attach_masks(
    corpus: Path,
    folder: Path,
    options: RunOptions,
    *,
    key_file: Path | None = None,
    label_names: Path | None = None,
    label_pattern: str = "*",
    pairs: Path | None = None,
) -> RunSummary:
    """Store the masks of a folder tree as regions of a corpus that exists.

    Each mask becomes a row of `regions` with its pixels, on the sample's own voxel grid, and a row of `facts` of the
    concept `structure` with the mask's code and what is known of its origin. Masks that are attached already are left
    alone, so that the same call resumes and is harmless when all is done.

    Args:
        corpus: the corpus.
        folder: folder of DICOM SEG and RTSTRUCT objects and NIfTI label maps, or one file.
        options: how to run.
        key_file: where the key and the map of sources are kept; default beside the corpus, CORPUS.sources.parquet.
        label_names: JSON, TSV or Slicer colour table that names the values of NIfTI label maps.
        label_pattern: file name patterns of NIfTI label maps, separated by commas.
        pairs: CSV with the columns mask (path in the folder) and uid, for label maps whose names do not say their image.

    Returns:
        The summary, already printed; the caller decides about `raise_if_failed`.

    Raises:
        InputError: the folder holds no mask, or the corpus has no sample that could carry one.
    """
    raise NotImplementedError
