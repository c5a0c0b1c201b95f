"""What the plan needs to know of one slide: its scale and where its patches lie. Only a thumbnail is read for it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxtile.engine.worker import Report
from voxtile.errors import InputError, VoxtileError
from voxtile_pathology.annotations.annotation import Annotation
from voxtile_pathology.annotations.model import outside, read_annotation_file
from voxtile_pathology.convert.content_id import slide_content
from voxtile_pathology.convert.patch_positions import (
    Corners,
    annotated_corners,
    boxes,
    grid_corners,
    in_blocks,
    random_corners,
    unique_corners,
)
from voxtile_pathology.convert.settings import WsiSettings
from voxtile_pathology.coordinates.files import read_coordinates
from voxtile_pathology.coordinates.layout import Coordinates
from voxtile_pathology.phantom import PHANTOM_SCANNER
from voxtile_pathology.slides.icc import icc_profile, profile_name, to_srgb
from voxtile_pathology.slides.open import open_slide
from voxtile_pathology.slides.protocol import Slide, SlideError
from voxtile_pathology.slides.resolution import possible_objective, slide_mpp
from voxtile_pathology.slides.scale import PatchScale, patch_scale
from voxtile_pathology.tissue.survey import Coverage, TissueMap, map_tissue

SHARE_DIGITS = 4

_HEAD = 4096  # bytes, in which tifffile writes the description of the first level


@dataclass(frozen=True)
class Patch:
    """One patch to be: corner in level-0 pixels, and the shares of it that the masks cover."""

    x: int
    y: int
    tissue: float
    pen: float
    fold: float


@dataclass(frozen=True)
class Counts:
    """Places of a slide, and why some give no patch."""

    places: int = 0
    little_tissue: int = 0
    pen: int = 0
    fold: int = 0
    kept: int = 0


@dataclass(frozen=True)
class Survey:
    """What a slide offers.

    Attributes:
        content: digest of the slide's content.
        nbytes: size of its files.
        size: width and height of level 0.
        mpp: micrometres a pixel of level 0 (x, y).
        assumed: the user said the mpp, not the file.
        objective: magnification, or None.
        reader: name of the reader.
        icc: name of the ICC profile, or None.
        scale: of the patches.
        is_tiled: one native JPEG tile is one patch of the grid.
        synthetic: the file says that it is a phantom of ours.
        annotations: sha-256 of the annotation file, or None.
        warnings: (reason, sentence) of what is odd but not fatal.
        counts: of places.
        blocks: patches, block by block.
    """

    content: str
    nbytes: int
    size: tuple[int, int]
    mpp: tuple[float, float]
    assumed: bool
    objective: float | None
    reader: str
    icc: str | None
    scale: PatchScale
    is_tiled: bool
    synthetic: bool
    annotations: str | None
    warnings: tuple[tuple[str, str], ...]
    counts: Counts
    blocks: tuple[tuple[Patch, ...], ...] = field(repr=False)


@dataclass(frozen=True)
class Refusal:
    """Why a slide gives nothing: reason for the ledger, sentence for people; `failed` where the slide is at fault."""

    reason: str
    detail: str
    failed: bool = True


def survey_slide(
    settings: WsiSettings, path: Path, annotations: Path | None, coords: Path | None, report: Report
) -> Survey | Refusal:
    """Survey one slide, in a worker."""
    report(0)
    reason = "unreadable-slide"
    try:
        content, nbytes = slide_content(path)
        with open_slide(path) as slide:
            reason = "impossible-mpp" if any(w.reason == "impossible-mpp" for w in slide.warnings) else "no-mpp"
            mpp = slide_mpp(slide, settings.assume_mpp)
            reason = "unreadable-icc-profile"
            icc, odd = _icc(settings, slide)
            reason = "unreadable-coordinates"
            given = _coordinates(settings, slide, coords)
            reason = "too-coarse"
            scale = _scale(settings, slide, mpp, given)
            reason = "unreadable-annotations"
            drawn, annotations_sha, notes = _annotations(annotations, slide)
            reason = "unreadable-slide"
            tissue = map_tissue(slide, mpp, settings.tissue.build(), settings.tissue_mpp)
            patches, counts = _patches(settings, slide, scale, tissue, drawn, content, given)
            if not patches:
                return _nothing(slide, scale, counts, settings)
            order = in_blocks(np.array([(p.x, p.y) for p in patches], np.int64), scale, settings.overlap)
            return Survey(
                content=content,
                nbytes=nbytes,
                size=slide.levels[0].size,
                mpp=mpp,
                assumed=slide.mpp is None,
                objective=possible_objective(slide.objective),
                reader=slide.reader,
                icc=icc,
                scale=scale,
                is_tiled=settings.pass_through and _is_tiled(slide, scale, patches),
                synthetic=_is_phantom(path),
                annotations=annotations_sha,
                warnings=(*odd, *_warnings(slide, tissue, notes)),
                counts=counts,
                blocks=tuple(tuple(patches[i] for i in block) for block in order),
            )
    except VoxtileError as error:
        return Refusal(reason, str(error))


def _is_phantom(path: Path) -> bool:
    """Whether the description of the first level says that it is a phantom of ours."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return PHANTOM_SCANNER.encode() in file.read(_HEAD)


