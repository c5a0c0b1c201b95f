from .concept_tags.command import facts_from_concepts as facts_from_concepts
from .convert.dicom import convert_dicom as convert_dicom
from .convert.nifti import convert_nifti as convert_nifti
from .dicomweb.send import export_dicomweb as export_dicomweb
from .figures.command import convert_figures as convert_figures
from .measurements.command import facts_from_masks as facts_from_masks
from .mentions.command import facts_from_mentions as facts_from_mentions
from .phantom.articles.command import write_articles_phantom as write_articles_phantom
from .phantom.ct.command import write_ct_phantom as write_ct_phantom
from .phantom.mr.command import write_mr_phantom as write_mr_phantom
from .phantom.petct.command import write_petct_phantom as write_petct_phantom
from .reports.command import facts_from_reports as facts_from_reports
from .reports.compose.command import describe_with_report as describe_with_report
from .series_roles.choice_command import facts_from_series_choice as facts_from_series_choice
from .series_roles.command import facts_from_series as facts_from_series

__all__ = [
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
    "write_mr_phantom",
    "write_petct_phantom",
]
