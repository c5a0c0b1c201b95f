"""Acquisition facts that are safe to keep: each is a number in a plausible range or a word from a closed list.

Free text (series description, protocol name, station, …) never reaches the corpus: it holds names more often than one
thinks. A value outside its closed form is left out rather than kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from voxtile.corpus.schema import SYNTHETIC
from voxtile_medical.dicom_header.element_values import Value, Values
from voxtile_medical.dicom_header.headers import WRITTEN_BY
from voxtile_medical.series_roles.words import WORDS

# Number → (name in `attributes`, lowest, highest). Names carry the unit of the DICOM element.
_NUMBERS: Mapping[str, tuple[str, float, float]] = {
    "KVP": ("kvp", 10, 500),
    "SliceThickness": ("slice_thickness_mm", 0.001, 100),
    "MagneticFieldStrength": ("field_strength_t", 0.001, 30),
    "EchoTime": ("echo_time_ms", 0, 10_000),
    "RepetitionTime": ("repetition_time_ms", 0, 100_000),
    "InversionTime": ("inversion_time_ms", 0, 100_000),
    "DiffusionBValue": ("b_value_s_mm2", 0, 50_000),
    "FlipAngle": ("flip_angle_deg", 0, 360),
    "EchoTrainLength": ("echo_train_length", 0, 10_000),
    "GantryDetectorTilt": ("gantry_tilt_deg", -90, 90),
}

_BODY_PARTS = """
    ABDOMEN ABDOMENPELVIS ANKLE AORTA ARM BRAIN BREAST CARDIAC CHEST CHESTABDOMEN CHESTABDPELVIS CLAVICLE COLON CSPINE
    ELBOW EXTREMITY EYE FEMUR FINGER FOOT FOREARM HAND HEAD HEADNECK HEART HIP HUMERUS KIDNEY KNEE LEG LIVER LSPINE LUNG
    MANDIBLE NECK ORBIT PANCREAS PELVIS PROSTATE SHOULDER SKULL SPINE SSPINE STERNUM THIGH THORAX TSPINE UTERUS
    WHOLEBODY WRIST
"""
_VIEWS = "PA AP LL RL LATERAL LAO RAO RLD LLD RLO LLO CC MLO ML LM XCCL"
_POSITIONS = "HFS HFP HFDL HFDR FFS FFP FFDL FFDR"
_TYPES = """
    ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER MPR MIP MINIP PROJECTION REFORMATTED M P R I PHASE MAGNITUDE REAL
    IMAGINARY MOSAIC NORM ND DIS2D DIS3D ADC DIFFUSION TRACEW FA CBF CBV MTT SE GR FFE IR M_SE M_FFE M_IR WATER FAT
    IN_PHASE OUT_PHASE FIELD_MAP T1 T2 T2_STAR PROTON_DENSITY VOLUME PERFUSION NONE MIXED SUB ADD STATIC DYNAMIC GATED
    WHOLE ATTENUATION
"""
_CONTRASTS = """
    DIFFUSION FLOW_ENCODED FLUID_ATTENUATED PERFUSION PROTON_DENSITY STIR TAGGING T1 T2 T2_STAR TOF UNKNOWN
"""
_PHASES = """
    PRE_CONTRAST POST_CONTRAST IMMEDIATE DYNAMIC STEADY_STATE DELAYED ARTERIAL CAPILLARY VENOUS PORTAL_VENOUS
"""
_CORRECTIONS = "DECY ATTN SCAT DTIM MOTN PMOT CLN RAN RADL DCAL NORM"
_VENDOR_WORDS = """
    SIEMENS GE PHILIPS CANON TOSHIBA HITACHI FUJIFILM FUJI UIH AGFA CARESTREAM HOLOGIC KONICA SAMSUNG
