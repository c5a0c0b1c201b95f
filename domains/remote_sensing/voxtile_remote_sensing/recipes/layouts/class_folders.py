"""Layout: one folder a class, with pictures or rasters in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voxtile.errors import InputError
from voxtile_datasets.recipes.download import spelling_key, tell_unread
from voxtile_datasets.recipes.entries import Entry
from voxtile_remote_sensing.bands.registry import load_sensor
from voxtile_remote_sensing.recipes.dataset import SPLITS, Pixels
from voxtile_remote_sensing.recipes.layouts.classes import concept_of
from voxtile_remote_sensing.recipes.layouts.pixels import band_row, colour_preview, picture_pixels, read_raster
from voxtile_remote_sensing.recipes.layouts.reading import read_lines

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})
_UNREAD = (".bmp", ".gif", ".jp2", ".webp", ".heic")


@dataclass(frozen=True)
class ClassFolders:
    """Pictures in class folders.

    Attributes:
        classes: folder → concept; case, spaces, `_` and `-` in folder names do not matter.
        vocabulary: name of the labels.
        folders: where the class folders lie, the first that exists; `.` is the dataset's folder.
        split_files: split → names of a text file that lists its pictures (by name or stem), if the dataset has any.
        sensor, product: the registry's names where the files are rasters of named bands.
        bands: names in the order of the file's bands; every one is looked up in the registry.
    """

    classes: Mapping[str, str]
    vocabulary: str
    folders: tuple[str, ...] = (".",)
    split_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sensor: str = ""
    product: str = ""
    bands: tuple[str, ...] = ()

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures by class and name.

        Raises:
            InputError: there are no class folders, or one is of no class.
        """
        known = {spelling_key(name) for name in self.classes}
        splits = self._splits(root)
        for folder in self.folders:
            base = root / folder
            folders = sorted(p for p in base.iterdir() if p.is_dir()) if base.is_dir() else []
            if any(spelling_key(p.name) in known for p in folders):
                break
        else:
            raise InputError(
                f"'{root}' has no class folders such as '{next(iter(self.classes))}', nor below "
                f"{', '.join(repr(f) for f in self.folders)}; give the folder that the download is unpacked to"
            )
        below = [f.relative_to(root).as_posix() for path in folders for f in path.iterdir()]
        tell_unread(root, below, _UNREAD, "convert them to PNG")
        for path in folders:
            files = [f for f in sorted(path.iterdir()) if f.suffix.lower() in _SUFFIXES and not f.name.startswith(".")]
            if files:
                concept = concept_of(self.classes, path.name, f"the folder '{path.relative_to(root).as_posix()}'")
                for file in files:
                    relative = file.relative_to(root).as_posix()
                    split = splits.get(file.name) or splits.get(file.stem)
                    labels = {self.vocabulary: (concept,)}
                    yield Entry(f"{path.name}/{file.name}", (relative,), split, labels)

    def read(self, root: Path, entry: Entry) -> Pixels:
        """A picture, or a stack of bands."""
        path = root / entry.files[0]
        if not self.bands:
            return picture_pixels(path.read_bytes())
        array, row = read_raster(path)
        sensor = load_sensor(self.sensor)
        bands = [sensor.band(name, self.product) for name in self.bands]
        if array.shape[0] != len(bands):
            raise InputError(f"'{entry.key}' has {array.shape[0]} bands instead of {len(bands)}")
        return Pixels(array, band_row(bands) | row, colour_preview(array, bands))

    def _splits(self, root: Path) -> dict[str, str]:
        splits: dict[str, str] = {}
        lists = {
            split: next((n for n in names if (root / n).is_file()), None) for split, names in self.split_files.items()
        }
        if any(lists.values()) and not all(lists.values()):
            lacking = next(names[0] for split, names in self.split_files.items() if not lists[split])
            raise InputError(f"'{root}' has split lists but no '{lacking}'; download it, or remove the others")
        for split, name in lists.items():
            for line in read_lines(root / name) if name else ():
                file = Path(line.replace("\\", "/")).name
                splits[file] = splits[Path(file).stem] = SPLITS[split]
        return splits
