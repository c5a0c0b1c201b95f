"""The stages under test: a command each, on inputs so small that a trial takes seconds, and what it starts from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from voxtile.phantom.xrays import write_xrays

Run = Callable[[Path, Sequence[object]], None]
PICTURES, VOLUMES = 16, 3
CORPUS = "corpus"
INLINE = ("--engine", "inline")
MOSTLY_INLINE = (INLINE, INLINE, INLINE, ("--workers", "1"))  # where a worker has much to load
NONE = ((),)


@dataclass(frozen=True)
class Stage:
    """A command that is disturbed.

    Attributes:
        name: of the stage.
        argv: the command, run in a folder with a copy of `base`; "{sources}" stands for the folder of raw files.
        base: folder under `bases` that a trial begins with.
        writes: beginnings of the paths, below the trial's folder, on which calls may fail.
        engines: options by one of which a trial has its jobs done, here or by workers.
        corpora: what `voxtile verify` must find clean in the end.
    """

    name: str
    argv: tuple[str, ...]
    base: str = "empty"
    writes: tuple[str, ...] = (CORPUS,)
    engines: tuple[tuple[str, ...], ...] = (INLINE, ("--workers", "1"), ("--workers", "2"))
    corpora: tuple[str, ...] = (CORPUS,)


STAGES = (
    Stage(
        "convert dicom",
        ("convert", "dicom", "{sources}/ct/dicom", CORPUS, "--reports", "{sources}/ct/reports.csv", "--job-items", "1"),
        "keyed",
    ),
    Stage("convert nifti", ("convert", "nifti", "{sources}/nifti", CORPUS, "--no-deidentify", "--job-items", "1")),
    Stage("convert image", ("convert", "image", "{sources}/pictures", CORPUS, "--job-items", "4")),
    Stage(
        "convert wsi",
        ("convert", "wsi", "{sources}/he/slides", CORPUS, "--no-deidentify", "--mpp", "2", "--patch-px", "64"),
    ),
    Stage("convert geotiff", ("convert", "geotiff", "{sources}/tiles", CORPUS, "--size", "32px", "--job-items", "1")),
    Stage(
        "facts labels",
        ("facts", "--from", "labels", CORPUS, "--labels", "{sources}/ct/labels.csv"),
        "converted",
        engines=MOSTLY_INLINE,
    ),
    Stage("facts reports", ("facts", "--from", "reports", CORPUS), "converted", engines=MOSTLY_INLINE),
    Stage("caption report", ("caption", "template", CORPUS), "stated", engines=MOSTLY_INLINE),
    Stage("caption fact", ("caption", "template", CORPUS, "--kind", "fact"), "stated", engines=MOSTLY_INLINE),
    Stage("embed", ("embed", CORPUS, "model.ckpt", "--chunk", "16"), "embedded", engines=NONE),
    Stage(
        "curate",
        ("curate", CORPUS, "--view", "good", "--dedup", "text", "--balance", "facts:6", "--as-weights"),
        "xrays",
        engines=NONE,
    ),
    Stage(
        "materialize",
        ("materialize", CORPUS, "small", "--preset", "preset.yaml", "--job-items", "16"),
        "xrays",
        writes=("small",),
        engines=MOSTLY_INLINE,
        corpora=(CORPUS, "small"),
    ),
    Stage(
        "export wds",
        ("export-wds", CORPUS, "pairs", "--split", "train,val", "--shard-mb", "0.05"),
        "xrays",
        writes=("pairs",),
        engines=NONE,
    ),
    Stage("forget", ("forget", CORPUS, "--subject", "pneumoniamnist-train-000002"), "forgetful", engines=NONE),
    Stage(
        "fit",
        ("fit", "-c", "tiny.yaml", "--data.corpus", CORPUS, "--ckpt_path", "last"),
        "xrays",
        writes=("runs", "corpus/views"),
        engines=NONE,
    ),
)

_TINY: dict[str, Any] = {
    "name": "tiny",
    "seed_everything": 3,
    "data": {
        "batch_size": 16,
        "num_workers": 0,
        "preset": {
            "class_path": "voxtile.data.ImagePreset",
            "init_args": {"size": [28, 28], "channels": 1, "mean": [0.5], "std": [0.25], "augment": {"shift": 2}},
        },
    },
    "model": {
        "encoder": {
            "image": {
                "class_path": "voxtile.models.ConvTower",
                "init_args": {"dimensions": 2, "widths": [8], "blocks": [1], "width": 16, "dropout": 0.2},
            },
            "text": {
                "class_path": "voxtile.models.TextTransformer",
                "init_args": {"vocabulary": 400, "context": 32, "width": 16, "depth": 1, "heads": 2, "dropout": 0.1},
            },
            "embed_dim": 16,
        },
        "objectives": {"contrastive": {"class_path": "voxtile.objectives.Contrastive"}},
        "optimizer": {"lr": 3.0e-3},
    },
    "trainer": {
        "max_epochs": 3,
        "accelerator": "cpu",
        "log_every_n_steps": 1,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
    },
    "checkpoint": {"every_n_train_steps": 2},
}


def prepare(folder: Path, stages: Sequence[Stage], run: Run) -> None:
    """Make the raw files that stages read under `folder/sources`, and what they begin with under `folder/bases`.

    What is there is taken as it is.

    Args:
        folder: of the trials.
        stages: that are to be disturbed.
        run: runs a command of voxtile in a folder, undisturbed, and raises where it fails.
    """
    made = _Made(folder / "sources", folder / "bases", run)
    for stage in stages:
        for name in _RAW:
            if any(f"{{sources}}/{name}" in word for word in stage.argv):
                made.raw(name)
        made.base(stage.base)


@dataclass(frozen=True)
class _Made:
    """Raw files and bases, each made when it is first asked for, under another name until it is whole."""

    sources: Path
    bases: Path
    run: Run

    def raw(self, name: str) -> Path:
        return self._make(self.sources / name, lambda building: _RAW[name](building, self.run))

    def base(self, name: str) -> Path:
        return self._make(self.bases / name, lambda building: _BASES[name](self, building))

    def _make(self, path: Path, fill: Callable[[Path], None]) -> Path:
        if not path.exists():
            building = path.with_name(f"{path.name}.building")
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir(parents=True)
            fill(building)
            building.rename(path)
        return path


def _phantom_ct(folder: Path, run: Run) -> None:
    run(folder, ["phantom", "ct", ".", "--n", VOLUMES, "--workers", 1])


def _phantom_he(folder: Path, run: Run) -> None:
    run(folder, ["phantom", "he", ".", "--n", 1, "--workers", 1])


def _pictures(folder: Path, _: Run) -> None:
    rng = np.random.default_rng(0)
    for index in range(PICTURES):
        path = folder / ("cat" if index % 2 else "dog") / f"{index:03}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    shutil.copy(folder / "dog" / "000.png", folder / "dog" / "copy.png")


def _volumes(folder: Path, _: Run) -> None:
    import nibabel

    rng = np.random.default_rng(0)
    for index in range(VOLUMES):
        volume = nibabel.Nifti1Image(rng.integers(-1000, 1000, (24, 24, 16)).astype(np.int16), np.diag((2, 2, 3, 1)))
        volume.header.set_xyzt_units("mm")
        nibabel.save(volume, folder / f"volume-{index}.nii.gz")


def _scenes(folder: Path, _: Run) -> None:
    """GeoTIFFs of three bands at places far apart."""
    import rasterio

    rng = np.random.default_rng(0)
    (folder / "bands.yaml").write_text("bands: [red, green, blue]\n")
    for index in range(VOLUMES):
        transform = rasterio.transform.from_origin(400_000 + 50_000 * index, 5_000_000, 10, 10)
        profile = {"driver": "GTiff", "width": 96, "height": 64, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
        with rasterio.open(folder / f"scene-{index}.tif", "w", transform=transform, **profile) as scene:
            scene.write(rng.integers(1, 255, (3, 64, 96), dtype=np.uint8))


_RAW: Mapping[str, Callable[[Path, Run], None]] = {
    "ct": _phantom_ct,
    "he": _phantom_he,
    "pictures": _pictures,
    "nifti": _volumes,
    "tiles": _scenes,
}


def _convert_ct(made: _Made, folder: Path, *options: str) -> None:
    ct = made.raw("ct")
    words = ["convert", "dicom", ct / "dicom", CORPUS, "--reports", ct / "reports.csv", "--job-items", 1]
    made.run(folder, [*words, "--engine", "inline", *options])


def _keyed(made: _Made, folder: Path) -> None:
    """A key alone, so that pseudonyms are the same in all trials."""
    _convert_ct(made, folder)
    shutil.rmtree(folder / CORPUS)


def _converted(made: _Made, folder: Path) -> None:
    _convert_ct(made, folder, "--no-deidentify")


def _stated(made: _Made, folder: Path) -> None:
    shutil.copytree(made.base("converted"), folder, dirs_exist_ok=True)
    made.run(folder, ["facts", "--from", "labels", CORPUS, "--labels", made.raw("ct") / "labels.csv"])


def _xrays(made: _Made, folder: Path) -> None:
    xrays = write_xrays(made.sources / "xrays", train=48, val=8, test=8)
    made.run(folder, ["build", "medmnist", xrays, CORPUS, "--engine", "inline"])
    made.run(folder, ["caption", "template", CORPUS])
    (folder / "tiny.yaml").write_text(yaml.safe_dump(_TINY))
    reads = {"size": [16, 16], "channels": 1, "mean": [0.5], "std": [0.25]}
    (folder / "preset.yaml").write_text(yaml.safe_dump({"class_path": "voxtile.data.ImagePreset", "init_args": reads}))


def _forgetful(made: _Made, folder: Path) -> None:
    """Somebody is forgotten already, so that the salt of their names is the same in all trials."""
    shutil.copytree(made.base("xrays"), folder, dirs_exist_ok=True)
    made.run(folder, ["forget", CORPUS, "--subject", "pneumoniamnist-train-000001"])


def _embedded(made: _Made, folder: Path) -> None:
    shutil.copytree(made.base("xrays"), folder, dirs_exist_ok=True)
    made.run(folder, ["fit", "-c", "tiny.yaml", "--data.corpus", CORPUS, "--trainer.max_epochs", 1])
    [model] = folder.glob("runs/**/last.ckpt")
    model.rename(folder / "model.ckpt")
    shutil.rmtree(folder / "runs")


_BASES: Mapping[str, Callable[[_Made, Path], None]] = {
    "empty": lambda made, folder: None,
    "keyed": _keyed,
    "converted": _converted,
    "stated": _stated,
    "xrays": _xrays,
    "embedded": _embedded,
    "forgetful": _forgetful,
}
