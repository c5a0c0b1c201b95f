"""`voxtile build medmnist`: MedMNIST's official .npz files become a corpus with the official splits.

Pictures are stored as PNG (lossless), volumes as arrays. The files name no patients, so every image is its own subject.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Row, Sample
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.recipes.medmnist_sets import SETS, MedMnistSet
from voxtile_datasets.recipes.npz import NpyHeader, RowReader, read_headers

SPLITS = ("train", "val", "test")
RULE = "medmnist@1"
_ITEM_IMAGES = 250
_ITEM_BYTES = 8 * 2**20


@dataclass(frozen=True)
class MedMnistTask:
    """The engine task: an item is a run of images of one split.

    Attributes:
        path: the npz; no part of the task's identity.
        flag: name of the data set, a key of `SETS`.
        headers: arrays in the file by name.
    """

    path: str
    flag: str
    headers: Mapping[str, NpyHeader]

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "medmnist"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    @property
    def dataset(self) -> MedMnistSet:
        """What is known of the data set."""
        return SETS[self.flag]

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {"flag": self.flag, "licence": self.dataset.licence}

    def items(self) -> Iterator[Item]:
        """Runs of images, in the order of the file's splits."""
        for split in SPLITS:
            images, labels = self.headers[f"{split}_images"], self.headers[f"{split}_labels"]
            count = images.shape[0]
            step = max(1, min(_ITEM_IMAGES, _ITEM_BYTES // max(1, images.row_bytes)))
            for start in range(0, count, step):
                stop = min(count, start + step)
                inputs = {"split": split, "start": start, "stop": stop, "crc": [images.crc, labels.crc]}
                source = f"{Path(self.path).name}/{split}/{start}-{stop - 1}"
                yield Item(source, inputs, cost=(stop - start) * images.row_bytes)

    def process(self, item: Item) -> Outcome:
        """Read the item's images and labels."""
        split, start, stop = (item.inputs[key] for key in ("split", "start", "stop"))
        images = _reader(self.path, self.headers[f"{split}_images"]).rows(start, stop)
        labels = _reader(self.path, self.headers[f"{split}_labels"]).rows(start, stop)
        samples: list[Sample] = []
        tables: dict[str, list[Row]] = {"facts": [], "scopes": [], "splits": []}
        for index, image, label in zip(range(start, stop), images, labels, strict=True):
            sample = self._sample(f"{split}-{index:06d}", np.ascontiguousarray(image, dtype=np.uint8))
            samples.append(sample)
            uid = sample.row["uid"]
            tables["facts"] += self._facts(uid, label.astype(np.int64), f"{split}-{index:06d}")
            tables["scopes"].append(
                {"uid": uid, "vocabulary": self.flag, "closed": True, "concepts": list(self.dataset.classes)}
            )
            tables["splits"].append({"scheme": "default", "subject": sample.row["subject"], "split": split})
        return Outcome("used", samples=tuple(samples), tables=tables)

    def _sample(self, place: str, image: npt.NDArray[np.uint8]) -> Sample:
        dataset = self.dataset
        is_volume = dataset.dimensions == 3
        axes = "ZYX" if is_volume else "YX" if image.ndim == 2 else "YXC"
        colours = ["red", "green", "blue"] if axes == "YXC" else ["grey"]
        content = hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()
        row: Row = {
            "uid": sample_uid(content, region=f"{self.flag}/{place}"),
            "subject": f"{self.flag}-{place}",
            "kind": "volume" if is_volume else "image",
            "modality": dataset.modality,
            "axes": axes,
            "units": "a.u.",
            "channels": [{"name": name, "unit": "a.u.", "scale": 1.0, "offset": 0.0} for name in colours],
            "source": f"{Path(self.path).name}/{place}",
            "licence": dataset.licence,
            "attributes": json.dumps({"body_part": dataset.body_part}) if dataset.body_part else None,
        }
        if is_volume:
            return Sample(row, image, image[image.shape[0] // 2])
        encoded = io.BytesIO()
        Image.fromarray(image).save(encoded, "PNG")
        return Sample(row, encoded.getvalue())

    def _facts(self, uid: str, label: npt.NDArray[np.int64], place: str) -> list[Row]:
        classes = self.dataset.classes
        values = label.reshape(-1)
        if self.dataset.is_multi_label:
            present = [name for name, value in zip(classes, values, strict=True) if value]
        elif values.size == 1 and 0 <= values[0] < len(classes):
            present = [classes[int(values[0])]]
        else:
            raise InputError(
                f"'{place}' of '{Path(self.path).name}' has the label {values.tolist()}, unknown to {self.flag}"
            )
        return [{"uid": uid, "concept": name, "polarity": "present", "source": RULE} for name in present]


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
    if not source.is_file():
        raise InputError(f"'{source}' does not exist; download it from https://zenodo.org/records/10519652")
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
    run_task(MedMnistTask(str(source), name, headers), corpus, RunOptions(**run)).raise_if_failed()


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
def _reader(path: str, header: NpyHeader) -> RowReader:
    """One reader an array and worker process, so that consecutive items go on where the last one stopped."""
    return RowReader(Path(path), header)
