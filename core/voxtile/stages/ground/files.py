"""Masks that were found, as files of their field: DICOM SEG, NIfTI, GeoJSON, GeoPackage."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.corpus.source import StoredSample
from voxtile.corpus.storage import write_atomically
from voxtile.errors import ConfigError
from voxtile.formats.dicom_seg import write_dicom_seg
from voxtile.formats.geojson import on_earth, outline
from voxtile.formats.geometry import volume_affine
from voxtile.formats.optional import require
from voxtile.grounding.boxes import long_side_angle, rotated_outline


@dataclass(frozen=True)
class Found:
    """What a phrase is answered with in one sample.

    Attributes:
        sample: where.
        phrase: what was asked.
        presence: probability of a target.
        mask: [*G] bool on the sample's own grid; empty where nothing was found.
    """

    sample: StoredSample
    phrase: str
    presence: float
    mask: npt.NDArray[np.bool_]

    @property
    def stem(self) -> str:
        """Name of its files."""
        words = re.sub(r"[^a-z0-9]+", "-", self.phrase.casefold()).strip("-")
        return f"{self.sample.meta['uid'][:12]}-{words or 'phrase'}"


def as_dicom_seg(corpus: Corpus, found: Sequence[Found], image: Path, out: Path, boxes: str = "none") -> list[Path]:
    """A DICOM segmentation a series, which refers to the slices of the image itself. See `write_dicom_seg`."""
    files = []
    for sample, parts in _by_sample(found):
        if any(part.mask.any() for part in parts):
            target = out / f"{sample.meta['uid'][:12]}.seg.dcm"
            target.unlink(missing_ok=True)
            files += write_dicom_seg(corpus, sample, target, image if image.is_dir() else image.parent)
    return files


def as_nifti(corpus: Corpus, found: Sequence[Found], image: Path, out: Path, boxes: str = "none") -> list[Path]:
    """A NIfTI a volume with a fourth axis for the phrases, on the grid of the image itself, and their names as JSON.

    Masks may overlap, so that each has a volume of its own along the fourth axis, in the order of the names.

    Raises:
        ConfigError: the image has no affine.
    """
    nib = require("nibabel", "medical")
    files = []
    for sample, parts in _by_sample(found):
        affine = volume_affine(sample.meta)
        if affine is None:
            raise ConfigError("the image has no affine, so that its masks have no place; use --to geojson for pictures")
        stacked = np.stack([part.mask.transpose(2, 1, 0) for part in parts], axis=-1).astype(np.uint8)
        own = nib.Nifti1Image(stacked, affine)
        if image.is_file() and image.name.casefold().endswith((".nii", ".nii.gz")):
            source = nib.load(image)  # its axes may run otherwise than ours, without loss
            turn = nib.orientations.ornt_transform(
                nib.orientations.io_orientation(affine), nib.orientations.io_orientation(source.affine)
            )
            own = nib.Nifti1Image(own.as_reoriented(turn).get_fdata().astype(np.uint8), source.affine)
        target = out / f"{sample.meta['uid'][:12]}.nii.gz"
        nib.save(own, target)
        names = target.with_name(f"{sample.meta['uid'][:12]}.json")
        content = {"phrases": [{"name": p.phrase, "presence": round(p.presence, 4)} for p in parts]}
        write_atomically(names, json.dumps(content, indent=2, ensure_ascii=False).encode())
        files += [target, names]
    return files


def as_geojson(corpus: Corpus, found: Sequence[Found], image: Path, out: Path, boxes: str = "none") -> list[Path]:
    """One GeoJSON in longitude and latitude (RFC 7946), or in pixels, as QuPath reads it, for a picture of no place."""
    if not any(part.sample.meta.get("crs") for part in found):
        target = out / f"{image.stem}.geojson"
        features = [_pixel_feature(part) for part in found if part.mask.any()]
        write_atomically(target, json.dumps({"type": "FeatureCollection", "features": features}).encode())
        return [target]
    return _saved(found, out / f"{image.stem}.geojson", "GeoJSON", boxes)


def as_geopackage(corpus: Corpus, found: Sequence[Found], image: Path, out: Path, boxes: str = "none") -> list[Path]:
    """One GeoPackage in the scene's own CRS, a feature a phrase."""
    return _saved(found, out / f"{image.stem}.gpkg", "GPKG", boxes)


