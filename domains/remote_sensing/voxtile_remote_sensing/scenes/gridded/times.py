"""The dates of a gridded dataset: its time steps, or what its attributes say of the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import xarray as xr

from voxtile_remote_sensing.scenes.gridded.axes import time_axis
from voxtile_remote_sensing.scenes.protocol import SceneError

MAX_TIMES = 100_000
_SINCE = " since "  # of the units of a time (CF Conventions 1.11, section 4.4)


def check_times(opening: Callable[..., xr.Dataset], where: str) -> xr.Dataset:
    """Open a dataset and refuse times that are no dates.

    Args:
        opening: opens it; takes `decode_times`.
        where: for messages.

    Raises:
        SceneError: times of a calendar of models (`noleap`, `360_day`), or in units that nobody knows.
        ValueError: it cannot be opened, and not because of its times.
    """
    try:
        dataset = opening()
    except ValueError as error:
        with opening(decode_times=False) as plain:
            refusal = _refusal(plain.variables, where)
        if refusal is None:
            raise
        raise refusal from error
    undated = {name: held for name, held in dataset.variables.items() if held.dtype.kind == "O"}
    if (refusal := _refusal(undated, where)) is not None:  # cftime, where it is installed, makes objects of them
        dataset.close()
        raise refusal
    return dataset


def _refusal(variables: Mapping[Any, xr.Variable], where: str) -> SceneError | None:
    for name, variable in variables.items():
        held = {**variable.encoding, **variable.attrs}
        if _SINCE in (units := str(held.get("units", ""))):
            return SceneError(
                f"{where}: its times '{name}' ('{units}', calendar '{held.get('calendar', 'standard')}') are no dates; "
                "write them in the standard calendar, for example with xarray's convert_calendar, or leave them out"
            )
    return None


def number_of_times(dataset: xr.Dataset) -> int:
    """How many time steps there are; 1 without an axis of them.

    Raises:
        SceneError: more than one file should have.
    """
    times = int(dataset.sizes.get(time_axis(dataset), 1))
    if times > MAX_TIMES:
        raise SceneError(f"{times} time steps in one file; split it")
    return times


def moment_of(dataset: xr.Dataset, step: int) -> str | None:
    """The date of a time step, as ISO 8601 in UTC; without one the beginning that the attributes state (ACDD 1.3)."""
    name = time_axis(dataset) or next((str(name) for name in dataset.coords if _is_moment(dataset, str(name))), None)
    if name is not None and dataset.coords[name].dtype.kind == "M":
        value = np.atleast_1d(dataset.coords[name].values)[step]
        return None if np.isnat(value) else f"{np.datetime_as_string(value, unit='s')}Z"
    try:
        begins = datetime.fromisoformat(str(dataset.attrs["time_coverage_start"]))
    except (KeyError, ValueError):  # not stated, or in a form of its own
        return None
    return (begins.astimezone(UTC) if begins.tzinfo else begins).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_moment(dataset: xr.Dataset, name: str) -> bool:
    """Whether a coordinate is the one date of a dataset without an axis of them; a forecast's beginning is not."""
    coordinate = dataset.coords[name]
    return coordinate.ndim == 0 and "time" in (name, coordinate.attrs.get("standard_name"))
