from .dual import DualEncoder as DualEncoder
from .flattening import Flattening as Flattening
from .grounding_decoder import GroundingDecoder as GroundingDecoder
from .hub.colipri import ColipriImage as ColipriImage
from .hub.colipri import ColipriText as ColipriText
from .hub.conch import ConchText as ConchText
from .hub.conch import ConchTower as ConchTower
from .hub.ct_clip import CtClipImage as CtClipImage
from .hub.m3d import M3dImage as M3dImage
from .hub.m3d import M3dText as M3dText
from .hub.merlin import MerlinImage as MerlinImage
from .hub.monai import MonaiTower as MonaiTower
from .hub.openclip import OpenClipImage as OpenClipImage
from .hub.openclip import OpenClipText as OpenClipText
from .hub.report_texts import BertText as BertText
from .hub.report_texts import MerlinText as MerlinText
from .hub.timm import TimmFeatures as TimmFeatures
from .hub.timm import TimmTower as TimmTower
from .hub.torchgeo import DofaTower as DofaTower
from .hub.torchgeo import TorchGeoTower as TorchGeoTower
from .hub.transformers import HuggingFaceImage as HuggingFaceImage
from .hub.transformers import HuggingFaceText as HuggingFaceText
from .image.conv import ConvTower as ConvTower
from .image.hlip import HlipImage as HlipImage
from .image.vit import ViTTower as ViTTower
from .image.wavelength import WavelengthTower as WavelengthTower
from .image.wavelet import StagedTower as StagedTower
from .image.wavelet import WaveletTower as WaveletTower
from .protocol import EvaluationModel as EvaluationModel
from .protocol import GroundingModel as GroundingModel
from .rgb_pictures import BandsPreset as BandsPreset
from .rgb_pictures import SlicePreset as SlicePreset
from .stored_vectors import StoredImageTower as StoredImageTower
from .study import Dates as Dates
from .study import GatedAttention as GatedAttention
from .study import StudyTransformer as StudyTransformer
from .text import TextBag as TextBag
from .text import TextTransformer as TextTransformer
from .tokenizer import SubwordTokenizer as SubwordTokenizer
from .tower import ImageTower as ImageTower
from .tower import TextTower as TextTower
from .tower import Tokenizer as Tokenizer
from .tuning import Tuning as Tuning

__all__ = [
    "BandsPreset",
    "BertText",
    "ColipriImage",
    "ColipriText",
    "ConchText",
    "ConchTower",
    "ConvTower",
    "CtClipImage",
    "Dates",
    "DofaTower",
    "DualEncoder",
    "EvaluationModel",
    "Flattening",
    "GatedAttention",
    "GroundingDecoder",
    "GroundingModel",
    "HlipImage",
    "HuggingFaceImage",
    "HuggingFaceText",
    "ImageTower",
    "M3dImage",
    "M3dText",
    "MerlinImage",
    "MerlinText",
    "MonaiTower",
    "OpenClipImage",
    "OpenClipText",
    "SlicePreset",
    "StagedTower",
    "StoredImageTower",
    "StudyTransformer",
    "SubwordTokenizer",
    "TextBag",
    "TextTower",
    "TextTransformer",
    "TimmFeatures",
    "TimmTower",
    "Tokenizer",
    "TorchGeoTower",
    "Tuning",
    "ViTTower",
    "WavelengthTower",
    "WaveletTower",
]
