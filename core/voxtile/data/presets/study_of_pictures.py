"""Preprocessing of studies of pictures: one for each role (frontal, lateral, …), one after another as channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from voxtile.data.presets.base import BasePreset, SampleSource
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.roles import StudySource, check_roles, matches, not_a_study, refuse_missing
from voxtile.errors import PresetError


@dataclass(frozen=True, kw_only=True)
class PictureStudyPreset(BasePreset):
    """One image of a study of pictures: each role read as `picture` says, its channels one after another.

    Nothing is laid over anything: the pictures share the grid only, as a frontal and a lateral view do.

    Attributes:
        roles: in the order of the channels: modalities in lower case, what facts of the concept `series role` say
            (`frontal`, `lateral`), several joined by `+`, or `prior:ROLE` of the subject's latest earlier study.
        picture: how every picture is read.
        missing: a study that lacks a role is used as it is, its channels 0 (`mask`), or refused (`refuse`).

    Raises:
        PresetError: no role, or `picture` is no `ImagePreset`.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import ImagePreset, PictureStudyPreset
        >>> from voxtile.data.presets.roles import StudySource
        >>> preset = PictureStudyPreset(roles=("frontal", "lateral"), picture=ImagePreset(size=(32, 32)))
        >>> frontal = ArraySample(np.zeros((40, 40), np.uint8), {"kind": "image", "axes": "YX", "shape": (40, 40)})
        >>> preset.read_study(StudySource((frontal, None)), None).shape  # three channels a picture
        torch.Size([6, 32, 32])
    """

    roles: tuple[str, ...]
    picture: ImagePreset = field(default_factory=ImagePreset)
    missing: Literal["mask", "refuse"] = "mask"

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", tuple(self.roles))
        if isinstance(self.picture, Mapping):
            object.__setattr__(self, "picture", ImagePreset(**self.picture))
        if not isinstance(self.picture, ImagePreset):
            raise PresetError(f"picture: {self.picture!r:.80} is no description of how a picture is read")
        if not self.roles:
            raise PresetError("roles: at least one role is needed, e.g. [frontal, lateral]")

    @property
    def version(self) -> str:
        """Version of the code."""
        return f"1.{self.picture.version}"

    @property
    def role_names(self) -> tuple[str, ...]:
        """The roles, in order."""
        return self.roles

    @property
    def channels(self) -> int:
        """Those of a picture for each role."""
        return len(self.roles) * self.picture.channels

    @property
    def grid(self) -> tuple[int, ...]:
        """(Y, X)."""
        return self.picture.grid

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError if no sample has a role, or one that has it is no picture of the right kind."""
        check_roles(self.roles, metas)
        self.picture.check([meta for meta in metas if any(matches(meta, role) for role in self.roles)])

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Raise PresetError: a single sample is no study."""
        raise not_a_study(self.role_names)

    def read_study(self, source: StudySource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, Y, X] float32; random only with `rng`.

        Raises:
            PresetError: a role is missing and `missing` is `refuse`.
        """
        if self.missing == "refuse":
            refuse_missing(self.roles, source)
        empty = torch.zeros(self.picture.channels, *self.grid)
        return torch.cat([empty if part is None else self.picture(part, rng) for part in source.parts])
