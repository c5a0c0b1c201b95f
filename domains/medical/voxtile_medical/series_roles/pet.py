"""Correction of a PET series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxtile_medical.series_roles.role import SeriesRole, picked


def pet_roles(attributes: Mapping[str, Any]) -> list[SeriesRole]:
    """`pet`, and whether attenuation was corrected: Corrected Image names ATTN (PS3.3 C.8.9.1.1.5)."""
    roles = [SeriesRole("pet", "correction", {"modality": "PT"})]
    words = frozenset(attributes.get("described_as", ()))
    claimed = next(
        (role for word, role in (("not-corrected", "pet-nac"), ("attenuation-corrected", "pet-ac")) if word in words),
        None,
    )
    corrections = attributes.get("corrections")
    if corrections is None:
        if claimed is not None:
            roles.append(SeriesRole(claimed, "correction", picked(attributes, "described_as"), certain=False))
        return roles
    role = "pet-ac" if "ATTN" in corrections else "pet-nac"
    roles.append(SeriesRole(role, "correction", picked(attributes, "corrections"), certain=claimed in (None, role)))
    return roles
