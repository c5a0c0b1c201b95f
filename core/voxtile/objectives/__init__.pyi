from . import functional as functional
from .base import Objective as Objective
from .contrastive.bag_of_descriptions import BagOfDescriptions as BagOfDescriptions
from .contrastive.contrastive import Contrastive as Contrastive
from .contrastive.gated import GatedContrastive as GatedContrastive
from .contrastive.margin import Margin as Margin
from .contrastive.noise_adaptive import NoiseAdaptive as NoiseAdaptive
from .contrastive.weighted import WeightedContrastive as WeightedContrastive
from .facts.head import FactHead as FactHead
from .facts.text_agreement import TextAgreement as TextAgreement
from .facts.text_facts import TextFactHead as TextFactHead
from .generative.captioning import Captioning as Captioning
from .generative.decoding import Decoding as Decoding
from .generative.image_text_matching import ImageTextMatching as ImageTextMatching
from .local.concept_patch import ConceptPatch as ConceptPatch
from .local.fact_map_head import FactMapHead as FactMapHead
from .local.grounding import Grounding as Grounding
from .local.local_alignment import LocalAlignment as LocalAlignment
from .local.region_attribute import RegionAttribute as RegionAttribute
from .local.region_contrast import RegionContrast as RegionContrast
from .local.region_head import RegionHead as RegionHead
from .local.token_wise import TokenWise as TokenWise
from .of_samples import OfSamples as OfSamples
from .self_supervised.koleo import KoLeo as KoLeo
from .self_supervised.masked_image import MaskedImage as MaskedImage
from .self_supervised.masked_self_distillation import MaskedSelfDistillation as MaskedSelfDistillation
from .self_supervised.prototypes import Balance as Balance
from .self_supervised.self_distillation import SelfDistillation as SelfDistillation
from .self_supervised.unimodal import UnimodalSelfSupervision as UnimodalSelfSupervision
from .self_supervised.views import ImageViews as ImageViews
from .self_supervised.views import TextViews as TextViews
from .teachers.backward_compatible import BackwardCompatible as BackwardCompatible
from .teachers.deep_boosting import DeepBoosting as DeepBoosting
from .teachers.distillation import Distillation as Distillation
from .teachers.momentum import MomentumObjective as MomentumObjective
from .teachers.momentum_distillation import MomentumDistillation as MomentumDistillation
from .teachers.preserve_zero_shot import PreserveZeroShot as PreserveZeroShot

__all__ = [
    "BackwardCompatible",
    "BagOfDescriptions",
    "Balance",
    "Captioning",
    "ConceptPatch",
    "Contrastive",
    "Decoding",
    "DeepBoosting",
    "Distillation",
    "FactHead",
    "FactMapHead",
    "GatedContrastive",
    "Grounding",
    "ImageTextMatching",
    "ImageViews",
    "KoLeo",
    "LocalAlignment",
    "Margin",
    "MaskedImage",
    "MaskedSelfDistillation",
    "MomentumDistillation",
    "MomentumObjective",
    "NoiseAdaptive",
    "Objective",
    "OfSamples",
    "PreserveZeroShot",
    "RegionAttribute",
    "RegionContrast",
    "RegionHead",
    "SelfDistillation",
    "TextAgreement",
    "TextFactHead",
    "TextViews",
    "TokenWise",
    "UnimodalSelfSupervision",
    "WeightedContrastive",
    "functional",
]
