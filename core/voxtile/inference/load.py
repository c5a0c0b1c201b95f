"""Models by name, for evaluation and embedding: a checkpoint, or any model of open_clip."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxtile.data.presets.base import Preset
from voxtile.data.presets.load import preset_from_config
from voxtile.errors import ConfigError
from voxtile.inference.custom import custom_model
from voxtile.inference.encoder_model import EncoderModel, best_device
from voxtile.inference.huggingface_pair import CONFIG, huggingface_pair
from voxtile.inference.names import CUSTOM, EIGHT_BITS, HUB, HUGGING_FACE, OPEN_CLIP, STORED, check_model_name
from voxtile.inference.open_clip_pair import open_clip_pair
from voxtile.inference.published.load import published_model
from voxtile.inference.stored import StoredModel
from voxtile.models.protocol import EvaluationModel
from voxtile.models.tuning import merge_lora
from voxtile.trusted_packages import checked_packages

if TYPE_CHECKING:
    from voxtile.training.module import ContrastiveModule


def load_model(spec: str, trust_packages: Sequence[str] = ()) -> EvaluationModel:
    """Load a model by name.

    Args:
        spec: path of a checkpoint; `open_clip:NAME[/PRETRAINED]` where PRETRAINED is a tag or a local file (without it
            the weights are random); `hf:ID` for a CLIP or SigLIP of the Hugging Face hub; `hub:NAME[/FILE]` for a
            published model of docs/models.md; `class:PATH[:ARGUMENT]` for a class of one's own
            (`voxtile.inference.custom`); or a folder of transformers or open_clip. The device is a GPU where there is
            one.
        trust_packages: packages of one's own whose classes a checkpoint or export may name.

    Raises:
        CheckpointError: the checkpoint cannot be loaded safely or does not fit.
        ConfigError: no such model, or a trusted package is not installed.
    """
    trusted = checked_packages(trust_packages)
    check_model_name(spec)
    if spec.startswith(OPEN_CLIP):
        model = open_clip_pair(spec.removeprefix(OPEN_CLIP))
    elif spec.startswith(HUGGING_FACE):
        return huggingface_pair(spec.removeprefix(HUGGING_FACE), device=best_device())
    elif spec.startswith(HUB):
        return published_model(spec.removeprefix(HUB), best_device())
    elif spec.startswith(STORED):
        return StoredModel(spec.removeprefix(STORED))
    elif spec.startswith(CUSTOM):
        return custom_model(spec.removeprefix(CUSTOM), best_device())
    elif Path(spec.removesuffix(EIGHT_BITS)).is_dir():
        return _folder(Path(spec.removesuffix(EIGHT_BITS)), trusted, int8=spec.endswith(EIGHT_BITS))
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
    from voxtile.training.trained_heads import fact_head_of, grounding_of, study_fact_head_of

    if module.preset_config is None:
        raise ConfigError("the model has no preset yet; train it, or load a checkpoint")
    preset = preset or preset_from_config(module.preset_config, trusted=trusted)
    objectives = tuple(module.objectives.values())
    model = EncoderModel(
        name,
        module.encoder,
        preset,
        fact_head_of(objectives),
        study_fact_head_of(objectives),
        grounding_of(objectives),
        objectives=objectives,
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
        return open_clip_pair(f"local-dir:{folder}")
    if (folder / CONFIG).is_file():
        return huggingface_pair(folder.name, folder=folder, device=best_device())
    raise ConfigError(
        f"the folder '{folder}' holds no model: it has neither open_clip_config.json (open_clip) nor {CONFIG} "
        "(transformers), and is no ONNX export"
    )
