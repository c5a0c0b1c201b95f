"""A region that a question marks, from a box, a mask or an outline, on the grid of the image as the model sees it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import PICTURE_FORMATS
from voxtile.data.presets.base import Preset
from voxtile.data.regions.masks import MaskSource, joined_mask, mask_metas, masking, soft, spatial_shape
from voxtile.errors import ConfigError, InputError
from voxtile.formats.geometry import volume_affine
from voxtile.formats.optional import require

_NIFTI = (".nii", ".nii.gz")
_PICTURES = (".png", ".tif", ".tiff", ".bmp")
_APART = 1e-2  # mm, by which places of voxels may differ: NIfTI keeps them in float32
_WGS84 = "EPSG:4326"  # of GeoJSON: RFC 7946, section 4


@dataclass(frozen=True)
class Marked:
    """How a region was given: one of the three.

    Attributes:
        box: min corner then max corner in the order of the array's axes (z, y, x), in voxel edges, half-open.
        angle: degrees counter-clockwise by which a box of two axes is turned about its centre.
        mask: a file with the image's own geometry, not 0 where the region is.
        outline: GeoJSON, in pixels (x to the right, y down), or in longitude and latitude of a georeferenced image.
    """

    box: tuple[float, ...] | None = None
    angle: float = 0.0
    mask: Path | None = None
    outline: Path | None = None

    def __bool__(self) -> bool:
        return not (self.box is None and self.mask is None and self.outline is None)


def parse_marked(box: str | None, angle: float, mask: Path | None, outline: Path | None) -> Marked:
    """What the options of a command say.

    Raises:
        ConfigError: several of them are given, or a box is not of numbers.
    """
    if sum(part is not None for part in (box, mask, outline)) > 1:
        raise ConfigError("a question marks one region: give one of --box, --mask and --outline")
    if angle and box is None:
        raise ConfigError("--angle turns a box; give one with --box")
    if box is None:
        return Marked(None, 0.0, mask, outline)
    try:
        edges = tuple(float(part) for part in box.replace(" ", "").split(","))
    except ValueError:
        edges = ()
    if not edges or not all(map(math.isfinite, (*edges, angle))):
        raise ConfigError(f"--box '{box}' is not of numbers; give min corner then max corner, e.g. 4,10,20,9,30,40")
    return Marked(edges, angle)


def region_on_grid(corpus: Corpus, name: str, preset: Preset, marked: Marked) -> Tensor:
    """[*G] in 0 to 1, the share of each voxel of the model's image that the region covers.

    Args:
        corpus: of the scan alone, as `voxtile.assist.scans` converts it.
        name: of its image.
        preset: of the model.
        marked: the region.

    Raises:
        ConfigError: a box of other axes, an outline of a volume, or a preset that places no masks.
        InputError: the region lies outside the image or what the model sees of it, or a file cannot be read or has
            another geometry.
    """
    rows = corpus.table("samples", with_root=True).to_pylist()
    own = [row for row in rows if row["uid"].startswith(name) or (row["study"] or "").startswith(name)]
    if len(own) != 1:
        raise InputError(
            f"a region lies on one image, and there are {len(own) or len(rows)}; give the file of the one that is meant"
        )
    metas = mask_metas(preset, {own[0]["uid"]: own[0]})
    meta = metas[own[0]["uid"]]
    source = _placed(corpus, meta, marked)
    if not source.mask.any():
        raise InputError(f"the region covers no voxel of the image, which has {_sizes(meta)}; mark a larger one")
    return _on_grid(source, preset)


def stored_region(corpus: Corpus, row: Mapping[str, Any], meta: Mapping[str, Any], preset: Preset) -> Tensor:
    """The same of a region of a corpus: [*G] in 0 to 1.

    Args:
        corpus: where its mask is.
        row: of the table `regions`.
        meta: of its sample.
        preset: of the model.

    Raises:
        InputError: the model does not see it.
        CorpusError: its mask is damaged, or of another grid than its sample's.
    """
    metas = mask_metas(preset, {meta["uid"]: meta})
    return _on_grid(joined_mask(corpus, [row], metas[meta["uid"]]), preset)


def _on_grid(source: MaskSource, preset: Preset) -> Tensor:
    placed = soft(masking(preset)(source, None))
    if not bool(placed.any()):
        raise InputError("the region lies where the model does not look: its grid holds another part of the image")
    return placed.float() / 255


def _placed(corpus: Corpus, meta: Mapping[str, Any], marked: Marked) -> MaskSource:
    if marked.box is not None:
        return _of_box(corpus, meta, marked.box, marked.angle)
    mask = _of_file(marked.mask, meta) if marked.mask is not None else _of_outline(marked.outline, meta)
    return _source(mask, meta)


def _source(mask: npt.NDArray[np.bool_], meta: Mapping[str, Any]) -> MaskSource:
    own = {"axes": "ZYX"[-mask.ndim :], "shape": list(mask.shape), "dtype": "uint8", "codec": "b2nd"}
    return MaskSource({**meta, **own, "channels": [{"name": "mask"}], "units": None, "attributes": None}, mask)


def _of_box(corpus: Corpus, meta: Mapping[str, Any], box: Sequence[float], angle: float) -> MaskSource:
    shape = spatial_shape(meta)
    if len(box) != 2 * len(shape):
        raise ConfigError(
            f"a box of this image has {2 * len(shape)} numbers, min corner then max corner along "
            f"{', '.join('ZYX'[-len(shape) :])}, not {len(box)}"
        )
    if angle and len(shape) != 2:
        raise ConfigError("--angle turns boxes of pictures; leave it out for a volume")
    low, high = np.asarray(box[: len(shape)]), np.asarray(box[len(shape) :])
    if (low >= high).any():
        raise ConfigError(f"the box {list(box)} is empty: its max corner must lie beyond its min corner on every axis")
    if (high <= 0).any() or (low >= np.asarray(shape)).any():
        raise InputError(f"the box {list(box)} lies outside the image, which has {_sizes(meta)}")
    row = {"region_id": "marked", "uid": meta["uid"], "box": list(box), "angle": angle, "mask_shard": None}
    return joined_mask(corpus, [row], meta)


def _of_file(path: Path, meta: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    name = path.name.casefold()
    if not path.is_file():
        raise InputError(f"there is no mask '{path}'")
    if name.endswith(_NIFTI):
        return _of_nifti(path, meta)
    if name.endswith(_PICTURES):
        return _of_picture(path, meta)
    raise InputError(f"the mask '{path}' is neither NIfTI nor a picture (.png, .tif); write it as one of these")


def _of_nifti(path: Path, meta: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """Axes that run otherwise, as NIfTI allows, are brought to those of the scan; voxels stay as they are."""
    nib = require("nibabel", "medical")
    try:
        image = nib.as_closest_canonical(nib.load(path))
        values = np.asanyarray(image.dataobj)
    except Exception as error:  # the library raises many kinds
        raise InputError(f"the mask '{path}' cannot be read ({' '.join(str(error).split())[:120]})") from error
    affine, shape = volume_affine(meta), spatial_shape(meta)
    own = values.shape[::-1]
    if affine is None or own != shape or not np.allclose(image.affine, affine, atol=_APART):
        raise InputError(
            f"the mask '{path}' has another geometry than the scan: {_times(own)} voxels, and the scan has "
            f"{_sizes(meta)}, at the same place with the same spacing; resample it onto the scan"
        )
    return np.asarray(values.T != 0, np.bool_)


def _of_picture(path: Path, meta: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=PICTURE_FORMATS) as image:
            values = np.asarray(image.convert("L") if image.mode not in ("1", "L", "I", "I;16", "F") else image)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"the mask '{path}' cannot be read as a picture") from error
    if values.shape != spatial_shape(meta):
        raise InputError(
            f"the mask '{path}' has another geometry than the image: {_times(values.shape)} pixels (Y, X), and the "
            f"image has {_sizes(meta)}"
        )
    return np.asarray(values != 0, np.bool_)


def _of_outline(path: Path | None, meta: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """Pixels whose centres lie inside, holes left out."""
    shape = spatial_shape(meta)
    if len(shape) != 2:
        raise ConfigError("an outline lies on a picture; mark a region of a volume with --box or --mask")
    assert path is not None
    shapely = require("shapely", "remote-sensing")
    outline = _in_pixels(_read_outline(path), meta)
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside: npt.NDArray[np.bool_] = shapely.contains_xy(outline, x.ravel() + 0.5, y.ravel() + 0.5).reshape(shape)
    if not inside.any() and not outline.intersects(shapely.box(0, 0, shape[1], shape[0])):
        raise InputError(f"the outline '{path}' lies outside the image, which has {_sizes(meta)}")
    return inside


def _read_outline(path: Path) -> Any:  # noqa: ANN401 - a geometry of shapely
    from shapely.geometry import shape
    from shapely.ops import unary_union

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        features = content["features"] if content.get("type") == "FeatureCollection" else [content]
        parts = [shape(feature.get("geometry", feature)) for feature in features]
        areas = [part.buffer(0) for part in parts if part.geom_type in ("Polygon", "MultiPolygon")]
    except Exception as error:  # json and shapely raise many kinds
        raise InputError(f"the outline '{path}' cannot be read as GeoJSON; export polygons, as QuPath does") from error
    if not areas:
        raise InputError(f"the outline '{path}' has no polygon; draw the border of the region")
    return unary_union(areas)


def _in_pixels(outline: Any, meta: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """A georeferenced image's outline, from longitude and latitude."""
    if not (meta.get("crs") and meta.get("transform")):
        return outline
    from shapely.affinity import affine_transform

    geopandas = require("geopandas", "remote-sensing")
    own = geopandas.GeoSeries([outline], crs=_WGS84).to_crs(meta["crs"]).iloc[0]
    a, b, c, d, e, f = meta["transform"]  # x = a·column + b·row + c, y = d·column + e·row + f
    back = np.linalg.inv(np.asarray([[a, b, c], [d, e, f], [0, 0, 1]], float))
    return affine_transform(own, [*back[0, :2], *back[1, :2], back[0, 2], back[1, 2]])


def _sizes(meta: Mapping[str, Any]) -> str:
    shape = spatial_shape(meta)
    return f"{_times(shape)} {'voxels' if len(shape) == 3 else 'pixels'} ({', '.join('ZYX'[-len(shape) :])})"


def _times(shape: Sequence[int]) -> str:
    return " x ".join(str(size) for size in shape)
