"""`voxtile build pcam`: PatchCamelyon's HDF5 files, read in runs of rows, with the official splits and slides."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions
from voxtile.engine.task import Item
from voxtile.errors import InputError, required
from voxtile.file_edges import PROBES, probe
from voxtile.stages.ingest.table import read_table
from voxtile_datasets.recipes.build import build
from voxtile_datasets.recipes.download import tell_missing
from voxtile_datasets.recipes.recipe import Recipe, Record
from voxtile_pathology.recipes.collection import Collection, need

PCAM = Collection(
    name="pcam",
    title="PatchCamelyon (Veeling et al., MICCAI 2018)",
    licence="CC0 1.0",
    source="https://github.com/basveeling/pcam",
    classes={"pcam": {"0": "normal lymph node tissue", "1": "lymph node metastasis"}},
    mpp=0.972,  # level 2 of Camelyon16: 0.243 µm × 4
    body_part="lymph node",
)
SPLITS = {"train": "train", "valid": "val", "test": "test"}
_PREFIX = "camelyonpatch_level_2_split_"
_SHAPE = (96, 96, 3)
_MAX_ROWS = 1 << 20
_ITEM_ROWS = 256


@dataclass(frozen=True)
class PcamRows(Recipe):
    """PatchCamelyon: an item is a run of rows of one split.

    Attributes:
        rows: the files' split → number of pictures.
    """

    rows: Mapping[str, int]
    data: Collection = PCAM

    @property
    def vocabularies(self) -> Mapping[str, Sequence[str]]:
        """Those of the data set."""
        return self.data.vocabularies

    def config(self) -> dict[str, Any]:
        """Nothing can be chosen."""
        return {}

    def items(self, root: Path) -> Iterator[Item]:
        """Runs of rows, in the order of the splits."""
        for split, count in self.rows.items():
            # Labels are not compressed, and are read whole: one that was corrected is a byte of them.
            files = [(root / f"{_PREFIX}{split}_{part}.h5", places) for part, places in (("x", PROBES), ("y", 1024))]
            probed = [probe(path, places) for path, places in files]
            slides = _slides(root, split, count)
            for start in range(0, count, _ITEM_ROWS):
                stop = min(count, start + _ITEM_ROWS)
                inputs = {"split": split, "start": start, "stop": stop, "files": probed}
                if slides:
                    inputs["slides"] = slides[start:stop]
                yield Item(f"pcam/{split}/{start}-{stop - 1}", inputs, cost=(stop - start) * 27_648)

    def records(self, root: Path, item: Item) -> Iterator[Record]:
        """The run's pictures and labels."""
        split, start, stop = (item.inputs[key] for key in ("split", "start", "stop"))
        images, labels = (_read(root, split, part, start, stop) for part in ("x", "y"))
        slides = item.inputs.get("slides") or [None] * len(images)
        for index, image, label, slide in zip(range(start, stop), images, labels.reshape(-1), slides, strict=True):
            found = self.data.classes["pcam"].get(str(int(label)))
            if found is None:
                raise InputError(f"picture {index} of PCam's {split} has the label {label}; the labels are 0 and 1")
            yield self._record(f"{split}-{index:06d}", image, slide, SPLITS[split], found)

    def _record(self, place: str, image: npt.NDArray[np.uint8], slide: str | None, split: str, label: str) -> Record:
        encoded = io.BytesIO()
        Image.fromarray(image).save(encoded, "PNG", compress_level=3)
        row: Row = {
            "study": f"pcam-{slide}" if slide else None,
            "kind": "patch",
            "modality": "SM",
            "axes": "YXC",
            "units": "a.u.",
            "channels": [{"name": n, "unit": "a.u.", "scale": 1.0, "offset": 0.0} for n in ("red", "green", "blue")],
            "mpp": [self.data.mpp, self.data.mpp],
        }
        return Record(
            sample_uid(hashlib.sha256(image.tobytes()).hexdigest(), region=f"pcam/{place}"),
            f"pcam-{slide or place}",
            f"pcam/{place}",
            encoded.getvalue(),
            row,
            split=split,
            labels={"pcam": (label,)},
            attributes=self.data.place,
        )


def build_pcam(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from PatchCamelyon: lymph node patches with and without metastasis, official splits.

    With the metadata CSV files beside them, the slide is the subject.

    Args:
        source: the folder with `camelyonpatch_level_2_split_*_x.h5` and `_y.h5`, unpacked from `.gz`.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.

    Raises:
        InputError: a file is missing, still packed, damaged, or not what PCam has.
    """
    rows = {}
    for split in SPLITS:
        files = [source / f"{_PREFIX}{split}_{part}.h5" for part in ("x", "y")]
        if not any(file.exists() for file in files):
            continue
        for file in files:
            if not file.exists() and file.with_suffix(".h5.gz").exists():
                raise InputError(f"'{file.name}.gz' in '{source}' is packed; unpack it with: gunzip {file.name}.gz")
            need(source, file.name, PCAM)
        rows[split] = _checked_rows(source, split)
    if not rows:
        need(source, f"{_PREFIX}train_x.h5", PCAM)
    tell_missing(source, [f"{_PREFIX}{split}_x.h5" for split in SPLITS], PCAM.title)
    build(PcamRows(rows), source, corpus, None, RunOptions(**run))


def _checked_rows(root: Path, split: str) -> int:
    shapes = {}
    for part in ("x", "y"):
        with _open(root, split, part) as file:
            dataset = _dataset(file, part, root, split)
            shapes[part] = dataset.shape
            if part == "x" and (dataset.dtype != np.uint8 or dataset.shape[1:] != _SHAPE):
                raise InputError(f"PCam's {split}_x.h5 in '{root}' has {dataset.dtype} of shape {dataset.shape}")
    count = int(shapes["x"][0])
    if count > _MAX_ROWS or int(np.prod(shapes["y"])) != count:
        raise InputError(f"PCam's {split} in '{root}' has {shapes['x'][0]} pictures and labels of {shapes['y']}")
    return count


def _read(root: Path, split: str, part: str, start: int, stop: int) -> npt.NDArray[np.uint8]:
    with _open(root, split, part) as file:
        try:
            return np.asarray(_dataset(file, part, root, split)[start:stop], dtype=np.uint8)
        except OSError as error:
            raise InputError(f"PCam's {split}_{part}.h5 in '{root}' is damaged ({error}); download it again") from error


def _open(root: Path, split: str, part: str) -> Any:  # noqa: ANN401
    with required("h5py", "pathology"):
        import h5py
    path = root / f"{_PREFIX}{split}_{part}.h5"
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"'{path}' is not a readable HDF5 file ({error}); download it again") from error


def _dataset(file: Any, part: str, root: Path, split: str) -> Any:  # noqa: ANN401
    import h5py

    link = file.get(part, getlink=True)
    dataset = file[part] if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise InputError(f"PCam's {split}_{part}.h5 in '{root}' has no dataset '{part}'; download it again")
    return dataset


def _slides(root: Path, split: str, count: int) -> list[str | None] | None:
    path = root / f"{_PREFIX}{split}_meta.csv"
    if not path.is_file():
        return None
    table = read_table(path)
    slides = table.column(table.need(("wsi",), "slide"))
    if len(slides) != count:
        raise InputError(f"'{path}' has {len(slides)} rows, but PCam's {split} has {count} pictures")
    return slides