def is_volume(sample: StoredSample) -> bool:
    """Whether a sample has slices with a place in the patient, to which a DICOM segmentation can refer."""
    return volume_affine(sample.meta) is not None and sample.meta.get("axes") == "ZYX"


WRITERS: Mapping[str, Callable[[Corpus, Sequence[Found], Path, Path, str], list[Path]]] = {
    "dicom-seg": as_dicom_seg,
    "nifti": as_nifti,
    "geojson": as_geojson,
    "geopackage": as_geopackage,
}


def _by_sample(found: Sequence[Found]) -> list[tuple[StoredSample, list[Found]]]:
    grouped: dict[str, list[Found]] = defaultdict(list)
    for part in found:
        grouped[part.sample.meta["uid"]].append(part)
    return [(parts[0].sample, parts) for parts in grouped.values()]


def _pixel_feature(part: Found) -> dict[str, Any]:
    from shapely.geometry import mapping

    properties = {"objectType": "annotation", "classification": {"name": part.phrase}, "presence": part.presence}
    return {"type": "Feature", "geometry": mapping(outline(part.mask)), "properties": properties}


def _saved(found: Sequence[Found], target: Path, driver: str, boxes: str) -> list[Path]:
    """Outlines of all tiles, joined where they touch, or the boxes of their parts.

    The angle of a rotated box is that of its longer side, in degrees counter-clockwise from the x axis of the CRS.
    """
    geopandas = require("geopandas", "remote-sensing")
    from shapely.affinity import affine_transform

    rows = []
    for part in found:
        if not part.sample.meta.get("crs") or not part.sample.meta.get("transform"):
            raise ConfigError("the image has no coordinate reference system; use --to geojson, which then is in pixels")
        if part.mask.any():
            shape = affine_transform(outline(part.mask), _on_grid(part.sample, found[0].sample))
            rows.append({"phrase": part.phrase, "presence": part.presence, "geometry": shape})
    own = found[0].sample.meta["crs"]
    frame = geopandas.GeoDataFrame(rows).dissolve("phrase", aggfunc={"presence": "max"}).reset_index()
    a, b, c, d, e, f = found[0].sample.meta["transform"]  # x = a·column + b·row + c, y = d·column + e·row + f
    frame = frame.set_geometry(frame.geometry.affine_transform([a, b, d, e, c, f]).set_crs(own))
    if boxes != "none":
        frame = frame.explode(ignore_index=True)
        steps = [tuple(part.sample.meta["transform"]) for part in found]
        pixel = max(float(np.hypot(step[0], step[3])) for step in steps)
        turned = boxes == "rotated"
        frame["geometry"] = [rotated_outline(g, pixel) for g in frame.geometry] if turned else frame.envelope
        frame["angle"] = [long_side_angle(g) for g in frame.geometry] if turned else 0.0
    target.unlink(missing_ok=True)
    if driver == "GeoJSON":  # to_crs would lay a shape that crosses the dateline once round the earth
        frame = frame.set_geometry([on_earth(g, own) for g in frame.geometry], crs="EPSG:4326")
    frame.to_file(target, driver=driver)
    return [target]


def _on_grid(tile: StoredSample, grid: StoredSample) -> list[float]:
    """How the pixels of a tile lie on the grid of another one, as shapely takes it.

    Of tiles of one scene these are whole numbers, so that outlines join at the edges of tiles. In coordinates of the
    CRS an edge that two tiles share would differ in its last digit, and one object be two.
    """
    own, other = (np.array(sample.meta["transform"]).reshape(2, 3) for sample in (tile, grid))
    turn = np.linalg.inv(other[:, :2])
    pixels = np.hstack([turn @ own[:, :2], turn @ (own[:, 2:] - other[:, 2:])])
    a, b, c, d, e, f = pixels.round(6).ravel().tolist()
    return [a, b, d, e, c, f]
