"""`voxtile ground`: where in an image a phrase is, in the image's own coordinates and its field's format."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table
from scipy import ndimage
from torch import Tensor

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import JobWriter
from voxtile.data.base import spacing_mm
from voxtile.data.image import ImagePreset
from voxtile.data.region_masks import joined_mask, nodata_regions
from voxtile.data.roles import StudyReader
from voxtile.domain import discover
from voxtile.engine.task import Mask
from voxtile.errors import ConfigError, InputError, VoxtileError
from voxtile.evaluate.grounding.run import GroundingModel
from voxtile.evaluate.model import EvaluationModel
from voxtile.grounding.files import WRITERS, Found
from voxtile.grounding.pictures import write_pictures
from voxtile.grounding.similarity.model import SimilarityModel
from voxtile.grounding.slides import ground_slide, write_overlay, write_qupath
from voxtile.grounding.studies import Answer, ground_studies
from voxtile.grounding.windows import ground_sample

Form: TypeAlias = Literal["auto", "dicom-seg", "nifti", "geojson", "geopackage"]
Boxes: TypeAlias = Literal["none", "upright", "rotated"]
Way: TypeAlias = Literal["auto", "decoder", "regions", "tokens", "maskclip", "gradcam", "legrad"]

_NIFTI = (".nii", ".nii.gz")
_RASTERS = (".tif", ".tiff", ".jp2", ".vrt")
_SLIDES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".qptiff")
_DICOM_MAGIC = (128, b"DICM")  # PS3.10, section 7.1
_OWN_FORM = {"dicom": "dicom-seg", "nifti": "nifti", "geotiff": "geopackage", "wsi": "geojson"}
_REFUSED = {
    "no-mpp": "does not say how many micrometres a pixel has; give --assume-mpp, such as 0.25",
    "too-coarse": "is coarser than the patches that are asked for; give a larger --mpp",
    "unreadable-slide": "cannot be read as a slide; check the file, or open it in another viewer",
}
_LEAST_TISSUE = 0.1  # share of a patch; less than for training, so that the edges of the tissue are seen


@dataclass(frozen=True)
class _Settings:
    mask: float
    presence: float
    overlap: float
    boxes: Boxes
    mpp: float
    patch_px: int
    assume_mpp: float | None
    on: str | None


def ground(
    model: str,
    image: Path,
    *phrases: str,
    out: Path,
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
        image: DICOM file or folder (of a study, where the model reads those), NIfTI file, georeferenced raster, or
            whole slide.
        phrases: what to look for.
        out: folder to write to; made if it does not exist.
        to: dicom-seg, nifti, geojson or geopackage; auto takes the one of the image's own field.
        threshold: probability from which a voxel belongs to the target.
        presence: probability from which there is a target at all.
        overlap: share that neighbouring windows have in common, where the image is larger than the model's grid.
        method: decoder (trained with the Grounding objective), or by similarity: regions (trained with RegionContrast),
            tokens (trained with TokenWise), maskclip (patch tokens), gradcam or legrad (gradients); auto takes the
            first that the model has, legrad left out.
        boxes: write the box of every part that was found instead of its outline, upright or at any angle; rasters only.
        mpp: of slides: micrometres a pixel of the patches that the model was trained on.
        patch_px: of slides: width and height of these patches.
        assume_mpp: micrometres a pixel of a slide whose file does not say.
        on: of models that read whole studies: role of the series on whose voxels masks are written, such as pt; the
            first that the study has where left out.

    Raises:
        ConfigError: no phrase, a value out of range, or a model that does not ground.
        InputError: the image cannot be read, or its kind is not known.
    """
    from voxtile.models.load import load_model

    if not phrases:
        raise ConfigError(
            'no phrase was given; for example: voxtile ground last.ckpt scan/ "pleural effusion" --out found'
        )
    if not all(phrase.strip() for phrase in phrases):
        raise ConfigError("a phrase is empty; name what to look for")
    for name, value in (("threshold", threshold), ("presence", presence)):
        if not 0 < value < 1:
            raise ConfigError(f"--{name} must lie between 0 and 1, not {value}")
    if not 0 <= overlap < 1:
        raise ConfigError(f"--overlap must be at least 0 and below 1, not {overlap}")
    kind = kind_of(image)
    loaded = load_model(model)
    shows = _showing(loaded, method)
    kind = _read_as(kind, loaded.preset)
    form = _OWN_FORM[kind] if to == "auto" else to
    _check_form(kind, form, boxes)
    _prepare(out)
    settings = _Settings(threshold, presence, overlap, boxes, mpp, patch_px, assume_mpp, on)
    wanted = list(dict.fromkeys(phrases))
    with tempfile.TemporaryDirectory(prefix="voxtile-ground-") as folder:
        corpus = _converted(kind, image, Path(folder) / "corpus", loaded.preset, settings)
        if kind == "wsi":
            _on_slide(shows, corpus, wanted, settings, out / image.stem, Path(folder))
            return
        found = _grounded(shows, corpus, wanted, settings)
        shown = any(part.mask.any() for part in found)
        files = WRITERS[form](corpus, found, image, out, boxes) if shown else []
        files += write_pictures(found, out)
    _report(found, files, output())


