"""`voxtile ground`: where in an image a phrase is, in the image's own coordinates and its field's format."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table
from scipy import ndimage
from torch import Tensor

from voxtile.console import output
from voxtile.corpus.drafts import only_writer
from voxtile.corpus.reader import Corpus
from voxtile.data.presets.base import spacing_mm
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.roles import StudyReader
from voxtile.data.regions.masks import joined_mask, nodata_regions
from voxtile.errors import ConfigError
from voxtile.folders import unused_folder
from voxtile.grounding.sliding_windows import ground_sample
from voxtile.inference.similarity.model import SimilarityModel
from voxtile.models.flattening import Flattening
from voxtile.models.protocol import EvaluationModel, GroundingModel
from voxtile.models.rgb_pictures import flattened_preset
from voxtile.stages.ground.files import Found
from voxtile.stages.ground.results import (
    PATIENCE_S,
    Boxes,
    Form,
    add_regions,
    check_form,
    own_form,
    prepare,
    write_found,
)
from voxtile.stages.ground.slides import ground_slide, write_overlay, write_qupath
from voxtile.stages.ground.sources import SlidePatches, kind_of, own_corpus, read_as
from voxtile.stages.ground.studies import Answer, ground_studies

Way: TypeAlias = Literal[
    "auto", "decoder", "regions", "tokens", "concepts", "attributes", "maskclip", "gradcam", "legrad"
]


@dataclass(frozen=True)
class _Settings:
    mask: float
    presence: float
    overlap: float
    boxes: Boxes
    on: str | None


def ground(
    model: str,
    image: Path,
    *phrases: str,
    out: Path | None = None,
    to: Form = "auto",
    threshold: float = 0.5,
    presence: float = 0.5,
    overlap: float = 0.5,
    method: Way = "auto",
    boxes: Boxes = "none",
    mpp: float = 0.5,
    patch_px: int = 256,
    assume_mpp: float | None = None,
    on: str | None = None,
    bands: str | None = None,
    modality: str | None = None,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Show where phrases are in an image.

    Writes one file a series, volume or scene with all phrases that were found, a PNG for each of them with its outline,
    and prints a table. A phrase that the model believes to have no target gives no mask. Thresholds are best taken from
    a report of `voxtile evaluate`, which chooses them on the validation split.

    A model that was not trained to ground shows phrases by similarity (`--method`). A similarity says where rather than
    whether: the threshold then is a share of the range of the map over the image, and the presence half of one plus the
    cosine of image and phrase.

    Args:
        model: a checkpoint, open_clip:NAME[/PRETRAINED], hf:ID (CLIP or SigLIP), a folder of one of these, or
            class:package.module.Class[:ARGUMENT], a class of your own.
        image: DICOM file or folder (of a study, where the model reads those), NIfTI file, georeferenced raster, whole
            slide, picture (PNG, JPEG, WebP), or a file that an installed plugin reads (`Domain.endings`).
        phrases: what to look for.
        out: folder to write to; made if it does not exist. A new one here, `found`, when left out.
        to: dicom-seg, nifti, geojson or geopackage; auto takes the one of the image's own field.
        threshold: probability from which a voxel belongs to the target.
        presence: probability from which there is a target at all; 0 shows every phrase.
        overlap: share that neighbouring windows have in common, where the image is larger than the model's grid.
        method: decoder (trained with the Grounding objective), or by similarity: regions (trained with RegionContrast),
            tokens (TokenWise or LocalAlignment), concepts (ConceptPatch), attributes (RegionAttribute; the phrases are
            its attributes), maskclip (patch tokens), gradcam or legrad (gradients); auto takes the first that the model
            has, attributes and legrad left out.
        boxes: write the box of every part that was found instead of its outline, upright or at any angle; rasters only.
        mpp: of slides: micrometres a pixel of the patches that the model was trained on.
        patch_px: of slides: width and height of these patches.
        assume_mpp: micrometres a pixel of a slide whose file does not say.
        on: of models that read whole studies: role of the series on whose voxels masks are written, such as pt; the
            first that the study has where left out.
        bands: RED,GREEN,BLUE of a raster, for a model of pictures; by their usual names when left out.
        modality: DICOM modality (CT, MR, PT, …) of a NIfTI file, which does not say; where the model reads one alone,
            that is taken.
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.

    Raises:
        ConfigError: no phrase, a value out of range, or a model that does not ground.
        InputError: the image cannot be read, or its kind is not known.
    """
    from voxtile.inference.load import load_model

    if not phrases:
        raise ConfigError(
            'no phrase was given; for example: voxtile ground last.ckpt scan/ "pleural effusion" --out found'
        )
    if not all(phrase.strip() for phrase in phrases):
        raise ConfigError("a phrase is empty; name what to look for")
    if not 0 < threshold < 1:
        raise ConfigError(f"--threshold must lie between 0 and 1, not {threshold}")
    for name, value in (("presence", presence), ("overlap", overlap)):
        if not 0 <= value < 1:
            raise ConfigError(f"--{name} must be at least 0 and below 1, not {value}")
    flattening = Flattening(bands=tuple(part.strip() for part in bands.split(","))) if bands else Flattening()
    kind = kind_of(image)
    loaded = load_model(model, trust_package)
    shows = showing(loaded, method)
    kind = read_as(kind, image, loaded.preset)
    if bands and not (kind == "geotiff" and isinstance(loaded.preset, ImagePreset)):
        raise ConfigError("--bands goes with rasters and a model of pictures; leave it out")
    form = own_form(kind, loaded.preset) if to == "auto" else to
    check_form(kind, form, boxes, loaded.preset)
    if modality is not None and kind != "nifti":
        raise ConfigError(f"--modality goes with NIfTI files; '{image}' says it itself, leave it out")
    target = out or unused_folder("found")
    prepare(target)
    settings = _Settings(threshold, presence, overlap, boxes, on)
    patches = SlidePatches(mpp, patch_px, assume_mpp, overlap)
    wanted = list(dict.fromkeys(phrases))
    with tempfile.TemporaryDirectory(prefix="voxtile-ground-") as folder:
        corpus = own_corpus(kind, image, Path(folder) / "corpus", loaded.preset, patches, modality)
        if kind == "wsi":
            _on_slide(shows, corpus, wanted, settings, target / image.stem, Path(folder))
            return
        found = _grounded(shows, corpus, wanted, settings, flattening)
        files = write_found(corpus, found, image, target, form=form, asked=to, boxes=boxes)
    _report(found, files, output())


