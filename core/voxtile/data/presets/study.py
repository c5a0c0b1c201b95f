"""Preprocessing of studies: a volume for each role, on one grid in the patient, as channels of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtile.data.presets.base import (
    BasePreset,
    SampleSource,
    as_tuples,
    check_units_and_modality,
    described,
    rescale_of,
)
from voxtile.data.presets.intensity import bias_field, foreground_range, middle_range, to_windows
from voxtile.data.presets.placement import Affine, affine_of, centre_of, grid_affine, place_on_grid
from voxtile.data.presets.roles import PRIOR, StudySource, check_roles, matches, not_a_study, pick_roles, refuse_missing
from voxtile.data.presets.study_masks import StudyMasks, anchored, first_voxel, mirrored_axes
from voxtile.errors import PresetError

_HALF_LIMIT = 60_000.0  # below the largest number of half precision


@dataclass(frozen=True)
class RoleVolume:
    """How the volume of one role is read.

    Attributes:
        windows: (low, high) in the volume's units, a channel each; empty: one channel between the `percentiles` of the
            volume's foreground, for units that mean nothing across scanners (MR).
        percentiles: of the foreground, where there are no windows.
        middle: take the percentiles of all voxels in the middle of the output grid instead, this share of each axis:
            in a head of brain alone, whatever fat lies around it and however bright the coils make it; 0 for the
            foreground.
        headroom: how many times the range between the percentiles the channel spans, from the lower one: with 3 and
            percentiles [0, 50] it is scaled by common tissue, and lesions brighter than that are not clipped.
        units: required units, or None for any.
        scale: half-width of a factor around 1 on the intensity, in training.
        offset: half-width of an offset, in the volume's units (without windows: in shares of the foreground's range).
        noise: standard deviation of Gaussian noise, in the same units.
        bias_field: strength of a random smooth field, for MR: standard deviation of its logarithm.

    Examples:
        >>> from voxtile.data import RoleVolume, StudyPreset
        >>> roles = {"ct": RoleVolume(windows=((-160, 240), (-1000, 400))), "pt": RoleVolume()}
        >>> preset = StudyPreset(roles=roles, shape=(8, 16, 16), spacing=(4, 4, 4))
        >>> preset.channels  # a window each, and one for the PET
        3
    """

    windows: tuple[tuple[float, float], ...] = ()
    percentiles: tuple[float, float] = (0.5, 99.5)
    middle: float = 0.0
    headroom: float = 1.0
    units: str | None = None
    scale: float = 0.0
    offset: float = 0.0
    noise: float = 0.0
    bias_field: float = 0.0

    @property
    def channels(self) -> int:
        """One a window, or one."""
        return max(1, len(self.windows))

    @property
    def limits(self) -> tuple[tuple[float, float], ...]:
        """Windows of what `StudyPreset.base` holds: foreground ranges are stored as shares."""
        return self.windows or ((0.0, 1.0),)


@dataclass(frozen=True, kw_only=True)
class StudyPreset(BasePreset):
    """One image of a study: its volumes by role, laid on one grid in the patient, one after another as channels.

    The grid is upright in the patient and centred on the volume of the first role that the study has (of the earlier
    study for its roles); every volume is read where its affine says that it lies, whatever its own grid and tilt.
    Shifts in training move all volumes alike.

    Attributes:
        roles: role → how it is read, in the order of the channels. A role is a modality in lower case (`ct`, `pt`),
            what facts of the concept `series role` say (`t1-post`, `flair`), or several joined by `+`; `prior:ct` is
            the role `ct` of the subject's latest earlier study.
        shape: output voxels (z, y, x).
        spacing: output spacing in mm (z, y, x).
        value_range: what a window maps to; values beyond are clipped. A role that is missing is 0 throughout.
        missing: a study that lacks a role is used as it is (`mask`), or refused (`refuse`).
        presence: append a channel for each role, 1 where the study has it and 0 where not; needs `drop`.
        drop: probability that a role is left out in training, so that the model learns to do without; one stays.
        shift: largest shift in output voxels (z, y, x), drawn uniformly in training.
        flip: axes that are mirrored with probability 1/2 in training; mirroring x swaps left and right, so that no fact
            may name a side.

    Raises:
        PresetError: no role, a shape, spacing or `drop` that cannot be, or `presence` without `drop`.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import RoleVolume, StudyPreset
        >>> from voxtile.data.presets.roles import StudySource
        >>> roles = {"ct": RoleVolume(windows=((-160, 240),)), "pt": RoleVolume(windows=((0, 10),))}
        >>> preset = StudyPreset(roles=roles, shape=(8, 16, 16), spacing=(4, 4, 4))
        >>> meta = {"kind": "volume", "modality": "CT", "shape": (20, 32, 32), "units": "HU", "spacing": (3, 2, 2)}
        >>> image = preset.read_study(StudySource((ArraySample(np.full((20, 32, 32), 40), meta), None)), None)
        >>> image.shape, bool(image[0].abs().max() < 1e-6)  # 40 HU is the middle of the window
        (torch.Size([2, 8, 16, 16]), True)
        >>> image[1].unique()  # there is no PET
        tensor([0.])
    """

    roles: dict[str, RoleVolume]
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    value_range: tuple[float, float] = (-1.0, 1.0)
    missing: Literal["mask", "refuse"] = "mask"
    presence: bool = False
    drop: float = 0.0
    shift: tuple[int, int, int] = (0, 0, 0)
    flip: tuple[Literal["z", "y", "x"], ...] = ()

    def __post_init__(self) -> None:
        for name in ("shape", "spacing", "value_range", "shift", "flip"):
            object.__setattr__(self, name, as_tuples(getattr(self, name)))
        object.__setattr__(self, "roles", {name: _role(name, value) for name, value in self.roles.items()})
        if not self.roles:
            raise PresetError("roles: at least one role is needed, e.g. {ct: {windows: [[-160, 240]]}}")
        if len(self.shape) != 3 or min(self.shape) < 1 or len(self.spacing) != 3 or min(self.spacing) <= 0:
            raise PresetError(f"shape {self.shape} and spacing {self.spacing} need three positive numbers (z, y, x)")
        if not 0 <= self.drop < 1:
            raise PresetError(f"drop: {self.drop} is not a probability below 1")
        if self.presence and not self.drop:
            raise PresetError("presence: channels that never change teach nothing; set drop above 0, or presence false")

    @property
    def version(self) -> str:
        """Version of the code."""
        return "1"

    @property
    def role_names(self) -> tuple[str, ...]:
        """The roles, in order."""
        return tuple(self.roles)

    @property
    def channels(self) -> int:
        """Windows of all roles, and a channel a role for presence where asked."""
        return sum(role.channels for role in self.roles.values()) + (len(self.roles) if self.presence else 0)

    @property
    def grid(self) -> tuple[int, ...]:
        """(Z, Y, X)."""
        return self.shape

    @cached_property
    def of_masks(self) -> StudyMasks:
        """The same geometry for masks, see `voxtile.data.regions.masks`."""
        return StudyMasks(shape=self.shape, spacing=self.spacing, shift=self.shift, flip=self.flip)

    def mask_metas(self, study: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """Metadata of a study's samples by uid, with the place of its grid, for masks on any of them.

        Raises:
            PresetError: the study has none of the roles.
        """
        uid = next(u for u in pick_roles([r for r in self.role_names if not r.startswith(PRIOR)], study) if u)
        centre = centre_of(study[uid])
        return {name: anchored(meta, centre) for name, meta in study.items()}

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError if no sample has a role, or one that has it is no volume or has other units."""
        check_roles(self.role_names, metas)
        for name, role in self.roles.items():
            for meta in metas:
                if matches(meta, name):
                    if meta.get("kind") != "volume" or (meta.get("axes") or "ZYX") != "ZYX":
                        raise PresetError(f"role '{name}': this model reads volumes, not {described(meta)}")
                    check_units_and_modality(meta, role.units, ())
                    affine_of(meta)

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Raise PresetError: a single sample is no study."""
        raise not_a_study(self.role_names)

    def read_study(self, source: StudySource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, Z, Y, X] float32; random only with `rng`."""
        return self.finish_study(self.study_base(source), rng)

    @property
    def base_shape(self) -> tuple[int, int, int, int]:
        """Shape of `study_base`: roles, and the grid with a margin for shifts."""
        z, y, x = self._outer
        return len(self.roles), z, y, x

    @property
    def base_dtype(self) -> torch.dtype:
        """Half precision."""
        return torch.float16

    def study_base(self, source: StudySource) -> Tensor:
        """The deterministic part: [*base_shape] float16 in the units of the windows; NaN where a role is missing.

        Raises:
            PresetError: a role is missing and `missing` is `refuse`.
        """
        if self.missing == "refuse":
            refuse_missing(self.role_names, source)
        centres: dict[bool, npt.NDArray[np.float64]] = {}
        base = torch.full(self.base_shape, torch.nan, dtype=self.base_dtype)
        for place, ((name, role), part) in enumerate(zip(self.roles.items(), source.parts, strict=True)):
            if part is not None:
                # An earlier examination has a frame of reference of its own.
                centre = centres.setdefault(name.startswith(PRIOR), centre_of(part.meta))
                base[place] = self._read(role, part, grid_affine(self._outer, self.spacing, centre))
        return base

    def finish_study(self, base: Tensor, rng: np.random.Generator | None) -> Tensor:
        """The rest: shift, mirror, leave out, augment (with `rng`), window.

        Args:
            base: [*base_shape], from `study_base`.
            rng: source of randomness, or None for the centre.

        Returns:
            [C, Z, Y, X] float32.
        """
        start = first_voxel(self.shift, rng)
        box = tuple(slice(a, a + n) for a, n in zip(start, self.shape, strict=True))
        axes = mirrored_axes(self.flip, rng)
        present = ~torch.isnan(base[:, 0, 0, 0])
        if rng is not None and self.drop:
            present = _dropped(present, self.drop, rng)
        out = torch.zeros(self.channels, *self.shape)
        first = 0
        for place, role in enumerate(self.roles.values()):
            if present[place]:
                values = base[place][box].float().flip(axes)
                if rng is not None:
                    values = _augmented(values, role, rng)
                to_windows(values, role.limits, self.value_range, out[first : first + role.channels])
            first += role.channels
        if self.presence:
            out[first:] = present.float()[:, None, None, None]
        return out

    @property
    def _outer(self) -> tuple[int, int, int]:
        z, y, x = (s + 2 * m for s, m in zip(self.shape, self.shift, strict=True))
        return z, y, x

    def _read(self, role: RoleVolume, part: SampleSource, grid: Affine) -> Tensor:
        """One volume on the grid: float32 in its units, or in shares of its foreground's range."""
        scale, offset = rescale_of(part.meta)
        values = torch.from_numpy(np.ascontiguousarray(part.array(), dtype=np.float32)) * scale + offset
        pad = min(low for low, _ in role.windows) if role.windows else float(values.min())
        placed = place_on_grid(values, affine_of(part.meta), self._outer, grid, pad)
        if not role.windows:
            if role.middle:
                low, high = middle_range(placed, role.percentiles, role.middle)
            else:
                low, high = foreground_range(values, role.percentiles)
            placed = (placed - low) / ((high - low) * role.headroom)
        return placed.clamp_(-_HALF_LIMIT, _HALF_LIMIT)


