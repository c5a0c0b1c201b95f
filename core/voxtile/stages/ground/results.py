"""What was found in an image, added to its corpus and written in the format of its field."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from voxtile.corpus.drafts import only_writer
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask
from voxtile.corpus.writer import JobWriter
from voxtile.data.presets.base import Preset
from voxtile.errors import ConfigError
from voxtile.stages.ground.files import WRITERS, Found, is_volume
from voxtile.stages.ground.pictures import write_pictures

Form: TypeAlias = Literal["auto", "dicom-seg", "nifti", "geojson", "geopackage"]
Boxes: TypeAlias = Literal["none", "upright", "rotated"]

PATIENCE_S = 60.0  # for another command that writes into the same folder
_TITLES = {"geojson": "GeoJSON", "geopackage": "a GeoPackage"}
_OWN_FORM = {"dicom": "dicom-seg", "nifti": "nifti", "geotiff": "geopackage", "wsi": "geojson", "picture": "geojson"}


def add_regions(corpus: Corpus, found: Sequence[Found], source: str) -> None:
    """Masks that are not empty as regions of the corpus, to which a DICOM segmentation refers.

    Args:
        corpus: of the image alone.
        found: at most one of a phrase in a sample.
        source: of the regions, see `voxtile.formats.dicom_seg.BY_MODEL`.
    """
    writer = JobWriter(corpus.roots[0], "ground")
    for part in found:
        if part.mask.any():
            uid = part.sample.meta["uid"]
            region = hashlib.sha256(f"{uid}\0{part.phrase}".encode()).hexdigest()[:32]
            about = {"region_id": region, "uid": uid, "phrase": part.phrase, "box": _box(part.mask), "source": source}
            writer.add_mask(Mask(about, part.mask))
    writer.publish()


def write_found(
    corpus: Corpus, found: Sequence[Found], image: Path, out: Path, *, form: str, asked: Form, boxes: Boxes
) -> list[Path]:
    """Files of what was found, and a picture of each mask.

    Args:
        corpus: of the image, with the regions.
        found: masks, some of them empty.
        image: file or folder that was asked about.
        out: folder to write to.
        form: the format.
        asked: what the caller named; auto leaves a choice.
        boxes: in place of outlines.

    Raises:
        ConfigError: the image has no place that the format asks for.
    """
    if form == "dicom-seg" and not all(is_volume(part.sample) for part in found):
        if asked != "auto":
            raise ConfigError(
                "a DICOM segmentation is of slices with a place in the patient, and this image has none; leave "
                "--to out for outlines in its pixels (GeoJSON)"
            )
        form = "geojson"
    shown = any(part.mask.any() for part in found)
    with only_writer(out, PATIENCE_S):  # masks and pictures are of one run, whoever else writes there
        files = WRITERS[form](corpus, found, image, out, boxes) if shown else []
        return files + write_pictures(found, out)


def own_form(kind: str, preset: Preset) -> str:
    """The format of the image's field; what a plugin reads is outlined where it is flat."""
    return _OWN_FORM.get(kind, "nifti" if len(preset.grid) == 3 else "geojson")


def check_form(kind: str, form: str, boxes: Boxes, preset: Preset) -> None:
    """Refuse a format that the kind of image, or what the model reads of it, does not go with.

    Raises:
        ConfigError: says which goes.
    """
    if kind == "picture" and (form != "geojson" or boxes != "none"):
        raise ConfigError(
            "results on pictures are written as GeoJSON in pixels, as outlines; leave --to and --boxes out"
        )
    # What is flat by its kind is refused by the preset of a model of volumes, in its own words.
    if len(preset.grid) == 3 and form in _TITLES and kind not in ("geotiff", "wsi", "picture"):
        raise ConfigError(f"a volume has no outlines for {_TITLES[form]}; leave --to {form} out, or take --to nifti")
    if kind == "wsi" and form != "geojson":
        raise ConfigError(f"results on slides are written as GeoJSON, as QuPath reads it; leave --to {form} out")
    if boxes != "none" and (kind != "geotiff" or form not in ("geojson", "geopackage")):
        raise ConfigError(f"--boxes {boxes} goes with rasters as GeoJSON or GeoPackage; leave it out")


def prepare(out: Path) -> None:
    """Make a folder that results can be written to.

    Raises:
        ConfigError: it cannot be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".writable").touch()
        (out / ".writable").unlink(missing_ok=True)  # another command may begin in the same folder now
    except OSError as error:
        raise ConfigError(f"cannot write to '{out}' ({error.strerror}); name another folder with --out") from error


def _box(mask: npt.NDArray[np.bool_]) -> list[float]:
    """Bounding box in pixel edges: min corner, then max corner."""
    places = [
        np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis))) for axis in range(mask.ndim)
    ]
    return [float(p[0]) for p in places] + [float(p[-1]) + 1 for p in places]
