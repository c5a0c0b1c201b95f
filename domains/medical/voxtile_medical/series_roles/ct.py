"""Contrast, phase and kernel of a CT series."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from voxtile_medical.series_roles.role import SeriesRole, between, picked

# Seconds from the start of the injection (Bae 2010, Radiology 256:32-61: arterial 15 to 40, portal venous 60 to 90,
# equilibrium from 3 minutes on); between them the delay decides nothing.
_PHASES = {"arterial": (15, 45), "venous": (55, 110), "delayed": (170, 1_200)}
_STATED = {
    "ARTERIAL": "arterial",
    "VENOUS": "venous",
    "PORTAL_VENOUS": "venous",
    "DELAYED": "delayed",
}  # Contrast/Bolus Agent Phase, PS3.3 C.7.6.4b

# Kernels by vendors' conventions: Siemens numbers grow with sharpness (B30f, Br40, Bl57), Canon families are by use
# (FC01 to 19 body, 30 to 39 bone, 50 to 59 lung), GE and Philips use words and letters.
_SIEMENS = re.compile(r"[A-Z]([a-z])?(\d{2})[a-z]{0,2}|I(\d{2})[fs]")
_CANON = re.compile(r"FC(\d{2})")
_WORDS = {
    "STANDARD": "soft",
    "SOFT": "soft",
    "CHEST": "soft",
    "BRAIN": "soft",
    "LUNG": "lung",
    "BONE": "bone",
    "BONEPLUS": "bone",
    "EDGE": "bone",
    "A": "soft",
    "B": "soft",
    "C": "soft",
    "D": "bone",
    "L": "lung",
    "YA": "lung",
}


def ct_roles(attributes: Mapping[str, Any]) -> list[SeriesRole]:
    """Roles of a CT sample, from its attributes."""
    words = frozenset(attributes.get("described_as", ()))
    return [*_contrast(attributes, words), *_phase(attributes, words), *_kernel(attributes, words)]


def _contrast(attributes: Mapping[str, Any], words: frozenset[str]) -> list[SeriesRole]:
    given = bool(attributes.get("contrast"))
    if given:
        certain = "no-contrast" not in words
        return [SeriesRole("contrast", "contrast", picked(attributes, "contrast"), certain=certain)]
    # Silence of the element proves nothing: many scanners leave it out.
    claimed = "contrast" if words & {"contrast", "arterial", "venous"} else "no-contrast"
    known = bool(words & {"contrast", "arterial", "venous", "no-contrast"})
    return [SeriesRole(claimed, "contrast", picked(attributes, "described_as"), certain=False)] if known else []


def _phase(attributes: Mapping[str, Any], words: frozenset[str]) -> list[SeriesRole]:
    claimed = next((phase for phase in _PHASES if phase in words), None)
    stated = _STATED.get(str(attributes.get("contrast_phase", "")))
    delay = attributes.get("contrast_delay_s")
    by_delay = next((phase for phase, limits in _PHASES.items() if between(delay, *limits)), None)
    phase = stated or by_delay
    if phase is None:
        return [SeriesRole(claimed, "phase", picked(attributes, "described_as"), certain=False)] if claimed else []
    evidence = picked(attributes, "contrast_phase" if stated else "contrast_delay_s")
    return [SeriesRole(phase, "phase", evidence, certain=claimed in (None, phase))]


def _kernel(attributes: Mapping[str, Any], words: frozenset[str]) -> list[SeriesRole]:
    claimed = next((word for word in ("lung", "bone", "soft") if word in words), None)
    kind = kernel_kind(str(attributes.get("kernel", "")))
    if kind is None:
        if claimed is None:
            return []
        return [SeriesRole(f"{claimed}-kernel", "kernel", picked(attributes, "described_as"), certain=False)]
    agreed = claimed in (None, kind) or "soft" not in (kind, claimed)  # "lung" and "bone" kernels are both sharp
    return [SeriesRole(f"{kind}-kernel", "kernel", picked(attributes, "kernel"), certain=agreed)]


def kernel_kind(kernel: str) -> str | None:
    """`soft`, `lung` or `bone`; None where the vendors' conventions do not say.

    >>> kernel_kind("B30f"), kernel_kind("Bl57"), kernel_kind("FC51"), kernel_kind("BONEPLUS"), kernel_kind("B50f")
    ('soft', 'lung', 'lung', 'bone', 'lung')
    """
    word = _WORDS.get(kernel.upper())
    if word is not None:
        return word
    canon = _CANON.fullmatch(kernel)
    if canon:
        family = int(canon[1])
        return "soft" if family < 30 else "bone" if family < 40 else "lung" if 50 <= family < 60 else None
    siemens = _SIEMENS.fullmatch(kernel)
    if siemens:
        sharpness = int(siemens[2] or siemens[3])
        if sharpness <= 45:
            return "soft"
        return "lung" if siemens[1] == "l" or 50 <= sharpness < 60 else "bone" if sharpness >= 60 else None
    return None