def _icc(settings: WsiSettings, slide: Slide) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """Name of the profile, and a warning where it is damaged and nobody needs it."""
    try:
        profile = icc_profile(slide)
        if profile is None:
            return None, ()
        if settings.icc == "srgb":
            to_srgb(profile)
        return profile_name(profile), ()
    except SlideError as error:
        if settings.icc == "srgb":
            raise SlideError(f"{slide.path.name}: {error}") from error
        return None, (("icc-profile", str(error)),)


def _warnings(slide: Slide, tissue: TissueMap, notes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found = [(warning.reason, warning.detail) for warning in slide.warnings]
    share = tissue.thumbnail.unreadable.mean()
    if share > 0:
        found.append(
            ("damaged-tiles", f"{share:.1%} of the overview cannot be read; patches there are tried one by one")
        )
    return (*found, *(("annotation", note) for note in notes))


def _annotations(path: Path | None, slide: Slide) -> tuple[Sequence[Annotation], str | None, Sequence[str]]:
    if path is None:
        return (), None, ()
    found = read_annotation_file(path, image=slide.path.name)
    kept, notes = outside(found.annotations, slide.levels[0].size)
    return kept, hashlib.sha256(path.read_bytes()).hexdigest(), [*found.notes, *notes]


def _coordinates(settings: WsiSettings, slide: Slide, path: Path | None) -> Coordinates | None:
    if settings.sampling != "coords":
        return None
    if path is None:
        raise InputError(f"{slide.path.name} has no coordinates file; add one named as the slide, or leave it out")
    given = read_coordinates(path)
    beside = ~given.inside(slide.levels[0].size)
    if beside.any():
        x, y = given.corners[np.flatnonzero(beside)[0]].tolist()
        raise InputError(
            f"'{path}' has {beside.sum()} patches that do not touch {slide.path.name}, one at {x}, {y}; is it the file "
            "of another slide?"
        )
    return given


def _scale(settings: WsiSettings, slide: Slide, mpp: tuple[float, float], given: Coordinates | None) -> PatchScale:
    if given is None:
        return patch_scale(slide, settings.mpp, settings.patch_px, slide_mpp=mpp, tolerance=settings.mpp_tolerance)
    wanted = mpp[0] * given.level0_px[0] / given.patch_px  # exactly the patches that somebody chose
    return patch_scale(slide, wanted, given.patch_px, slide_mpp=mpp)


def _patches(
    settings: WsiSettings,
    slide: Slide,
    scale: PatchScale,
    tissue: TissueMap,
    drawn: Sequence[Annotation],
    content: str,
    given: Coordinates | None,
) -> tuple[list[Patch], Counts]:
    factor = tissue.thumbnail.factor
    stained = Coverage(tissue.tissue, factor)
    corners = unique_corners(given) if given is not None else _corners(settings, slide, scale, stained, drawn, content)
    areas = boxes(corners, scale)
    covered = [stained.of(areas), *(Coverage(mask, factor).of(areas) for mask in (tissue.pen, tissue.folds))]
    shares = np.round(np.stack(covered, axis=1), SHARE_DIGITS)
    # Where somebody drew, that says more than the mask does; a list of places is taken as it is.
    little = shares[:, 0] < (0 if settings.sampling in ("annotations", "coords") else settings.min_tissue)
    most_pen, most_fold = (1.0, 1.0) if given is not None else (settings.max_pen, settings.max_fold)
    inked, folded = shares[:, 1] > most_pen, shares[:, 2] > most_fold
    kept = ~(little | inked | folded)
    rows = zip(corners[kept].tolist(), shares[kept].tolist(), strict=True)
    patches = [Patch(x, y, tissue_share, pen, fold) for (x, y), (tissue_share, pen, fold) in rows]
    counts = Counts(
        places=len(corners),
        little_tissue=int(little.sum()),
        pen=int((inked & ~little).sum()),
        fold=int((folded & ~inked & ~little).sum()),
        kept=len(patches),
    )
    return patches, counts


def _corners(
    settings: WsiSettings,
    slide: Slide,
    scale: PatchScale,
    tissue: Coverage,
    drawn: Sequence[Annotation],
    content: str,
) -> Corners:
    if settings.sampling == "random":
        return random_corners(
            slide, scale, tissue, settings.min_tissue, settings.patches_per_slide, settings.seed, content
        )
    if settings.sampling == "annotations":
        return annotated_corners(slide, scale, settings.overlap, drawn, settings.min_annotated)
    return grid_corners(slide, scale, settings.overlap)


def _is_tiled(slide: Slide, scale: PatchScale, patches: Sequence[Patch]) -> bool:
    """Whether every patch is exactly one native JPEG tile."""
    grid = slide.tile_grid(scale.level) if scale.native else None
    if grid is None or grid.tile != (scale.patch_px, scale.patch_px):
        return False
    downsample = slide.levels[scale.level].downsample
    return all(
        patch.x % (grid.tile[0] * downsample[0]) == 0 and patch.y % (grid.tile[1] * downsample[1]) == 0
        for patch in patches
    )


def _nothing(slide: Slide, scale: PatchScale, counts: Counts, settings: WsiSettings) -> Refusal:
    if settings.sampling == "coords":
        return Refusal("no-coordinates", f"the coordinates file of {slide.path.name} names no patch", failed=False)
    if not len(grid_corners(slide, scale, 0)):
        return Refusal("smaller-than-a-patch", _too_small(slide, scale), failed=False)
    return Refusal("no-tissue", _nothing_kept(slide, counts, settings), failed=False)


def _too_small(slide: Slide, scale: PatchScale) -> str:
    width, height = slide.levels[0].size
    return (
        f"{slide.path.name} is {width} x {height} pixels, and a patch covers {scale.extent[0]:.0f} x "
        f"{scale.extent[1]:.0f} of them; ask for a smaller --patch-px or a finer --mpp"
    )


def _nothing_kept(slide: Slide, counts: Counts, settings: WsiSettings) -> str:
    if settings.sampling == "annotations":
        return (
            f"{slide.path.name} has no annotation that fills a patch; lower --min-annotated or choose --sampling grid"
        )
    if settings.sampling == "random" and not counts.places:
        return f"{slide.path.name} has no place with enough tissue; lower --min-tissue if that is wrong"
    return (
        f"{slide.path.name} has no patch to keep: of {counts.places} places {counts.little_tissue} have too little "
        f"tissue, {counts.pen} ink and {counts.fold} folds; lower --min-tissue if that is wrong"
    )
