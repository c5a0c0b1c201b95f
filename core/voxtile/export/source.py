"""What is exported: a checkpoint's model, and the real samples and texts that the export is compared on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from voxtile.corpus.reader import Corpus
from voxtile.data.images import CorpusImages
from voxtile.data.presets.base import Preset
from voxtile.data.presets.load import preset_from_config
from voxtile.data.presets.roles import StudyReader
from voxtile.errors import ConfigError, InputError
from voxtile.models.dual import DualEncoder
from voxtile.models.tuning import merge_lora
from voxtile.trusted_packages import checked_packages

if TYPE_CHECKING:
    from voxtile.objectives.facts.head import FactHead


@dataclass(frozen=True)
class Source:
    """A trained pair of towers in float32 on the CPU.

    Attributes:
        name: of the checkpoint's file.
        encoder: in evaluation mode.
        preset: its preprocessing.
        head: auxiliary fact head, if there is one.
    """

    name: str
    encoder: DualEncoder
    preset: Preset
    head: FactHead | None = None

    @property
    def bias(self) -> float | None:
        """Bias of the sigmoid objective, None without one."""
        return None if self.encoder.logit_bias is None else self.encoder.logit_bias.item()


@dataclass(frozen=True)
class Probes:
    """What an export is compared on.

    Attributes:
        images: [S, C, *G] float32, as the preset makes them of real samples.
        texts: real texts.
    """

    images: Tensor
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Embedded:
    """What a model makes of the probes.

    Attributes:
        images: [S, D] normalised embeddings.
        texts: [T, D] likewise.
        scale: multiplier of the cosine similarity.
        facts: [S, F] probabilities of the fact head, None without one.
    """

    images: Tensor
    texts: Tensor
    scale: float
    facts: Tensor | None = None


def read_source(checkpoint: Path, trust_packages: Sequence[str] = ()) -> Source:
    """Load a checkpoint.

    Args:
        checkpoint: the file.
        trust_packages: packages of one's own whose classes it may name.

    Raises:
        CheckpointError: it cannot be loaded safely or does not fit.
        ConfigError: it has no preprocessing, or it pools the samples of a study by a tower of its own.
    """
    from voxtile.training.module import ContrastiveModule
    from voxtile.training.trained_heads import fact_head_of

    module = ContrastiveModule.load_from_checkpoint(checkpoint, trust_packages=trust_packages).float()
    merge_lora(module.encoder)
    if module.preset_config is None:
        raise ConfigError(f"checkpoint '{checkpoint}' holds no preset, so that nobody could feed the exported model")
    if module.encoder.study.learned:
        kind = type(module.encoder.study).__name__
        raise ConfigError(
            f"checkpoint '{checkpoint}' pools the samples of a study with {kind}, which no format of export holds; use "
            "it with voxtile, or train with the mean (leave model.encoder.study out)"
        )
    preset = preset_from_config(module.preset_config, trusted=checked_packages(trust_packages))
    return Source(checkpoint.name, module.encoder, preset, fact_head_of(module.objectives.values()))


def read_probes(corpus: Path, preset: Preset, count: int) -> Probes:
    """Some samples of a corpus, or some studies where the preset reads studies, and their texts.

    Args:
        corpus: folder.
        preset: the model's preprocessing.
        count: at most so many images and so many texts, the first by uid.

    Raises:
        ConfigError: `count` is below 1.
        InputError: the corpus holds no texts.
        PresetError: the corpus cannot satisfy the preset.
    """
    if count < 1:
        raise ConfigError(f"--samples must be at least 1, not {count}")
    opened = Corpus(corpus)
    with closing(opened.connection()) as connection:
        rows = connection.execute("SELECT uid, study FROM samples WHERE kind <> 'overview' ORDER BY uid").fetchall()
        texts = connection.execute("SELECT text FROM captions ORDER BY caption_id LIMIT ?", [count]).fetchall()
    if not texts or not rows:
        lacking = "samples" if not rows else "captions"
        raise InputError(
            f"the corpus '{corpus}' holds no {lacking} to compare the export on; give another with --corpus"
        )
    studies: dict[str, list[str]] = {}
    for uid, study in rows:
        studies.setdefault(study or uid if isinstance(preset, StudyReader) else uid, []).append(uid)
    chosen = dict([(members[0], members) for members in studies.values()][:count])
    uids = [uid for members in chosen.values() for uid in members]
    images = CorpusImages(opened, preset, uids, count, chosen if isinstance(preset, StudyReader) else None)
    return Probes(torch.stack([images.image(uid) for uid in chosen]), tuple(text for (text,) in texts))


@torch.no_grad()
def embed(source: Source, probes: Probes) -> Embedded:
    """What the source makes of the probes."""
    images, encoded = source.encoder.encode_samples(probes.images)
    facts = None if source.head is None else source.head.logits(encoded.pooled).sigmoid()
    return Embedded(images, embed_texts(source, probes.texts), source.encoder.logit_scale.item(), facts)


@torch.no_grad()
def embed_texts(source: Source, texts: Sequence[str]) -> Tensor:
    """[T, D] normalised embeddings of texts."""
    tokens, _ = source.encoder.text.tokenizer.encode(texts)
    return source.encoder.encode_texts(tokens, local=False)[0]
