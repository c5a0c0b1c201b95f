"""Layout: the samples of one of torchgeo's own dataset classes, read by torchgeo and stored with named bands."""

from __future__ import annotations

import inspect
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.records import Row
from voxtile.errors import ConfigError, InputError, required
from voxtile.stages.ingest.picture import PictureError
from voxtile.stages.ingest.text import caption_rows, check_texts
from voxtile_datasets.recipes.download import some_of, tell
from voxtile_datasets.recipes.entries import Entry
from voxtile_remote_sensing.bands.registry import Band, load_sensor
from voxtile_remote_sensing.recipes.dataset import SPLITS, Pixels
from voxtile_remote_sensing.recipes.layouts.pixels import band_row, colour_preview, picture_pixels
from voxtile_remote_sensing.recipes.layouts.torchgeo_names import refuse_unknown_dataset

_MSI_BAND = re.compile(r"B(0[1-9]|1[0-2]|8A)")
_USUAL_SPLITS = ("train", "val", "validation", "test")  # of a class that lists none; it refuses what it does not have
_LEAST_COUNT = 10.0  # fractions below are no product's numbers but what these stand for: So2Sat's are reflectance
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\s]+")


@dataclass(frozen=True)
class TorchgeoSamples:
    """Pictures with one class, several classes or captions, by the name of torchgeo's class.

    Attributes:
        dataset: name of the class in `torchgeo.datasets`.
        arguments: JSON of further arguments of the class, e.g. `{"bands": "s2"}`.
        bands: names of the channels where torchgeo does not say.
        sensor, product: the registry's names; empty to find Sentinel-2 by its band names.
        classes: names of the labels where torchgeo does not say.
        image: key of the picture in torchgeo's sample.
    """

    dataset: str
    arguments: str = "{}"
    bands: tuple[str, ...] = ()
    sensor: str = ""
    product: str = ""
    classes: tuple[str, ...] = ()
    image: str = "image"

    @property
    def vocabulary(self) -> str:
        """Name of the labels."""
        return f"torchgeo-{self.dataset.lower()}"

    def entries(self, root: Path) -> Iterator[Entry]:
        """Samples by split and number.

        The first one is read at once, so that a name that is missing is told before the run and not once a sample.

        Raises:
            InputError: torchgeo does not find the dataset in the folder.
            ConfigError: torchgeo does not say what its channels or classes are, and neither do the options.
        """
        missing: InputError | ConfigError | None = None
        found = False
        lacking: list[str] = []
        for split in _splits(self.dataset):
            try:
                samples = open_torchgeo(self.dataset, str(root), split, self.arguments)
            except _NoSuchSplitError as error:
                missing = missing or error
                continue
            except InputError as error:
                missing = error if not isinstance(missing, InputError) else missing
                lacking.append(split or "all")
                continue
            for index in range(len(samples)):
                key = f"{split or 'all'}/{index:07d}"
                entry = Entry(key, (), SPLITS.get(split or ""), part={"split": split, "index": index})
                if not found:
                    with suppress(InputError, PictureError):  # a damaged file is told in its own row
                        self.read(root, entry)
                found = True
                yield entry
        if not found and missing is not None:
            raise missing
        if lacking:
            tell(f"the split {some_of(lacking)} is left out: {missing}")

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The picture of one sample, with what torchgeo says of it.

        Raises:
            InputError: a file is damaged.
            ConfigError: the sample has no such picture, or neither label nor caption, or names are missing.
        """
        samples = open_torchgeo(self.dataset, str(root), entry.part["split"], self.arguments)
        try:
            sample = samples[entry.part["index"]]
        except (OSError, ValueError, RuntimeError, SyntaxError) as error:
            text = " ".join(str(error).split())[:200]
            raise InputError(
                f"torchgeo cannot read {self.dataset} {entry.key} ({text}); copy its file again"
            ) from error
        if self.image not in sample:
            others = ", ".join(key for key in sample if key.startswith("image")) or "none"
            raise ConfigError(
                f"{self.dataset} has no '{self.image}' in its samples (pictures: {others}); name one with --image-key, "
                "or choose by --arguments"
            )
        pixels = self._pixels(sample[self.image].numpy(), samples)
        return Pixels(pixels.payload, pixels.row, pixels.preview, tables=self._tables(entry, sample, samples))

    def _pixels(self, values: npt.NDArray[Any], samples: Any) -> Pixels:  # noqa: ANN401
        values = values[None] if values.ndim == 2 else values
        names = self.bands or _band_names(samples, len(values))
        array = stored_values(values, np.uint16 if names else np.uint8)
        if not names and array.dtype == np.float32 and len(array) in (1, 3):
            array = grey_values(array)
        if array.dtype == np.uint8 and len(array) in (1, 3):
            buffer = io.BytesIO()
            Image.fromarray(np.moveaxis(array, 0, -1) if len(array) == 3 else array[0]).save(buffer, "PNG")
            return picture_pixels(buffer.getvalue())
        if not names:
            raise ConfigError(
                f"torchgeo does not say what the {len(array)} channels of {self.dataset} are; name them in order with "
                "--band-names B01,B02,…"
            )
        if len(names) != len(array):
            raise ConfigError(f"{self.dataset} has {len(array)} channels, but {len(names)} names are given")
        sensor = self.sensor or ("sentinel-2-msi" if all(map(_MSI_BAND.fullmatch, names)) else "")
        if sensor:
            bands = registered_bands(sensor, self.product, names)
            if array.dtype == np.float32 and np.abs(array).max(initial=0) < _LEAST_COUNT:
                bands = [replace(band, scale=1.0, offset=0.0) for band in bands]
            return Pixels(array, band_row(bands), colour_preview(array, bands))
        bands = [Band(name=name, unit="a.u.") for name in names]
        return Pixels(array, band_row(bands, units="a.u."), colour_preview(array, bands))

    def _tables(self, entry: Entry, sample: Mapping[str, Any], samples: Any) -> dict[str, Sequence[Row]]:  # noqa: ANN401
        texts = _texts(sample)
        if "label" not in sample and not texts:
            raise ConfigError(
                f"torchgeo's {self.dataset} gives neither a label nor captions ({', '.join(sample)}); sets of "
                "masks and boxes are not read this way, look for a recipe with: voxtile build --help"
            )
        tables: dict[str, Sequence[Row]] = {
            "captions": caption_rows("", check_texts(texts).accepted, source=f"{self.dataset}/{entry.key}")
        }
        if "label" in sample:
            names = self.classes or _class_names(samples)
            present = _present(sample["label"], self.dataset, len(names))
            concepts = [_concept(name) for name in names]
            rule = f"{self.vocabulary}@1"
            tables["facts"] = [
                {"uid": "", "concept": concepts[i], "polarity": "present", "source": rule} for i in present
            ]
            tables["scopes"] = [{"uid": "", "vocabulary": self.vocabulary, "closed": True, "concepts": concepts}]
        return tables


class _NoSuchSplitError(ConfigError):
    """A class refuses a split, or something else that it was given: it says neither."""


def dataset_class(name: str) -> Callable[..., Any]:
    """The class of a name.

    Raises:
        ConfigError: torchgeo has no such dataset, or it is one of scenes; the message says what to do.
        MissingExtraError: torchgeo is not installed.
    """
    refuse_unknown_dataset(name)
    with required("torchgeo", "remote-sensing"):
        import torchgeo.datasets as library
    chosen: Callable[..., Any] | None = getattr(library, name, None)
    if chosen is None:
        raise ConfigError(f"torchgeo has no dataset '{name}'; see torchgeo.datasets for the names")
    return chosen


@lru_cache(maxsize=4)
def open_torchgeo(name: str, root: str, split: str | None, arguments: str) -> Any:  # noqa: ANN401
    """One split of a dataset, never downloaded.

    Raises:
        ConfigError: the class does not take the arguments.
        InputError: torchgeo does not find its files in the folder.
    """
    chosen = dataset_class(name)
    from torchgeo.datasets import DatasetNotFoundError

    known = inspect.signature(chosen).parameters
    given = {"root": root, "split": split, "download": False, "checksum": False, "tokenizer": _Characters()}
    options = {key: value for key, value in given.items() if key in known and value is not None}
    further = json.loads(arguments)
    unknown = [key for key in further if key not in known or key in given]
    if unknown:
        free = ", ".join(key for key in known if key not in (*given, "transforms")) or "none"
        raise ConfigError(f"torchgeo's {name} takes no argument '{unknown[0]}' here; it takes: {free}")
    try:
        return chosen(**options, **further)
    except DatasetNotFoundError as error:
        raise InputError(
            f"torchgeo does not find {name}{f' ({split})' if split else ''} in '{root}'; unpack the download as its "
            "documentation says, https://torchgeo.readthedocs.io"
        ) from error
    except OSError as error:
        raise InputError(f"torchgeo cannot open {name} in '{root}': {' '.join(str(error).split())[:200]}") from error
    except (AssertionError, TypeError, ValueError) as error:
        text = " ".join(str(error).split())[:200] or "its own check failed"
        kind = _NoSuchSplitError if isinstance(error, AssertionError) and split is not None else ConfigError
        raise kind(f"torchgeo's {name} cannot be opened with {arguments}: {text}") from error


def registered_bands(sensor: str, product: str, names: Sequence[str]) -> list[Band]:
    """Bands of the registry by name; without a product, of the first one that has them all (L1C has B10, L2A not).

    Raises:
        ConfigError: the sensor, the product or a band is not known.
    """
    table = load_sensor(sensor)
    having = (p.name for p in table.products.values() if set(names) <= set(p.bands))
    chosen = product or next(having, None)
    return [table.band(name, chosen) for name in names]


def stored_values(array: npt.NDArray[Any], first: type[np.integer[Any]]) -> npt.NDArray[Any]:
    """An array in integers that hold it: torchgeo turns the files' integers into float32.

    Float values that are not whole stay float32.

    Args:
        array: of any shape.
        first: the integers to try first, of uint8, uint16, int16 and int32.
    """
    order = (np.uint8, np.uint16, np.int16, np.int32)
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.rint(array)).all()):
        return array.astype(np.float32)
    low, high = array.min(initial=0), array.max(initial=0)
    for dtype in order[order.index(first) :]:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return array.astype(dtype)
    return array.astype(np.float32)


def grey_values(array: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """A picture that torchgeo has resampled, to the nearest grey value: UCMerced's are stretched to 256 × 256 pixels.

    An array that is no picture of 8 bits stays as it is: values below 0 or above 255, or all within 0 and 1, where a
    fraction may be a whole range.

    Args:
        array: of any shape.
    """
    if not np.isfinite(array).all() or array.min(initial=0) < 0 or not 1 < array.max(initial=0) <= 255:
        return array
    return np.rint(array).astype(np.uint8)


def _splits(name: str) -> list[str | None]:
    """Names of the official splits, as torchgeo spells them; one None where it has none."""
    chosen = dataset_class(name)
    if "split" not in inspect.signature(chosen).parameters:
        return [None]
    listed = getattr(chosen, "valid_splits", None) or getattr(chosen, "splits", None) or _USUAL_SPLITS
    return [split for split in listed if split in SPLITS] or [None]


def _band_names(samples: Any, count: int) -> tuple[str, ...]:  # noqa: ANN401
    """What torchgeo says of the channels; nothing where the number differs."""
    for attribute in ("bands", "all_band_names"):
        names = getattr(samples, attribute, None)
        if isinstance(names, Sequence) and not isinstance(names, str) and len(names) == count:
            return tuple(map(str, names))
    return ()


def _class_names(samples: Any) -> tuple[str, ...]:  # noqa: ANN401
    for attribute in ("classes", "class_set"):
        names = getattr(samples, attribute, None)
        if isinstance(names, Sequence) and names and all(isinstance(name, str) for name in names):
            return tuple(names)
    raise ConfigError(
        f"torchgeo does not name the classes of {type(samples).__name__}; give them in order with --class-names"
    )


def _present(label: Any, dataset: str, classes: int) -> list[int]:  # noqa: ANN401
    """Numbers of the classes that are there: of one number, or of a vector with a 1 for each."""
    values = np.asarray(label)
    if values.ndim == 0 or values.size == 1 < classes:  # MillionAID's is a vector of one number
        present = [int(values.item())]
    elif values.shape == (classes,) and np.isin(values, (0, 1)).all():
        present = np.flatnonzero(values).tolist()
    else:
        raise ConfigError(f"torchgeo's {dataset} has labels of the shape {values.shape}, not one or {classes} of them")
    if present and not 0 <= min(present) <= max(present) < classes:
        raise ConfigError(f"torchgeo's {dataset} has the label {max(present)}, but only {classes} classes are named")
    return present


def _texts(sample: Mapping[str, Any]) -> list[str]:
    for key in ("captions", "caption"):
        value = sample.get(key)
        if isinstance(value, str):
            return [value]
        if isinstance(value, Sequence):
            return [str(text) for text in value]
        if value is not None:  # the tokens of `_Characters`
            return ["".join(map(chr, np.asarray(value).tolist()))]
    return []


class _Characters:
    """A tokenizer that loses nothing, for classes that give captions as tokens (SkyScript, torchgeo 0.10 and later)."""

    class Tokens(NamedTuple):
        """What an encoded caption gives."""

        ids: list[int]

    def encode(self, text: str) -> Tokens:
        """One number a character."""
        return self.Tokens([ord(character) for character in text])


def _concept(name: str) -> str:
    """`AnnualCrop` and `annual_crop` are called "annual crop"."""
    return " ".join(_WORDS.sub(" ", name).casefold().split())
