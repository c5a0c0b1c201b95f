"""The samples of a study by what they are in it: CT and PET, the sequences of an MR, the bands of a place.

A sample's roles are its modality in lower case (`ct`, `pt`, `mr`, `rgb`) and what facts of the concept `series role`
say of it (`t1-post`, `lung-kernel`). A wanted role may join several with `+`, all of which a sample must have;
`prior:ROLE` is that role in the latest earlier study of the same subject.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow.compute as pc
from torch import Tensor

from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import ROLE
from voxtile.data.presets.base import SampleSource
from voxtile.errors import PresetError


def stated_roles(corpus: Corpus) -> dict[str, list[str]]:
    """Roles of samples that facts of the concept `schema.ROLE` state, by uid."""
    facts = corpus.table("facts", columns=["uid", "concept", "polarity", "attributes"])
    rows = facts.filter(pc.and_(pc.equal(facts["concept"], ROLE), pc.equal(facts["polarity"], "present")))
    found: dict[str, list[str]] = {}
    for uid, attributes in zip(rows["uid"].to_pylist(), rows["attributes"].to_pylist(), strict=True):
        role = json.loads(attributes or "{}").get("role")
        if role:
            found.setdefault(uid, []).append(role)
    return found


PRIOR = "prior:"


@dataclass(frozen=True)
class StudySource:
    """One study as a preset sees it.

    Attributes:
        parts: a sample for each role that the preset names, in its order; None where the study has none.
    """

    parts: tuple[SampleSource | None, ...]


@runtime_checkable
class StudyReader(Protocol):
    """A preset that makes one image of a whole study, from a sample for each of its roles."""

    @property
    def role_names(self) -> tuple[str, ...]:
        """The roles that it wants, in order."""

    def read_study(self, source: StudySource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, *grid] float32; random only with `rng`."""


def roles_of(meta: Mapping[str, Any]) -> frozenset[str]:
    """Roles of a sample, from its view's metadata."""
    modality = str(meta.get("modality") or "").lower()
    return frozenset([*(meta.get("roles") or ()), *([modality] if modality else [])])


def matches(meta: Mapping[str, Any], role: str) -> bool:
    """Whether a sample has a role, or all those joined by `+`; for a prior role, within its own study."""
    return roles_of(meta).issuperset(part.strip() for part in role.removeprefix(PRIOR).split("+"))


def pick_roles(
    roles: Sequence[str], study: Mapping[str, Mapping[str, Any]], prior: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[str | None, ...]:
    """Choose a sample for each role: of several that have it the one with most voxels, and of those the first by uid.

    Args:
        roles: wanted, in order.
        study: metadata of the study's samples by uid.
        prior: likewise of the latest earlier study of the subject, if there is one.

    Returns:
        The uid for each role, None where no sample has it.

    Raises:
        PresetError: the study has none of the roles.
    """
    found: list[str | None] = []
    for role in roles:
        among = (prior or {}) if role.startswith(PRIOR) else study
        able = [uid for uid, meta in among.items() if matches(meta, role)]
        found.append(min(able, key=lambda uid: (-math.prod(among[uid].get("shape") or (0,)), uid)) if able else None)
    if all(uid is None for uid, role in zip(found, roles, strict=True) if not role.startswith(PRIOR)):
        raise PresetError(
            f"the study has none of the roles {', '.join(roles)}; its samples are {_listed(list(study.values()))}; "
            "change the preset's roles, or leave such studies out with data.where"
        )
    return tuple(found)


def check_roles(roles: Sequence[str], metas: Sequence[Mapping[str, Any]]) -> None:
    """Raise PresetError, naming the first role that no sample has at all."""
    for role in roles:
        if not any(matches(meta, role) for meta in metas):
            raise PresetError(
                f"no sample of the corpus has the role '{role}'; there are {_listed(metas)}; "
                "find roles with `voxtile facts CORPUS --from series`, or change the preset's roles"
            )


def refuse_missing(roles: Sequence[str], source: StudySource) -> None:
    """Raise PresetError, naming the roles that a study lacks."""
    lacking = [role for role, part in zip(roles, source.parts, strict=True) if part is None]
    if lacking:
        raise PresetError(
            f"the study has no sample with the role {' or '.join(lacking)}; set the preset's missing to mask, "
            "or leave such studies out with data.where"
        )


def not_a_study(roles: Sequence[str]) -> PresetError:
    """What a preset of studies says of a single sample."""
    return PresetError(
        f"this model reads studies with the roles {', '.join(roles)}, not single samples; "
        "use unit: study in the data and in the task"
    )


def _listed(metas: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(sorted({role for meta in metas for role in roles_of(meta)})) or "without any role"