"""

# Element → (name in `attributes`, allowed words): PS3.3 C.7.3.1 and C.8.1 to C.8.13, PS3.16 annex L (common terms).
_WORDS: Mapping[str, tuple[str, frozenset[str]]] = {
    "PatientSex": ("sex", frozenset("MFO")),
    "PatientPosition": ("patient_position", frozenset(_POSITIONS.split())),
    "ViewPosition": ("view", frozenset(_VIEWS.split())),
    "Laterality": ("laterality", frozenset("LRBU")),
    "ImageLaterality": ("laterality", frozenset("LRBU")),
    "MRAcquisitionType": ("mr_acquisition", frozenset({"1D", "2D", "3D"})),
    "ScanningSequence": ("mr_sequence", frozenset({"SE", "IR", "GR", "EP", "RM"})),
    "AcquisitionContrast": ("acquisition_contrast", frozenset(_CONTRASTS.split())),
    "ContrastBolusAgentPhase": ("contrast_phase", frozenset(_PHASES.split())),
    "ComplexImageComponent": ("complex_component", frozenset({"MAGNITUDE", "PHASE", "REAL", "IMAGINARY", "MIXED"})),
    "ASLContext": ("asl_context", frozenset({"LABEL", "CONTROL", "M_ZERO_SCAN"})),
    "PresentationLUTShape": ("presentation", frozenset({"IDENTITY", "INVERSE"})),
    "BodyPartExamined": ("body_part", frozenset(_BODY_PARTS.split())),
}
# Element of several values → (name in `attributes`, allowed words).
_LISTS: Mapping[str, tuple[str, frozenset[str]]] = {
    "ImageType": ("image_type", frozenset(_TYPES.split())),
    "ScanningSequence": ("scanning_sequence", frozenset({"SE", "IR", "GR", "EP", "RM"})),
    "SequenceVariant": ("sequence_variant", frozenset({"SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "NONE"})),
    "CorrectedImage": ("corrections", frozenset(_CORRECTIONS.split())),
    "SeriesDescription": ("described_as", WORDS),
}
# What enhanced MR states in place of ScanningSequence (PS3.3 C.8.13.4): element → value → its word. Gradient and spin
# echoes in one train (GRASE) weigh as the spin echoes do that refocus them.
_PULSES: Mapping[str, Mapping[str, str]] = {
    "EchoPulseSequence": {"SPIN": "SE", "GRADIENT": "GR", "BOTH": "SE"},
    "InversionRecovery": {"YES": "IR"},
    "EchoPlanarPulseSequence": {"YES": "EP"},
}
_VENDORS = frozenset(_VENDOR_WORDS.split())
# Reconstruction kernels: Siemens Br38f or B30s, Canon FC08, Philips letters, GE words.
_KERNEL = re.compile(r"(?:[A-Z][a-z]?\d{2}[a-z]{0,2}|FC\d{2}|[A-FLY][A-C]?|I\d{2}[fs])")
_KERNEL_WORDS = frozenset({"STANDARD", "SOFT", "LUNG", "BONE", "BONEPLUS", "DETAIL", "EDGE", "CHEST", "BRAIN"})
_AGE = re.compile(r"(\d{3})([DWMY])")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d(?:\.\d+)?)")
_OLDEST = 90  # HIPAA safe harbour: ages above 89 are one group


def attributes_of(values: Values) -> dict[str, Any]:
    """The facts of a header that may be kept, by name."""
    facts: dict[str, Any] = {}
    for keyword, (name, low, high) in _NUMBERS.items():
        number = _number(values.get(keyword))
        if number is not None and low <= number <= high:
            facts[name] = number
    for keyword, (name, allowed) in _WORDS.items():
        word = _first(values.get(keyword)).upper()
        if word in allowed:
            facts[name] = word
    for keyword, (name, allowed) in _LISTS.items():
        listed = [str(v) for v in values.get(keyword, ()) if str(v) in allowed]
        if listed:
            facts[name] = listed
    if "scanning_sequence" not in facts and (pulses := _pulses(values)):
        facts["scanning_sequence"] = pulses
    delay = _contrast_delay(values)
    if delay is not None:
        facts["contrast_delay_s"] = delay
    vendor = _first(values.get("Manufacturer")).upper().split(" ")[0]
    if vendor in _VENDORS:
        facts["vendor"] = vendor
    kernel = _first(values.get("ConvolutionKernel"))
    if _KERNEL.fullmatch(kernel) or kernel.upper() in _KERNEL_WORDS:
        facts["kernel"] = kernel
    if values.get("ContrastBolusAgent"):
        facts["contrast"] = True
    if values.get("LossyImageCompression") == ("01",):
        facts["lossy"] = True
    if WRITTEN_BY in values:
        facts[SYNTHETIC] = "voxtile phantom"
    age = age_band(_first(values.get("PatientAge")))
    if age:
        facts["age_band"] = age
    return facts


def age_band(text: str) -> str | None:
    """Decade of an age string such as 063Y; None where there is none.

    >>> age_band("063Y"), age_band("094Y"), age_band("006M")
    ('60-69', '90+', '0-9')
    """
    match = _AGE.fullmatch(text)
    if not match:
        return None
    years = int(match[1]) if match[2] == "Y" else 0
    return f"{_OLDEST}+" if years >= _OLDEST else f"{years // 10 * 10}-{years // 10 * 10 + 9}"


def _pulses(values: Values) -> list[str]:
    """Scanning sequence of an enhanced MR, in the words of a classic one; empty where it is not known."""
    found = [words.get(_first(values.get(keyword)).upper()) for keyword, words in _PULSES.items()]
    return [word for word in found if word] if found[0] else []


def _contrast_delay(values: Values) -> float | None:
    """Seconds from the start of the contrast injection to the acquisition, within an hour."""
    clock = [_seconds(_first(values.get(name))) for name in ("ContrastBolusStartTime", "AcquisitionTime")]
    if clock[0] is None or clock[1] is None:
        return None
    delay = clock[1] - clock[0]
    return delay if 0 <= delay <= 3_600 else None


def _seconds(time: str) -> float | None:
    """Seconds since midnight of a DICOM time (HHMMSS.FFFFFF)."""
    match = _TIME.fullmatch(time)
    return int(match[1]) * 3_600 + int(match[2]) * 60 + float(match[3]) if match else None


def _first(values: Sequence[Value] | None) -> str:
    return str(values[0]) if values else ""


def _number(values: Sequence[Value] | None) -> float | None:
    if not values or isinstance(values[0], str):
        return None
    return float(values[0])
