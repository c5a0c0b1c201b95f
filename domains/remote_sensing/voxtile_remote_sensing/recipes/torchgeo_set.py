"""`voxtile build torchgeo`: any of torchgeo's datasets of pictures with labels or captions, by its name there."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.recipes.build import build
from voxtile_datasets.recipes.download import not_a_folder
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.torchgeo_names import refuse_unknown_dataset
from voxtile_remote_sensing.recipes.layouts.torchgeo_samples import TorchgeoSamples, dataset_class
from voxtile_remote_sensing.recipes.scene_files import SceneFiles


def build_torchgeo(
    source: Path,
    corpus: Path,
    *,
    dataset: str,
    arguments: str = "{}",
    band_names: str | None = None,
    sensor: str | None = None,
    product: str | None = None,
    class_names: str | None = None,
    image_key: str = "image",
    modality: str | None = None,
    licence: str = "as the original dataset; torchgeo does not state it",
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from one of torchgeo's datasets, by the name of its class.

    torchgeo finds and reads the files, and nothing is downloaded. Pixels are what torchgeo gives, in integers where it
    has only turned the files' integers into floats; pictures that it stretches (UCMerced, to 256 pixels) are rounded.
    Labels become facts, captions captions, official splits splits.
    Recipes of our own (eurosat-ms, bigearthnet, …) keep more: encoded pictures as they are, CRS and dates.

    Args:
        source: the folder that torchgeo calls `root`; unpack archives first.
        corpus: the corpus to add to; made if it does not exist.
        dataset: name of the class in torchgeo.datasets, e.g. EuroSAT or BigEarthNetV2.
        arguments: further arguments of the class as JSON, e.g. '{"bands": "s2"}'.
        band_names: names of the channels in order, separated by commas, where torchgeo does not state them.
        sensor: sensor of the band registry whose bands these are; Sentinel-2 is known by its band names.
        product: its processing level; the sensor's first one that has all the bands when left out.
        class_names: names of the labels in order, separated by commas, where torchgeo does not state them.
        image_key: key of the picture in torchgeo's samples.
        modality: RGB, MSI or SAR; MSI where bands are named, else RGB.
        licence: licence of the dataset.
        split_fractions: shares of train, val and test where torchgeo has no splits.
        run: options of the run.

    Raises:
        ConfigError: torchgeo has no such dataset, does not take the arguments, or does not name channels or classes.
        InputError: torchgeo does not find the dataset in the folder.
    """
    refuse_unknown_dataset(dataset)
    if not source.is_dir():
        raise InputError(not_a_folder(source, f"torchgeo's {dataset}", "torchgeo calls it root"))
    try:
        parsed = json.loads(arguments)
    except json.JSONDecodeError as error:
        raise ConfigError(f'--arguments is not JSON ({error}); write for example \'{{"bands": "s2"}}\'') from error
    if not isinstance(parsed, dict):
        raise ConfigError(f'--arguments must be a JSON object such as \'{{"bands": "s2"}}\', not {arguments}')
    layout = TorchgeoSamples(
        dataset=dataset,
        arguments=json.dumps(parsed, sort_keys=True),
        bands=_listed(band_names),
        sensor=sensor or "",
        product=product or "",
        classes=_listed(class_names),
        image=image_key,
    )
    described = Dataset(
        name=layout.vocabulary,
        title=f"torchgeo's {dataset}",
        source=f"torchgeo {importlib.metadata.version('torchgeo')}, torchgeo.datasets.{dataset}({arguments})",
        licence=licence,
        modality=modality or ("RGB" if not (layout.bands or _has_bands(dataset)) else "MSI"),
        layout=layout,
    )
    build(SceneFiles(described), source, corpus, split_fractions, RunOptions(**run))


def _listed(names: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())


def _has_bands(dataset: str) -> bool:
    return any(getattr(dataset_class(dataset), name, None) for name in ("all_band_names", "all_bands"))
