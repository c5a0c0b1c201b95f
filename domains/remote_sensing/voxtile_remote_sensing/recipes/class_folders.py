"""Layout: one folder a class, with pictures or rasters in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voxtile.errors import InputError
from voxtile_remote_sensing.bands.registry import load_sensor
from voxtile_remote_sensing.recipes.dataset import SPLITS, Entry, Pixels
from voxtile_remote_sensing.recipes.pixels import band_row, colour_preview, picture_pixels, read_raster
from voxtile_remote_sensing.recipes.reading import read_lines

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})


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
        concepts = {_key(name): concept for name, concept in self.classes.items()}
        splits = self._splits(root)
        for folder in self.folders:
            base = root / folder
            found = (
                [p for p in sorted(base.iterdir()) if p.is_dir() and _key(p.name) in concepts] if base.is_dir() else []
            )
            if found:
                break
        else:
            raise InputError(
                f"'{root}' has no class folders such as '{next(iter(self.classes))}', nor below "
                f"{', '.join(repr(f) for f in self.folders)}; give the folder that the download is unpacked to"
            )
        for path in found:
            for file in sorted(path.iterdir()):
                if file.suffix.lower() in _SUFFIXES and not file.name.startswith("."):
                    relative = file.relative_to(root).as_posix()
                    split = splits.get(file.name) or splits.get(file.stem)
                    labels = {self.vocabulary: (concepts[_key(path.name)],)}
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
        for split, names in self.split_files.items():
            for name in names:
                if (root / name).is_file():
                    for line in read_lines(root / name):
                        file = Path(line.replace("\\", "/")).name
                        splits[file] = splits[Path(file).stem] = SPLITS[split]
                    break
        return splits


def _key(name: str) -> str:
    return "".join(c for c in name.casefold() if c not in " _-")
