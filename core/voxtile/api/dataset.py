"""Samples of a corpus as a torch dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from voxtile.console import note
from voxtile.corpus.view.view import compile_view
from voxtile.data.batches.dataset import Draws, PackedPreset
from voxtile.data.captions import CaptionPolicy
from voxtile.data.draws import DrawDataset
from voxtile.data.presets.base import Preset
from voxtile.data.presets.load import preset_from_config
from voxtile.data.presets.roles import StudyReader
from voxtile.errors import ConfigError
from voxtile.stages.materialize.preset_file import read_preset

if TYPE_CHECKING:
    from voxtile.corpus.reader import Corpus


class DatasetItem(TypedDict):
    """One item of a `SampleDataset`.

    Attributes:
        uid: of the sample.
        image: [C, *G] float32, by the preset.
        texts: its texts.
        facts: [F] int8, 1 present, 0 absent, -1 unknown; their names are `SampleDataset.fact_names`.
    """

    uid: str
    image: Tensor
    texts: list[str]
    facts: Tensor


class Collated(TypedDict):
    """Several items, as `SampleDataset.collate` joins them.

    Attributes:
        uid: S uids.
        image: [S, C, *G] float32.
        texts: the T texts of all items.
        owner: [T] int64, the item that each text is of, as `voxtile.objectives.functional.contrastive` takes it.
        facts: [S, F] int8.
    """

    uid: list[str]
    image: Tensor
    texts: list[str]
    owner: Tensor
    facts: Tensor


class SampleDataset(torch.utils.data.Dataset[DatasetItem]):
    """Samples as a model wants them, in the order of the view; studies where the preset reads whole ones.

    Args:
        corpus: one or several.
        preset: preprocessing.
        split, where, view, texts: see `OpenedCorpus.dataset`.

    Raises:
        ConfigError: no sample is selected.
        PresetError: a sample lacks what the preset needs.
    """

    def __init__(
        self,
        corpus: Corpus,
        preset: Preset,
        *,
        split: str | None = None,
        where: str | None = None,
        view: str = "all",
        texts: int = 0,
    ) -> None:
        self.preset = preset
        compiled = compile_view(corpus, view, where=where)
        if compiled.outgrown:
            note(compiled.outgrown)
        if not isinstance(preset, StudyReader):
            preset.check(compiled.metas())
        unit: Any = "study" if isinstance(preset, StudyReader) else "sample"
        self._draws = DrawDataset(compiled, preset, CaptionPolicy(per_item=texts), split=split, unit=unit)
        self.fact_names = compiled.concepts

    def __len__(self) -> int:
        return len(self._draws)

    def __getitem__(self, index: int) -> DatasetItem:
        """Load an item.

        Raises:
            CorpusError: its data is damaged.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of a dataset of {len(self)}")
        batch = self._draws.load(Draws(np.array([index % len(self)]), None))
        images = self.preset.unpack(batch.images) if isinstance(self.preset, PackedPreset) else batch.images
        return {"uid": batch.uids[0], "image": images[0], "texts": batch.texts, "facts": batch.facts[0]}

    @staticmethod
    def collate(items: Sequence[DatasetItem]) -> Collated:
        """Join items to a batch; for the `collate_fn` of torch's DataLoader."""
        counts = torch.tensor([len(item["texts"]) for item in items], dtype=torch.int64)
        return {
            "uid": [item["uid"] for item in items],
            "image": torch.stack([item["image"] for item in items]),
            "texts": [text for item in items for text in item["texts"]],
            "owner": torch.repeat_interleave(torch.arange(len(items)), counts),
            "facts": torch.stack([item["facts"] for item in items]),
        }


def as_preset(preset: Preset | Mapping[str, Any] | str | os.PathLike[str]) -> Preset:
    """A preset, from its description, or from the name or path of a config.

    Raises:
        ConfigError: there is no such config, or it has no preset.
        PresetError: the description does not fit.
    """
    if isinstance(preset, str | os.PathLike):
        return preset_from_config(read_preset(os.fspath(preset)), own=True)
    if isinstance(preset, Mapping):
        return preset_from_config(preset, own=True)
    if not callable(preset):
        raise ConfigError(
            f"{preset!r:.80} is no preset; give a model's preset, the name of a config, or class_path and init_args"
        )
    return preset
