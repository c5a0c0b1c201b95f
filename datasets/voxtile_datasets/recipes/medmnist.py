"""`voxtile build medmnist`: MedMNIST's official .npz files become a corpus with the official splits.

Pictures are stored as PNG (lossless), volumes as arrays. The files name no patients, so every image is its own subject.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions
from voxtile.engine.task import Item
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.recipes.build import build
from voxtile_datasets.recipes.medmnist_sets import SETS, MedMnistSet
from voxtile_datasets.recipes.npz import NpyHeader, RowReader, read_headers
from voxtile_datasets.recipes.recipe import DataSet, Recipe, Record

SPLITS = ("train", "val", "test")
_SOURCE = "https://zenodo.org/records/10519652"
_ITEM_IMAGES = 250
_ITEM_BYTES = 8 * 2**20


@dataclass(frozen=True)
class MedMnistRows(Recipe):
    """A file of MedMNIST: an item is a run of images of one split.

    Attributes:
        data: what is known of the data set.
        flag: its name, a key of `SETS`.
        headers: arrays in the file by name.
    """

    data: DataSet
    flag: str
    headers: Mapping[str, NpyHeader]

    @property
    def dataset(self) -> MedMnistSet:
        """Classes, modality and sizes."""
        return SETS[self.flag]

    @property
    def vocabularies(self) -> Mapping[str, Sequence[str]]:
        """The classes, under the name of the data set."""
        return {self.flag: self.dataset.classes}

    def config(self) -> dict[str, Any]:
        """Which data set it is; its modality where that was another one before."""
        return {"flag": self.flag} | ({"modality": "GM"} if self.dataset.modality == "GM" else {})

    def items(self, root: Path) -> Iterator[Item]:
        """Runs of images, in the order of the file's splits."""
        for split in SPLITS:
            images, labels = self.headers[f"{split}_images"], self.headers[f"{split}_labels"]
            count = images.shape[0]
            step = max(1, min(_ITEM_IMAGES, _ITEM_BYTES // max(1, images.row_bytes)))
            for start in range(0, count, step):
                stop = min(count, start + step)
                inputs = {"split": split, "start": start, "stop": stop, "crc": [images.crc, labels.crc]}
                source = f"{root.name}/{split}/{start}-{stop - 1}"
                yield Item(source, inputs, cost=(stop - start) * images.row_bytes)

    def records(self, root: Path, item: Item) -> Iterator[Record]:
        """The item's images and labels."""
        split, start, stop = (item.inputs[key] for key in ("split", "start", "stop"))
        images = _reader(root, self.headers[f"{split}_images"]).rows(start, stop)
        labels = _reader(root, self.headers[f"{split}_labels"]).rows(start, stop)
        for index, image, label in zip(range(start, stop), images, labels, strict=True):
            place = f"{split}-{index:06d}"
            present = self._present(label.astype(np.int64), f"'{place}' of '{root.name}'")
            yield self._record(root, split, place, np.ascontiguousarray(image, dtype=np.uint8), present)

    def _record(
        self, root: Path, split: str, place: str, image: npt.NDArray[np.uint8], present: Sequence[str]
    ) -> Record:
        dataset = self.dataset
        is_volume = dataset.dimensions == 3
        axes = "ZYX" if is_volume else "YX" if image.ndim == 2 else "YXC"
        colours = ["red", "green", "blue"] if axes == "YXC" else ["grey"]
        content = hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()
        row: Row = {
            "kind": "volume" if is_volume else "image",
            "modality": dataset.modality,
            "axes": axes,
            "units": "a.u.",
            "channels": [{"name": name, "unit": "a.u.", "scale": 1.0, "offset": 0.0} for name in colours],
        }
        return Record(
            sample_uid(content, region=f"{self.flag}/{place}"),
            f"{self.flag}-{place}",
            f"{root.name}/{place}",
            image if is_volume else _png(image),
            row,
            image[image.shape[0] // 2] if is_volume else None,
            split=split,
            labels={self.flag: present},
            attributes={"body_part": dataset.body_part} if dataset.body_part else {},
        )

    def _present(self, label: npt.NDArray[np.int64], where: str) -> list[str]:
        classes, values = self.dataset.classes, label.reshape(-1)
        if self.dataset.is_multi_label:
            return [name for name, value in zip(classes, values, strict=True) if value]
        if values.size == 1 and 0 <= values[0] < len(classes):
            return [classes[int(values[0])]]
        raise InputError(f"{where} has the label {values.tolist()}, unknown to {self.flag}")


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "PNG")
    return encoded.getvalue()


def build_medmnist(source: Path, corpus: Path, *, flag: str | None = None, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from a MedMNIST file, 2D or 3D, of any size.

    The official train, val and test are the splits; labels become facts with a closed scope over the classes.

    Args:
        source: the official file, e.g. pneumoniamnist.npz or organmnist3d_64.npz.
        corpus: the corpus to add to; made if it does not exist.
        flag: name of the data set, if the file's name does not begin with it.
        run: options of the run.

    Raises:
        ConfigError: no such data set.
        InputError: the file is missing, damaged, or not what the data set should be.
    """
    if source.is_dir():
        raise InputError(f"'{source}' is a folder; give the .npz file in it, as it was downloaded from {_SOURCE}")
    if not source.is_file():
        raise InputError(f"'{source}' does not exist; download it from {_SOURCE}")
    name = flag or source.name.split(".")[0].split("_")[0].lower()
    if name not in SETS:
        raise ConfigError(f"there is no MedMNIST data set '{name}'; set --flag to one of: {', '.join(SETS)}")
    headers = read_headers(source)
    check_headers(source, name, headers)
    for split, official in zip(SPLITS, SETS[name].sizes, strict=True):
        count = headers[f"{split}_images"].shape[0]
        if count != official:
            Console(stderr=True).print(
                f"note: {split} has {count} images, the official file has {official}", highlight=False
            )
    build(MedMnistRows(data_set(name), name, headers), source, corpus, None, RunOptions(**run))


def data_set(flag: str) -> DataSet:
    """What is known of one of the data sets, a key of `SETS`."""
    title = f"{flag} of MedMNIST (Yang et al., Scientific Data 2023)"
    return DataSet(name="medmnist", title=title, source=_SOURCE, licence=SETS[flag].licence)


def check_headers(path: Path, flag: str, headers: Mapping[str, NpyHeader]) -> None:
    """Compare a file's arrays with what the data set should hold.

    Raises:
        InputError: an array is missing or has another type or shape; the sentence says which.
    """
    dataset = SETS[flag]
    label_columns = len(dataset.classes) if dataset.is_multi_label else 1
    for split in SPLITS:
        for part in ("images", "labels"):
            if f"{split}_{part}" not in headers:
                raise InputError(f"'{path}' has no array '{split}_{part}'; it is not a MedMNIST file")
        images, labels = headers[f"{split}_images"], headers[f"{split}_labels"]
        grids = {dataset.dimensions + 1} | ({4} if dataset.dimensions == 2 else set())
        is_colour = dataset.dimensions == 2 and len(images.shape) == 4
        if images.dtype != np.uint8 or len(images.shape) not in grids or (is_colour and images.shape[3] != 3):
            expected = "N × Y × X (× 3)" if dataset.dimensions == 2 else "N × Z × Y × X"
            raise InputError(
                f"'{path}': '{images.name}' is {images.dtype} of shape {images.shape}; {flag} has uint8 of {expected}"
            )
        if (
            labels.dtype.kind not in "iu"
            or labels.shape[0] != images.shape[0]
            or labels.row_bytes != (label_columns * labels.dtype.itemsize)
        ):
            raise InputError(
                f"'{path}': '{labels.name}' is {labels.dtype} of shape {labels.shape}; "
                f"{flag} has {images.shape[0]} × {label_columns} integers"
            )


@lru_cache(maxsize=4)
def _reader(path: Path, header: NpyHeader) -> RowReader:
    """One reader an array and worker process, so that consecutive items go on where the last one stopped."""
    return RowReader(path, header)
