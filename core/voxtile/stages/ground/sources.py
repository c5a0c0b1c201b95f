"""The image that `voxtile ground` is given, as a corpus: by its field's converter, or as the picture that it is."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row, Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.image import ImagePreset
from voxtile.domain import discover
from voxtile.engine.summary import RunSummary, collected_summaries
from voxtile.errors import ConfigError, InputError, VoxtileError
from voxtile.stages.ground.image_file import require_image
from voxtile.stages.ingest.picture import PictureError, read_picture

_NIFTI = (".nii", ".nii.gz")
_RASTERS = (".tif", ".tiff", ".jp2", ".vrt")
_SLIDES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".qptiff")
_PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp")
_DICOM_MAGIC = (128, b"DICM")  # PS3.10, section 7.1
_GEO_KEYS = 34735  # GeoKeyDirectoryTag: OGC GeoTIFF 1.1, section 7.1.2
_REFUSED = {
    "no-mpp": "does not say how many micrometres a pixel has; give --assume-mpp, such as 0.25",
    "too-coarse": "is coarser than the patches that are asked for; give a larger --mpp",
    "unreadable-slide": "cannot be read as a slide; check the file, or open it in another viewer",
}
OF_PICTURES = "image"  # subject of all pictures, which do not say whose they are
_UNKNOWN = "OT"  # modality of a NIfTI file that nobody names
_LEAST_TISSUE = 0.1  # share of a patch; less than for training, so that the edges of the tissue are seen


@dataclass(frozen=True)
class SlidePatches:
    """How a slide is cut.

    Attributes:
        mpp: micrometres a pixel of the patches.
        patch_px: their width and height.
        assume_mpp: micrometres a pixel of a slide whose file does not say.
        overlap: share that neighbours have in common.
    """

    mpp: float
    patch_px: int
    assume_mpp: float | None
    overlap: float


def kind_of(image: Path) -> str:
    """What an image is by itself: dicom, nifti, geotiff, wsi, picture, or a plugin's converter that reads such files.

    What a model takes it for is decided by `read_as`.

    Raises:
        InputError: there is no such file, or its kind is not known.
    """
    require_image(image)
    name = image.name.casefold()
    known = {"nifti": _NIFTI, "geotiff": _RASTERS, "wsi": _SLIDES, "picture": _PICTURES}
    for kind, endings in known.items():
        if name.endswith(endings) and (kind != "picture" or image.is_file()):
            return kind
    files = [image] if image.is_file() else sorted(p for p in image.rglob("*") if p.is_file())
    if any(_is_dicom(path) for path in files[:1000]):
        return "dicom"
    if image.is_file() and (converters := _converters_of(name)):
        return next(iter(converters))
    raise InputError(
        f"'{image}' is neither DICOM nor NIfTI nor a georeferenced raster (.tif, .jp2) nor a whole slide (.svs, "
        f".ndpi, …) nor a picture (.png, .jpg){_endings()}; convert it to one of these"
    )


def _converters_of(name: str) -> dict[str, str]:
    """Converters of installed plugins that read files so named, and the package that each is of."""
    return {
        converter: domain.converters[converter].target.partition(":")[0].partition(".")[0]
        for domain in discover()[0].values()
        for converter, endings in domain.endings.items()
        if converter in domain.converters and name.endswith(tuple(ending.casefold() for ending in endings))
    }


def _endings() -> str:
    """The endings that installed plugins add, for messages."""
    all_of = [e for domain in discover()[0].values() for endings in domain.endings.values() for e in endings]
    return f" nor what a plugin reads ({', '.join(sorted(all_of))})" if all_of else ""


def read_as(kind: str, image: Path, preset: object) -> str:
    """The kind as a model reads it.

    A model with a preset of a plugin reads what a converter of that plugin does, whoever else reads files so named. A
    TIFF of no place is a slide to a model of pictures, and so is slide microscopy.

    Raises:
        InputError: converters of two plugins read such files, and the model is of neither.
    """
    converters = _converters_of(image.name.casefold()) if image.is_file() else {}
    package = type(preset).__module__.partition(".")[0]
    if own := next((converter for converter, of in converters.items() if of == package), None):
        return own
    if kind in converters and len(converters) > 1:
        raise InputError(
            f"'{image}' is read by the converters {' and '.join(converters)} of several plugins, and the model is of "
            "none of them; convert it with one (voxtile convert), and take the corpus"
        )
    pictures = isinstance(preset, ImagePreset) and (not preset.modalities or "SM" in preset.modalities)
    slide = pictures and (
        (kind == "geotiff" and not _has_place(image)) or (kind == "dicom" and "SM" in getattr(preset, "modalities", ()))
    )
    return "wsi" if slide else kind


def own_corpus(
    kind: str, image: Path, corpus: Path, preset: object, patches: SlidePatches, modality: str | None = None
) -> Corpus:
    """Convert an image by its domain's converter, or take it as a picture.

    Args:
        kind: from `read_as`.
        image: file or folder.
        corpus: where it goes.
        preset: of the model.
        patches: of slides.
        modality: of a NIfTI file, which does not say; where the model reads one alone, that is taken.

    Raises:
        InputError: it cannot be read.
        ConfigError: no installed domain reads it.
    """
    if kind == "picture":
        return _of_picture(image, corpus, preset)
    converters = {name: command for domain in discover()[0].values() for name, command in domain.converters.items()}
    if kind not in converters:
        raise ConfigError(f"no installed domain reads {kind}; install voxtile with its extra, e.g. voxtile[medical]")
    options: dict[str, Any] = {"engine": "inline"}
    if kind == "geotiff":
        size = getattr(preset, "size", (256, 256))
        options |= {"size": f"{size[0]}px", "previews": False, "min_valid": 0.0, "split_by": "none"}  # all of it
    elif kind == "wsi":
        options |= {"deidentify": False, "coords_only": True, "min_tissue": _LEAST_TISSUE, "mpp": patches.mpp}
        options |= {"patch_px": patches.patch_px, "overlap": int(patches.patch_px * patches.overlap)}
        options["assume_mpp"] = patches.assume_mpp
    elif kind in ("dicom", "nifti"):
        options |= {"deidentify": False, "masks": False}
    read = tuple(getattr(preset, "modalities", None) or ())
    if kind == "nifti" and (named := modality or (read[0] if len(read) == 1 else None)):
        options["modality"] = named
    with collected_summaries() as runs:
        try:
            with redirect_stdout(StringIO()):  # its summary would hide the answer
                converters[kind].load()(image, corpus, **options)
        except VoxtileError as error:
            raise InputError(_reason(corpus, image) or _failure(runs, image) or str(error)) from error
    opened = Corpus(corpus)
    found = opened.table("samples", columns=["modality"])["modality"].to_pylist()
    if not found:
        dropped = sorted({reason for _, summary in runs for reason in summary.reasons["dropped"]})
        why = f" (left out: {', '.join(dropped)})" if dropped else ""
        raise InputError(f"'{image}' holds no image that the model can read{why}; give another")
    if kind == "nifti" and read and _UNKNOWN in found:
        raise InputError(f"'{image}' does not say its modality; give --modality, one of {', '.join(read)}")
    if kind == "wsi":
        _say_where_ink_lies(opened, image)
    return opened


def _say_where_ink_lies(corpus: Corpus, image: Path) -> None:
    """Patches under a marker's ink are not read; people draw round what they look for."""
    rows = corpus.table("samples", columns=["attributes"])["attributes"].to_pylist()
    counts = [json.loads(attributes or "{}").get("counts") or {} for attributes in rows]
    if inked := sum(int(count.get("pen") or 0) for count in counts):
        what = "1 patch" if inked == 1 else f"{inked} patches"
        Console(stderr=True).print(
            f"{image.name}: ink covers {what} of it, where nothing was looked for",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _of_picture(image: Path, corpus: Path, preset: object) -> Corpus:
    """A picture says nothing of its modality: it is taken for what the model reads."""
    data = image.read_bytes()
    try:
        picture = read_picture(data)
    except PictureError as error:
        raise InputError(f"'{image}' cannot be read: {error}") from error
    modalities = tuple(getattr(preset, "modalities", ())) or ("RGB",)
    uid = sample_uid(hashlib.sha256(data).hexdigest())
    row: Row = {"uid": uid, "subject": OF_PICTURES, "study": OF_PICTURES, "kind": "image", "modality": modalities[0]}
    new_corpus(corpus)
    writer = JobWriter(corpus, "picture")
    writer.add(Sample(row | picture.columns(), picture.payload, picture.preview))
    writer.publish()
    return Corpus(corpus)


def _reason(corpus: Path, image: Path) -> str | None:
    """Why a slide failed, from the ledger of a conversion that nobody will see."""
    try:
        rows = Corpus(corpus).ledger().to_pylist()
    except VoxtileError:
        return None
    return next((f"'{image}' {_REFUSED[r['reason']]}" for r in rows if r["reason"] in _REFUSED), None)


def _failure(runs: Sequence[tuple[str, RunSummary]], image: Path) -> str | None:
    """What was wrong with the first input that failed: the ledger that a summary speaks of is gone with the corpus."""
    sentences = (failure.sentence for _, summary in runs for _, failure in summary.failures)
    return next((f"'{image}' cannot be read: {said.removeprefix(f'{image.name}: ')}" for said in sentences), None)


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_DICOM_MAGIC[0])
        return file.read(4) == _DICOM_MAGIC[1]


def _has_place(image: Path) -> bool:
    """Whether a raster is of a place on the ground: a TIFF with GeoTIFF's keys, or a file of another kind."""
    if image.is_dir():
        return True
    with image.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 16:
            return True
        big = struct.unpack(f"{order}H", head[2:4])[0] == 43  # BigTIFF
        file.seek(struct.unpack(f"{order}Q", head[8:16])[0] if big else struct.unpack(f"{order}I", head[4:8])[0])
        width, entry = (8, 20) if big else (2, 12)
        count = int.from_bytes(file.read(width), "little" if order == "<" else "big")
        tags = file.read(min(count, 4096) * entry)
    found = range(0, len(tags) - entry + 1, entry)
    return any(struct.unpack(f"{order}H", tags[at : at + 2])[0] == _GEO_KEYS for at in found)
