from .concept_tags.command import facts_from_concepts as facts_from_concepts
from .convert.dicom import convert_dicom as convert_dicom
from .convert.nifti import convert_nifti as convert_nifti
from .dicomweb.send import export_dicomweb as export_dicomweb
from .figures.command import convert_figures as convert_figures
from .measurements.command import facts_from_masks as facts_from_masks
from .mentions.command import facts_from_mentions as facts_from_mentions
from .phantom.articles.command import write_articles_phantom as write_articles_phantom
from .phantom.ct.command import write_ct_phantom as write_ct_phantom
from .phantom.cxr.command import write_cxr_phantom as write_cxr_phantom
from .phantom.mr.command import write_mr_phantom as write_mr_phantom
from .phantom.petct.command import write_petct_phantom as write_petct_phantom
from .recipes.pictures.benchmark_commands import build_deepdrid as build_deepdrid
from .recipes.pictures.benchmark_commands import build_fives as build_fives
from .recipes.pictures.benchmark_commands import build_knee_acl as build_knee_acl
from .recipes.pictures.benchmark_commands import build_knee_meniscus as build_knee_meniscus
from .recipes.pictures.benchmark_commands import build_odir_200x3 as build_odir_200x3
from .recipes.pictures.benchmark_commands import build_refuge as build_refuge
from .recipes.pictures.benchmark_commands import build_thyroid_us as build_thyroid_us
from .recipes.pictures.commands import build_busi as build_busi
from .recipes.pictures.commands import build_chexpert as build_chexpert
from .recipes.pictures.commands import build_chexpert_5x200 as build_chexpert_5x200
from .recipes.pictures.commands import build_chexpert_plus as build_chexpert_plus
from .recipes.pictures.commands import build_isic_2018 as build_isic_2018
from .recipes.pictures.commands import build_isic_2019 as build_isic_2019
from .recipes.pictures.commands import build_isic_2020 as build_isic_2020
from .recipes.pictures.commands import build_iu_xray as build_iu_xray
from .recipes.pictures.commands import build_medtrinity as build_medtrinity
from .recipes.pictures.commands import build_messidor as build_messidor
from .recipes.pictures.commands import build_messidor_2 as build_messidor_2
from .recipes.pictures.commands import build_mimic_cxr as build_mimic_cxr
from .recipes.pictures.commands import build_mimic_cxr_jpg as build_mimic_cxr_jpg
from .recipes.pictures.commands import build_ms_cxr as build_ms_cxr
from .recipes.pictures.commands import build_nih_cxr14 as build_nih_cxr14
from .recipes.pictures.commands import build_open_i as build_open_i
from .recipes.pictures.commands import build_padchest as build_padchest
from .recipes.pictures.commands import build_roco_v2 as build_roco_v2
from .recipes.pictures.commands import build_rsna_pneumonia as build_rsna_pneumonia
from .recipes.pictures.commands import build_siim_acr as build_siim_acr
from .recipes.pictures.commands import build_vindr_cxr as build_vindr_cxr
from .recipes.questions import build_gmai_vl as build_gmai_vl
from .recipes.questions import build_llava_med as build_llava_med
from .recipes.questions import build_medmax as build_medmax
from .recipes.questions import build_slake as build_slake
from .recipes.questions import build_vqa_rad as build_vqa_rad
from .recipes.volumes.commands import build_abdomenatlas3 as build_abdomenatlas3
from .recipes.volumes.commands import build_amos as build_amos
from .recipes.volumes.commands import build_autopet as build_autopet
from .recipes.volumes.commands import build_brats as build_brats
from .recipes.volumes.commands import build_ct_rate as build_ct_rate
from .recipes.volumes.commands import build_inspect as build_inspect
from .recipes.volumes.commands import build_kits as build_kits
from .recipes.volumes.commands import build_merlin as build_merlin
from .recipes.volumes.commands import build_msd as build_msd
from .recipes.volumes.commands import build_rad_chestct as build_rad_chestct
from .recipes.volumes.commands import build_totalsegmentator as build_totalsegmentator
from .recipes.volumes.commands import build_totalsegmentator_mr as build_totalsegmentator_mr
from .recipes.volumes.lidc import build_lidc_idri as build_lidc_idri
from .reports.command import facts_from_reports as facts_from_reports
from .reports.compose.command import describe_with_report as describe_with_report
from .series_roles.choice_command import facts_from_series_choice as facts_from_series_choice
from .series_roles.command import facts_from_series as facts_from_series

__all__ = [
    "build_abdomenatlas3",
    "build_amos",
    "build_autopet",
    "build_brats",
    "build_busi",
    "build_chexpert",
    "build_chexpert_5x200",
    "build_chexpert_plus",
    "build_ct_rate",
    "build_deepdrid",
    "build_fives",
    "build_gmai_vl",
    "build_inspect",
    "build_isic_2018",
    "build_isic_2019",
    "build_isic_2020",
    "build_iu_xray",
    "build_kits",
    "build_knee_acl",
    "build_knee_meniscus",
    "build_lidc_idri",
    "build_llava_med",
    "build_medmax",
    "build_medtrinity",
    "build_merlin",
    "build_messidor",
    "build_messidor_2",
    "build_mimic_cxr",
    "build_mimic_cxr_jpg",
    "build_ms_cxr",
    "build_msd",
    "build_nih_cxr14",
    "build_odir_200x3",
    "build_open_i",
    "build_padchest",
    "build_rad_chestct",
    "build_refuge",
    "build_roco_v2",
    "build_rsna_pneumonia",
    "build_siim_acr",
    "build_slake",
    "build_thyroid_us",
    "build_totalsegmentator",
    "build_totalsegmentator_mr",
    "build_vindr_cxr",
    "build_vqa_rad",
    "convert_dicom",
    "convert_figures",
    "convert_nifti",
    "describe_with_report",
    "export_dicomweb",
    "facts_from_concepts",
    "facts_from_masks",
    "facts_from_mentions",
    "facts_from_reports",
    "facts_from_series",
    "facts_from_series_choice",
    "write_articles_phantom",
    "write_ct_phantom",
    "write_cxr_phantom",
    "write_mr_phantom",
    "write_petct_phantom",
]
