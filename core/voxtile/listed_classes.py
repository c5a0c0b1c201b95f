"""The classes that a file from elsewhere may name: a checkpoint, an export, a preset file.

Such a file is not the user's own, and a class that it names is called with arguments of its choice. So there is a list,
of this package and of each installed domain plugin (`Domain.classes`); what is not on it is neither called nor
imported.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator
from functools import cache
from typing import TypeVar

from voxtile.domain import ENTRY_POINT_GROUP, discover
from voxtile.errors import ConfigError

Base = TypeVar("Base")

CORE = (
    # presets
    "voxtile.data.image:ImagePreset",
    "voxtile.data.stored:StoredVectors",
    "voxtile.data.study:StudyPreset",
    "voxtile.data.study_pictures:PictureStudyPreset",
    "voxtile.data.tile:TilePreset",
    "voxtile.data.volume:VolumePreset",
    # towers, and what joins and tunes them
    "voxtile.models.cached:StoredImageTower",
    "voxtile.models.conv:ConvTower",
    "voxtile.models.dates:Dates",
    "voxtile.models.dual:DualEncoder",
    "voxtile.models.monai:MonaiTower",
    "voxtile.models.openclip:OpenClipImage",
    "voxtile.models.openclip:OpenClipText",
    "voxtile.models.study:GatedAttention",
    "voxtile.models.study:StudyTransformer",
    "voxtile.models.text:TextBag",
    "voxtile.models.text:TextTransformer",
    "voxtile.models.timm:TimmTower",
    "voxtile.models.torchgeo:DofaTower",
    "voxtile.models.torchgeo:TorchGeoTower",
    "voxtile.models.transformers:HuggingFaceImage",
    "voxtile.models.transformers:HuggingFaceText",
    "voxtile.models.tuning:Tuning",
    "voxtile.models.vit:ViTTower",
    "voxtile.models.wavelength:WavelengthTower",
    "voxtile.models.wavelet:WaveletTower",
    # objectives, and how they change what they see
    "voxtile.objectives.backward_compatible:BackwardCompatible",
    "voxtile.objectives.bag_of_descriptions:BagOfDescriptions",
    "voxtile.objectives.captioning:Captioning",
    "voxtile.objectives.concept_patch:ConceptPatch",
    "voxtile.objectives.contrastive:Contrastive",
    "voxtile.objectives.deep_boosting:DeepBoosting",
    "voxtile.objectives.distillation:Distillation",
    "voxtile.objectives.facts:FactHead",
    "voxtile.objectives.gated_contrastive:GatedContrastive",
    "voxtile.objectives.grounding:Grounding",
    "voxtile.objectives.image_text_matching:ImageTextMatching",
    "voxtile.objectives.koleo:KoLeo",
    "voxtile.objectives.local_alignment:LocalAlignment",
    "voxtile.objectives.margin:Margin",
    "voxtile.objectives.masked_image:MaskedImage",
    "voxtile.objectives.masked_self_distillation:MaskedSelfDistillation",
    "voxtile.objectives.momentum_distillation:MomentumDistillation",
    "voxtile.objectives.noise_adaptive:NoiseAdaptive",
    "voxtile.objectives.of_samples:OfSamples",
    "voxtile.objectives.preserve_zero_shot:PreserveZeroShot",
    "voxtile.objectives.region_attribute:RegionAttribute",
    "voxtile.objectives.region_contrast:RegionContrast",
    "voxtile.objectives.self_distillation:SelfDistillation",
    "voxtile.objectives.text_agreement:TextAgreement",
    "voxtile.objectives.text_facts:TextFactHead",
    "voxtile.objectives.token_wise:TokenWise",
    "voxtile.objectives.unimodal:UnimodalSelfSupervision",
    "voxtile.objectives.views:ImageViews",
    "voxtile.objectives.views:TextViews",
    "voxtile.objectives.weighted_contrastive:WeightedContrastive",
    # optimisation
    "voxtile.training.schedule:AdamW",
    "voxtile.training.schedule:Constant",
    "voxtile.training.schedule:CosineWarmup",
    "voxtile.training.schedule:OneCycle",
)

_SHOWN = 80


def listed_class(class_path: object, base: type[Base]) -> type[Base]:
    """The class that a file names, if it is listed and is of the expected kind.

    Args:
        class_path: what the file says; a path under which a listed class can also be imported is as good as its own.
        base: what is expected where it stands.

    Raises:
        ConfigError: anything else; nothing was called, and no module outside voxtile and its plugins was imported.
    """
    shown = repr(class_path)[:_SHOWN]
    if not isinstance(class_path, str):
        raise ConfigError(f"{shown} stands where class_path should name a {base.__name__}")
    module, _, name = class_path.rpartition(".")
    same_name = [target for target in _targets() if target.endswith(f":{name}")]
    roots = {target.partition(":")[0].partition(".")[0] for target in same_name}
    found = _imported(module, name) if module.partition(".")[0] in roots else None
    if not isinstance(found, type) or found not in {_imported(*target.split(":")) for target in same_name}:
        raise ConfigError(
            f"class_path {shown} is no class that voxtile or an installed domain plugin lists for files from elsewhere "
            "(Domain.classes), so that it was not run; install the plugin that it belongs to"
        )
    if not issubclass(found, base):
        raise ConfigError(f"class_path {shown} stands where a {base.__name__} belongs and was not run")
    return found


@cache
def _targets() -> tuple[str, ...]:
    return (*CORE, *_of_plugins())


def _of_plugins() -> Iterator[str]:
    domains, _ = discover()
    own = {e.module.partition(".")[0] for e in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)}
    for domain in domains.values():
        yield from (target for target in domain.classes if target.partition(":")[0].partition(".")[0] in own)


def _imported(module: str, name: str) -> object:
    """What a module of ours or of a plugin has under a name, or None."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
