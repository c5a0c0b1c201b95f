"""What pictures may be said to be."""

from __future__ import annotations

from voxtile.console import note
from voxtile.errors import nearest

_OF_DICOM = """
    AR BDUS BI BMD CFM CR CT DG DMS DX ECG EEG EMG EOG EPS ES GM HD IO IVOCT IVUS KER LEN LS MG MR NM OAM OCT OP OPM OPT
    OPTBSV OPTENF OPV OSS OT PA POS PT PX RESP RF RG RTIMAGE SM SRF TG US VA XA XC
"""
"""Acquisition modalities and "other" (DICOM PS3.16, context groups 29 and 32)."""
_OF_CAMERAS = "RGB MSI HSI SAR"  # photographs of anything, and what satellites measure; DICOM has no terms for these
MODALITIES = (*_OF_CAMERAS.split(), *_OF_DICOM.split())


def note_unknown(word: str) -> None:
    """Say that nothing else of a corpus knows a modality by this word; DICOM's terms may be added to, so it is kept."""
    if word not in MODALITIES:
        note(
            f"--modality '{word}' is stored, and wordings, presets and checks that go by the modality take it for none "
            "that they know: these are RGB, MSI, HSI and SAR, and the terms of DICOM, of which OT is any other: "
            f"{', '.join(_OF_DICOM.split())}{nearest(word.upper(), MODALITIES)}"
        )