def _showing(model: EvaluationModel, method: Way) -> GroundingModel:
    """What shows phrases: the model's decoder where it has one and no other way is asked for, else its similarity."""
    decodes = isinstance(model, GroundingModel) and model.grounds
    if isinstance(model, GroundingModel) and decodes and method in ("auto", "decoder"):
        return model
    if method == "decoder":
        raise ConfigError(
            f"model '{model.name}' has no decoder; train it with the Grounding objective, or leave --method out to "
            "show phrases by similarity"
        )
    return SimilarityModel(model, method)


def kind_of(image: Path) -> str:
    """Which converter reads an image: dicom, nifti, geotiff or wsi.

    Raises:
        InputError: there is no such file, or its kind is not known.
    """
    if not image.exists():
        raise InputError(
            f"'{image}' does not exist; give a DICOM file or folder, a NIfTI file, a georeferenced raster or a "
            "whole slide"
        )
    name = image.name.casefold()
    if name.endswith(_NIFTI):
        return "nifti"
    if name.endswith(_RASTERS):
        return "geotiff"
    if name.endswith(_SLIDES):
        return "wsi"
    files = [image] if image.is_file() else sorted(p for p in image.rglob("*") if p.is_file())
    if any(_is_dicom(path) for path in files[:1000]):
        return "dicom"
    raise InputError(
        f"'{image}' is neither DICOM nor NIfTI nor a georeferenced raster (.tif, .jp2) nor a whole slide (.svs, "
        ".ndpi, …); convert it to one of these"
    )


def _read_as(kind: str, preset: object) -> str:
    """A TIFF is a slide to a model that reads pictures, and so is DICOM to one that reads slide microscopy."""
    pictures = isinstance(preset, ImagePreset) and (not preset.modalities or "SM" in preset.modalities)
    slide = pictures and (kind == "geotiff" or (kind == "dicom" and "SM" in getattr(preset, "modalities", ())))
    return "wsi" if slide else kind


def _check_form(kind: str, form: str, boxes: Boxes) -> None:
    if kind == "wsi" and form != "geojson":
        raise ConfigError(f"results on slides are written as GeoJSON, as QuPath reads it; leave --to {form} out")
    if boxes != "none" and (kind != "geotiff" or form not in ("geojson", "geopackage")):
        raise ConfigError(f"--boxes {boxes} goes with rasters as GeoJSON or GeoPackage; leave it out")


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_DICOM_MAGIC[0])
        return file.read(4) == _DICOM_MAGIC[1]


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".writable").touch()
        (out / ".writable").unlink()
    except OSError as error:
        raise ConfigError(f"cannot write to '{out}' ({error.strerror}); name another folder with --out") from error


