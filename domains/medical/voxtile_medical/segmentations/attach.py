"""Attaching the masks of a folder to the samples of a corpus: DICOM SEG, RTSTRUCT and NIfTI label maps to regions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from voxtile.console import output
from voxtile.corpus.identity import sample_uid
from voxtile.engine.run import RunOptions, RunSummary, run_task
from voxtile.errors import InputError
from voxtile_medical.archives.stored import is_stored, stream_of
from voxtile_medical.dicom_header.tree import read_tree
from voxtile_medical.nifti.files import is_nifti_name
from voxtile_medical.segmentations.label_names import read_names
from voxtile_medical.segmentations.samples import Images, MaskNames
from voxtile_medical.segmentations.task import MaskTask

ADVICE: Mapping[str, str] = {
    "absent-slices": "the mask has voxels on slices that the image lacks; convert the whole series",
    "ambiguous-image": "several images go by the label map's name and none has its grid; say which with --pairs FILE",
    "corrected-mask": "an earlier run attached another version of the object, and it stays; give this one a UID of its "
    "own (both are then there), or convert into a new corpus to have it alone",
    "duplicate-file": "the file is a copy of a mask that is used; nothing is to be done",
    "empty-mask": "no voxel is set, so there is no region; nothing is to be done unless the mask should not be empty",
    "mixed-orientations": "the frames point in different directions and are not on the image's grid; export one stack",
    "no-geometry": "the frames do not say where they lie in the patient; export the segmentation with its geometry",
    "no-image": "no image goes by the label map's name; say which with --pairs FILE (columns mask and uid)",
    "no-label-names": "the label map has several labels and a name for none; give a table with --label-names FILE",
    "no-series": "the series that the object marks is not in the corpus; convert the images first",
    "no-voxel": "the structure is smaller than a voxel and contains no voxel centre; nothing is to be done",
    "not-labels": "the values are not labels; keep images out of the folder of masks, or narrow --label-pattern",
    "not-planar": "a contour does not lie in a plane of the image; draw it on the image's own slices",
    "open-contour": "open contours enclose nothing; close them, or give the structure as a mask",
    "other-frame-of-reference": "the mask's frame of reference is not the image's; register them first",
    "outside-image": "the mask has voxels outside the image: it is larger, or of another image",
    "point-contour": "points enclose nothing; they mark a place and are not kept",
    "same-structure": "a file of the same name gave the sample this structure; it is not stored twice",
    "self-crossing-contour": "a contour crosses itself, so that what it encloses is not certain; draw it again",
    "unequal-steps": "the frames are neither on the image's grid nor at equal steps; export them on the image",
    "unnamed-label": "labels without a name in the label map's table are left out; add them to the table",
    "unsupported-dimensions": "a label map of several volumes; give one file a volume",
}
"""What to do about each reason of the ledger for which a mask, or a structure of one, gives no region."""


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
        pairs: CSV with the columns mask (path in the folder) and uid, for label maps whose names do not say of what.

    Returns:
        The summary, already printed; the caller decides about `raise_if_failed`.

    Raises:
        InputError: the folder holds no mask, no sample is of a DICOM series, or the key map of a de-identified corpus
            is not there.
    """
    if label_names is not None:
        read_names(label_names)
    names = MaskNames.of_corpus(corpus, key_file)
    tree = read_tree(folder, options.plan_reader)
    tree_root = tree.root
    patterns = [pattern.strip().lower() for pattern in label_pattern.split(",") if pattern.strip()]
    images = Images.of(corpus, names)
    label_maps = tuple(
        other.path
        for other in tree.others
        if is_nifti_name(other.path)
        and is_stored(tree_root / other.path)
        and any(fnmatch(PurePosixPath(other.path).name.lower(), pattern) for pattern in patterns)
        and not _is_image(tree_root / other.path, other.path, images, names)
    )
    if not tree.masks and not label_maps:
        raise InputError(
            f"'{folder}' holds no DICOM SEG, no RTSTRUCT and no NIfTI label map; give the folder of the masks"
        )
    if tree.masks and not label_maps and not images.by_series and not images.by_instance:
        raise InputError(
            f"no sample of '{corpus}' is known by its DICOM series; convert the images first, again if that was done "
            "before masks could be attached"
        )
    task = MaskTask(
        folder,
        corpus,
        names,
        names.names.hides,
        label_names,
        pairs,
        objects=tree.masks,
        label_maps=label_maps,
        images=tree.usable,
        reader=options.plan_reader,
    )
    return run_masks(task, options)


def _is_image(file: Path, path: str, images: Images, names: MaskNames) -> bool:
    """Whether a file is an image of the corpus: by its bytes, since labelsTr names its files as imagesTr does."""
    grids = images.by_path.get(path, [])
    if not grids:
        return False
    with stream_of(file) as stream:
        content = f"{names.names.name('content', path)} {hashlib.file_digest(stream, 'sha256').hexdigest()}"
    of_file = {sample_uid(content, part) for part in ("", *(f"volume {number}" for number in range(len(grids))))}
    return any(grid.uid in of_file for grid in grids)


def run_masks(task: MaskTask, options: RunOptions) -> RunSummary:
    """Run the task and say of each reason for which a mask was left out what it means and what to do."""
    summary = run_task(task, task.corpus, options)
    reasons = sorted({*summary.reasons["dropped"], *summary.left_out} & ADVICE.keys())
    console = output()
    for reason in reasons:
        console.print(f"{reason}: {ADVICE[reason]}", markup=False, highlight=False, soft_wrap=True)
    return summary
