"""Layout: SSL4EO-S12 v1.1: zipped Zarr files of 64 places at four dates each, and a CSV of captions beside each."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from voxtile.errors import InputError, required
from voxtile.stages.ingest.table import read_table
from voxtile_datasets.recipes.download import tell_missing
from voxtile_datasets.recipes.entries import Entry
from voxtile_remote_sensing.bands.registry import load_sensor
from voxtile_remote_sensing.recipes.dataset import Pixels
from voxtile_remote_sensing.recipes.layouts.pixels import band_row, colour_preview
from voxtile_remote_sensing.scenes.gridded.safety import check_zarr_zip

# Folder → the registry's sensor and product, and the modality.
MODALITIES = {
    "S2L2A": ("sentinel-2-msi", "L2A", "MSI"),
    "S2L1C": ("sentinel-2-msi", "L1C", "MSI"),
    "S1GRD": ("sentinel-1-sar", "dB", "SAR"),
}
_SUFFIX = ".zarr.zip"
_GSD_M = 10.0
_DIGITS = 7  # of a place's number in the Zarr files, `0080717_0`; the captions' tables leave zeros away


@dataclass(frozen=True)
class SeasonalZarr:
    """Places at four dates, by modality.

    Attributes:
        modalities: folders to read, of `MODALITIES`; captions go to Sentinel-2 alone.
        captions: folders of caption files, relative to the split's folder or the dataset's; `{split}` is the split.
    """

    modalities: tuple[str, ...] = ("S2L2A",)
    captions: tuple[str, ...] = ("captions", "../captions/{split}", "../Llama3-SSL4EO-S12-v1.1-captions/{split}")

    def entries(self, root: Path) -> Iterator[Entry]:
        """One entry a modality, place and date.

        Raises:
            InputError: no Zarr file where the layout has them.
        """
        found = False
        for split in ("train", "val"):
            for modality in self.modalities:
                for path in sorted((root / split / modality).glob(f"*{_SUFFIX}")):
                    found = True
                    yield from self._file(root, path, split, modality)
        if not found:
            raise InputError(
                f"'{root}' has no *{_SUFFIX} in train/{self.modalities[0]} or val/{self.modalities[0]}; give the "
                "folder that SSL4EO-S12 v1.1 is downloaded to"
            )
        tell_missing(root, [f"{split}/{name}" for split in ("train", "val") for name in self.modalities], "SSL4EO-S12")

    def read(self, root: Path, entry: Entry) -> Pixels:
        """One place at one date as [C, Y, X] in the file's own numbers."""
        sample, time = entry.part["sample"], entry.part["time"]
        group = _open(str(root / entry.files[0]))
        array = np.asarray(group["bands"][sample, time])
        sensor, product, _ = MODALITIES[entry.attributes["folder"]]
        names = [str(name) for name in np.asarray(group["band"][:])]
        table = load_sensor(sensor)
        bands = [table.band(name, product) for name in names]
        x, y = np.asarray(group["x_"][sample]), np.asarray(group["y_"][sample])
        row = band_row(bands) | {
            "crs": f"EPSG:{int(group['crs'][sample])}",
            "transform": [_GSD_M, 0.0, float(x.min()) - _GSD_M / 2, 0.0, -_GSD_M, float(y.max()) + _GSD_M / 2],
            "gsd_m": _GSD_M,
        }
        row["bounds"] = [
            row["transform"][2], row["transform"][5] - _GSD_M * array.shape[1],
            row["transform"][2] + _GSD_M * array.shape[2], row["transform"][5],
        ]  # fmt: skip
        if array.dtype == np.float16:
            array = array.astype(np.float32)
        return Pixels(array, row, colour_preview(array, bands))

    def _file(self, root: Path, path: Path, split: str, modality: str) -> Iterator[Entry]:
        group = _open(str(path))
        identifiers = np.asarray(group["sample_id"][:])
        moments = np.asarray(group["time_"][:])
        units = str(group["time_"].attrs.get("units", ""))
        texts = {} if modality.startswith("S1") else self._captions(root, path, split)
        for sample, row in enumerate(identifiers):
            for time, name in enumerate(str(value) for value in row):
                place = name.rpartition("_")[0]
                yield Entry(
                    key=f"{modality}/{name}",
                    files=(path.relative_to(root).as_posix(),),
                    split=split,
                    texts=tuple(texts.get(name, ())),
                    subject=f"{split}/{place}",
                    study=f"{split}/{place}",
                    part={"sample": sample, "time": time},
                    row={"modality": MODALITIES[modality][2], "datetime": _moment(moments[sample, time], units)},
                    attributes={"folder": modality},
                )

    def _captions(self, root: Path, path: Path, split: str) -> dict[str, list[str]]:
        stem = path.name.removesuffix(_SUFFIX)
        for folder in self.captions:
            file = (root / split / folder.format(split=split) / f"{stem}.csv").resolve()
            if file.is_file():
                table = read_table(file)
                places = table.column(table.need(("sample_id",), "sample ids"))
                times = table.column(table.need(("time_id",), "numbers of the dates"))
                captions = table.column(table.need(("caption", "text"), "captions"))
                found: dict[str, list[str]] = {}
                for place, time, caption in zip(places, times, captions, strict=True):
                    if place and time and caption:
                        found.setdefault(f"{place.zfill(_DIGITS)}_{time}", []).append(caption)
                return found
        return {}


@lru_cache(maxsize=4)
def _open(path: str) -> Any:  # noqa: ANN401
    with required("zarr", "remote-sensing"):
        import zarr
    try:
        check_zarr_zip(Path(path))
        return zarr.open_group(store=zarr.storage.ZipStore(path, mode="r"), mode="r")
    except (OSError, ValueError, KeyError, BadZipFile, NotImplementedError, zlib.error) as error:
        raise InputError(f"'{Path(path).name}' is no readable Zarr ({error}); download it again") from error


def _moment(value: Any, units: str) -> str:  # noqa: ANN401
    """A CF time (`days since 2020-01-01`, …) or datetime64 as ISO 8601."""
    if np.asarray(value).dtype.kind == "M":
        return f"{np.datetime_as_string(np.datetime64(value, 's'))}Z"
    unit, _, origin = units.partition(" since ")
    steps = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0, "nanoseconds": 1e-9}
    if unit not in steps:
        raise InputError(f"a date is stored as '{units}', which is not known")
    start = datetime.fromisoformat(origin.strip()[:19])
    return f"{(start + timedelta(seconds=float(value) * steps[unit])).replace(microsecond=0).isoformat()}Z"
