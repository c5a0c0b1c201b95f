from .convert.convert import convert_wsi as convert_wsi
from .coordinates.export import export_clam as export_clam
from .coordinates.export import export_trident as export_trident
from .coordinates.importing import import_features as import_features
from .facts.annotations import facts_from_annotations as facts_from_annotations
from .pathgen.choose import score_representatives as score_representatives
from .pathgen.command import describe_patches as describe_patches
from .phantom.he import write_he_phantom as write_he_phantom
from .recipes.class_folders import build_bach as build_bach
from .recipes.class_folders import build_breakhis as build_breakhis
from .recipes.class_folders import build_lc25000 as build_lc25000
from .recipes.class_folders import build_nct_crc as build_nct_crc
from .recipes.labelled import build_mhist as build_mhist
from .recipes.labelled import build_osteosarcoma as build_osteosarcoma
from .recipes.labelled import build_sicap as build_sicap
from .recipes.labelled import build_skin_cancer as build_skin_cancer
from .recipes.pairs import build_arch as build_arch
from .recipes.pairs import build_openpath as build_openpath
from .recipes.pairs import build_quilt as build_quilt
from .recipes.pathgen_set import build_pathgen as build_pathgen
from .recipes.pcam import build_pcam as build_pcam
from .recipes.questions import build_path_mmu as build_path_mmu
from .recipes.questions import build_path_vqa as build_path_vqa
from .recipes.segmented import build_digestpath as build_digestpath
from .recipes.segmented import build_wsss4luad as build_wsss4luad
from .recipes.slides import build_camelyon16 as build_camelyon16
from .recipes.slides import build_tcga as build_tcga
from .reports.command import facts_from_slide_reports as facts_from_slide_reports
from .stain.preset import HistologyPreset as HistologyPreset
from .stain.scores import score_stain as score_stain
from .tissue.mask import OtsuTissue as OtsuTissue
from .tissue.mask import TissueDetector as TissueDetector
from .tissue.network import NetworkTissue as NetworkTissue

__all__ = [
    "HistologyPreset",
    "NetworkTissue",
    "OtsuTissue",
    "TissueDetector",
    "build_arch",
    "build_bach",
    "build_breakhis",
    "build_camelyon16",
    "build_digestpath",
    "build_lc25000",
    "build_mhist",
    "build_nct_crc",
    "build_openpath",
    "build_osteosarcoma",
    "build_path_mmu",
    "build_path_vqa",
    "build_pathgen",
    "build_pcam",
    "build_quilt",
    "build_sicap",
    "build_skin_cancer",
    "build_tcga",
    "build_wsss4luad",
    "convert_wsi",
    "describe_patches",
    "export_clam",
    "export_trident",
    "facts_from_annotations",
    "facts_from_slide_reports",
    "import_features",
    "score_representatives",
    "score_stain",
    "write_he_phantom",
]
