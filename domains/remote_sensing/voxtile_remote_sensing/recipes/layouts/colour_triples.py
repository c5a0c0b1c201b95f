"""Layout: Sentinel-2 bands as several three-channel pictures of the same name in folders beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxtile.corpus.shards.codecs import decode_picture
from voxtile.errors import InputError
from voxtile_datasets.recipes.download import some_of, tell, tell_missing
from voxtile_datasets.recipes.entries import Entry
from voxtile_remote_sensing.bands.registry import Band, load_sensor
from voxtile_remote_sensing.recipes.dataset import Pixels
from voxtile_remote_sensing.recipes.layouts.caption_json import caption_records
from voxtile_remote_sensing.recipes.layouts.pixels import band_row, colour_preview
from voxtile_remote_sensing.recipes.layouts.reading import read_json


@dataclass(frozen=True)
class ColourTriples:
    """Pictures whose channels are bands, rendered to 8 bits: their values are no reflectances.

    Attributes:
        tables: JSON files of captions, in order; a picture in several is one with all their captions.
        folders: folder → its three bands, in the order of the channels; folders that are missing are left out, and of
            several with the same bands the first that holds pictures counts.
        sensor: of the registry.
        product: processing level.
    """

    tables: tuple[str, ...]
    folders: Mapping[str, tuple[str, str, str]]
    sensor: str
    product: str

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures in the order of the tables.

        Raises:
            InputError: no table or no folder of pictures.
        """
        tables = [name for name in self.tables if (root / name).is_file()]
        folders = self._present(root)
        if not tables or not folders:
            raise InputError(
                f"'{root}' has no {' or '.join(self.tables[:2])}, or no folder {' or '.join(self.folders)}; unpack both"
            )
        lacking = set(self.folders.values()) - {self.folders[name] for name in folders}
        if lacking:
            names = [name for name, bands in self.folders.items() if bands in lacking]
            tell(f"ChatEarthNet: '{root}' has no pictures in {some_of(names)}; samples lack the bands of that folder")
        versions = {name.rpartition("_")[0] for name in tables}
        tell_missing(root, [name for name in self.tables if name.rpartition("_")[0] in versions], "ChatEarthNet")
        texts: dict[str, list[str]] = {}
        splits: dict[str, str | None] = {}
        for table in tables:
            records = [
                {"image": row.get("image") or row.get("image_id"), "caption": row.get("caption")}
                for row in read_json(root / table)
            ]
            for name, split, captions, _ in caption_records(records, Path(table).stem):
                texts.setdefault(name, []).extend(c for c in captions if c not in texts.get(name, ()))
                splits.setdefault(name, split)
        for name, captions in texts.items():
            files = tuple(f"{folder}/{name}" for folder in folders)
            yield Entry(name, files, splits[name], texts=tuple(captions))

    def _present(self, root: Path) -> list[str]:
        """One folder for each three bands."""
        found: dict[tuple[str, str, str], str] = {}
        for name, bands in self.folders.items():
            if bands not in found and any(path.is_file() for path in (root / name).glob("*.*")):
                found[bands] = name
        return list(found.values())

    def read(self, root: Path, entry: Entry) -> Pixels:
        """All bands as one array [C, Y, X] of 8-bit values."""
        sensor = load_sensor(self.sensor)
        planes: list[npt.NDArray[np.uint8]] = []
        bands: list[Band] = []
        for file in entry.files:
            pixels = decode_picture((root / file).read_bytes())
            if pixels.ndim != 3 or pixels.shape[2] < 3 or (planes and pixels.shape[:2] != planes[0].shape[1:]):
                raise InputError(f"'{file}' has the shape {pixels.shape}, which does not fit the other pictures of it")
            planes.append(np.moveaxis(pixels[..., :3], -1, 0))
            bands += [sensor.band(name, self.product) for name in self.folders[str(Path(file).parent)]]
        array = np.concatenate(planes)
        return Pixels(array, band_row(bands, units="a.u.") | {"gsd_m": 10.0}, colour_preview(array, bands))
