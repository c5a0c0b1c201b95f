"""What pictures may be said to be."""

from __future__ import annotations

from voxtile.errors import ConfigError, nearest

_OF_DICOM = """
    AR BDUS BI BMD CFM CR CT DG DMS DX ECG EEG EMG EOG EPS ES GM HD IO IVOCT IVUS KER LEN LS MG MR NM OAM OCT OP OPM OPT
    OPTBSV OPTENF OPV OSS OT PA POS PT PX RESP RF RG RTIMAGE SM SRF TG US VA XA XC
"""
"""Acquisition modalities and "other" (DICOM PS3.16, context groups 29 and 32)."""
_OF_CAMERAS = "RGB MSI HSI SAR"  # photographs of anything, and what satellites measure; DICOM has no terms for these
MODALITIES = (*_OF_CAMERAS.split(), *_OF_DICOM.split())


def check_modality(word: str) -> None:
    """Refuse a modality that nothing else of a corpus would know by this word.

    Raises:
        ConfigError: names all that there are.
    """
    if word not in MODALITIES:
        raise ConfigError(
            f"--modality '{word}' is none; take RGB, MSI, HSI or SAR, or a term of DICOM, of which OT is any other: "
            f"{', '.join(_OF_DICOM.split())}{nearest(word.upper(), MODALITIES)}"
        )
