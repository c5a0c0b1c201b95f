"""Roles of samples as facts with their evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from voxtile.corpus.records import Row
from voxtile.corpus.schema import ROLE
from voxtile_medical.series_roles.ct import ct_roles
from voxtile_medical.series_roles.mr import mr_roles
from voxtile_medical.series_roles.pet import pet_roles
from voxtile_medical.series_roles.role import SeriesRole
from voxtile_medical.series_roles.xray import xray_roles

SOURCE = "series@1"
_RULES = {"MR": mr_roles, "CT": ct_roles, "PT": pet_roles, "CR": xray_roles, "DX": xray_roles, "MG": xray_roles}


def roles_of_series(modality: str, attributes: Mapping[str, Any]) -> list[SeriesRole]:
    """Roles by the rules of a modality; none for a modality without rules."""
    rules = _RULES.get(modality)
    return rules(attributes) if rules is not None else []


def role_facts(row: Mapping[str, Any]) -> list[Row]:
    """Facts of one sample.

    Args:
        row: uid, modality and attributes (JSON) of a sample.
    """
    attributes = json.loads(row.get("attributes") or "{}")
    return [
        {
            "uid": row["uid"],
            "concept": ROLE,
            "polarity": "present" if role.certain else "uncertain",
            "attributes": json.dumps(
                {"role": role.role, "aspect": role.aspect, "evidence": dict(role.evidence)}, sort_keys=True
            ),
            "source": SOURCE,
        }
        for role in roles_of_series(str(row.get("modality")), attributes)
    ]
