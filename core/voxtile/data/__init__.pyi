from .captions import CaptionPolicy as CaptionPolicy
from .datamodule import CorpusDataModule as CorpusDataModule
from .dialogues import DialoguePolicy as DialoguePolicy
from .dialogues import PreferencePolicy as PreferencePolicy
from .mixture.mixture import Mixture as Mixture
from .mixture.mixture import MixtureSource as MixtureSource
from .phantom import PhantomSpec as PhantomSpec
from .presets.base import BasePreset as BasePreset
from .presets.base import PlacingPreset as PlacingPreset
from .presets.base import Preset as Preset
from .presets.base import SampleSource as SampleSource
from .presets.image import ImageAugment as ImageAugment
from .presets.image import ImagePreset as ImagePreset
from .presets.load import preset_from_config as preset_from_config
from .presets.published.picture import PublishedPicture as PublishedPicture
from .presets.published.preset import PublishedPreset as PublishedPreset
from .presets.published.volume import PublishedVolume as PublishedVolume
from .presets.stored import StoredVectors as StoredVectors
from .presets.study import RoleVolume as RoleVolume
from .presets.study import StudyPreset as StudyPreset
from .presets.study_masks import StudyMasks as StudyMasks
from .presets.study_of_pictures import PictureStudyPreset as PictureStudyPreset
from .presets.tile import TileAugment as TileAugment
from .presets.tile import TilePreset as TilePreset
from .presets.volume import VolumeAugment as VolumeAugment
from .presets.volume import VolumePreset as VolumePreset
from .regions.policy import RegionPolicy as RegionPolicy

__all__ = [
    "BasePreset",
    "CaptionPolicy",
    "CorpusDataModule",
    "DialoguePolicy",
    "ImageAugment",
    "ImagePreset",
    "Mixture",
    "MixtureSource",
    "PhantomSpec",
    "PictureStudyPreset",
    "PlacingPreset",
    "PreferencePolicy",
    "Preset",
    "PublishedPicture",
    "PublishedPreset",
    "PublishedVolume",
    "RegionPolicy",
    "RoleVolume",
    "SampleSource",
    "StoredVectors",
    "StudyMasks",
    "StudyPreset",
    "TileAugment",
    "TilePreset",
    "VolumeAugment",
    "VolumePreset",
    "preset_from_config",
]
