"""BigEarthNet patches: folders of single-band files whose names end in the band.

BigEarthNet: `PATCH/PATCH_B04.tif` (Sentinel-2 L2A, baseline before 04.00, so no offset) and `PATCH/PATCH_VV.tif`
(Sentinel-1, dB); Sumbul et al. 2021 (arXiv:2105.07921) and Clasen et al. 2024 (arXiv:2407.03653).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from voxtile.bounded_text import load_json
from voxtile_remote_sensing.bands.registry import load_sensor
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.protocol import Scene, SceneBand, SceneError, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterPixels, read_header

OPTICAL, RADAR = "sentinel-2-msi", "sentinel-1-sar"
PATCH = re.compile(r"^S(?P<kind>2[AB]_MSIL2A|1[AB]_[A-Z]{2}_GRDH)\w*_(?P<stamp>\d{8}T\d{5,6})(?:_\w+)?$")
LABELS = "_labels_metadata.json"
MAX_JSON = 1 << 20


class BigEarthNetReader:
    """One patch folder, one scene."""

    name = "bigearthnet"

    def find(self, listing: Listing) -> Found:
        """Folders `PATCH` that hold `PATCH_<band>.tif`."""
        folders: dict[str, list[str]] = {}
        for path in listing.sizes:
            pure = PurePosixPath(path)
            parent = pure.parent.name or listing.root.name
            if pure.name.startswith(parent + "_") and PATCH.match(parent):
                folders.setdefault(pure.parent.as_posix(), []).append(path)
        refs, taken = [], set()
        for folder, files in folders.items():
            rasters = [f for f in files if f.endswith(".tif")]
            taken |= set(files)
            if rasters:
                refs.append(listing.ref(self.name, folder, [*rasters, *(f for f in files if f.endswith(LABELS))]))
        return Found(tuple(refs), frozenset(taken))

    def open(self, ref: SceneRef) -> Scene:
        """Open a patch.

        Raises:
            SceneError: a raster is damaged, or the labels are not JSON.
        """
        patch = PurePosixPath(ref.id).name
        match = PATCH.match(patch)
        radar = match is not None and match["kind"].startswith("1")
        sensor, product = (RADAR, "dB") if radar else (OPTICAL, "L2A")
        return Scene(
            ref=ref,
            sensor=sensor,
            modality=load_sensor(sensor).modality,
            product=product,
            platform=patch[:3],
            datetime=_stamp(match["stamp"]) if match else None,
            bands=tuple(_bands(ref, patch, sensor, product)),
            pixels=RasterPixels(ref.root, ref.options),
            attributes=_labels(ref),
            licence="CDLA-Permissive-1.0 (BigEarthNet)",
        )


def _bands(ref: SceneRef, patch: str, sensor: str, product: str) -> Iterable[SceneBand]:
    files = {PurePosixPath(f).stem.removeprefix(patch + "_"): f for f in ref.files if f.endswith(".tif")}
    for band in load_sensor(sensor).bands_of(product, platform=patch[:3]):
        if band.name in files:
            yield read_header(str(ref.root / files[band.name]), ref.root, ref.options).band(band)


def _labels(ref: SceneRef) -> Mapping[str, Any]:
    path = next((f for f in ref.files if f.endswith(LABELS)), None)
    if path is None:
        return {}
    file = Path(ref.root, path)
    if file.stat().st_size > MAX_JSON:
        raise SceneError(f"{path}: a label file of more than {MAX_JSON >> 20} MiB is none")
    try:
        values = load_json(file.read_text("utf-8"))
    except ValueError as error:
        raise SceneError(f"{path}: not valid JSON; copy the patch again from its source") from error
    kept = ("labels", "corresponding_s2_patch", "tile_source", "scene_source")
    return {key: values[key] for key in kept if key in values} if isinstance(values, dict) else {}


def _stamp(text: str) -> str:
    """`20170617T113321` as ISO 8601; BigEarthNet 1.0 leaves out leading zeros of some times."""
    day, time = text.split("T")
    time = time.zfill(6)
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}Z"
