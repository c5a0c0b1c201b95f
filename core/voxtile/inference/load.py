"""Models by name, for evaluation and embedding: a checkpoint, or any model of open_clip."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from voxtile.console import note
from voxtile.data.presets.base import Preset
from voxtile.data.presets.image import ImageAugment, ImagePreset
from voxtile.data.presets.load import preset_from_config
from voxtile.data.seen_samples import TrainingMarks
from voxtile.errors import CheckpointError, ConfigError
from voxtile.inference.custom import CUSTOM, custom_model
from voxtile.inference.huggingface_pair import CONFIG, huggingface_pair
from voxtile.models.dual import DualEncoder
from voxtile.models.grounding_decoder import require_levels
from voxtile.models.hub.openclip import OpenClipImage, OpenClipText, hub_name, preprocessing
from voxtile.models.protocol import EvaluationModel
from voxtile.models.tower import require_phrases
from voxtile.models.tuning import merge_lora
from voxtile.objectives.facts.head import FactHead
from voxtile.objectives.local.grounding import Grounding
from voxtile.trusted_packages import checked_packages
from voxtile.types import Encoded

if TYPE_CHECKING:
    from voxtile.training.module import ContrastiveModule

OPEN_CLIP, HUGGING_FACE = "open_clip:", "hf:"
EIGHT_BITS = ":int8"
_WEIGHTS = (".safetensors", ".bin", ".pth")  # as open_clip looks for them in a folder


class EncoderModel:
    """A dual encoder, its preset and its auxiliary head, as evaluation wants them.

    Args:
        name: how tables call it.
        encoder: the towers, on the device where they shall run.
        preset: their preprocessing.
        head: auxiliary fact head for samples, if there is one.
        study_head: likewise for whole studies.
        grounding: shows phrases in images, if it was trained to.
        objectives: all that it was trained with, for what they learned.
    """

    def __init__(
        self,
        name: str,
        encoder: DualEncoder,
        preset: Preset,
        head: FactHead | None = None,
        study_head: FactHead | None = None,
        grounding: Grounding | None = None,
        objectives: Sequence[nn.Module] = (),
    ) -> None:
        self.name = name
        self.preset = preset
        self.objectives = tuple(objectives)
        self._encoder = encoder.eval()
        self._head = head.eval() if head is not None else None
        self._study_head = study_head.eval() if study_head is not None else None
        self._grounding = grounding.eval() if grounding is not None else None
        self.training_marks: TrainingMarks | None = None  # what it was trained on, where a checkpoint says so

    @property
    def encoder(self) -> DualEncoder:
        """The towers and their projections."""
        return self._encoder

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._encoder.log_scale.device

    @property
    def logit_scale(self) -> float:
        """Multiplier of the cosine similarity."""
        return self._encoder.logit_scale.item()

    @property
    def fact_names(self) -> tuple[str, ...]:
        """Concepts of the auxiliary head."""
        return self._head.fact_names if self._head is not None else ()

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """[S, C, *G] float32 to [S, D] normalised embeddings."""
        return self._encoder.encode_samples(images.to(self.device))[0].cpu()

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """T texts to [T, D] normalised embeddings."""
        tokens, _ = self._encoder.text.tokenizer.encode(texts)
        return self._encoder.encode_texts(tokens.to(self.device), local=False)[0].cpu()

    @torch.no_grad()
    def encode_phrases(self, phrases: Sequence[str]) -> Tensor:
        """P phrases to [P, D] normalised embeddings.

        Raises:
            ConfigError: a phrase is empty or too long.
        """
        return self.encoded_phrases(phrases)[0].cpu()

    @torch.no_grad()
    def encoded_phrases(self, phrases: Sequence[str]) -> tuple[Tensor, Encoded]:
        """P phrases to [P, D] normalised embeddings and the text tower's own output, where the model runs.

        Raises:
            ConfigError: a phrase is empty or too long.
        """
        encode = self._encoder.text.tokenizer.encode
        require_phrases(phrases, lambda phrase: encode([phrase])[1] > 0)
        tokens, _ = encode(phrases)
        return self._encoder.encode_texts(tokens.to(self.device))

    @torch.no_grad()
    def fact_logits(self, images: Tensor) -> Tensor:
        """[S, C, *G] to [S, F] logits of the auxiliary head.

        Raises:
            ConfigError: the model has none.
        """
        return self.encode_images_with_facts(images)[1]

    @torch.no_grad()
    def encode_images_with_facts(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[S, C, *G] to [S, D] normalised embeddings and [S, F] logits, the tower run once.

        Raises:
            ConfigError: the model has no auxiliary head.
        """
        if self._head is None:
            raise ConfigError(f"model '{self.name}' has no fact head; train it with the FactHead objective")
        embeddings, encoded = self._encoder.encode_samples(images.to(self.device))
        return embeddings.cpu(), self._head.logits(encoded.pooled).cpu()

    @property
    def grounds(self) -> bool:
        """Whether it was trained to show phrases in images."""
        return self._grounding is not None

    @torch.no_grad()
    def ground(self, images: Tensor, phrases: list[str]) -> tuple[Tensor, Tensor]:
        """[S, C, *G] and P phrases to [S, P, *G] probability of each voxel and [S, P] of there being a target.

        Raises:
            ConfigError: the model was not trained to ground, or a phrase is empty or too long.
        """
        if self._grounding is None or self._grounding.decoder is None:
            raise ConfigError(f"model '{self.name}' cannot show phrases; train it with the Grounding objective")
        _, texts = self.encoded_phrases(phrases)
        images = images.to(self.device)
        _, encoded = self._encoder.encode_samples(images, tokens=True)
        count, asked = len(images), len(phrases)
        places = torch.arange(asked, device=self.device).repeat(count)
        item = torch.arange(count, device=self.device).repeat_interleave(asked)
        found = self._grounding.decoder(require_levels(encoded), texts.at(places), item, images.shape[2:])
        masks = found.mask.sigmoid().view(count, asked, *images.shape[2:])
        return masks.cpu(), found.presence.float().sigmoid().view(count, asked).cpu()

    @property
    def pools_studies(self) -> bool:
        """Whether a study tower embeds the samples of a study together."""
        return self._encoder.study.learned

    @property
    def reads_dates(self) -> bool:
        """Whether the study tower reads the dates of samples."""
        return self._encoder.study.reads_dates

    @property
    def study_fact_names(self) -> tuple[str, ...]:
        """Concepts of the auxiliary head for whole studies."""
        return self._study_head.fact_names if self._study_head is not None else ()

    @torch.no_grad()
    def encode_vectors(self, images: Tensor) -> Tensor:
        """[S, C, *G] to the tower's own [S, W] float32 vectors."""
        return self._encoder.encode_samples(images.to(self.device))[1].pooled.float().cpu()

    @torch.no_grad()
    def encode_studies(
        self, vectors: Tensor, owner: Tensor, count: int, days: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """[S, W] vectors and the study of each, to [N, D] normalised embeddings and [N, F] logits, or None.

        `days` [S] since the latest sample of the study, NaN where unknown, count where the model `reads_dates`.
        """
        days = None if days is None else days.to(self.device)
        embeddings, pooled = self._encoder.encode_studies(
            vectors.to(self.device), owner.to(self.device), count, days=days
        )
        logits = None if self._study_head is None else self._study_head.logits(pooled).cpu()
        return embeddings.cpu(), logits


def load_model(spec: str, trust_packages: Sequence[str] = ()) -> EvaluationModel:
    """Load a model by name.

    Args:
        spec: path of a checkpoint; `open_clip:NAME[/PRETRAINED]` where PRETRAINED is a tag or a local file (without it
            the weights are random); `hf:ID` for a CLIP or SigLIP of the Hugging Face hub; `class:PATH[:ARGUMENT]` for a
            class of one's own (`voxtile.inference.custom`); or a folder of transformers or open_clip. The device is a
            GPU where there is one.
        trust_packages: packages of one's own whose classes a checkpoint or export may name.

    Raises:
        CheckpointError: the checkpoint cannot be loaded safely or does not fit.
        ConfigError: no such model, or a trusted package is not installed.
    """
    trusted = checked_packages(trust_packages)
    if spec.startswith(OPEN_CLIP):
        model = _open_clip(spec.removeprefix(OPEN_CLIP))
    elif spec.startswith(HUGGING_FACE):
        return huggingface_pair(spec.removeprefix(HUGGING_FACE), device=best_device())
    elif spec.startswith(CUSTOM):
        return custom_model(spec.removeprefix(CUSTOM), best_device())
    elif Path(spec.removesuffix(EIGHT_BITS)).is_dir():
        return _folder(Path(spec.removesuffix(EIGHT_BITS)), trusted, int8=spec.endswith(EIGHT_BITS))
    elif not Path(spec).exists() and ":" in spec:
        raise ConfigError(
            f"'{spec}' is no model; give the path of a checkpoint or a folder, {OPEN_CLIP}NAME[/PRETRAINED], "
            f"{HUGGING_FACE}ID or {CUSTOM}package.module.Class[:ARGUMENT]"
        )
    else:
        from voxtile.training.module import ContrastiveModule

        module = ContrastiveModule.load_from_checkpoint(spec, trust_packages=trusted)
        merge_lora(module.encoder)
        model = from_module(module.to(best_device()), Path(spec).name, trusted=trusted)
    return model


def from_module(
    module: ContrastiveModule, name: str, preset: Preset | None = None, trusted: Collection[str] = ()
) -> EncoderModel:
    """The evaluation side of a trained module, on the device where it is.

    Args:
        module: trained or loaded.
        name: how tables call it.
        preset: its preprocessing, where that is at hand; else it is made as the module describes it.
        trusted: top-level packages whose presets the description may name beside those that are listed.

    Raises:
        ConfigError: the module was neither trained nor loaded, so that its preprocessing is unknown.
    """
    if module.preset_config is None:
        raise ConfigError("the model has no preset yet; train it, or load a checkpoint")
    preset = preset or preset_from_config(module.preset_config, trusted=trusted)
    model = EncoderModel(
        name,
        module.encoder,
        preset,
        module.fact_head(),
        module.study_fact_head(),
        module.grounding(),
        objectives=tuple(module.objectives.values()),
    )
    model.training_marks = module.training_marks
    return model


def _folder(folder: Path, trusted: Collection[str], *, int8: bool) -> EvaluationModel:
    from voxtile.inference.onnx_pair import OnnxPair, is_onnx

    if is_onnx(folder):
        return OnnxPair(folder, int8=int8, trusted=trusted)
    if int8:
        raise ConfigError(
            f"the folder '{folder}' holds no 8-bit graphs; write them with: voxtile export --to onnx --int8"
        )
    if (folder / "open_clip_config.json").is_file():
        return _open_clip(f"local-dir:{folder}")
    if (folder / CONFIG).is_file():
        return huggingface_pair(folder.name, folder=folder, device=best_device())
    raise ConfigError(
        f"the folder '{folder}' holds no model: it has neither open_clip_config.json (open_clip) nor {CONFIG} "
        "(transformers), and is no ONNX export"
    )


def _open_clip(spec: str) -> EncoderModel:
    name, pretrained = hub_name(spec)
    folder = Path(name.removeprefix("local-dir:"))
    if name.startswith("local-dir:") and folder.is_dir() and not any(f.suffix in _WEIGHTS for f in folder.iterdir()):
        raise CheckpointError(
            f"the folder '{folder}' has the config of an open_clip model and no weights ({', '.join(_WEIGHTS)}), which "
            "would be random; copy them into it"
        )
    if pretrained is None and not name.startswith(("local-dir:", "hf-hub:")):
        note(
            f"{OPEN_CLIP}{spec} names no weights, so they are random and what it says is chance; name them with "
            f"{OPEN_CLIP}{name}/TAG or /FILE"
        )
    image, text = OpenClipImage(name=name, pretrained=pretrained), OpenClipText(name=name, pretrained=pretrained)
    encoder = DualEncoder(image=image, text=text, embed_dim=image.width, project=False, logit_scale="pretrained")
    preset = _preset(preprocessing(image.visual))
    return EncoderModel(f"{OPEN_CLIP}{spec}", encoder.to(best_device()), preset)


def _preset(settings: Mapping[str, Any]) -> ImagePreset:
    size = settings["size"]
    return ImagePreset(
        size=(size, size) if isinstance(size, int) else tuple(size),
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        resize=settings["resize_mode"],
        interpolation=settings["interpolation"],
        fill=settings["fill_color"],
        augment=ImageAugment(crop="none"),
    )


def best_device() -> torch.device:
    """A GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