def _role(name: str, value: RoleVolume | Mapping[str, Any] | None) -> RoleVolume:
    """A role's settings from a config."""
    if isinstance(value, RoleVolume):
        value = {f.name: getattr(value, f.name) for f in fields(RoleVolume)}
    try:
        role = RoleVolume(**{key: as_tuples(item) for key, item in (value or {}).items()})
    except TypeError as error:
        raise PresetError(f"roles: '{name}' has a setting that is not known: {error}") from error
    for window in role.windows:
        if len(window) != 2 or not window[0] < window[1]:
            raise PresetError(f"roles: the window {window} of '{name}' is not (low, high) with low below high")
    if len(role.percentiles) != 2 or not 0 <= role.percentiles[0] < role.percentiles[1] <= 100:
        raise PresetError(f"roles: the percentiles {role.percentiles} of '{name}' are not (low, high) within 0 to 100")
    if not 0 <= role.middle <= 1:
        raise PresetError(f"roles: the middle {role.middle} of '{name}' is not a share of the grid, 0 to 1")
    if role.headroom <= 0:
        raise PresetError(f"roles: the headroom {role.headroom} of '{name}' is not above 0")
    return role


def _dropped(present: Tensor, probability: float, rng: np.random.Generator) -> Tensor:
    """[R] bool: which of the present roles stay; one always does."""
    draws = torch.from_numpy(rng.random(len(present)))
    kept = present & (draws >= probability)
    return kept if kept.any() else present & (draws == draws[present].max())


def _augmented(values: Tensor, role: RoleVolume, rng: np.random.Generator) -> Tensor:
    if role.bias_field:
        values = values * bias_field(values.shape, role.bias_field, rng)
    if role.scale or role.offset:
        values = values * float(1 + role.scale * rng.uniform(-1, 1)) + float(role.offset * rng.uniform(-1, 1))
    if role.noise:
        values = values + role.noise * torch.from_numpy(rng.standard_normal(values.shape, dtype=np.float32))
    return values
