"""Files and arrays as samples that a preset reads."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.api.corpus import Sample
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import OVERVIEW
from voxtile.data.presets.base import Preset, SampleSource
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.tile import TilePreset
from voxtile.errors import ConfigError, InputError, PresetError
from voxtile.stages.ground.sources import SlidePatches, kind_of, own_corpus, read_as

MOST_IMAGES = 4096  # of one file; more belong into a corpus
_OF_ARRAYS = ("spacing_mm", "units", "gsd_m")
_OF_VOLUMES = ("spacing_mm", "units", "modality")
_OF_FILES = ("mpp", "patch_px", "assume_mpp")
_UNITS = {name.lower(): name for name in ("HU", "SUVbw", "SUVlbm", "SUVibw", "SUVbsa", "reflectance", "dB")}
_FINEST = 1e4  # times finer than what the model reads; beyond it is a slip of the units, and takes all memory


class Given(TypedDict, total=False):
    """What is said of an image that does not say it itself.

    Attributes:
        spacing_mm: of an array: size of a voxel in mm, (z, y, x).
        units: of an array: HU, SUVbw, reflectance, …, in any letter case; the values are taken to be in them.
        gsd_m: of an array: metres a pixel on the ground.
        modality: of an array or a NIfTI file: CT, MR, …; where the model reads one alone, that is taken.
        bands: of an array: names of its channels; of a raster for a model of pictures: which are red, green and blue.
        mpp: of a slide: micrometres a pixel of its patches; 0.5 when left out.
        patch_px: of a slide: width and height of its patches; 256 when left out.
        assume_mpp: micrometres a pixel of a slide whose file does not say.
    """

    spacing_mm: Sequence[float] | None
    units: str | None
    gsd_m: float | None
    modality: str | None
    bands: Sequence[str] | None
    mpp: float
    patch_px: int
    assume_mpp: float | None


class ArraySample:
    """An array as presets see a sample.

    Attributes:
        meta: what is known of it, as a row of the table `samples` has it.
    """

    def __init__(self, values: npt.NDArray[Any], meta: Mapping[str, Any]) -> None:
        self.meta = meta
        self._values = values

    def array(self, selection: tuple[slice, ...] | None = None) -> npt.NDArray[Any]:
        """The values, all or a box of them."""
        return self._values[selection or ()]

    def encoded(self) -> bytes:
        """An array is no file.

        Raises:
            PresetError: always.
        """
        raise PresetError("this preset reads encoded pictures; give the path of the file in place of an array")


def check_given(given: Given, *, is_file: bool) -> None:
    """Refuse what is not known, or does not go with a file or an array.

    Raises:
        ConfigError: names it.
    """
    if unknown := sorted(set(given) - set(Given.__annotations__)):
        raise ConfigError(f"'{unknown[0]}' says nothing of an image; there are {', '.join(Given.__annotations__)}")
    said = [name for name, value in given.items() if value is not None]
    for name in said:
        if is_file and name in _OF_ARRAYS:
            raise ConfigError(f"{name} goes with arrays; a file says it itself, leave it out")
        if not is_file and name in _OF_FILES:
            raise ConfigError(f"{name} goes with slides; leave it out for an array")
    gsd, bands = given.get("gsd_m"), given.get("bands")
    if gsd is not None and not _is_size(gsd):
        raise ConfigError(f"gsd_m is metres a pixel, a number above 0, not {gsd!r:.80}")
    if isinstance(bands, str):
        raise ConfigError(f"bands is a list of names, such as ['{bands}'], not one text")


def file_corpus(path: str | os.PathLike[str], preset: Preset, folder: Path, given: Given, overlap: float) -> Corpus:
    """Convert a file, or a folder of DICOM files, by its field's converter.

    Args:
        path: of any kind that `voxtile ground` takes.
        preset: of the model.
        folder: for the corpus; empty.
        given: what the file does not say.
        overlap: share that neighbouring patches of a slide have in common.

    Raises:
        InputError: it cannot be read.
        ConfigError: no installed domain reads it.
    """
    image = Path(path)
    kind = read_as(kind_of(image), image, preset)
    if given.get("modality") is not None and kind != "nifti":
        raise ConfigError(f"modality goes with NIfTI files and arrays; '{image}' says it itself, leave it out")
    if given.get("bands") is not None and not (kind == "geotiff" and isinstance(preset, ImagePreset)):
        raise ConfigError("bands goes with arrays, or with rasters and a model of pictures; leave it out")
    patches = SlidePatches(given.get("mpp", 0.5), given.get("patch_px", 256), given.get("assume_mpp"), overlap)
    return own_corpus(kind, image, folder / "corpus", preset, patches, given.get("modality"))


def images_of(corpus: Corpus, path: object, *, most: int | None = MOST_IMAGES) -> list[dict[str, Any]]:
    """Rows of what a model reads.

    Args:
        corpus: of the file.
        path: of the file, for messages.
        most: images that may be held at once; None where they are read one by one.

    Raises:
        InputError: there is nothing, or too much.
    """
    rows: list[dict[str, Any]] = corpus.table("samples", with_root=True).to_pylist()
    rows = [row for row in rows if row["kind"] != OVERVIEW]
    if not rows:
        raise InputError(f"'{path}' holds no image that the model can read")
    if most is not None and len(rows) > most:
        raise InputError(
            f"'{path}' gives {len(rows)} images, too many to hold at once; convert it with voxtile.convert, and load "
            "them from the corpus"
        )
    return rows


def as_sample(image: object, preset: Preset, given: Given) -> SampleSource:
    """A sample of a corpus, an array or a PIL picture, as what the preset reads.

    Raises:
        ConfigError: something is said of a sample, which says it itself.
        PresetError: as for `array_sample`.
    """
    if not isinstance(image, Sample):
        return array_sample(image, preset, given)
    if said := next((name for name, value in given.items() if value is not None), None):
        raise ConfigError(f"{said} goes with arrays and files; a sample of a corpus says it itself, leave it out")
    return image.source


def array_sample(image: object, preset: Preset, given: Given) -> ArraySample:
    """An array or a PIL picture, as what the preset reads.

    Args:
        image: [Z, Y, X] of a volume, from the feet up, from the back forward and from the patient's left, as a corpus
            stores it; [C, Y, X] of a tile; [Y, X] or [Y, X, 3] uint8 of a picture. To a model of pictures an array of
            another shape or type is a volume only where its spacing, units or modality are given.
        preset: of the model.
        given: what an array does not say.

    Raises:
        PresetError: something is missing that the preset needs, or the array does not fit.
    """
    if isinstance(image, list | tuple) and any(
        isinstance(one, Sample | str | os.PathLike | Image.Image) for one in image
    ):
        raise PresetError(
            f"one image is taken at a time, not a {type(image).__name__} of {len(image)}; join several with "
            "torch.cat([model.preprocess(one) for one in images])"
        )
    if isinstance(image, Image.Image):
        whole = image.mode[:1] in ("L", "I", "F") and image.mode != "LA"  # more than 8 bits would be cut at 255
        image = np.asarray(image if whole else image.convert("RGB"))
    try:
        values = np.asarray(image)
    except ValueError as error:  # lists of different lengths
        raise PresetError("an image is an array of numbers with 2 or 3 axes, not lists of different lengths") from error
    if values.dtype.kind not in "buif" or values.ndim not in (2, 3) or not values.size:
        raise PresetError(
            f"an image is an array of numbers with 2 or 3 axes, not {values.dtype} of shape {list(values.shape)}"
        )
    meta = _described(values, preset, given)
    _check_needs(preset, meta, given)
    if meta["kind"] != "tile" and not np.isfinite(values).all():
        raise PresetError(
            f"the {meta['kind']} holds values that are not finite; replace them, for instance by those of air"
        )
    return ArraySample(values, meta)


def _described(values: npt.NDArray[Any], preset: Preset, given: Given) -> dict[str, Any]:
    bands = given.get("bands")
    picture = values.ndim == 2 or (values.dtype == np.uint8 and values.shape[2] in (1, 3))
    if isinstance(preset, TilePreset) or bands is not None:
        kind, axes = "tile", "CYX" if values.ndim == 3 else "YX"
    elif len(preset.grid) == 2 and picture:
        kind, axes = "image", "YXC" if values.ndim == 3 else "YX"
    else:
        kind, axes = "volume", "ZYX"
    if bands is not None and len(bands) != (values.shape[0] if values.ndim == 3 else 1):
        raise PresetError(f"bands names {len(bands)} channels, but the array has the shape {list(values.shape)}")
    if kind == "volume" and len(preset.grid) == 2 and all(given.get(name) is None for name in _OF_VOLUMES):
        raise PresetError(
            f"an array of {values.dtype} and shape {list(values.shape)} may be a picture or a volume: a picture is [y, "
            "x] or [y, x, 3] of uint8; of a volume [z, y, x] say its spacing_mm, units or modality"
        )
    spacing = given.get("spacing_mm")
    if spacing is not None and not _are_sizes(spacing, values.ndim):
        raise PresetError(
            f"spacing_mm must be {values.ndim} sizes in mm above 0 ({'z, y, x' if values.ndim == 3 else 'y, x'}), not "
            f"{spacing!r:.80}"
        )
    read = tuple(getattr(preset, "modalities", ()) or ())
    units = given.get("units")
    return {
        "uid": "array", "kind": kind, "axes": axes, "shape": list(values.shape), "dtype": str(values.dtype),
        "codec": "b2nd", "units": units and _UNITS.get(str(units).lower(), units), "gsd_m": given.get("gsd_m"),
        "modality": given.get("modality") or (read[0] if len(read) == 1 else None),
        "spacing": None if spacing is None else [float(size) for size in spacing],
        "channels": None if bands is None else [{"name": str(name)} for name in bands],
    }  # fmt: skip


def _are_sizes(sizes: object, count: int) -> bool:
    return isinstance(sizes, Sequence | np.ndarray) and len(sizes) == count and all(map(_is_size, sizes))


def _is_size(size: object) -> bool:
    return isinstance(size, Real) and math.isfinite(size) and float(size) > 0


def _check_needs(preset: Preset, meta: Mapping[str, Any], given: Given) -> None:
    """Refuse an array of which the preset must know more, by the name of the argument."""
    units, read = getattr(preset, "units", None), tuple(getattr(preset, "modalities", ()) or ())
    if meta["kind"] == "volume" and getattr(preset, "spacing", "native") != "native" and not meta["spacing"]:
        raise PresetError("this model needs the spacing in mm, which an array does not say; give spacing_mm=(z, y, x)")
    fine = [
        (size, wanted)
        for size, wanted in zip(meta["spacing"] or (), getattr(preset, "spacing", ()), strict=False)
        if isinstance(wanted, float | int) and size * _FINEST < wanted
    ]
    if meta["kind"] == "volume" and fine:
        raise PresetError(
            f"spacing_mm says {fine[0][0]:g} mm, but this model reads voxels of {fine[0][1]:g} mm; give the size of a "
            "voxel in mm"
        )
    if meta["modality"] == "CT" and meta["units"] not in (None, "HU", "a.u."):
        raise PresetError(f"units of CT are HU, or a.u. where they are not, and not {meta['units']!r:.80}")
    if units and given.get("units") is None:
        raise PresetError(f"this model reads values in {units}, which an array does not say; give units='{units}'")
    if read and meta["modality"] is None:
        raise PresetError(f"this model reads {' or '.join(read)}, which an array does not say; give modality")
    if isinstance(preset, TilePreset) and given.get("bands") is None:
        raise PresetError(
            f"this model reads the bands {', '.join(preset.bands)}, which an array does not say; give bands, the "
            "names of its channels"
        )
    if isinstance(preset, TilePreset) and (preset.gsd_m or preset.gsd_channel) and not meta["gsd_m"]:
        raise PresetError("this model needs the metres a pixel, which an array does not say; give gsd_m")


def check_metas(preset: Preset, metas: Sequence[Mapping[str, Any]]) -> None:
    """What the preset needs of samples, as a sentence about them and no corpus.

    Raises:
        PresetError: names the first thing that is missing.
    """
    try:
        preset.check(metas)
    except PresetError as error:
        raise PresetError(str(error).replace("the corpus holds", "this is")) from error
