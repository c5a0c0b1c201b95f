"""One training through the product's own module, data and trainer, in this process.

The same settings as a config, `as_config`, give the same weights by `lightning fit`; `python benchmarks/evidence
--command` compares the two.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from feature_maps import GRID, LENGTH, FeatureMaps

from voxtile.data import CaptionPolicy, CorpusDataModule, ImagePreset, RegionPolicy, StoredVectors
from voxtile.training import ContrastiveModule

Settings = Mapping[str, Any]
SCENE = {
    "size": [32, 32], "mean": [0.4, 0.4, 0.36], "std": [0.18, 0.16, 0.16], "resize": "squash",
    "augment": {"crop": "shift", "shift": 2, "flip": 0.5},
}  # fmt: skip
MOSAIC = {**SCENE, "size": [48, 48], "augment": {"crop": "none"}}
XRAY = {
    "size": [28, 28], "channels": 1, "mean": [0.5], "std": [0.25], "resize": "squash",
    "augment": {"crop": "shift", "shift": 3},
}  # fmt: skip
VECTOR = {"corpus": "{corpus}", "length": 1280, "model": "lite0"}
NATIVE = {**VECTOR, "model": "lite0-native"}
COMPONENTS = {**VECTOR, "model": "lite0-components", "length": 32}
MAPS = {"corpus": "{corpus}", "length": LENGTH * GRID[0] * GRID[1], "model": "lite0-maps"}
STORED: Mapping[str, Settings] = {"vectors": VECTOR, "native": NATIVE, "components": COMPONENTS, "maps": MAPS}
PRESETS: Mapping[str, Settings] = {"scene": SCENE, "mosaic": MOSAIC, "xray": XRAY, **STORED}


def preset_class(name: str) -> type[ImagePreset | StoredVectors]:
    """Class of a preset: stored maps or vectors, or pictures."""
    return FeatureMaps if name == "maps" else StoredVectors if name in STORED else ImagePreset


def made_preset(name: str, corpus: Path) -> ImagePreset | StoredVectors:
    """The preset of an arm: of stored numbers, or of pictures."""
    settings = _placed(PRESETS[name], {"{corpus}": str(corpus)})
    return preset_class(name)(**settings)


def wavelet(channels: int = 3, widths: tuple[int, ...] = (16, 32, 64), width: int = 64) -> Settings:
    """A convolutional tower with feature maps, that of the configs `aerial`, `ct` and `he` in small."""
    sizes = {"dimensions": 2, "channels": channels, "widths": list(widths), "blocks": [1] * len(widths)}
    return {"class_path": "voxtile.models.WaveletTower", "init_args": {**sizes, "width": width}}


def vit(size: int = 32, channels: int = 3, patch: int = 4, pooling: str = "mean") -> Settings:
    """A transformer with patches."""
    sizes = {"dimensions": 2, "channels": channels, "size": size, "patch": patch, "width": 64, "depth": 3, "heads": 2}
    return {"class_path": "voxtile.models.ViTTower", "init_args": {**sizes, "pooling": pooling}}


TEXT = {
    "class_path": "voxtile.models.TextBag",
    "init_args": {"vocabulary": 512, "context": 64, "width": 64, "dropout": 0.1},
}
ENCODER = {
    "image": wavelet(), "text": TEXT, "embed_dim": 64, "logit_scale": 10.0, "logit_scale_limits": [1, 50],
    "logit_bias": -5.0,
}  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """One side of a study.

    Attributes:
        objectives: `model.objectives` of the config.
        weights: `model.weights`.
        data: settings of the data that differ, such as `captions`.
        encoder: of the encoder that differ.
        epochs: of the training.
        rate: largest learning rate.
        batch: items of a step.
        start: arm that is trained before, of which the encoder takes all weights.
        start_corpus: on which that one is trained; the same corpus where left out.
    """

    objectives: Settings
    weights: Mapping[str, float] = field(default_factory=dict)
    data: Settings = field(default_factory=dict)
    encoder: Settings = field(default_factory=dict)
    preset: str = "scene"
    epochs: int = 10
    rate: float = 3e-3
    batch: int = 64
    start: Arm | None = None
    start_corpus: str | None = None


def as_config(arm: Arm, corpus: Path, seed: int) -> dict[str, Any]:
    """The arm as `lightning fit` takes it."""
    config: dict[str, Any] = {
        "seed_everything": seed,
        "data": {
            "corpus": str(corpus), "batch_size": arm.batch, "seed": seed, "num_workers": 0,
            "cache_in_memory": arm.preset not in STORED,
            "captions": {"unit": "caption", "per_item": 1},
            "preset": {"class_path": _class_path(arm.preset), "init_args": PRESETS[arm.preset]},
            **arm.data,
        },
        "model": {
            "encoder": {**ENCODER, **arm.encoder},
            "objectives": arm.objectives, "weights": arm.weights, "seed": seed,
            "optimizer": {"lr": arm.rate, "weight_decay": 0.05},
            "schedule": {"class_path": "voxtile.training.OneCycle", "init_args": {"rise": 0.25}},
        },
        "trainer": {
            "max_epochs": arm.epochs, "accelerator": "cpu", "gradient_clip_val": 1.0, "limit_val_batches": 0,
            "num_sanity_val_steps": 0,
        },
    }  # fmt: skip
    return _placed(config, {"{corpus}": str(corpus), "{seed}": str(seed)})


def _class_path(preset: str) -> str:
    kind = preset_class(preset)
    return f"{'feature_maps' if kind is FeatureMaps else 'voxtile.data'}.{kind.__name__}"


def _placed(settings: Any, places: Mapping[str, str]) -> Any:
    """The settings with names in braces filled in."""
    if isinstance(settings, Mapping):
        return {key: _placed(value, places) for key, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [_placed(value, places) for value in settings]
    for name, value in places.items():
        settings = settings.replace(name, value) if isinstance(settings, str) else settings
    return settings


def train(arm: Arm, corpus: Path, seed: int, start: ContrastiveModule | None = None) -> ContrastiveModule:
    """Train on the training split of a corpus, on one thread.

    Args:
        arm: what is trained.
        corpus: its folder.
        seed: of weights, order and draws.
        start: whose encoder the training starts from.
    """
    torch.set_num_threads(1)
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    config = as_config(arm, corpus, seed)
    pl.seed_everything(config["seed_everything"], verbose=False)
    data = datamodule(config["data"])
    module = ContrastiveModule.from_config(config["model"])
    if start is not None:
        module.encoder.text.tokenizer.from_json(start.encoder.text.tokenizer.to_json())
        module.encoder.load_state_dict(start.encoder.state_dict())
    trainer = pl.Trainer(
        **config["trainer"], logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    return module.eval()


def datamodule(settings: Settings) -> CorpusDataModule:
    """The data of a config."""
    made = dict(settings)
    kinds = {kind.__name__: kind for kind in (ImagePreset, StoredVectors, FeatureMaps)}
    made["preset"] = kinds[made["preset"]["class_path"].rpartition(".")[2]](**made["preset"]["init_args"])
    for name, kind in (("captions", CaptionPolicy), ("sample_captions", CaptionPolicy), ("regions", RegionPolicy)):
        if name in made:
            made[name] = kind(**made[name])
    return CorpusDataModule(**made)
