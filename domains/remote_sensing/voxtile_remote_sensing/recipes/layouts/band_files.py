"""Layout: a folder a patch with one raster a band, whose names end in the band; labels in a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.errors import InputError
from voxtile_datasets.recipes.download import tell_missing
from voxtile_datasets.recipes.entries import Entry
from voxtile_remote_sensing.bands.registry import load_sensor
from voxtile_remote_sensing.recipes.dataset import SPLITS, Pixels
from voxtile_remote_sensing.recipes.layouts.classes import concept_of
from voxtile_remote_sensing.recipes.layouts.pixels import band_row, colour_preview, enlarge, read_raster


@dataclass(frozen=True)
class Sensor:
    """Where one sensor's patches lie.

    Attributes:
        folder: the sensor's top folder; patches lie in it or one level below.
        column: of the table, with the patch's name.
        sensor, product: the registry's names.
        modality: MSI or SAR.
        bands: of which each patch has a file; all of the product where none are named.
    """

    folder: str
    column: str
    sensor: str
    product: str
    modality: str
    bands: tuple[str, ...] = ()


@dataclass(frozen=True)
class BandFiles:
    """Patches of several sensors, listed in one Parquet table.

    Bands of coarser resolution are repeated onto the finest grid, pixel by pixel, so that one array holds them all and
    nothing is interpolated.

    Attributes:
        table: Parquet file with a row a patch.
        sensors: where the patches are; those whose folder is missing are left out.
        key: column with the patch's id.
        concepts: label of the table → concept.
        vocabulary: name of the labels.
        attributes: columns to keep.
    """

    table: str
    sensors: tuple[Sensor, ...]
    key: str
    concepts: Mapping[str, str]
    vocabulary: str
    attributes: tuple[str, ...] = ()

    def entries(self, root: Path) -> Iterator[Entry]:
        """Patches in the order of the table, one entry a sensor.

        Raises:
            InputError: the table or all sensors' folders are missing.
        """
        if not (root / self.table).is_file():
            raise InputError(f"'{root}' has no '{self.table}'; download it beside the patches")
        present = [sensor for sensor in self.sensors if (root / sensor.folder).is_dir()]
        if not present:
            raise InputError(
                f"'{root}' has no folder {' or '.join(s.folder for s in self.sensors)}; unpack the download"
            )
        tell_missing(root, [s.folder for s in self.sensors], "BigEarthNet")
        places = {sensor.folder: _patch_folders(root, sensor.folder) for sensor in present}
        try:
            rows = pq.read_table(root / self.table).to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"'{root / self.table}' cannot be read ({error}); download it again") from error
        for row in rows:
            where = f"'{row.get(self.key)}' in '{self.table}'"
            labels = tuple(concept_of(self.concepts, str(label), where) for label in row.get("labels") or ())
            split = SPLITS.get(str(row.get("split")).casefold())
            if split is None or not row.get(self.key):
                raise InputError(f"{where} is in the split '{row.get('split')}'; download the table again")
            for sensor in present:
                name = row.get(sensor.column)
                folder = places[sensor.folder].get(name)
                if name is None:
                    continue
                listed = (band.name for band in load_sensor(sensor.sensor).bands_of(sensor.product))
                files = tuple(f"{folder or sensor.folder}/{name}_{band}.tif" for band in sensor.bands or listed)
                yield Entry(
                    key=name,
                    files=files,
                    split=split,
                    labels={self.vocabulary: labels},
                    subject=row[self.key],
                    study=row[self.key],
                    row={"modality": sensor.modality},
                    attributes={k: row[k] for k in self.attributes if row.get(k) is not None}
                    | {"sensor": sensor.sensor, "product": sensor.product},
                )

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The bands of a patch as one array on the finest grid."""
        sensor = load_sensor(entry.attributes["sensor"])
        product = entry.attributes["product"]
        bands = [sensor.band(Path(file).stem.rpartition("_")[2], product) for file in entry.files]
        rasters = [read_raster(root / file) for file in entry.files]
        finest = max(range(len(rasters)), key=lambda i: rasters[i][0].shape[1])
        shape = rasters[finest][0].shape[1:]
        array = np.stack([enlarge(values[0], (shape[0], shape[1])) for values, _ in rasters])
        return Pixels(array, band_row(bands) | rasters[finest][1], colour_preview(array, bands))


def _patch_folders(root: Path, folder: str) -> dict[str, str]:
    """Patch name → its folder, one or two levels below the sensor's."""
    found: dict[str, str] = {}
    for path in sorted((root / folder).glob("*")):
        if any(path.glob("*.tif")):
            found[path.name] = path.relative_to(root).as_posix()
        elif path.is_dir():
            found |= {p.name: p.relative_to(root).as_posix() for p in sorted(path.iterdir()) if p.is_dir()}
    return found
