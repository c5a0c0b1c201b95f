"""The classes that a file from elsewhere may name: a checkpoint, an export, a preset file.

Such a file is not the user's own, and a class that it names is called with arguments of its choice. So there is a list,
of this package and of each installed domain plugin (`Domain.classes`); what is not on it is neither called nor
imported, unless it is of a package that the user trusts by name (`voxtile.trusted_packages`).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

from voxtile.domain import ENTRY_POINT_GROUP, discover
from voxtile.errors import ConfigError
from voxtile.old_class_names import OLD_CLASS_NAMES
from voxtile.trusted_packages import how_to_trust, own_class, package_of

Base = TypeVar("Base")

CORE = (
    # presets
    "voxtile.data:ImagePreset",
    "voxtile.data:PublishedPicture",
    "voxtile.data:PublishedPreset",
    "voxtile.data:PublishedVolume",
    "voxtile.data:StoredVectors",
    "voxtile.data:StudyPreset",
    "voxtile.data:PictureStudyPreset",
    "voxtile.data:TilePreset",
    "voxtile.data:VolumePreset",
    # towers, and what joins and tunes them
    "voxtile.models:StoredImageTower",
    "voxtile.models:BertText",
    "voxtile.models:ColipriImage",
    "voxtile.models:ColipriText",
    "voxtile.models:ConchText",
    "voxtile.models:ConchTower",
    "voxtile.models:CtClipImage",
    "voxtile.models:ConvTower",
    "voxtile.models:Dates",
    "voxtile.models:DualEncoder",
    "voxtile.models:M3dImage",
    "voxtile.models:M3dText",
    "voxtile.models:MerlinImage",
    "voxtile.models:MerlinText",
    "voxtile.models:MonaiTower",
    "voxtile.models:OpenClipImage",
    "voxtile.models:OpenClipText",
    "voxtile.models:GatedAttention",
    "voxtile.models:StudyTransformer",
    "voxtile.models:TextBag",
    "voxtile.models:TextTransformer",
    "voxtile.models:TimmTower",
    "voxtile.models:DofaTower",
    "voxtile.models:TorchGeoTower",
    "voxtile.models:HlipImage",
    "voxtile.models:HuggingFaceImage",
    "voxtile.models:HuggingFaceText",
    "voxtile.models:Tuning",
    "voxtile.models:ViTTower",
    "voxtile.models:WavelengthTower",
    "voxtile.models:WaveletTower",
    # objectives, and how they change what they see
    "voxtile.objectives:BackwardCompatible",
    "voxtile.objectives:BagOfDescriptions",
    "voxtile.objectives:Captioning",
    "voxtile.objectives:ConceptPatch",
    "voxtile.objectives:Contrastive",
    "voxtile.objectives:DeepBoosting",
    "voxtile.objectives:Distillation",
    "voxtile.objectives:FactHead",
    "voxtile.objectives:FactMapHead",
    "voxtile.objectives:GatedContrastive",
    "voxtile.objectives:Grounding",
    "voxtile.objectives:ImageTextMatching",
    "voxtile.objectives:KoLeo",
    "voxtile.objectives:LocalAlignment",
    "voxtile.objectives:Margin",
    "voxtile.objectives:MaskedImage",
    "voxtile.objectives:MaskedSelfDistillation",
    "voxtile.objectives:MomentumDistillation",
    "voxtile.objectives:NoiseAdaptive",
    "voxtile.objectives:OfSamples",
    "voxtile.objectives:PreserveZeroShot",
    "voxtile.objectives:RegionAttribute",
    "voxtile.objectives:RegionContrast",
    "voxtile.objectives:RegionHead",
    "voxtile.objectives:SelfDistillation",
    "voxtile.objectives:TextAgreement",
    "voxtile.objectives:TextFactHead",
    "voxtile.objectives:TokenWise",
    "voxtile.objectives:UnimodalSelfSupervision",
    "voxtile.objectives:ImageViews",
    "voxtile.objectives:TextViews",
    "voxtile.objectives:WeightedContrastive",
    # the assistant
    "voxtile.assist:Answering",
    "voxtile.assist:Connector",
    "voxtile.assist:FoundRegions",
    "voxtile.assist:GroundedAnswering",
    "voxtile.assist:NamedReadings",
    "voxtile.assist:Preference",
    "voxtile.assist:ScratchLanguage",
    # optimisation
    "voxtile.training:AdamW",
    "voxtile.training:Constant",
    "voxtile.training:CosineWarmup",
    "voxtile.training:OneCycle",
)

_SHOWN = 80


def listed_class(class_path: object, base: type[Base], trusted: Collection[str] = ()) -> type[Base]:
    """The class that a file names, if it is listed, or of a trusted package, and is of the expected kind.

    Args:
        class_path: what the file says; a path under which a listed class can also be imported is as good as its own.
        base: what is expected where it stands.
        trusted: top-level packages whose own classes may be named too, see `voxtile.trusted_packages`.

    Raises:
        ConfigError: anything else; nothing was called, and no module outside voxtile, its plugins and what is trusted
            was imported.
    """
    shown = repr(class_path)[:_SHOWN]
    if not isinstance(class_path, str):
        raise ConfigError(f"{shown} stands where class_path should name a {base.__name__}")
    path = current_name(class_path)
    found = _listed(path)
    if found is None and package_of(path) in trusted:
        found = _trusted(path)
    if found is None:
        raise ConfigError(
            f"class_path {shown} is no class that voxtile or an installed domain plugin lists for files from elsewhere "
            f"(Domain.classes), so that it was not run; {how_to_trust(path)}"
        )
    if not issubclass(found, base):
        raise ConfigError(f"class_path {shown} stands where a {base.__name__} belongs and was not run")
    return found


def _listed(path: str) -> type | None:
    """The listed class of a path, if there is one."""
    module, _, name = path.rpartition(".")
    same_name = [target for target in _targets() if target.endswith(f":{name}")]
    roots = {package_of(target.partition(":")[0]) for target in same_name}
    found = _imported(module, name) if package_of(module) in roots else None
    known = {_imported(*target.split(":")) for target in same_name}
    return found if isinstance(found, type) and found in known else None


def _trusted(path: str) -> type:
    """A class of a trusted package: one that it defines, or a listed one that it offers too.

    Raises:
        ConfigError: there is no such class, or it is another package's.
    """
    found = own_class(path)
    package = package_of(found.__module__)
    if package == package_of(path) or _listed(f"{found.__module__}.{found.__name__}") is found:
        return found
    raise ConfigError(
        f"class_path '{path}' was not run, since it is of the package '{package}', which is not trusted; trust that "
        "one too, and name the class where it is defined"
    )


def current_name(class_path: str) -> str:
    """What the class of a class path is called now; other texts as they are."""
    return _current_names().get(class_path, class_path)


def with_current_names(config: Any) -> Any:  # noqa: ANN401 - what a YAML file holds
    """A config with each `class_path` as the class is called now; all else as it is."""
    if isinstance(config, Mapping):
        return {
            key: current_name(value) if key == "class_path" and isinstance(value, str) else with_current_names(value)
            for key, value in config.items()
        }
    return [with_current_names(value) for value in config] if isinstance(config, list) else config


def public_name(kind: type[Any]) -> str:
    """The name that files get for a class: that under which its package offers it, else where it is defined."""
    parts = kind.__module__.split(".")
    for package in (".".join(parts[:depth]) for depth in range(1, len(parts))):
        module = sys.modules.get(package)  # there for each class, unless somebody took it away
        if kind.__name__ in getattr(module, "__all__", ()) and getattr(module, kind.__name__) is kind:
            return f"{package}.{kind.__name__}"
    return f"{kind.__module__}.{kind.__qualname__}"


def public_path(class_path: str) -> str:
    """The name that files get for the class of a class path; other packages' paths as they are."""
    path = current_name(class_path)
    found = _imported(*path.rpartition(".")[::2]) if package_of(path) in _packages() else None
    return public_name(found) if isinstance(found, type) else path


@cache
def _packages() -> frozenset[str]:
    """Top-level packages of voxtile and its plugins."""
    plugins = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return frozenset({"voxtile", *(package_of(entry.module) for entry in plugins)})


def hashed_name(class_path: str) -> str:
    """The name of a class in hashes that corpora keep: the first that it ever had, so that the hash holds."""
    return _first_names().get(class_path, class_path)


@cache
def _first_names() -> Mapping[str, str]:
    return {new: old for old, new in reversed(list(_current_names().items()))}


@cache
def _current_names() -> Mapping[str, str]:
    """The tables of all packages: this one's, and of each plugin that of its own classes (`Domain.old_classes`)."""
    plugins = [domain.old_classes for domain in discover()[0].values()]
    return {old: new for table in (OLD_CLASS_NAMES, *plugins) for old, new in table.items()}


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
    except (ImportError, RecursionError):  # of thousands of names with dots between them
        return None