def showing(model: EvaluationModel, method: Way) -> GroundingModel:
    """What shows phrases: the model's decoder where it has one and no other way is asked for, else its similarity.

    Raises:
        ConfigError: the decoder is asked for, and the model has none.
    """
    decodes = isinstance(model, GroundingModel) and model.grounds
    if isinstance(model, GroundingModel) and decodes and method in ("auto", "decoder"):
        return model
    if method == "decoder":
        raise ConfigError(
            f"model '{model.name}' has no decoder; train it with the Grounding objective, or leave --method out to "
            "show phrases by similarity"
        )
    return SimilarityModel(model, method)


def _on_slide(
    model: GroundingModel, corpus: Corpus, phrases: list[str], settings: _Settings, stem: Path, folder: Path
) -> None:
    """Show phrases on a slide: GeoJSON for QuPath and a picture of the whole slide."""
    preset = model.preset  # type: ignore[attr-defined]
    finish = model.scaled if isinstance(model, SimilarityModel) else None
    found = ground_slide(
        lambda images: model.ground(images, phrases),
        preset,
        corpus,
        phrases,
        presence=settings.presence,
        folder=folder,
        finish=finish,
    )
    target, console = stem.with_name(f"{stem.name}.geojson"), output()
    with only_writer(stem.parent, PATIENCE_S):
        parts = write_qupath(found, settings.mask, target)
        picture = write_overlay(corpus, found, settings.mask, stem.with_name(f"{stem.name}.png"))
    table = Table("phrase", "believed", "parts", "area")
    for number, phrase in enumerate(phrases):
        pixels = int((found.probability[number] >= settings.mask).sum())
        area = f"{pixels * found.mpp[0] * found.mpp[1] / 1e6:.3f} mm²" if pixels else "–"
        table.add_row(escape(phrase), f"{found.presence[number]:.2f}", str(parts[phrase]), area)
    console.print(table)
    for path in [target, *([picture] if picture else [])]:
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)


def _grounded(
    model: GroundingModel, corpus: Corpus, phrases: list[str], settings: _Settings, flattening: Flattening
) -> list[Found]:
    """Masks of every phrase in every sample or study, added to the corpus as regions."""
    found = []
    empty = nodata_regions(corpus)
    for sample, masks, there in _answers(model, corpus, phrases, settings, flattening):
        uid = sample.meta["uid"]
        measured = ~joined_mask(corpus, [empty[uid]], sample.meta).mask if uid in empty else np.True_
        for phrase, mask, believed in zip(phrases, masks, there.tolist(), strict=True):
            shown = (mask.numpy() >= settings.mask) & (believed >= settings.presence) & measured
            found.append(Found(sample, phrase, believed, shown))
    add_regions(corpus, found, f"ground:{model.name}")  # type: ignore[attr-defined]
    return found


def _answers(
    model: GroundingModel, corpus: Corpus, phrases: list[str], settings: _Settings, flattening: Flattening
) -> Iterator[Answer]:
    """A sample with [P, *G] probabilities on its own grid and [P] of there being a target."""
    preset = model.preset  # type: ignore[attr-defined]
    finish = model.scaled if isinstance(model, SimilarityModel) else None

    def answer(images: Tensor) -> tuple[Tensor, Tensor]:
        return model.ground(images, phrases)

    if isinstance(preset, StudyReader):
        yield from ground_studies(answer, preset, corpus, on=settings.on, finish=finish)
        return
    if settings.on is not None:
        raise ConfigError("--on goes with models that read whole studies; leave it out")
    rows = corpus.table("samples", with_root=True).to_pylist()
    if all(row["kind"] != "volume" for row in rows):
        preset = flattened_preset(preset, rows, flattening)
    preset.check(rows)
    for row in track(rows, description="grounding", transient=True):
        sample = corpus.source(row)
        yield sample, *ground_sample(answer, preset, sample, overlap=settings.overlap, finish=finish)


def _report(found: Sequence[Found], files: Sequence[Path], console: Console) -> None:
    table = Table("image", "phrase", "believed", "parts", "size")
    for part in found:
        count = ndimage.label(part.mask, np.ones((3,) * part.mask.ndim))[1]
        table.add_row(
            part.sample.meta["uid"][:12], escape(part.phrase), f"{part.presence:.2f}", str(count), _size(part)
        )
    console.print(table)
    for path in files:
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)
    if not any(part.mask.any() for part in found):
        console.print("nothing was found; no file was written")


def _size(part: Found) -> str:
    voxels, meta = int(part.mask.sum()), part.sample.meta
    if not voxels:
        return "–"
    spacing = spacing_mm(meta)
    if part.mask.ndim == 3 and spacing:
        return f"{voxels * float(np.prod(spacing)) / 1000:.1f} ml"
    if meta.get("gsd_m"):
        return f"{voxels * float(meta['gsd_m']) ** 2:,.0f} m²"
    return f"{voxels} px"
