"""View of an X-ray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxtile_medical.series_roles.role import SeriesRole, picked

_FRONTAL = frozenset({"PA", "AP"})
_LATERAL = frozenset({"LL", "RL", "LATERAL"})
_DECUBITUS = frozenset({"LLD", "RLD"})


def xray_roles(attributes: Mapping[str, Any]) -> list[SeriesRole]:
    """View of a radiograph (View Position, PS3.3 C.8.1.1 and C.8.7.5; mammographic views by their own names)."""
    words = frozenset(attributes.get("described_as", ()))
    claimed = next((word for word in ("lateral", "frontal") if word in words), None)
    view = str(attributes.get("view", ""))
    if not view:
        return [SeriesRole(claimed, "view", picked(attributes, "described_as"), certain=False)] if claimed else []
    role = "frontal" if view in _FRONTAL else "lateral" if view in _LATERAL else ""
    role = role or ("decubitus" if view in _DECUBITUS else view.lower())
    certain = claimed in (None, role) or role not in ("frontal", "lateral")
    return [SeriesRole(role, "view", picked(attributes, "view"), certain=certain)]