def _converted(kind: str, image: Path, corpus: Path, preset: object, settings: _Settings) -> Corpus:
    """The image as a corpus of its own, by its domain's converter."""
    converters = {name: command for domain in discover()[0].values() for name, command in domain.converters.items()}
    if kind not in converters:
        raise ConfigError(f"no installed domain reads {kind}; install voxtile with its extra, e.g. voxtile[medical]")
    options: dict[str, Any] = {"engine": "inline"}
    if kind == "geotiff":
        size = getattr(preset, "size", (256, 256))
        options |= {"size": f"{size[0]}px", "previews": False, "min_valid": 0.0}
    elif kind == "wsi":
        options |= {"deidentify": False, "coords_only": True, "min_tissue": _LEAST_TISSUE, "mpp": settings.mpp}
        options |= {"patch_px": settings.patch_px, "overlap": int(settings.patch_px * settings.overlap)}
        options["assume_mpp"] = settings.assume_mpp
    else:
        options |= {"deidentify": False, "masks": False}
    try:
        with redirect_stdout(StringIO()):  # its summary would hide the answer
            converters[kind].load()(image, corpus, **options)
    except VoxtileError as error:
        raise InputError(_reason(corpus, image) or str(error)) from error
    opened = Corpus(corpus)
    if not opened.table("samples", columns=["uid"]).num_rows:
        raise InputError(f"'{image}' holds no image that the model can read")
    return opened


def _reason(corpus: Path, image: Path) -> str | None:
    """Why a slide failed, from the ledger of a conversion that nobody will see."""
    try:
        rows = Corpus(corpus).ledger().to_pylist()
    except VoxtileError:
        return None
    return next((f"'{image}' {_REFUSED[r['reason']]}" for r in rows if r["reason"] in _REFUSED), None)


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
    parts = write_qupath(found, settings.mask, target)
    table = Table("phrase", "believed", "parts", "area")
    for number, phrase in enumerate(phrases):
        pixels = int((found.probability[number] >= settings.mask).sum())
        area = f"{pixels * found.mpp[0] * found.mpp[1] / 1e6:.3f} mm²" if pixels else "–"
        table.add_row(escape(phrase), f"{found.presence[number]:.2f}", str(parts[phrase]), area)
    console.print(table)
    picture = write_overlay(corpus, found, settings.mask, stem.with_name(f"{stem.name}.png"))
    for path in [target, *([picture] if picture else [])]:
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)


def _grounded(model: GroundingModel, corpus: Corpus, phrases: list[str], settings: _Settings) -> list[Found]:
    """Masks of every phrase in every sample or study, added to the corpus as regions."""
    writer = JobWriter(corpus.roots[0], "ground")
    found = []
    empty = nodata_regions(corpus)
    for sample, masks, there in _answers(model, corpus, phrases, settings):
        uid = sample.meta["uid"]
        measured = ~joined_mask(corpus, [empty[uid]], sample.meta).mask if uid in empty else np.True_
        for phrase, mask, believed in zip(phrases, masks, there.tolist(), strict=True):
            shown = (mask.numpy() >= settings.mask) & (believed >= settings.presence) & measured
            region = hashlib.sha256(f"{uid}\0{phrase}".encode()).hexdigest()[:32]
            found.append(Found(sample, phrase, believed, shown))
            if shown.any():
                about = {"region_id": region, "uid": uid, "phrase": phrase, "box": _box(shown)}
                writer.add_mask(Mask({**about, "source": f"ground:{model.name}"}, shown))  # type: ignore[attr-defined]
    writer.publish()
    return found


def _answers(model: GroundingModel, corpus: Corpus, phrases: list[str], settings: _Settings) -> Iterator[Answer]:
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
    preset.check(rows)
    for row in track(rows, description="grounding", transient=True):
        sample = corpus.source(row)
        yield sample, *ground_sample(answer, preset, sample, overlap=settings.overlap, finish=finish)


def _box(mask: npt.NDArray[np.bool_]) -> list[float]:
    """Bounding box in pixel edges: min corner, then max corner."""
    places = [
        np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis))) for axis in range(mask.ndim)
    ]
    return [float(p[0]) for p in places] + [float(p[-1]) + 1 for p in places]


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
